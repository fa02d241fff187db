"""Tells what a file is by its first bytes, never by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

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

_HEAD = 64 * 1024
_FRAMES = 3  # consecutive MPEG frames that make an MP3
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_W64 = bytes.fromhex("726966662e91cf11a5d628db04c10000")
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

    Raises `NotFoundError`, `EmptyInputError` (no bytes), `UnsupportedInputError`, `NotAudioError`.
    """
    if not path.exists():
        raise NotFoundError(f"{path}: no such file")
    if not path.is_file():
        raise NotAudioError(f"{path}: not a regular file")
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
            if not head:
                raise EmptyInputError(f"{path.name}: the file is empty")
            if head[:3] == b"ID3":
                file.seek(_id3_size(head))
                head = file.read(_HEAD)
                return _after_id3(head, path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    return _by_magic(head, path)


def _by_magic(head: bytes, path: Path) -> Demuxer:
    demuxer: Demuxer | None = None
    if head[:4] in {b"RIFF", b"RF64", b"BW64"} and head[8:12] == b"WAVE":
        demuxer = "wav"
    elif head[:16] == _W64:
        demuxer = "w64"
    elif head[:4] == b"FORM" and head[8:12] in {b"AIFF", b"AIFC"}:
        demuxer = "aiff"
    elif head[4:8] in _QUICKTIME_BOXES:
        demuxer = "mov"
    elif head[:16] == _ASF:
        demuxer = "asf"
    elif magic := {b"fLaC": "flac", b"OggS": "ogg", b"\x1aE\xdf\xa3": "matroska"}.get(head[:4]):
        demuxer = magic  # type: ignore[assignment]
    elif reason := _KNOWN_BUT_NOT_READ.get(head[:4]):
        raise UnsupportedInputError(f"{path.name}: {reason}")
    else:
        demuxer = _mpeg(head)
    if demuxer is None:
        raise NotAudioError(f"{path.name}: not an audio file")
    return demuxer


def _after_id3(head: bytes, path: Path) -> Demuxer:
    if head[:4] == b"fLaC":
        return "flac"
    if demuxer := _mpeg(head):
        return demuxer
    raise NotAudioError(f"{path.name}: an ID3 tag with no audio behind it")


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
        if start == 0 and position >= len(head) and len(head) < _HEAD:  # a file of one or two frames
            return position == len(head)
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
