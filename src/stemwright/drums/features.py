"""Sound to what the network sees: log-mel spectra, a short window twice a frame for time, a long one for pitch."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from stemwright.audio.resample import Resampler

if TYPE_CHECKING:
    from stemwright.types import SampleRate, Samples

RATE: Final = 44_100  # Hz, of the network
HOP: Final = 512  # samples from frame to frame
SUBFRAMES: Final = 2  # onsets are told to half a frame: 5.8 ms
BANDS: Final = 72
LAYERS: Final = 3  # short window at the frame, short window half a frame later, long window between the two
TONES: Final = LAYERS  # one more layer, not for the network: the long window's bins from 43 to 807 Hz, as many as bands
FrameFeatures: TypeAlias = npt.NDArray[np.float32]

_SHORT: Final = 1024
LONG_WINDOW: Final = 4096  # samples
_LEAD: Final = LONG_WINDOW // 2 - HOP // 4  # zeros before the first sample, for the first long window
_STARTS: Final = ((_SHORT, _LEAD - _SHORT // 2), (_SHORT, _LEAD - _SHORT // 2 + HOP // 2), (LONG_WINDOW, 0))
_BATCH: Final = 64  # frames that are computed at once, so that no result depends on how the sound was cut
_NEEDED: Final = (_BATCH - 1) * HOP + LONG_WINDOW
_LOWEST_HZ, _HIGHEST_HZ = 30.0, 16_000.0
_FLOOR: Final = np.float32(1e-5)
_FIRST_TONE: Final = 4  # bin of the long window


class Features:
    """Features of a stream in blocks of any size, the same however it was cut.

    Frame n lies at sample n * `HOP` of the sound at `RATE`; its layers are short windows at n * `HOP` and
    n * `HOP` + 256, the long window between them, and the long window's lowest bins. The channels' powers are
    averaged, so that sound in opposite phase counts. Memory holds one batch of samples. Raises ValueError for rates
    outside 4 to 384 kHz.
    """

    def __init__(self, sample_rate: SampleRate, *, channels: int) -> None:
        self._resampler = Resampler(sample_rate, RATE, channels=channels)
        self._buffer = np.zeros((channels, _LEAD), np.float32)
        self._samples = 0
        self._frames = 0

    def add(self, block: Samples) -> FrameFeatures:
        """Take the next block, `[C, T]` float32 with any T; give the frames that are ready, `[N, 4, 72]` float32.

        Raises ValueError for another number of channels and for samples that are not finite.
        """
        if block.size and not math.isfinite(max(float(block.max()), -float(block.min()))):
            raise ValueError("samples must be finite")
        return self._take(self._resampler.push(block))

    def finish(self) -> FrameFeatures:
        """The last frames, `[N, 4, 72]`; in all there is one for each 512 samples or part of it."""
        ready = [self._take(self._resampler.finish())]
        wanted = -(-self._samples // HOP)
        while self._frames < wanted:
            missing = _NEEDED - self._buffer.shape[1]
            frames = self._take(np.zeros((len(self._buffer), max(missing, 0)), np.float32), silence=True)
            ready.append(frames[: len(frames) - max(0, self._frames - wanted)])
        return np.concatenate(ready)

    def _take(self, block: Samples, *, silence: bool = False) -> FrameFeatures:
        self._samples += 0 if silence else block.shape[1]
        whole = np.concatenate([self._buffer, block], axis=1)
        ready = [np.zeros((0, LAYERS + 1, BANDS), np.float32)]
        start = 0
        while whole.shape[1] - start >= _NEEDED:
            ready.append(_batch(whole[:, start : start + _NEEDED]))
            start += _BATCH * HOP
        self._buffer = whole[:, start:].copy()
        frames = np.concatenate(ready)
        self._frames += len(frames)
        return frames


def features_of(sound: Samples, *, sample_rate: SampleRate = RATE) -> FrameFeatures:
    """All frames of a sound in one piece, `[C, T]` float32 to `[N, 4, 72]` float32."""
    stream = Features(sample_rate, channels=len(sound))
    return np.concatenate([stream.add(sound), stream.finish()])


def frame_from(sample: int) -> int:
    """The frame whose long window begins nearest to a sample; below zero for samples long before the first."""
    return round((sample + _LEAD) / HOP)


def magnitudes(features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """What a magnitude was before it became a feature; full scale is 1."""
    return np.asarray(10 ** (2 * (features - np.float32(1.5))) - _FLOOR, np.float32)


def _batch(sound: Samples) -> FrameFeatures:
    """`[C, _NEEDED]` to `[64, 4, 72]`."""
    from scipy.fft import rfft

    out = np.empty((_BATCH, LAYERS + 1, BANDS), np.float32)
    for layer, (size, start) in enumerate(_STARTS):
        filters, window = _filters(size)
        power = np.zeros((_BATCH, size // 2 + 1), np.float32)
        for channel in sound:
            windows = np.lib.stride_tricks.sliding_window_view(channel[start:], size)[::HOP][:_BATCH]
            parts = rfft(windows * window, axis=1).view(np.float32)  # real, imaginary, real, …
            np.square(parts, out=parts)
            power += parts[:, ::2]
            power += parts[:, 1::2]
        magnitude = np.sqrt(power / np.float32(len(sound)))
        out[:, layer] = (filters @ magnitude.T).T
        if size == LONG_WINDOW:
            out[:, TONES] = magnitude[:, _FIRST_TONE : _FIRST_TONE + BANDS]
    np.log10(out + _FLOOR, out=out)
    out /= 2
    out += np.float32(1.5)
    return out


def _mel(hertz: float) -> float:
    return 2595 * math.log10(1 + hertz / 700)


@cache
def _filters(size: int) -> tuple[Any, npt.NDArray[np.float32]]:
    """Triangles evenly spaced in mel, at least two bins wide, each with the sum 1; and the window.

    The triangles are a sparse matrix [72, bins]: a dense product would set all cores to work, and spin on them.
    """
    from scipy.sparse import csr_array

    edges = 700 * (10 ** (np.linspace(_mel(_LOWEST_HZ), _mel(_HIGHEST_HZ), BANDS + 2) / 2595) - 1)
    step = RATE / size
    hertz = np.arange(size // 2 + 1)[:, None] * step
    middle = edges[1:-1]
    below, above = np.maximum(middle - edges[:-2], step), np.maximum(edges[2:] - middle, step)
    shape = np.clip(1 - np.maximum((middle - hertz) / below, (hertz - middle) / above), 0, None)
    window = np.hanning(size + 1)[:-1] * 2 / size
    return csr_array((shape / shape.sum(axis=0)).T.astype(np.float32)), window.astype(np.float32)
