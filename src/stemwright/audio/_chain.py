"""Chained Ogg: streams one after the other in one file, as radio sends them, each with a shape of its own.

Source: RFC 3533, 4 (chaining); Vorbis I, 4.2.2; RFC 7845, 5.1 (Opus); the FLAC to Ogg mapping.
"""

from __future__ import annotations

import os
import re
import struct
import threading
import zlib
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stemwright.audio._stream import BLOCK, AudioInfo, AudioStream, DecodeLimits
from stemwright.audio.channels import to_stereo
from stemwright.audio.ffmpeg import private_folder
from stemwright.audio.resample import Resampler
from stemwright.errors import CorruptInputError, EmptyInputError, InputError, NoAudioStreamError, UnsupportedInputError
from stemwright.types import MAX_RATE, MIN_RATE, Notice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import BinaryIO

    from stemwright.audio.ffmpeg import FfmpegChild
    from stemwright.types import SampleRate, Samples, Seconds

_FIRST_PAGE = re.compile(rb"OggS\0[\x02\x03\x06\x07]")  # that of a stream: a page with the flag "beginning"
_HEAD = 27  # bytes of a page's head, in front of the lengths of its segments
_MOST_HEAD = 600  # bytes of a stream's first page: it holds one packet, that says what the stream is
_MOST_PAGES = 10_000  # first pages that are checked: more are no music, and cost time
_MOST_LINKS = 250  # each costs the start of a decoder; files of more are left to one decoder
_MOST_CHANNELS = 8
_CHUNK = 1 << 20  # bytes read at a time
_OPUS_RATE = 48_000
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_SHOWN = 6  # shapes that a notice names


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One of the streams in a chain: its bytes, and the shape that its first packet tells."""

    start: int
    end: int
    sample_rate: SampleRate
    channels: int

    @property
    def shape(self) -> tuple[SampleRate, int]:
        """Rate and channels."""
        return self.sample_rate, self.channels


def links_of(file: BinaryIO, *, size: int) -> tuple[Link, ...]:
    """The links of an Ogg file of `size` bytes; none where it is not a chain of what we know. Raises OSError."""
    groups: list[tuple[int, tuple[SampleRate, int] | None]] = []  # where a link begins, and its sound's shape
    expected = -1  # where the first page of another stream of the same link would be
    for count, (at, page) in enumerate(_first_pages(file, size=size)):
        if count == _MOST_PAGES:
            return ()
        if not page:
            continue
        packet = page[_HEAD + page[26] :]
        if at != expected:
            groups.append((at, None))
            if len(groups) > _MOST_LINKS:
                return ()
        if groups[-1][1] is None:
            groups[-1] = (groups[-1][0], _shape(packet))
        expected = at + len(page)
    ends = [start for start, _ in groups[1:]] + [size]
    if len(groups) < 2 or groups[0][0] > 0 or any(shape is None for _, shape in groups):
        return ()
    return tuple(
        Link(start=start, end=end, sample_rate=shape[0], channels=shape[1])
        for (start, shape), end in zip(groups, ends, strict=True)
        if shape
    )


def _first_pages(file: BinaryIO, *, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield place and bytes of each page that begins a stream; no bytes where only its first ones are right."""
    at = 0
    while at < size:
        data = os.pread(file.fileno(), _CHUNK + _MOST_HEAD, at)
        for match in _FIRST_PAGE.finditer(data):
            if match.start() >= _CHUNK:
                break
            yield at + match.start(), _page(data[match.start() : match.start() + _MOST_HEAD])
        at += _CHUNK


def _page(data: bytes) -> bytes:
    """The page that begins `data`; nothing when it is cut, or its checksum is wrong."""
    if len(data) < _HEAD or len(data) < _HEAD + data[26]:
        return b""
    page = data[: _HEAD + data[26] + sum(data[_HEAD : _HEAD + data[26]])]
    told = struct.unpack_from("<I", page, 22)[0]
    return page if _crc(page[:22] + bytes(4) + page[26:]) == told else b""


def _crc(data: bytes) -> int:
    """The checksum of a page: CRC-32 with the polynomial 04C11DB7 from 0, bits in the order opposite to zlib's."""
    mirrored = zlib.crc32(data.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)


def _shape(packet: bytes) -> tuple[SampleRate, int] | None:
    """Rate and channels of the stream that begins with this packet; None when it is no sound that we know."""
    rate = channels = 0
    if packet[:7] == b"\x01vorbis" and len(packet) >= 16:
        channels, rate = struct.unpack_from("<BI", packet, 11)
    elif packet[:8] == b"OpusHead" and len(packet) >= 10:
        rate, channels = _OPUS_RATE, packet[9]
    elif packet[:5] == b"\x7fFLAC" and len(packet) >= 31:
        bits = int.from_bytes(packet[27:31], "big")  # STREAMINFO: 20 bits of the rate, 3 of the channels less one
        rate, channels = bits >> 12, (bits >> 9 & 7) + 1
    return (rate, channels) if MIN_RATE <= rate <= MAX_RATE and 1 <= channels <= _MOST_CHANNELS else None


