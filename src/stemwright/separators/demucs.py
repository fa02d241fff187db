"""Demucs: the networks of the `demucs` package (htdemucs, hdemucs, demucs and bags of them) as separators.

On a processor onnxruntime runs htdemucs, without torch (`_htdemucs.py`). On a GPU, and for the other networks, torch
does (the extra [demucs]): what is here is what `demucs.apply.apply_model(..., split=False)` does to one chunk, to the
bit. Demucs' own chunk loop, shifts and scaling are left aside, for the engine has them.
"""

from __future__ import annotations

import functools
import importlib.util
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from stemwright import errors
from stemwright.separators import _demucs_device as device_
from stemwright.separators import _demucs_publishers as published
from stemwright.separators import _demucs_weights as weights_
from stemwright.separators._htdemucs import HTDemucs, Member
from stemwright.separators.protocol import Availability, LoadOptions, ModelInfo, ModelSpec
from stemwright.weights import publishers as publishers_

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    import torch

    from stemwright.separators._demucs_weights import Bag, Network
    from stemwright.separators._htdemucs_weights import Shape
    from stemwright.types import Digest, SampleRate, StemName
    from stemwright.weights.config import OnProgress

_PACKAGES = ("demucs", "torch")
_FOUR = ("drums", "bass", "other", "vocals")
_SEGMENTS = (0.1, 120.0)  # seconds: what can be asked for; a transformer takes none longer than it was trained on
_WITHOUT_TORCH = ("htdemucs", "htdemucs_ft", "htdemucs_6s")
_SHORTEST = 0.9  # seconds: below, `with_less_memory` gives up


def _info(
    name: str, summary: str, *, stems: tuple[StemName, ...] = _FOUR, cost: float = 1.0, sdr: str | None = None
) -> ModelInfo:
    publishers = published.publishers(name)
    return ModelInfo(
        name=name,
        family="demucs",
        summary=summary,
        stems=stems,
        licence=published.LICENCE,
        source="; ".join(publisher.name for publisher in publishers),
        download_bytes=publishers[0].download_bytes,
        cost=cost,
        sdr=sdr,
        publishers=publishers,
        statements=published.statements(name),
    )


_MODELS: Final = {
    info.name: info
    for info in (
        _info("htdemucs", "hybrid transformer, the best all-rounder", sdr="8.8"),
        _info("htdemucs_ft", "one htdemucs tuned for each stem: better, 4x slower", cost=4.0, sdr="9.0"),
        _info("htdemucs_6s", "htdemucs with guitar and piano (the piano is poor)", stems=(*_FOUR, "guitar", "piano")),
        _info("hdemucs_mmi", "hybrid without transformer (v3), long segments; needs torch", sdr="8.3"),
    )
}


class DemucsFamily:
    """The models of Demucs: the published ones by name, and any in a local folder."""

    name = "demucs"
    extras: Final = {"demucs": "only GPUs and hdemucs_mmi need the extra [demucs], which brings torch too"}

    def models(self) -> tuple[ModelInfo, ...]:
        """The published models."""
        return tuple(_MODELS.values())

    def availability(self, name: str, /, *, repo: Path | None = None) -> Availability:
        """Whether the packages and the weights are here. Looks at the disk only; raises nothing."""
        torch_is_here = not _missing_packages()
        try:
            if repo:
                bag = weights_.find_in_folder(name, folder=repo)
                return "ready" if torch_is_here or all(weights_.describe(path) for path in bag.files) else "missing"
            if name not in _MODELS or not (torch_is_here or name in _WITHOUT_TORCH):
                return "missing"
            if weights_.find_here(name):
                return "ready"
        except errors.StemwrightError:
            return "missing"
        return publishers_.availability(published.publishers(name))

    def pull(self, name: str, /, *, on_progress: OnProgress | None = None, again: bool = False) -> None:
        """Download what `load` needs.

        Raises `UnknownModelError`, `ModelUnavailableError`, `WeightsError`, and what `on_progress` raises.
        """
        if name not in _WITHOUT_TORCH:
            _require_packages(name)
        weights_.fetch(_known(name), on_progress=on_progress, again=again, retry=True)

    def load(self, name: str, /, options: LoadOptions) -> HTDemucs | DemucsSeparator:
        """Load a model, from `options.repo` or else from where its weights were put, or from a publisher.

        Raises `ModelUnavailableError`, `WeightsError`, `DeviceUnavailableError`, `UnknownModelError`,
        `UnknownStemError`, `OptionError` (a segment that is longer than trained), `OutOfMemoryError`.
        """
        if options.repo is None and name not in _WITHOUT_TORCH:
            _require_packages(_known(name))
        repo = options.repo
        bag = weights_.fetch(_known(name)) if repo is None else weights_.find_in_folder(name, folder=repo)
        digest = weights_.digest_and_check(bag)
        if device_.is_cpu(options.device) and (separator := _by_onnxruntime(name, bag, options, digest)):
            return separator
        _require_packages(name)
        return _by_torch(name, bag, options, digest)


