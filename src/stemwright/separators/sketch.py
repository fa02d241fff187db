"""`sketch`: our own small network, in the package: a draft in seconds on any machine, with nothing to download.

The network (made by `training/`, run by onnxruntime) sees the power of mid and side in bands and where the sound lies
between left and right; for each band and frame it gives the share of each stem in mid and in side. The shares add up to
one, so the stems add up to the mix.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from stemwright.errors import DeviceUnavailableError, OptionError, UnknownModelError
from stemwright.separators._cues import Cues
from stemwright.separators.protocol import Availability, LoadOptions, ModelInfo, ModelSpec
from stemwright.separators.stft import BLOCK, Spectrum, Stft, in_threads
from stemwright.weights.onnx import open_ours

if TYPE_CHECKING:
    from stemwright.types import Samples, StemName

_BUNDLED = Path(__file__).with_name("sketch.onnx")
_USABLE = 17.6  # s of a chunk that are kept, about
_CONTEXT = 128  # frames on each side that are not; all that is further away changes the stems by -85 dB of the mix
_CUES = 0.42  # how much the rules of `_cues` count beside the network, in log; both err, seldom in the same place
_CUE_FLOOR = 0.01  # share that they leave to any stem
_VOICE = 1.2  # voices that it never heard it takes for instruments: their share is e to this times larger
_GATE_REACH = 64  # frames each way over which it is heard whether a stem sounds
_GATE_SHARE = 10**-1.2  # of the mix's energy, below which a stem is more likely not there than so quiet
_GATE_SLOPE = 6.0  # dB that it is turned down for each dB below

INFO = ModelInfo(
    name="sketch",
    family="sketch",
    summary="a draft in seconds by our own small network; needs nothing else",
    stems=("vocals", "drums", "bass", "other"),
    licence="MIT",
    source="built in",
    draft=True,
    cost=0.03,
)


class SketchFamily:
    """The family of the bundled separator."""

    name = "sketch"

    def models(self) -> tuple[ModelInfo, ...]:
        """The one model."""
        return (INFO,)

    def availability(self, name: str, /, *, repo: Path | None = None) -> Availability:  # noqa: ARG002
        """Always `ready`."""
        return "ready"

    def load(self, name: str, /, options: LoadOptions) -> Sketch:
        """Load it. Raises `UnknownModelError`, `DeviceUnavailableError`, `OptionError`, `WeightsError`."""
        if name != INFO.name:
            raise UnknownModelError(f"sketch has no model {name!r}")
        if options.device not in {"auto", "cpu"}:
            raise DeviceUnavailableError(f"sketch runs on the CPU, not on {options.device!r}")
        if options.segment is not None:
            raise OptionError("sketch has a fixed segment; leave --segment out")
        return Sketch()


FAMILY = SketchFamily()


class Sketch:
    """Masks from the network, applied to the spectrum of mid and side.

    A chunk starts at a multiple of the network's stride and the context is nearly all that the network and the gate
    see, so that a song in chunks comes out as the song in one piece would.
    """

    device = "cpu"
    batch_size = 1

    def __init__(self, weights: Path = _BUNDLED) -> None:
        """Load the network. Raises `WeightsError` when the file is damaged or of another kind."""
        # An arena keeps 30 of a short song's 290 MB.
        self._network, about, digest = open_ours(weights, threads=os.cpu_count() or 1, arena=False)
        self._stft = Stft(about["n_fft"])
        self._edges = np.asarray(about["edges"])
        bins = (self._edges[:-1] + self._edges[1:] - 1) / 2
        self._cues = Cues(bins * about["sample_rate"] / about["n_fft"])
        self._multiple: int = about["frames_multiple"]
        stems: tuple[StemName, ...] = tuple(about["stems"])
        step = self._multiple * self._stft.hop
        context = -(-_CONTEXT // self._multiple) * step
        usable = round(_USABLE * about["sample_rate"] / step) * step
        self.spec = ModelSpec(
            info=INFO,
            stems=stems,
            sample_rate=about["sample_rate"],
            channels=2,
            segment=usable + 2 * context,
            shorter=True,
            context=context,
            overlap=0.0,
            standardise=True,
            weights_digest=digest,
        )

    def separate(self, chunks: npt.NDArray[np.float32], /) -> npt.NDArray[np.float32]:
        """Split chunks. Input: `[B, 2, T]` float32. Output: `[B, 4, 2, T]` float32, zeros in the context."""
        length = chunks.shape[-1]
        frames = -(-length // self._stft.hop) + 1
        frames += -frames % self._multiple
        whole = np.zeros((*chunks.shape[:2], (frames - 1) * self._stft.hop), np.float32)
        whole[..., :length] = chunks
        stems = np.zeros((len(chunks), len(self.spec.stems), *whole.shape[1:]), np.float32)
        for chunk, out in zip(whole, stems, strict=True):
            self._separate(chunk, length, out=out)
        return stems[..., :length]

    def with_less_memory(self) -> None:
        """It has no larger setting to come down from."""

    def _separate(self, chunk: Samples, length: int, *, out: Samples) -> None:
        spectrum = self._stft.forward(np.stack([chunk[0] + chunk[1], chunk[0] - chunk[1]]))
        masks, widths = self._masks(spectrum), 2 * np.diff(self._edges)  # a bin is two numbers
        parts = spectrum.view(np.float32)

        def masked(frames: slice) -> Spectrum:
            """Left and right of all stems but the last, which gets what is left."""
            mid, side = np.moveaxis(parts[:, frames] * np.repeat(masks[:-1, :, frames], widths, axis=-1), 1, 0)
            mid *= np.float32(0.5)
            side *= np.float32(0.5)
            return np.stack([mid + side, mid - side], axis=1).view(np.complex64)

        context = self.spec.context // self._stft.hop
        kept = range(context, -(-(length - self.spec.context) // self._stft.hop) + 1)
        self._stft.inverse(masked, out=out[:-1], frames=kept)
        inside = slice(kept.start * self._stft.hop, (kept.stop - 1) * self._stft.hop)
        rest = out[-1, :, inside]
        rest[:] = chunk[:, inside]  # the masks add up to one
        for stem in out[:-1]:
            rest -= stem[:, inside]

    def _masks(self, spectrum: Spectrum) -> npt.NDArray[np.float32]:
        """The network's masks `[S, 2, N, K]` float32, 0–1, for the spectrum of mid and side, `[2, N, F]`."""
        first = self._edges[:-1]
        power = np.empty((*spectrum.shape[:2], len(first)), np.float32)
        pan = np.empty(power.shape[1:], np.float32)

        def add_up(start: int) -> None:
            mid, side = spectrum[:, start : start + BLOCK]
            for sums, one, other in ((power[0], mid, mid), (power[1], side, side), (pan, mid, side)):
                product = one.real * other.real + one.imag * other.imag
                np.add.reduceat(product, first, axis=-1, out=sums[start : start + BLOCK])

        in_threads(add_up, range(0, len(pan), BLOCK))
        masks: npt.NDArray[np.float32]
        (masks,) = self._network.run({"power": power, "pan": pan})
        mid, side = np.sqrt(power)
        loudness = np.sqrt(power.sum(axis=0) / np.diff(self._edges).astype(np.float32))
        centre = np.clip(1 - 2 * side / (mid + side + np.float32(1e-6)), 0, 1)
        return gated(blended(masks, self._cues.shares(loudness, centre)), power)


