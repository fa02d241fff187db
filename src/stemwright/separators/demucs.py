"""Demucs: the networks of the `demucs` package (htdemucs, hdemucs, demucs and bags of them) as separators.

Demucs' own chunk loop, shifts and scaling are left aside, for the engine has them; what is here is what
`demucs.apply.apply_model(..., split=False)` does to one chunk, to the bit.
"""

from __future__ import annotations

import functools
import importlib.util
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from stemwright import errors
from stemwright.separators import _demucs_device as device_
from stemwright.separators import _demucs_weights as weights_
from stemwright.separators.protocol import Availability, LoadOptions, ModelInfo, ModelSpec
from stemwright.weights.config import current

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    import torch

    from stemwright.separators._demucs_weights import Bag, Network
    from stemwright.types import SampleRate, StemName
    from stemwright.weights.config import OnProgress

_PACKAGES = ("demucs", "torch", "huggingface_hub", "safetensors", "yaml")
_FOUR = ("drums", "bass", "other", "vocals")
_SEGMENTS = (0.1, 120.0)  # seconds: what can be asked for; a transformer takes none longer than it was trained on
_SHORTEST = 0.9  # seconds: below, `with_less_memory` gives up


def _info(
    name: str, summary: str, *, hub: str, megabytes: int, stems: tuple[StemName, ...] = _FOUR, cost: float = 1.0
) -> ModelInfo:
    return ModelInfo(
        name=name,
        family="demucs",
        summary=summary,
        stems=stems,
        licence="MIT",
        source=f"adefossez/{hub}",  # as demucs.hf names it
        download_bytes=megabytes * 1_000_000,
        cost=cost,
    )


_MODELS: Final = {
    info.name: info
    for info in (
        _info("htdemucs", "hybrid transformer, the best all-rounder", hub="HTDemucs", megabytes=84),
        _info(
            "htdemucs_ft",
            "one htdemucs tuned for each stem: better, 4x slower",
            hub="HTDemucs-ft",
            megabytes=336,
            cost=4.0,
        ),
        _info(
            "htdemucs_6s",
            "htdemucs with guitar and piano (the piano is poor)",
            hub="HTDemucs-6s",
            megabytes=55,
            stems=(*_FOUR, "guitar", "piano"),
        ),
        _info("hdemucs_mmi", "hybrid without transformer (v3), long segments", hub="Demucs-hdemucs_mmi", megabytes=167),
    )
}


class DemucsFamily:
    """The models of Demucs: those on the hub by name, and any in a local folder."""

    name = "demucs"

    def models(self) -> tuple[ModelInfo, ...]:
        """The models on the hub."""
        return tuple(_MODELS.values())

    def availability(self, name: str, /, *, repo: Path | None = None) -> Availability:
        """Whether the packages and the weights are here. Looks at the disk only; raises nothing.

        With HF_HUB_OFFLINE set, what is not in the cache is `missing`.
        """
        if _missing_packages():
            return "missing"
        try:
            if repo:
                weights_.find_in_folder(name, folder=repo)
                return "ready"
            if name in _MODELS and weights_.find_in_cache(name, hub=_MODELS[name].source):
                return "ready"
        except errors.StemwrightError:
            return "missing"
        from huggingface_hub import constants

        offline = current().offline or constants.HF_HUB_OFFLINE
        return "download" if name in _MODELS and not offline else "missing"

    def pull(self, name: str, /, *, on_progress: OnProgress | None = None, again: bool = False) -> None:  # noqa: ARG002
        """Download what `load` needs; the hub's library shows its own progress.

        Raises `UnknownModelError`, `ModelUnavailableError`, `WeightsError`.
        """
        _require_packages(name)
        _find(name, None, again=again)

    def load(self, name: str, /, options: LoadOptions) -> DemucsSeparator:
        """Load a model, from `options.repo` or else from the hub's cache or the hub.

        Raises `ModelUnavailableError`, `WeightsError`, `DeviceUnavailableError`, `UnknownModelError`,
        `UnknownStemError`, `OptionError` (a segment that is longer than trained), `OutOfMemoryError`.
        """
        _require_packages(name)
        import torch

        torch.backends.mha.set_fastpath_enabled(False)  # it keeps whole attention matrices: a fifth of the time
        device = device_.resolve_device(options.device)
        if device == "cpu":
            device_.keep_freed_memory()
        bag = _find(name, options.repo)
        digest = weights_.digest_and_check(bag)
        members = _load_members(bag, options.stems)
        first = members[0].network
        stems = tuple(first.sources)
        spec = ModelSpec(
            info=replace(_MODELS[name], stems=stems)
            if options.repo is None
            else _local_info(name, options.repo, stems),
            stems=stems,
            sample_rate=first.samplerate,
            channels=first.audio_channels,
            segment=_segment(members, options.segment),
            shorter=not any(_is_transformer(member.network) for member in members),
            shift=int(0.5 * first.samplerate),
            standardise=True,
            weights_digest=digest,
        )
        if options.segment is not None:
            members = tuple(replace(member, centred=not _is_transformer(member.network)) for member in members)
        device_.or_out_of_memory(
            lambda: [member.network.to(device_.torch_device(device)) for member in members], device
        )
        if device == "cpu":
            _quicken(members)
        return DemucsSeparator(
            spec=spec,
            device=device,
            batch_size=device_.batch_size(device, spec.segment * first.channels),
            threads=torch.get_num_threads(),
            _members=members,
            _wanted=_wanted(stems, options.stems),
        )


