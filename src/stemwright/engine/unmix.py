"""A song's blocks to its stems' blocks: the song's own rate, channels and length, in step with the mix."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stemwright.audio.resample import Resampler
from stemwright.engine.overlap_add import OverlapAdd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from stemwright.separators.protocol import Separator
    from stemwright.types import SampleRate, Samples

_SHIFT_SEED = 0  # the same song gives the same stems


@dataclass(frozen=True, slots=True, kw_only=True)
class SongShape:
    """What must be known of a song before it is separated."""

    sample_rate: SampleRate
    channels: int  # 1 or 2, after the downmix
    frames: int
    mean: float = 0.0  # of the mean of the channels, over the whole song
    deviation: float = 1.0


class Unmixer:
    """Resamples to the model's rate, standardises, runs the chunk loop for each shift, and undoes it all."""

    def __init__(
        self,
        separator: Separator,
        shape: SongShape,
        *,
        overlap: float | None = None,
        shifts: int = 0,
        on_progress: Callable[[float], None] | None = None,
    ) -> None:
        """Prepare one song; `on_progress` gets the finished share, 0–1, after each chunk, and may raise to stop."""
        spec = separator.spec
        self._spec, self._shape = spec, shape
        self._offset = shape.mean if spec.standardise else 0.0
        self._scale = shape.deviation + 1e-8 if spec.standardise else 1.0
        self._on_progress = on_progress
        delays = _delays(spec.shift, shifts)
        self._chunks_done, self._chunks_all = 0, max(1, len(delays) * shape.frames * spec.sample_rate)
        self._loops = [
            (OverlapAdd(separator, overlap=overlap, delay=delay, on_chunk=self._report), _Fifo()) for delay in delays
        ]
        self._down = Resampler(shape.sample_rate, spec.sample_rate, channels=shape.channels)
        self._up = Resampler(spec.sample_rate, shape.sample_rate, channels=len(spec.stems) * shape.channels)
        self._mix, self._stems = _Fifo(), _Fifo()

    def run(self, blocks: Iterable[Samples]) -> Iterator[tuple[Samples, Samples]]:
        """Take the song, `[C, T]` float32 a block; yield mix and stems in step, `[C, t]` and `[S, C, t]` float32.

        The lengths of what is yielded add up to the song's exactly.
        """
        for block in blocks:
            self._mix.append(block)
            self._feed(self._down.push(block))
            yield from self._in_step()
        self._feed(self._down.finish())
        for loop, estimates in self._loops:
            for estimate in loop.finish():
                estimates.append(estimate)
        self._blend()
        self._stems.append(self._split(self._up.finish()))
        if (missing := len(self._mix) - len(self._stems)) > 0:  # the resamplers round lengths
            self._stems.append(np.zeros((len(self._spec.stems), self._shape.channels, missing), np.float32))
        yield from self._in_step()

    def _feed(self, block: Samples) -> None:
        block = _with_channels((block - np.float32(self._offset)) / np.float32(self._scale), self._spec.channels)
        for loop, estimates in self._loops:
            for estimate in loop.push(block):
                estimates.append(estimate)
        self._blend()

    def _blend(self) -> None:
        """Average the shifts as far as all have come, and go back to the song's scale, channels and rate."""
        count = min(len(estimates) for _, estimates in self._loops)
        if not count:
            return
        stems = self._loops[0][1].take(count)
        for _, estimates in self._loops[1:]:
            stems = stems + estimates.take(count)
        stems = stems * np.float32(self._scale / len(self._loops)) + np.float32(self._offset)
        stems = _with_channels(stems, self._shape.channels)
        self._stems.append(self._split(self._up.push(stems.reshape(-1, stems.shape[-1]))))

    def _split(self, flat: Samples) -> Samples:
        return flat.reshape(len(self._spec.stems), self._shape.channels, -1)

    def _in_step(self) -> Iterator[tuple[Samples, Samples]]:
        if count := min(len(self._mix), len(self._stems)):
            yield self._mix.take(count), self._stems.take(count)

    def _report(self, samples: int) -> None:
        self._chunks_done += samples
        if self._on_progress:
            self._on_progress(min(1.0, self._chunks_done * self._shape.sample_rate / self._chunks_all))


class _Fifo:
    """Samples in the order they came; the last axis is time."""

    def __init__(self) -> None:
        self._parts: deque[Samples] = deque()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, part: Samples) -> None:
        if part.shape[-1]:
            self._parts.append(part)
            self._length += part.shape[-1]

    def take(self, count: int) -> Samples:
        taken: list[Samples] = []
        self._length -= count
        while count:
            part = self._parts.popleft()
            if part.shape[-1] > count:
                self._parts.appendleft(part[..., count:])
                part = part[..., :count]
            taken.append(part)
            count -= part.shape[-1]
        return taken[0] if len(taken) == 1 else np.concatenate(taken, axis=-1)


def _delays(longest: int, shifts: int) -> list[int]:
    """Silence before the song for each shift, in samples, as Demucs draws it; no shifts is one run without any."""
    rng = random.Random(_SHIFT_SEED)  # noqa: S311  # nosec B311: no secret
    return [longest - rng.randint(0, longest) for _ in range(shifts if longest else 0)] or [0]


def _with_channels(samples: Samples, channels: int) -> Samples:
    """Mono to stereo by repeating, stereo to mono by the mean. `[..., C, T]` to `[..., channels, T]`."""
    if samples.shape[-2] == channels:
        return samples
    if channels == 1:
        mean: Samples = samples.mean(axis=-2, keepdims=True, dtype=np.float32)
        return mean
    return np.repeat(samples, channels, axis=-2)
