"""Cuts a stream into overlapping windows and gives their power spectra, whatever the blocks it comes in."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from stemwright.types import MAX_RATE, MIN_RATE

if TYPE_CHECKING:
    from stemwright.types import SampleRate, Samples

_BATCH: Final = 64  # windows that are transformed at once


class Spectra:
    """Gives the power spectra of a stream's windows, in batches that do not depend on how it was cut into blocks.

    Channels are transformed apart and their powers averaged, so that sound in opposite phase is not lost. A last
    incomplete window is left out. Memory holds one batch of samples.

    Raises ValueError for rates outside 4 to 384 kHz.
    """

    def __init__(self, sample_rate: SampleRate, *, size: int, hop: int) -> None:
        if not MIN_RATE <= sample_rate <= MAX_RATE:
            raise ValueError(f"cannot measure at {sample_rate} Hz: rates go from {MIN_RATE} to {MAX_RATE} Hz")
        self._size, self._hop = size, hop
        window = np.hanning(size)
        self._window = (window / window.sum()).astype(np.float32)
        self._buffer = np.zeros((0, size + (_BATCH - 1) * hop), dtype=np.float32)
        self._filled = 0

    def add(self, block: Samples) -> list[npt.NDArray[np.float32]]:
        """Take the next block, [C, T] float32 with any T; give the batches that it completes, [64, bins] float32.

        Raises ValueError when C is none or changes, and for samples that are not finite.
        """
        if block.ndim != 2 or not len(block) or len(self._buffer) not in {0, len(block)}:
            raise ValueError(f"expected [{len(self._buffer) or 'C'}, T], got {list(block.shape)}")
        if not len(self._buffer):
            self._buffer = np.zeros((len(block), self._buffer.shape[1]), dtype=np.float32)
        if block.size and not math.isfinite(max(float(block.max()), -float(block.min()))):
            raise ValueError("samples must be finite")
        batches, taken = [], 0
        while taken < block.shape[1]:
            part = block[:, taken : taken + self._buffer.shape[1] - self._filled]
            self._buffer[:, self._filled : self._filled + part.shape[1]] = part
            self._filled += part.shape[1]
            taken += part.shape[1]
            if self._filled == self._buffer.shape[1]:
                batches.append(self._powers(_BATCH))
                self._filled -= _BATCH * self._hop
                self._buffer[:, : self._filled] = self._buffer[:, _BATCH * self._hop :].copy()
        return batches

    def rest(self) -> npt.NDArray[np.float32]:
        """Give the spectra of the whole windows that are here but in no batch yet, [N, bins], and keep them here."""
        return self._powers(max(0, (self._filled - self._size) // self._hop + 1))

    def _powers(self, count: int) -> npt.NDArray[np.float32]:
        if not count or not len(self._buffer):
            return np.zeros((0, self._size // 2 + 1), dtype=np.float32)
        from scipy.fft import rfft

        windows = np.lib.stride_tricks.sliding_window_view(self._buffer, self._size, axis=1)[:, :: self._hop]
        powers = np.zeros((count, self._size // 2 + 1), dtype=np.float32)
        for channel in windows:
            spectrum = rfft(channel[:count] * self._window)
            powers += np.square(spectrum.real) + np.square(spectrum.imag)
        powers /= len(windows)
        return powers
