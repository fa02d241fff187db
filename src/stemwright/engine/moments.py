"""The mean and the deviation of a song, added up block by block; Demucs scales a mix by them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from stemwright.types import Samples


@dataclass(slots=True)
class Moments:
    """Sums over the mean of the channels of all samples so far."""

    frames: int = 0
    _sum: float = 0.0
    _squares: float = 0.0

    def add(self, block: Samples) -> None:
        """Count a block in, `[C, T]` float32, mono or stereo."""
        middle = (block[0] + block[-1]) / np.float32(2)
        self.frames += len(middle)
        self._sum += float(middle.sum(dtype=np.float64))
        self._squares += float(np.square(middle, dtype=np.float64).sum())

    @property
    def mean(self) -> float:
        """The mean of all samples; there must be at least one."""
        return self._sum / self.frames

    @property
    def deviation(self) -> float:
        """The standard deviation as torch has it (unbiased), 0 for a single sample; there must be at least one."""
        variance = (self._squares - self.frames * self.mean**2) / max(self.frames - 1, 1)
        return math.sqrt(max(variance, 0.0))  # rounding can make it less than 0
