"""The first reading of a song: is it usable, which one is it, how long, how loud on the whole."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stemwright.audio.channels import describe, to_stereo
from stemwright.audio.decode import AudioInfo, AudioStream, DecodeLimits, open_audio
from stemwright.audio.digest import PcmDigest
from stemwright.engine.moments import Moments
from stemwright.engine.unmix import SongShape
from stemwright.errors import CancelledError, InputChangedError
from stemwright.types import Digest, Notice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from stemwright.types import Samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What one reading of a song tells."""

    info: AudioInfo
    shape: SongShape
    digest: Digest
    size_bytes: int
    notices: tuple[Notice, ...]


def scan(
    path: Path, *, limits: DecodeLimits, track: int | None = None, on_block: Callable[[], None] | None = None
) -> Scan:
    """Read a song once, in flat memory; `track` as `open_audio` takes it.

    Raises what `open_audio` and its stream raise.
    """
    size_bytes = path.stat().st_size if path.exists() else 0
    with open_audio(path, limits=limits, track=track) as stream:
        info = stream.info
        digest = PcmDigest(info.sample_rate, info.channels)
        moments = Moments()
        for block in stream:
            digest.update(block)
            moments.add(_mixable(block, info))
            if on_block:
                on_block()
        frames = stream.frames
        notices = list(stream.notices)
    if info.channels > 2:
        notices.append(Notice("downmixed", describe(info.channels, mask=info.speaker_mask)))
    shape = SongShape(
        sample_rate=info.sample_rate,
        channels=min(info.channels, 2),
        frames=frames,
        mean=moments.mean,
        deviation=moments.deviation,
    )
    return Scan(info=info, shape=shape, digest=digest.hexdigest(), size_bytes=size_bytes, notices=tuple(notices))


@contextmanager
def scanning(
    path: Path, *, limits: DecodeLimits, track: int | None, on_block: Callable[[], None]
) -> Iterator[Future[Scan]]:
    """`scan` in a thread of its own, which ends with the context: what is read meanwhile counts no more."""
    stop = threading.Event()

    def tell() -> None:
        if stop.is_set():
            raise CancelledError("the song is not wanted any more")
        on_block()

    with ThreadPoolExecutor(1) as pool:
        try:
            yield pool.submit(scan, path, limits=limits, track=track, on_block=tell)
        finally:
            stop.set()


def song_blocks(stream: AudioStream, *, expected: Digest) -> Iterator[Samples]:
    """Read a song again, as mono or stereo `[1|2, T]` float32 blocks.

    Raises `InputChangedError` at the end if it was not the same song, and what the stream raises.
    """
    digest = PcmDigest(stream.info.sample_rate, stream.info.channels)
    for block in stream:
        digest.update(block)
        yield _mixable(block, stream.info)
    if digest.hexdigest() != expected:
        raise InputChangedError("the file changed while it was being separated")


def _mixable(block: Samples, info: AudioInfo) -> Samples:
    return block if info.channels <= 2 else to_stereo(block, mask=info.speaker_mask)