class ChainedStream(AudioStream):
    """The links of a chain as one recording, at the highest rate and the most channels among them."""

    def __init__(  # (it has no child of its own)
        self,
        file: BinaryIO,
        links: Sequence[Link],
        *,
        name: str,
        limits: DecodeLimits,
        size: int,
        cut: bool,
        decoder: Callable[..., FfmpegChild],
    ) -> None:
        """Take the links of an open file of `size` bytes; `cut`: the end of the last one is missing.

        `decoder` starts the child that decodes `input` in a private folder.
        """
        self._file, self._links, self._name, self._limits, self._size = file, links, name, limits, size
        self._cut, self._decoder = cut, decoder
        self._before: Seconds = 0.0
        self.waited = 0.0
        self.frames = 0
        self.notices: list[Notice] = changing_notice([link.shape for link in links])
        rate, channels = max(link.sample_rate for link in links), max(link.channels for link in links)
        self.info = AudioInfo(container="ogg", sample_rate=rate, channels=channels, speaker_mask=0)
        self._open = ExitStack()
        self._failed: dict[int, InputError] = {}  # links that give nothing, and why

    def close(self) -> None:
        """End what is running."""
        self._open.close()

    def __iter__(self) -> Iterator[Samples]:
        """Yield blocks `[C, T]` float32, T <= `BLOCK`, at the rate and with the channels of `info`.

        Raises `NoAudioStreamError`, `CorruptInputError` (nothing decodes, or not finite), `UnsupportedInputError`,
        `TooLongError`, `DecodeTimeoutError`, `EmptyInputError`.
        """
        for number, link in enumerate(self._links, 1):
            yield from self._link(number, link)
        if not self.frames:
            raise next(iter(self._failed.values()), EmptyInputError(f"{self._name}: holds no samples"))
        if self._failed:
            parts = ", ".join(map(str, [*self._failed][:_SHOWN])) + ", …" * (len(self._failed) > _SHOWN)
            text = f"some of the {len(self._links)} parts of the file cannot be decoded: {parts}"
            self.notices.append(Notice("damaged", text))

    def _link(self, number: int, link: Link) -> Iterator[Samples]:
        """The blocks of one link, in the shape of the whole; a link that cannot be decoded gives none."""
        last = number == len(self._links)
        with ExitStack() as stack:
            try:
                stream = stack.enter_context(self._opened(link, cut=self._cut and last))
            except (CorruptInputError, NoAudioStreamError, UnsupportedInputError) as error:
                self._failed[number] = error
                return
            info = stream.info
            resampler = Resampler(info.sample_rate, self.info.sample_rate, channels=info.channels)
            try:
                for block in stream:
                    yield from self._given(resampler.push(block), info)
            except (CorruptInputError, EmptyInputError) as error:
                if not stream.ended:  # samples that are not finite
                    raise
                if not isinstance(error, EmptyInputError):
                    self._failed[number] = error
            yield from self._given(resampler.finish(), info)
            self.waited = stream.waited
            self._before += stream.frames / info.sample_rate
            self.notices += [
                Notice(notice.code, f"part {number} of {len(self._links)}: {notice.message}")
                for notice in stream.notices
            ]

    def _given(self, block: Samples, info: AudioInfo) -> Iterator[Samples]:
        for start in range(0, block.shape[1], BLOCK):
            part = widened(block[:, start : start + BLOCK], self.info.channels, mask=info.speaker_mask)
            self.frames += part.shape[1]
            yield part

    @contextmanager
    def _opened(self, link: Link, *, cut: bool) -> Iterator[AudioStream]:
        """The decoder of one link, which gets its bytes through a pipe: it sees nothing of the others."""
        with ExitStack() as stack:
            self._open = stack  # a caller that leaves early ends it
            ours, theirs = os.pipe()
            feeder = threading.Thread(target=_feed, args=(self._file.fileno(), link, theirs), daemon=True)
            feeder.start()
            stack.callback(feeder.join)
            stack.callback(os.close, ours)  # before that: a feeder that waits for a reader ends
            folder = stack.enter_context(private_folder(ours))
            child = self._decoder(folder, "ogg", limits=self._limits, handle=ours)
            stack.callback(child.kill)
            yield AudioStream(
                child,
                name=self._name,
                container="ogg",
                limits=self._limits,
                size=link.end - link.start,
                cut=cut,
                before=self._before,
                waited=self.waited,
            )


def widened(block: Samples, channels: int, *, mask: int = 0) -> Samples:
    """A block `[C, T]` float32 with so many channels: mono is on both sides, what is missing is silent.

    >>> widened(np.ones((1, 1), np.float32), 3).ravel().tolist()
    [1.0, 1.0, 0.0]
    """
    if block.shape[0] == channels:
        return block
    block = to_stereo(block, mask=mask)
    if channels == 1:
        return np.asarray(block.mean(axis=0, keepdims=True, dtype=np.float32))
    wide = np.zeros((channels, block.shape[1]), np.float32)
    wide[:2] = block
    return wide


def changing_notice(shapes: Sequence[tuple[SampleRate, int]]) -> list[Notice]:
    """What the user is told of a stream whose parts have these rates and channels; nothing where all are equal."""
    steps = [shape for number, shape in enumerate(shapes) if not number or shape != shapes[number - 1]]
    if len(steps) < 2:
        return []
    said = ", then ".join(f"{rate} Hz {_layout(channels)}" for rate, channels in steps[:_SHOWN])
    more = ", …" if len(steps) > _SHOWN else ""
    rate, channels = max(rate for rate, _ in steps), max(channels for _, channels in steps)
    text = f"the stream changes its shape: {said}{more}; all of it is taken as {rate} Hz {_layout(channels)}"
    return [Notice("changing_stream", text)]


def _layout(channels: int) -> str:
    return {1: "mono", 2: "stereo"}.get(channels, f"with {channels} channels")


def _feed(source: int, link: Link, pipe: int) -> None:
    """Write the bytes of a link into a pipe, and close it; ends early when nobody reads."""
    at = link.start
    with suppress(BrokenPipeError), closing(os.fdopen(pipe, "wb", buffering=0)) as target:
        while at < link.end:
            data = os.pread(source, min(_CHUNK, link.end - at), at)
            if not data:  # the file was cut meanwhile
                return
            view = memoryview(data)
            while view:
                view = view[target.write(view) or 0 :]
            at += len(data)
