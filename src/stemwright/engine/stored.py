"""Stems that are stored, read again: several in step, or one that another machine made and that must be as promised."""

from __future__ import annotations

import itertools
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from stemwright.audio.decode import AudioStream, DecodeLimits, open_audio
from stemwright.errors import CorruptInputError, OptionError
from stemwright.types import SampleRate, Seconds  # noqa: TC001  (pydantic reads them, in messages)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from stemwright.types import Samples, StemName

LONGEST: Final[Seconds] = 1e6
STORED = DecodeLimits(duration=LONGEST, size_bytes=1 << 50, wall_clock=3600.0)  # they were checked when they came


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What a stem of another machine is said to be."""

    sample_rate: SampleRate
    channels: int
    frames: int

    @property
    def size_bytes(self) -> int:
        """Of its samples, decoded to float32."""
        return self.frames * self.channels * 4

    def limits(self) -> DecodeLimits:
        """Enough to read so much, and no more."""
        return replace(STORED, duration=(self.frames + 0.5) / self.sample_rate)


class Stems:
    """Stored stems, read in step."""

    def __init__(self, streams: Mapping[StemName, AudioStream]) -> None:
        shapes = {(stream.info.sample_rate, stream.info.channels) for stream in streams.values()}
        if len(shapes) > 1:
            raise CorruptInputError("the stems do not have the same sample rate and number of channels")
        self.sample_rate, self.channels = shapes.pop()
        self._streams = streams

    def single(self, promise: Promise | None) -> Iterator[Samples]:
        """Yield the `[C, T]` float32 blocks of the only stem. Raises `CorruptInputError`: it is not as promised."""
        if promise and (self.sample_rate, self.channels) != (promise.sample_rate, promise.channels):
            raise CorruptInputError("the stem has another sample rate or number of channels than its receipt says")
        frames = 0
        for blocks in self.blocks():
            frames += blocks[0].shape[1]
            yield blocks[0]
        if promise and frames != promise.frames:
            raise CorruptInputError("the stem is shorter than its receipt says")

    def blocks(self, *, first: int = 0, last: int | None = None) -> Iterator[list[Samples]]:
        """Yield a `[C, T]` float32 block of each stem, T the same for all and never 0, from sample `first` to `last`.

        Raises `CorruptInputError` (stems of different lengths, a damaged one), `OptionError` (the song ends before).
        """
        at = 0
        for blocks in itertools.zip_longest(*self._streams.values()):
            lengths = [0 if block is None else block.shape[1] for block in blocks]
            length = min(lengths)
            if length < max(lengths):
                first_to_end = list(self._streams)[lengths.index(length)]
                raise CorruptInputError(f"the stems do not have the same length: {first_to_end} ends before others")
            begin, end = max(first - at, 0), length if last is None else min(last - at, length)
            if begin < end:
                yield [block[:, begin:end] for block in blocks]
            at += length
            if at == last:  # a stem that is read to its end is also judged
                continue
            if last is not None and at > last:
                return
        for stem, stream in self._streams.items():
            if stream.notices:
                raise CorruptInputError(f"{stem}: {stream.notices[0].message}")
        if first >= at or (last or 0) > at:
            raise OptionError(f"the song lasts {at / self.sample_rate} s: the region is not within it")


@contextmanager
def opened(stems: Mapping[StemName, Path], *, limits: DecodeLimits = STORED) -> Iterator[Stems]:
    """Open stems to be read in step. Raises as `open_audio`, and `CorruptInputError` where their shapes differ."""
    with ExitStack() as stack:
        yield Stems({stem: stack.enter_context(open_audio(path, limits=limits)) for stem, path in stems.items()})
