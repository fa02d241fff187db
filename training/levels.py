"""How loud a recording is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import signal

from stemwright.audio.loudness import k_weighting
from training.corpus import RATE

if TYPE_CHECKING:
    import numpy.typing as npt

_BLOCK: Final = 17640  # 400 ms
_HOP: Final = 4410


def gain_of(db: float) -> float:
    """Decibels as a factor.

    >>> gain_of(-20.0)
    0.1
    """
    return float(10 ** (db / 20))


def lufs(sound: npt.NDArray[np.float32]) -> float:
    """Gated loudness (BS.1770) of [2, T] in LUFS; -inf where nothing sounds. Pauses do not count."""
    weighed = signal.sosfilt(k_weighting(RATE), sound, axis=1)
    length = sound.shape[1]
    power = np.concatenate(([0.0], np.cumsum(np.square(weighed).sum(axis=0))))
    starts = np.arange(0, max(1, length - _BLOCK), _HOP)
    energy = (power[np.minimum(starts + _BLOCK, length)] - power[starts]) / _BLOCK
    loud = energy[energy > 10 ** ((-70 + 0.691) / 10)]
    if not loud.size:
        return float("-inf")
    loud = loud[loud > loud.mean() / 10]
    return float(-0.691 + 10 * np.log10(loud.mean()))
