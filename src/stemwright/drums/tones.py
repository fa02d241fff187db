"""What rings after a hit and did not before it: by it a song's toms are told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from stemwright.drums.features import BANDS, HOP, LONG_WINDOW, RATE, TONES, frame_from, magnitudes

if TYPE_CHECKING:
    from stemwright.drums.features import FrameFeatures
    from stemwright.types import Seconds

_KEPT: Final = 3000  # frames, 35 s: onsets are told with half of that delay at most
_CLICK: Final = 300  # samples from an onset to the window after it: the stick's click is left out


class Tones:
    """Remembers the tones of the last half minute of features. Memory holds 1 MB."""

    def __init__(self) -> None:
        self._frames = np.zeros((0, BANDS), np.float32)
        self._first = 0  # number of the first frame that is remembered

    def add(self, features: FrameFeatures) -> None:
        """Take the next features, `[N, 4, 72]`, any N."""
        self._frames = np.concatenate([self._frames, features[:, TONES]])

    def at(self, time: Seconds) -> tuple[float, ...]:
        """Magnitudes that came with a hit, in 72 bins from 43 to 807 Hz, of the energy 1; zeros where none came."""
        sample = round(time * RATE)
        after, before = frame_from(sample + _CLICK), frame_from(sample - LONG_WINDOW - HOP // 2)
        rise = magnitudes(self._frame(after)) - (magnitudes(self._frame(before)) if before >= 0 else 0)
        rise = np.maximum(rise, 0)
        return tuple((rise / (np.sqrt(np.square(rise).sum()) + 1e-9)).tolist())

    def forget(self) -> None:
        """Let go of what no onset will be asked for any more."""
        old = max(0, len(self._frames) - _KEPT)
        self._frames = self._frames[old:].copy()
        self._first += old

    def _frame(self, number: int) -> npt.NDArray[np.float32]:
        return np.asarray(self._frames[min(max(number - self._first, 0), len(self._frames) - 1)])
