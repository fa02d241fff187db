"""What signal processing alone can do: the baseline that the network must beat.

Percussive sound is broad in frequency and short, pitched sound the opposite (Fitzgerald, "Harmonic/percussive
separation using median filtering", DAFx 2010). Of what is pitched, the low band is called bass, what sits in the
stereo centre is called voice (Barry et al., "Sound source separation: azimuth discrimination", DAFx 2004), and the rest
is `other`. The four soft masks add up to one, so the stems add up to the mix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from stemwright.separators._stft import Spectrum, Stft
from stemwright.separators.protocol import ModelInfo, ModelSpec

if TYPE_CHECKING:
    from stemwright.types import Samples

_RATE = 44_100
_HOP = 1024
_FRAMES = 432  # of a segment: 10 s
_CONTEXT = 24 * _HOP  # 0.56 s: more than the filters reach
_MEDIAN_TIME = 17  # frames, 0.4 s
_MEDIAN_FREQUENCY = 17  # bins, 183 Hz
_BASS = (110.0, 260.0)  # Hz: all bass below, none above
_VOICE = (110.0, 220.0)  # Hz: no voice below, all above

INFO = ModelInfo(
    name="baseline",
    family="training",
    summary="signal processing alone",
    stems=("vocals", "drums", "bass", "other"),
    licence="MIT",
    source="built in",
    draft=True,
)


class Baseline:
    """Soft masks from medians of the spectrogram and from the stereo image."""

    spec = ModelSpec(
        info=INFO,
        stems=INFO.stems,
        sample_rate=_RATE,
        channels=2,
        segment=_FRAMES * _HOP,
        shorter=True,
        context=_CONTEXT,
        overlap=0.02,
    )
    device = "cpu"
    batch_size = 1

    def __init__(self) -> None:
        self._stft = Stft(4 * _HOP)
        frequency = np.fft.rfftfreq(self._stft.n_fft, 1 / _RATE)
        self._bass = 1 - _ramp(frequency, *_BASS)
        self._voice = _ramp(frequency, *_VOICE)

    def separate(self, chunks: npt.NDArray[np.float32], /) -> npt.NDArray[np.float32]:
        """Split chunks. Input: `[B, 2, T]` float32. Output: `[B, 4, 2, T]` float32, zeros in the context."""
        length = chunks.shape[-1]
        whole = np.pad(chunks, ((0, 0), (0, 0), (0, -length % _HOP)))  # the transform takes whole hops
        return np.stack([self._separate(chunk) for chunk in whole])[..., :length]

    def with_less_memory(self) -> None:
        """It has no larger setting to come down from."""

    def _separate(self, chunk: Samples) -> Samples:
        spectrum = self._stft.forward(chunk)
        masks = np.stack(self._masks(spectrum))[:, None]
        edge = _CONTEXT // _HOP
        kept = range(edge, spectrum.shape[1] - edge)
        stems = np.zeros((4, *chunk.shape), np.float32)
        self._stft.inverse(lambda frames: spectrum[:, frames] * masks[:, :, frames], out=stems[:3], frames=kept)
        inside = slice(kept.start * _HOP, (kept.stop - 1) * _HOP)
        stems[3, :, inside] = chunk[:, inside] - stems[:3, :, inside].sum(axis=0)
        return stems

    def _masks(self, spectrum: Spectrum) -> tuple[Samples, Samples, Samples]:
        """Vocals, drums and bass, each `[N, F]` float32, 0–1, from `[2, N, F]`."""
        left, right = np.abs(spectrum)
        loudness = left + right
        steady = _median(loudness.T, _MEDIAN_TIME).T ** 2
        broad = _median(loudness, _MEDIAN_FREQUENCY) ** 2
        percussive = broad / (steady + broad + np.float32(1e-20))
        pitched = 1 - percussive
        bass = pitched * self._bass
        side = np.abs(spectrum[0] - spectrum[1])
        centre = np.clip(1 - 2 * side / (loudness + np.float32(1e-10)), 0, 1)
        vocals = (pitched - bass) * self._voice * centre
        return vocals, percussive, bass


def _ramp(frequency: npt.NDArray[np.floating], low: float, high: float) -> npt.NDArray[np.float32]:
    """0 below `low` Hz, 1 above `high` Hz, a raised cosine in octaves between."""
    position = np.clip(np.log(np.maximum(frequency, 1e-3) / low) / np.log(high / low), 0, 1)
    curve: npt.NDArray[np.float32] = (0.5 - 0.5 * np.cos(np.pi * position)).astype(np.float32)
    return curve


def _median(rows: npt.NDArray[np.float32], size: int) -> npt.NDArray[np.float32]:
    """Running median along the last axis of `[R, T]` float32.

    Rows are filtered as one line, which is many times faster; the first and last `size // 2` values of a row see their
    neighbours' ends. In time these lie in the discarded context; in frequency they are inaudible.
    """
    from scipy.ndimage import median_filter

    flat = np.ascontiguousarray(rows).ravel()
    filtered: npt.NDArray[np.float32] = np.empty(rows.shape, np.float32)
    median_filter(flat, size, output=filtered.reshape(-1), mode="nearest")
    return filtered
