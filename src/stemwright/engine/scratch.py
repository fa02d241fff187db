"""Samples on disk between separating and encoding: raw interleaved float32, so that memory stays flat."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from stemwright.errors import ModelFailedError, as_output_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from stemwright.types import Samples

_BLOCK = 1 << 18  # samples of each channel in a block: six seconds


@dataclass(slots=True)
class ScratchAudio:
    """One stem's samples in a file of ours."""

    path: Path
    channels: int
    frames: int = 0
    peak: float = 0.0  # the largest magnitude
    _file: BinaryIO | None = field(default=None, repr=False)

    def write(self, block: Samples) -> None:
        """Append `[C, T]` float32.

        Raises `ModelFailedError` when a sample is not finite, `DiskFullError`, `OutputError`.
        """
        if not block.shape[1]:
            return
        peak = float(max(block.max(), -block.min()))
        if not np.isfinite(peak):
            raise ModelFailedError("the model gave samples that are not finite numbers")
        self.peak = max(self.peak, peak)
        self.frames += block.shape[1]
        try:
            if self._file is None:
                self._file = self.path.open("wb")
            self._file.write(np.ascontiguousarray(block.T, dtype="<f4").data)
        except OSError as error:
            raise as_output_error(error) from error

    def close(self) -> None:
        """End writing. Raises `DiskFullError`, `OutputError`."""
        try:
            if self._file is None:
                self.path.touch()
            else:
                self._file.close()
        except OSError as error:
            raise as_output_error(error) from error

    def blocks(self) -> Iterator[Samples]:
        """Yield what was written, `[C, T]` float32 blocks."""
        with self.path.open("rb") as file:
            while data := file.read(_BLOCK * self.channels * 4):
                yield np.frombuffer(data, "<f4").reshape(-1, self.channels).T
