"""A sound between two steps of a tree: its samples on disk, and what a model must know of it beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stemwright.engine.scratch import ScratchAudio
from stemwright.engine.unmix import SongShape

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stemwright.types import SampleRate, Samples


@dataclass(slots=True)
class Sound:
    """Samples that are written once and read often, with the moments of their mean over the channels."""

    scratch: ScratchAudio
    _sum: float = 0.0
    _squares: float = 0.0

    @classmethod
    def at(cls, path: Path, *, channels: int) -> Sound:
        """One that is still to be written."""
        return cls(ScratchAudio(path, channels))

    def write(self, block: Samples) -> None:
        """Append `[C, T]` float32. Raises as `ScratchAudio.write`."""
        self.scratch.write(block)
        mean = (block[0] + block[-1]) / np.float32(2)
        self._sum += float(mean.sum(dtype=np.float64))
        self._squares += float(np.square(mean, dtype=np.float64).sum())

    def close(self) -> None:
        """End writing. Raises `DiskFullError`, `OutputError`."""
        self.scratch.close()

    def blocks(self) -> Iterator[Samples]:
        """Yield what was written, `[C, T]` float32 blocks, the same lengths for each sound of a song."""
        return self.scratch.blocks()

    def read(self, first: int, count: int) -> Samples:
        """Samples from `first` on, which may be negative; outside is silence. Output: `[C, count]` float32."""
        channels, frames = self.scratch.channels, self.scratch.frames
        begin, end = min(max(first, 0), frames), min(max(first + count, 0), frames)
        found = np.zeros((channels, count), np.float32)
        with self.scratch.path.open("rb") as file:
            file.seek(begin * channels * 4)
            data = file.read((end - begin) * channels * 4)
        found[:, begin - first : end - first] = np.frombuffer(data, "<f4").reshape(-1, channels).T
        return found

    def shape(self, sample_rate: SampleRate) -> SongShape:
        """What `Unmixer` must know."""
        frames = self.scratch.frames
        average = self._sum / frames
        variance = (self._squares - frames * average**2) / max(frames - 1, 1)
        return SongShape(
            sample_rate=sample_rate,
            channels=self.scratch.channels,
            frames=frames,
            mean=average,
            deviation=float(np.sqrt(max(variance, 0.0))),
        )

    def remove(self) -> None:
        """Delete its file."""
        self.scratch.path.unlink(missing_ok=True)
