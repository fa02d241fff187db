"""Any recording to blocks of samples, by one hardened ffmpeg child.

The file's first bytes choose the only demuxer that may run; decoders are audio only; the child sees a private folder
with nothing but a link to the file that was checked (it is opened once, so that nothing can be put in its place), has
no network protocol, and is limited in memory, processor time and wall clock. Where a container may hold several tracks
or a picture, one or two such children look first: which track is it, and when does it begin. The parts of a chained
Ogg are decoded one after the other, each by a child of its own.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from stemwright.audio._chain import ChainedStream, links_of
from stemwright.audio._ending import has_tag_behind, is_cut
from stemwright.audio._stream import BLOCK, MAX_CHANNELS, AudioInfo, AudioStream, DecodeLimits
from stemwright.audio._tracks import Tracks, begins_late, late_notice, read_tracks
from stemwright.audio.ffmpeg import FfmpegChild, private_folder
from stemwright.audio.sniff import open_regular, sniff_file
from stemwright.errors import InputError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from stemwright.audio.sniff import Demuxer

__all__ = ["BLOCK", "MAX_CHANNELS", "AudioInfo", "AudioStream", "DecodeLimits", "open_audio"]

_DECODERS = ",".join(
    [
        *("flac", "mp3float", "mp3", "mp2float", "mp2", "mp1float", "mp1", "vorbis", "opus", "aac", "alac"),
        *("ac3", "eac3", "wmav1", "wmav2", "wmapro", "wmalossless", "pcm_alaw", "pcm_mulaw", "adpcm_ms"),
        *("adpcm_ima_wav", "adpcm_ima_qt", "pcm_u8", "pcm_s8", "pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be"),
        *(f"pcm_s{bits}{order}" for bits in (16, 24, 32) for order in ("le", "be")),
    ]
)
_OF_TRACKS = {"mov", "matroska", "asf", "ogg"}  # containers that may hold several tracks, or a picture


@contextmanager
def open_audio(path: Path, *, limits: DecodeLimits | None = None, track: int | None = None) -> Iterator[AudioStream]:
    """Decode a recording; leaving the context ends the decoder, read to the end or not.

    `track` chooses one of several audio tracks, from 1; without it, the one that the file marks as its default is
    taken. In a film whose sound begins after its picture, silence takes the place of what is missing.

    Raises `NotFoundError`, `InputError` (cannot be read), `EmptyInputError`, `NotAudioError`, `UnsupportedInputError`,
    `TooLargeError`, `NoAudioStreamError`, `NoSuchTrackError`, `CorruptInputError`, `DecodeTimeoutError`, `SetupError`
    (no ffmpeg, no temporary folder).
    """
    limits = limits or DecodeLimits()
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limits.size_bytes:
            raise TooLargeError(
                f"{path.name}: {size} bytes; at most {limits.size_bytes} are allowed (setting max_bytes)"
            )
        demuxer = sniff_file(file, name=path.name)
        try:
            links = links_of(file, size=size) if demuxer == "ogg" else ()
            cut = is_cut(file, demuxer=demuxer, size=size)
            tag_behind = demuxer == "mp3" and has_tag_behind(file, size=size)
        except OSError as error:
            raise InputError(f"{path.name}: {error.strerror}") from error
        file.seek(0)
        if len(links) > 1:
            Tracks().choose(track, name=path.name)
            stream = ChainedStream(file, links, name=path.name, limits=limits, size=size, cut=cut, decoder=_decoder)
            try:
                yield stream
            finally:
                stream.close()
            return
        with _one(file, demuxer, name=path.name, limits=limits, track=track) as (child, tracks, number, late):
            alone = AudioStream(
                child,
                name=path.name,
                container=demuxer,
                limits=limits,
                size=size,
                cut=cut,
                ignore_junk=tag_behind,
                track=number,
                late=late,
            )
            alone.notices += [*tracks.notices(number), *late_notice(late)]
            yield alone


@contextmanager
def _one(
    file: BinaryIO, demuxer: Demuxer, *, name: str, limits: DecodeLimits, track: int | None
) -> Iterator[tuple[FfmpegChild, Tracks, int, float]]:
    """A decoder of one track of a file, all tracks, which one it is, and by how many seconds it begins late."""
    handle, tracks, late = file.fileno(), Tracks(), 0.0
    with private_folder(handle) as folder:
        if demuxer in _OF_TRACKS:
            tracks = read_tracks(folder, demuxer, handle=handle, limits=limits)
        number = tracks.choose(track, name=name)
        if tracks.film:
            arguments = _guards(demuxer)
            late = begins_late(folder, arguments, track=number, handle=handle, limits=limits)
        child = _decoder(folder, demuxer, limits=limits, handle=handle, track=number)
        try:
            yield child, tracks, number, late
        finally:
            child.kill()


def _decoder(folder: Path, demuxer: Demuxer, *, limits: DecodeLimits, handle: int, track: int = 1) -> FfmpegChild:
    """Start the decoder of the file that `input` in a private folder links to, the open file `handle`."""
    return FfmpegChild(
        [
            *_guards(demuxer),
            *("-map", f"0:a:{track - 1}", "-map_metadata", "-1", "-map_chapters", "-1"),
            *("-c:a", "pcm_f32le", "-bitexact", "-f", "wav", "pipe:1"),
        ],
        folder=folder,
        writes=True,
        inherits=[handle],
        memory_bytes=limits.memory_bytes,
        cpu_seconds=int(limits.wall_clock * 4) + 1,
    )


def _guards(demuxer: Demuxer) -> Sequence[str]:
    """How an input is opened: one demuxer, audio decoders only, no protocol but `file`."""
    return [
        *("-protocol_whitelist", "file", "-codec_whitelist", _DECODERS, "-err_detect", "crccheck"),
        *("-threads", "1", "-filter_threads", "1"),  # by default one a core, each with its own stack
        *("-f", demuxer, "-i", "file:input"),
    ]