def blended(masks: npt.NDArray[np.float32], cues: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Masks by the network and by the rules as one: the mean of their logarithms, vocals (the first) favoured.

    Input: masks `[4, 2, N, K]` and cues `[4, N, K]`, float32, 0–1, each adding up to 1; output: as the masks. The
    figures are in training/NOTES.md.
    """
    scores = np.log(masks + np.float32(1e-9))
    scores *= np.float32(1 - _CUES)
    scores += np.float32(_CUES) * np.log(cues + np.float32(_CUE_FLOOR))[:, None]
    scores[0] += np.float32(_VOICE)
    shares: npt.NDArray[np.float32] = np.exp(scores, out=scores)
    shares /= shares.sum(axis=0)
    return shares


def gated(masks: npt.NDArray[np.float32], power: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Masks that turn a stem down while next to nothing of it is found, so that what is not there is silent.

    Input: masks `[S, 2, N, K]` float32, 0–1, adding up to 1, which are changed, and the mix's power
    `[2, N, K]`. On held-out songs this takes 10–40 dB from stems that are not there, and 0.1 dB at most from others.
    """
    found = np.einsum("scnk,scnk,cnk->sn", masks, masks, power, optimize=False)
    share = _around(found) / (_around(power.sum(axis=(0, 2))) + 1e-9)
    gain = np.clip(share / _GATE_SHARE, 0, 1) ** (_GATE_SLOPE / 2)
    masks *= np.maximum(gain, 1e-6).astype(np.float32)[:, None, :, None]
    masks /= masks.sum(axis=0)
    return masks


def _around(energy: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Sums over the frames around each, `[..., N]` float32 to float64; before the first and after the last as there."""
    edges = [(0, 0)] * (energy.ndim - 1) + [(_GATE_REACH + 1, _GATE_REACH)]
    total = np.cumsum(np.pad(energy.astype(np.float64), edges, mode="edge"), axis=-1)
    width = 2 * _GATE_REACH + 1
    sums: npt.NDArray[np.float64] = np.maximum(total[..., width:] - total[..., :-width], 0)
    return sums
