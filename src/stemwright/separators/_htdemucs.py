"""Hybrid Transformer Demucs by onnxruntime on the processor: the networks of a bag, without torch."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from stemwright.memory import give_back
from stemwright.separators import _demucs_device as device_
from stemwright.separators._htdemucs_graph import BINS, build
from stemwright.separators.stft import Spectrum, Stft, in_threads
from stemwright.weights.onnx import Network, open_network

if TYPE_CHECKING:
    from collections.abc import Callable

    from stemwright.separators.protocol import ModelSpec
    from stemwright.types import Samples

_N_FFT: Final = 2 * BINS
_HOP: Final = _N_FFT // 4
_EDGE: Final = 3 * _HOP // 2  # samples that are mirrored before and after a chunk
_SCALE: Final = np.float32(_N_FFT**0.5)  # torch.stft(normalized=True) divides by it
_TINY: Final = 1e-5  # added to deviations, as in Demucs
_SHORTEST: Final = 0.9  # seconds: below, `with_less_memory` gives up
_BLOCK: Final = 64  # frames at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One network of a bag."""

    read: Callable[[], dict[str, npt.NDArray[np.float32]]]  # its weights, from the disk
    weights: tuple[float, ...]  # one a stem


class HTDemucs:
    """A bag of htdemucs, loaded."""

    device = "cpu"

    batch_size = 1

    def __init__(
        self, spec: ModelSpec, members: tuple[Member, ...], *, wanted: tuple[int, ...], samples: int | None = None
    ) -> None:
        """Build the graphs and open them.

        `wanted` are the indices of the stems that will be used; the others come out as zeros. `samples` is what the
        networks see at once; a chunk that is shorter gets silence at its end. Raises `WeightsError`,
        `OutOfMemoryError`.
        """
        self.spec, self._members, self._wanted = spec, members, wanted
        self._samples = samples or spec.segment
        self._frames = -(-self._samples // _HOP)
        self._stft = Stft(_N_FFT)
        threads = os.cpu_count() or 1

        def opened(member: Member) -> Network:
            model = build(member.read(), samples=self._samples, stems=len(spec.stems))
            return open_network(model, threads=threads)

        self._networks = device_.or_out_of_memory(lambda: [opened(member) for member in members], self.device)
        give_back()  # the weights that the graphs were made of: 180 MB each

    def separate(self, chunks: npt.NDArray[np.float32], /) -> npt.NDArray[np.float32]:
        """Split chunks of a mix into stems.

        Input: `[B, 2, T]` float32, T = `spec.segment`. Output: `[B, S, 2, T]` float32. Raises `OutOfMemoryError`.
        """
        if chunks.shape[1:] != (2, self.spec.segment):
            raise ValueError(f"chunks of 2 by {self.spec.segment} samples wanted, not {chunks.shape}")
        return device_.or_out_of_memory(lambda: np.stack([self._separate(chunk) for chunk in chunks]), self.device)

    def with_less_memory(self) -> HTDemucs | None:
        """The same weights on half the segment, which is a little worse, or None when a segment is about a second."""
        segment = self.spec.segment // 2
        if segment < _SHORTEST * self.spec.sample_rate:
            return None
        return HTDemucs(replace(self.spec, segment=segment), self._members, wanted=self._wanted)

    def _separate(self, chunk: Samples) -> Samples:
        """`[2, T]` to `[S, 2, T]`, as `HTDemucs.forward` of Demucs."""
        mix = np.pad(chunk, ((0, 0), (0, self._samples - chunk.shape[1])))
        spectrum = self._analysed(mix)
        shift, scale = _moments(spectrum)
        wave_shift, wave_scale = _moments(mix)
        inputs = {
            "spectrum": ((spectrum - shift) / (_TINY + scale))[None],
            "samples": ((mix - wave_shift) / (_TINY + wave_scale))[None, :, None],
        }
        out = np.zeros((len(self.spec.stems), 2, chunk.shape[1]), np.float32)
        for member, network in zip(self._members, self._networks, strict=True):
            of_spectrum, of_wave = network.run(inputs)
            for stem in self._wanted:
                if share := member.weights[stem]:
                    share /= sum(other.weights[stem] for other in self._members)
                    wave = self._synthesised(of_spectrum[0, 4 * stem : 4 * stem + 4], shift, scale)
                    wave += of_wave[0, 2 * stem : 2 * stem + 2, 0] * wave_scale + wave_shift
                    out[stem] += np.float32(share) * wave[:, : chunk.shape[1]]
        return out

    def _analysed(self, mix: Samples) -> npt.NDArray[np.float32]:
        """The spectrum `[4, 2048, N]` float32: real and imaginary parts of both channels. `mix` is `[2, T]`."""
        after = _EDGE + self._frames * _HOP - mix.shape[1]
        spectrum = self._stft.forward(np.pad(mix, ((0, 0), (_EDGE, after)), mode="reflect"))
        out = np.empty((2, 2, BINS, self._frames), np.float32)

        def place(first: int) -> None:
            frames = spectrum[:, first + 2 : min(first + _BLOCK, self._frames) + 2, :BINS] / _SCALE
            out[:, 0, :, first : first + _BLOCK] = frames.real.swapaxes(1, 2)
            out[:, 1, :, first : first + _BLOCK] = frames.imag.swapaxes(1, 2)

        in_threads(place, range(0, self._frames, _BLOCK))
        return out.reshape(4, BINS, self._frames)

    def _synthesised(self, spectrum: npt.NDArray[np.float32], shift: np.float32, scale: np.float32) -> Samples:
        """A stem `[2, T]` float32 from what the network gives of its spectrum, `[4, 2048, N]`."""
        parts = spectrum.reshape(2, 2, BINS, self._frames)

        def part(frames: slice) -> Spectrum:  # two frames of silence on both sides are not the network's
            begin, end = (min(max(place - 2, 0), self._frames) for place in (frames.start, frames.stop))
            here = (parts[..., begin:end].swapaxes(2, 3) * scale + shift) * _SCALE
            block = np.zeros((2, frames.stop - frames.start, BINS + 1), np.complex64)
            inside = block[:, begin + 2 - frames.start : end + 2 - frames.start, :BINS]
            inside.real, inside.imag = here[:, 0], here[:, 1]
            return block

        wave = np.empty((2, self._frames * _HOP + 2 * _EDGE), np.float32)
        self._stft.inverse(part, out=wave, frames=range(1, self._frames + 3))
        return wave[:, _EDGE : _EDGE + self._samples]


def _moments(values: npt.NDArray[np.float32]) -> tuple[np.float32, np.float32]:
    """Mean and (unbiased) standard deviation of all values, as torch has them."""
    return np.float32(values.mean(dtype=np.float64)), np.float32(values.std(dtype=np.float64, ddof=1))