FAMILY: Final = DemucsFamily()


def _by_onnxruntime(name: str, bag: Bag, options: LoadOptions, digest: Digest) -> HTDemucs | None:
    """A bag of networks that the graph is written for, all of one shape; None for others."""
    shapes: list[Shape] = []
    members: list[Member] = []
    for path, row in zip(bag.files, bag.weights or [None] * len(bag.files), strict=True):
        if shapes and row and not _counts(row, shapes[0].stems, options.stems):
            continue
        shape = weights_.describe(path)
        if shape is None or (shapes and shape != shapes[0]):
            return None
        shapes.append(shape)
        _check_row(row, shape.stems, path)
        weights = row or (1.0,) * len(shape.stems)
        if _counts(weights, shape.stems, options.stems):
            members.append(Member(read=functools.partial(weights_.read, path), weights=weights))
    shape = shapes[0]
    wanted = _wanted(shape.stems, options.stems)
    _check_weighted(shape.stems, wanted, [member.weights for member in members])
    trained = min(float(shape.segment), bag.segment or float(shape.segment))
    seconds = trained if options.segment is None else _checked_segment(options.segment, longest=trained)
    spec = ModelSpec(
        info=_info_of(name, options.repo, shape.stems),
        stems=shape.stems,
        sample_rate=shape.sample_rate,
        channels=2,
        segment=int(shape.sample_rate * seconds),
        shift=int(0.5 * shape.sample_rate),
        standardise=True,
        weights_digest=digest,
        publisher=bag.publisher,
    )
    return HTDemucs(spec, tuple(members), wanted=wanted, samples=int(shape.sample_rate * trained))


def _by_torch(name: str, bag: Bag, options: LoadOptions, digest: Digest) -> DemucsSeparator:
    import torch

    torch.backends.mha.set_fastpath_enabled(False)  # it keeps whole attention matrices: a fifth of the time
    device = device_.resolve_device(options.device)
    if device == "cpu":
        device_.keep_freed_memory()
    members = _load_members(bag, options.stems)
    first = members[0].network
    stems = tuple(first.sources)
    spec = ModelSpec(
        info=_info_of(name, options.repo, stems),
        stems=stems,
        sample_rate=first.samplerate,
        channels=first.audio_channels,
        segment=_segment(members, options.segment),
        shorter=not any(_is_transformer(member.network) for member in members),
        shift=int(0.5 * first.samplerate),
        standardise=True,
        weights_digest=digest,
        publisher=bag.publisher,
        back_end="torch",
    )
    if options.segment is not None:
        members = tuple(replace(member, centred=not _is_transformer(member.network)) for member in members)
    device_.or_out_of_memory(lambda: [member.network.to(device_.torch_device(device)) for member in members], device)
    return DemucsSeparator(
        spec=spec,
        device=device,
        batch_size=device_.batch_size(device, spec.segment * first.channels),
        threads=torch.get_num_threads(),
        _members=members,
        _wanted=_wanted(stems, options.stems),
    )


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


def _known(name: str) -> str:
    if name not in _MODELS:
        raise errors.UnknownModelError(f"Demucs has no model {name!r}; it has: {', '.join(_MODELS)}")
    return name


def _info_of(name: str, repo: Path | None, stems: tuple[StemName, ...]) -> ModelInfo:
    if repo is None:
        return replace(_MODELS[name], stems=stems)
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
        _check_row(row, first.sources, path)
        if bag.segment is not None and not (_is_transformer(network) and bag.segment > network.segment):
            network.segment = bag.segment
        member = _Member(network=network, weights=row or (1.0,) * len(first.sources))
        if _counts(member.weights, first.sources, stems):
            members.append(member)
    _check_weighted(first.sources, _wanted(first.sources, stems), [member.weights for member in members])
    return tuple(members)


def _check_row(row: tuple[float, ...] | None, sources: Sequence[StemName], path: Path) -> None:
    if row and len(row) != len(sources):
        raise errors.WeightsError(f"the bag has {len(row)} weights for the {len(sources)} stems of {path.name}")


def _check_weighted(sources: Sequence[StemName], wanted: tuple[int, ...], rows: list[tuple[float, ...]]) -> None:
    for index in wanted:
        if not sum(row[index] for row in rows):
            raise errors.WeightsError(f"the bag gives no weight to {sources[index]}")


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
    transformers = [network.segment for network in networks if _is_transformer(network)]
    return int(networks[0].samplerate * _checked_segment(asked, longest=float(min([_SEGMENTS[1], *transformers]))))


def _checked_segment(asked: float, *, longest: float) -> float:
    if not _SEGMENTS[0] <= asked <= longest:
        raise errors.OptionError(
            f"the segment must be {_SEGMENTS[0]:g} s to {longest:g} s for this model, not {asked:g} s"
        )
    return asked
