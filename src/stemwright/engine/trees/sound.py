"""A sound between two steps of a tree: its samples on disk, and what a model must know of it beforehand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from stemwright.engine.moments import Moments
from stemwright.engine.scratch import ScratchAudio
from stemwright.engine.unmix import SongShape

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stemwright.types import SampleRate, Samples


@dataclass(slots=True)
class Sound:
    """Samples that are written once and read often, with their mean and deviation."""

    scratch: ScratchAudio
    _moments: Moments = field(default_factory=Moments)

    @classmethod
    def at(cls, path: Path, *, channels: int) -> Sound:
        """One that is still to be written."""
        return cls(ScratchAudio(path, channels))

    def write(self, block: Samples) -> None:
        """Append `[C, T]` float32. Raises as `ScratchAudio.write`."""
        self.scratch.write(block)
        self._moments.add(block)

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
        return SongShape(
            sample_rate=sample_rate,
            channels=self.scratch.channels,
            frames=self.scratch.frames,
            mean=self._moments.mean,
            deviation=self._moments.deviation,
        )

    def remove(self) -> None:
        """Delete its file."""
        self.scratch.path.unlink(missing_ok=True)
