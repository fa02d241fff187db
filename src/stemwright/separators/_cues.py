"""What signal processing alone can tell of a mix: percussive or pitched, low, in the middle.

Percussive sound is broad in frequency and short, pitched sound the opposite (Fitzgerald, "Harmonic/percussive
separation using median filtering", DAFx 2010). Of what is pitched, the low band is called bass, what sits in the
stereo centre is called voice (Barry et al., "Sound source separation: azimuth discrimination", DAFx 2004), and the rest
is `other`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from stemwright.types import Samples

_MEDIAN_TIME = 17  # frames
_MEDIAN_FREQUENCY = 17  # bins or bands
_BASS = (110.0, 260.0)  # Hz: all bass below, none above
_VOICE = (110.0, 220.0)  # Hz: no voice below, all above


class Cues:
    """Shares of vocals, drums, bass and other by these rules, at given frequencies."""

    def __init__(self, hertz: npt.NDArray[np.floating]) -> None:
        """Take the frequency of each bin or band, `[K]`."""
        self._bass = 1 - _ramp(hertz, *_BASS)
        self._voice = _ramp(hertz, *_VOICE)

    def shares(self, loudness: Samples, centre: Samples) -> Samples:
        """Shares that add up to one, `[4, N, K]` float32, of N frames.

        Input: magnitudes `[N, K]` float32, and how much of each is in the middle, `[N, K]` float32, 0–1.
        """
        steady = _median(loudness.T, _MEDIAN_TIME).T ** 2
        broad = _median(loudness, _MEDIAN_FREQUENCY) ** 2
        percussive = broad / (steady + broad + np.float32(1e-20))
        pitched = 1 - percussive
        bass = pitched * self._bass
        vocals = (pitched - bass) * self._voice * centre
        return np.stack([vocals, percussive, bass, pitched - bass - vocals])


def _ramp(hertz: npt.NDArray[np.floating], low: float, high: float) -> npt.NDArray[np.float32]:
    """0 below `low` Hz, 1 above `high` Hz, a raised cosine in octaves between."""
    position = np.clip(np.log(np.maximum(hertz, 1e-3) / low) / np.log(high / low), 0, 1)
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