FAMILY: Final = DemucsFamily()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    """One network of a bag."""

    network: Network
    weights: tuple[float, ...]  # one a stem
    centred: bool = True  # a chunk that is shorter than the network takes gets silence on both sides, not at its end

    def shortened(self) -> _Member:
        """The same weights in a network that takes shorter chunks as they are, which saves memory."""
        import copy

        network = copy.copy(self.network)  # shallow: the parameters are shared
        if _is_transformer(network):
            network.use_train_segment = False
        return replace(self, network=network)

    def run(self, mix: torch.Tensor) -> torch.Tensor:
        """`[B, C, T]` to `[B, S, C, T]`, float32, as the leaf of demucs.apply.apply_model does it."""
        from demucs.utils import center_trim
        from torch.nn import functional

        length = mix.shape[-1]
        valid = self.network.valid_length(length) if self.centred and hasattr(self.network, "valid_length") else length
        left = (valid - length) // 2
        estimate: torch.Tensor = self.network(functional.pad(mix, (left, valid - length - left)))
        trimmed: torch.Tensor = center_trim(estimate, length)
        return trimmed


@dataclass(frozen=True, kw_only=True, eq=False)
class DemucsSeparator:
    """A model of Demucs, loaded."""

    spec: ModelSpec
    device: str
    batch_size: int
    threads: int  # of torch, in all
    _members: tuple[_Member, ...]
    _wanted: tuple[int, ...]  # indices of the stems that will be used; the others come out as zeros

    def separate(self, chunks: npt.NDArray[np.float32], /) -> npt.NDArray[np.float32]:
        """Split chunks of a mix into stems.

        Input: `[B, C, T]` float32, T = `spec.segment`. Output: `[B, S, C, T]` float32.
        Raises `errors.OutOfMemoryError`.
        """
        _, channels, length = chunks.shape
        fits = length <= self.spec.segment if self.spec.shorter else length == self.spec.segment
        if channels != self.spec.channels or not fits:
            raise ValueError(
                f"chunks of {self.spec.channels} by {self.spec.segment} samples wanted, not {chunks.shape}"
            )
        return device_.or_out_of_memory(lambda: self._estimate(chunks), self.device)

    def _estimate(self, chunks: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        if self.device != "cpu" or len(chunks) == 1:
            return self._run(chunks, threads=self.threads)
        import numpy as np

        run = functools.partial(self._run, threads=max(1, self.threads // len(chunks)))
        with ThreadPoolExecutor(len(chunks)) as pool:  # a chunk a thread: torch's own threads wait for each other
            return np.concatenate([*pool.map(run, chunks[:, None])])

    def _run(self, chunks: npt.NDArray[np.float32], *, threads: int) -> npt.NDArray[np.float32]:
        import torch

        torch.set_num_threads(threads)
        device = device_.torch_device(self.device)
        with torch.inference_mode(), device_.precision(self.device):
            mix = torch.tensor(chunks, device=device)
            total = torch.zeros(len(chunks), len(self.spec.stems), *chunks.shape[1:], device=device)
            for member in self._members:
                estimate = member.run(mix)
                for stem in self._wanted:
                    total[:, stem] += estimate[:, stem] * member.weights[stem]
                del estimate
            for stem in self._wanted:
                total[:, stem] /= sum(member.weights[stem] for member in self._members)
            stems: npt.NDArray[np.float32] = total.cpu().numpy()
        return stems

    def with_less_memory(self) -> DemucsSeparator | None:
        """The same weights with half the batch, then half the segment, or None when a segment is about a second.

        A segment shorter than the trained one gives stems that are a little worse.
        """
        if self.batch_size > 1:
            smaller = replace(self, batch_size=self.batch_size // 2)
        else:
            segment = self.spec.segment // 2
            if segment < _SHORTEST * self.spec.sample_rate:
                return None
            members = tuple(member.shortened() for member in self._members)
            smaller = replace(self, spec=replace(self.spec, segment=segment), _members=members)
        device_.free_cache(self.device)
        return smaller


def _missing_packages() -> list[str]:
    return [package for package in _PACKAGES if importlib.util.find_spec(package) is None]


def _require_packages(name: str) -> None:
    if missing := _missing_packages():
        raise errors.ModelUnavailableError(
            f"{name} needs the extra [demucs], of which {', '.join(missing)} is not here (see the README, Models)"
        )


def _find(name: str, repo: Path | None, *, again: bool = False) -> Bag:
    if repo is not None:
        return weights_.find_in_folder(name, folder=repo)
    if name not in _MODELS:
        raise errors.UnknownModelError(f"Demucs has no model {name!r}; it has: {', '.join(_MODELS)}")
    hub = _MODELS[name].source
    if not again and (bag := weights_.find_in_cache(name, hub=hub)):
        return bag
    if current().offline:
        raise errors.ModelUnavailableError(
            f"the weights of {name} are not on this machine, and Stemwright is offline; when connected:"
            f" stemwright models pull {name}"
        )
    return weights_.download(name, hub=hub, again=again)


def _local_info(name: str, repo: Path, stems: tuple[StemName, ...]) -> ModelInfo:
    return ModelInfo(
        name=name,
        family="demucs",
        summary=f"Demucs model from the folder {repo.name}",
        stems=stems,
        licence="unknown",
        source=str(repo),
    )


def _load_members(bag: Bag, stems: tuple[StemName, ...] | None) -> tuple[_Member, ...]:
    """The networks that count for the wanted stems; the others are not kept, and but for the first not loaded."""
    members: list[_Member] = []
    first: Network = None
    for path, row in zip(bag.files, bag.weights or [None] * len(bag.files), strict=True):
        if first and row and not _counts(row, first.sources, stems):
            continue
        network = weights_.load_network(path)
        first = first or network
        if _kind(network) != _kind(first):
            raise errors.WeightsError(f"{path.name} does not fit the others of its bag: other stems, rate or channels")
        if row and len(row) != len(first.sources):
            raise errors.WeightsError(
                f"the bag has {len(row)} weights for the {len(first.sources)} stems of {path.name}"
            )
        if bag.segment is not None and not (_is_transformer(network) and bag.segment > network.segment):
            network.segment = bag.segment
        member = _Member(network=network, weights=row or (1.0,) * len(first.sources))
        if _counts(member.weights, first.sources, stems):
            members.append(member)
    for index in _wanted(first.sources, stems):
        if not sum(member.weights[index] for member in members):
            raise errors.WeightsError(f"the bag gives no weight to {first.sources[index]}")
    return tuple(members)


def _quicken(members: Sequence[_Member]) -> None:
    from stemwright.separators._demucs_quick import quicken

    for member in members:
        if _is_transformer(member.network):
            quicken(member.network)


def _kind(network: Network) -> tuple[tuple[StemName, ...], SampleRate, int]:
    return tuple(network.sources), network.samplerate, network.audio_channels


def _wanted(sources: Sequence[StemName], stems: tuple[StemName, ...] | None) -> tuple[int, ...]:
    if unknown := sorted(set(stems or ()) - set(sources)):
        raise errors.UnknownStemError(f"the model does not give {', '.join(unknown)}; it gives {', '.join(sources)}")
    return tuple(index for index, source in enumerate(sources) if not stems or source in stems)


def _counts(row: tuple[float, ...], sources: Sequence[StemName], stems: tuple[StemName, ...] | None) -> bool:
    return any(row[index] for index in _wanted(sources, stems))


def _is_transformer(network: Network) -> bool:
    from demucs.htdemucs import HTDemucs

    return isinstance(network, HTDemucs)


def _segment(members: tuple[_Member, ...], asked: float | None) -> int:
    """Samples of a chunk: as asked in seconds, or as the network with the shortest has it."""
    networks = [member.network for member in members]
    if asked is None:
        return int(networks[0].samplerate * min(network.segment for network in networks))
    shortest, longest = _SEGMENTS
    longest = float(min([longest, *(network.segment for network in networks if _is_transformer(network))]))
    if not shortest <= asked <= longest:
        raise errors.OptionError(f"the segment must be {shortest:g} s to {longest:g} s for this model, not {asked:g} s")
    return int(networks[0].samplerate * asked)
