"""Tells what a file is by its first bytes, never by its name."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, BinaryIO, Final, Literal, Protocol, TypeAlias

from stemwright.errors import (
    EmptyInputError,
    InputError,
    NotAudioError,
    NotFoundError,
    UnsupportedInputError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Demuxer: TypeAlias = Literal["wav", "w64", "flac", "mp3", "ogg", "mov", "aac", "aiff", "matroska", "asf"]

# What recordings are called. A name decides only which files of a folder are worth a look, never how they are read.
SUFFIXES: Final = frozenset(
    {".wav", ".wave", ".w64", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aac", ".m4a", ".m4b", ".mp4", ".aif"}
    | {".aiff", ".aifc", ".mka", ".mkv", ".webm", ".wma"}
)
_HEAD = 64 * 1024
_TAGS = 4  # ID3 tags in front of the audio
_FRAMES = 3  # consecutive MPEG frames that make an MP3
_MAGIC: dict[bytes, Demuxer] = {
    b"fLaC": "flac",
    b"OggS": "ogg",
    b"\x1aE\xdf\xa3": "matroska",
    bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"): "asf",
    bytes.fromhex("726966662e91cf11a5d628db04c10000"): "w64",
}
_QUICKTIME_BOXES = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"}
_KNOWN_BUT_NOT_READ = {
    b"MThd": "MIDI holds notes, not sound",
    b"wvpk": "WavPack is not supported: convert it to FLAC",
    b"MAC ": "Monkey's Audio is not supported: convert it to FLAC",
    b"caff": "CAF is not supported: convert it to WAV or FLAC",
    b"DSD ": "DSD is not supported: convert it to FLAC",
    b"FRM8": "DSD is not supported: convert it to FLAC",
    b"#!AM": "AMR is not supported: convert it to WAV or FLAC",
    b".snd": "AU is not supported: convert it to WAV or FLAC",
    b"RIFX": "big-endian WAV is not supported: convert it to WAV or FLAC",
    b"TTA1": "TTA is not supported: convert it to FLAC",
    b"MPCK": "Musepack is not supported: convert it to WAV or FLAC",
    b"MP+\x07": "Musepack is not supported: convert it to WAV or FLAC",
    b"FLV\x01": "FLV is not supported: convert it to MP4",
    b"\x00\x00\x01\xba": "MPEG program streams are not supported: convert it to MP4 or Matroska",
}
_MPEG_BITRATES = {  # kbit/s by (MPEG-1?, layer); ISO/IEC 11172-3 and 13818-3
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MPEG_RATES = {0: (11025, 12000, 8000), 2: (22050, 24000, 16000), 3: (44100, 48000, 32000)}


def sniff(path: Path) -> Demuxer:
    """Name of the one demuxer that may read this file.

    Raises `NotFoundError`, `InputError` (cannot be read), `EmptyInputError` (no bytes), `UnsupportedInputError`,
    `NotAudioError`.
    """
    with open_regular(path) as file:
        return sniff_file(file, name=path.name)


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading; anything but a regular file is refused, and a FIFO does not block.

    Raises `NotFoundError`, `InputError` (cannot be read), `NotAudioError`.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError) as error:
        why = "standard input is not read; save the recording to a file first" if str(path) == "-" else "no such file"
        raise NotFoundError(f"{path}: {why}") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return os.fdopen(handle, "rb", buffering=0)
    os.close(handle)
    raise NotAudioError(f"{path}: not a regular file; save the recording to a file first")


class Readable(Protocol):
    """What can be read from any of its bytes on: an open file, or an object of a store."""

    def seek(self, offset: int, /) -> object:
        """Go to a byte, perhaps behind the last one."""

    def read(self, size: int, /) -> bytes:
        """Give at most so many bytes; none at the end."""


def sniff_file(file: Readable, *, name: str) -> Demuxer:
    """Name of the one demuxer that may read this open file, called `name` in messages.

    Raises `EmptyInputError` (no bytes), `UnsupportedInputError`, `NotAudioError`, `InputError` (cannot be read).
    """
    start, tags = 0, 0
    try:
        head = _head(file, start)
        while head[:3] == b"ID3" and tags < _TAGS:  # some writers put a tag in front of a tag
            start += _id3_size(head)
            head, tags = _head(file, start), tags + 1
    except OSError as error:
        raise InputError(f"{name}: {error.strerror}") from error
    if not head and not start:
        raise EmptyInputError(f"{name}: the file is empty")
    if demuxer := _mpeg(head) if tags and head[:4] != b"fLaC" else _by_magic(head, name):
        return demuxer
    raise NotAudioError(f"{name}: {'an ID3 tag with no audio behind it' if tags else 'not an audio file'}")


def _head(file: Readable, start: int) -> bytes:
    file.seek(start)
    return file.read(_HEAD)


def _by_magic(head: bytes, name: str) -> Demuxer | None:
    if head[:4] in {b"RIFF", b"RF64", b"BW64"} and head[8:12] == b"WAVE":
        return "wav"
    if head[:4] == b"FORM" and head[8:12] in {b"AIFF", b"AIFC"}:
        return "aiff"
    if head[4:8] in _QUICKTIME_BOXES and (head[0] < 0x20 or head[4:8] == b"mdat"):  # no letter: "duty free" is text
        return "mov"
    if demuxer := _MAGIC.get(head[:4]) or _MAGIC.get(head[:16]):
        return demuxer
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        raise UnsupportedInputError(f"{name}: AVI is not supported: convert it to MP4 or Matroska")
    if reason := _KNOWN_BUT_NOT_READ.get(head[:4]):
        raise UnsupportedInputError(f"{name}: {reason}")
    return _mpeg(head)


def _id3_size(head: bytes) -> int:
    if len(head) < 10:
        return len(head)
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size + (10 if head[5] & 0x10 else 0)


def _mpeg(head: bytes) -> Demuxer | None:
    """`mp3` or `aac` if whole frames follow each other somewhere in the head, else None."""
    start = head.find(b"\xff")
    while start >= 0:
        for demuxer, length_of in (("mp3", _mpeg_frame_length), ("aac", _adts_frame_length)):
            if _frames_follow(head, start, length_of):
                return demuxer  # type: ignore[return-value]
        start = head.find(b"\xff", start + 1)
    return None


def _frames_follow(head: bytes, start: int, length_of: Callable[[bytes], int]) -> bool:
    position, frames = start, 0
    while frames < _FRAMES:
        length = length_of(head[position : position + 7])
        if not length:
            return False
        position += length
        frames += 1
        if start == 0 and position >= len(head) and len(head) < _HEAD:  # a file of one whole frame, or two and a half
            return position == len(head) or frames > 1
    return True


def _mpeg_frame_length(header: bytes) -> int:
    """Bytes of the MPEG audio frame with this header, 0 when it is none."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return 0
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    bitrate_index, rate_index = header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or layer == 4 or bitrate_index in {0, 15} or rate_index == 3:
        return 0
    bits = 1000 * _MPEG_BITRATES[version == 3, layer][bitrate_index]
    rate, padding = _MPEG_RATES[version][rate_index], header[2] >> 1 & 1
    if layer == 1:
        return (12 * bits // rate + padding) * 4
    return (72 if layer == 3 and version != 3 else 144) * bits // rate + padding


def _adts_frame_length(header: bytes) -> int:
    """Bytes of the ADTS frame with this header, 0 when it is none (ISO/IEC 13818-7, 6.2)."""
    if len(header) < 7 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0 or header[2] >> 2 & 15 > 12:
        return 0
    length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return length if length > 7 else 0
