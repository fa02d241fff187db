"""What the bytes of a file tell about its end, where ffmpeg says nothing: is it there, and is it sound at all."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import BinaryIO

    from stemwright.audio.sniff import Demuxer

_LAST_PAGE = 128 * 1024  # bytes; an Ogg page has at most 65,307
_UNKNOWN = 0x7FFFF000  # sizes from here on are written by those who do not know them, for instance into a pipe
_CHUNKS = 1000  # looked at in front of the samples
_W64_DATA = bytes.fromhex("64617461f3acd3118cd100c04f8edb8a")


def is_cut(file: BinaryIO, *, demuxer: Demuxer, size: int) -> bool:
    """Whether the end of a file of `size` bytes is missing; False where only its decoder can tell. Raises OSError."""
    if demuxer == "ogg":
        return not _last_page_ends(file, size=size)
    if demuxer == "wav":
        return _riff_promises(file, size=size) > size
    if demuxer == "w64":
        return _w64_promises(file, size=size) > size
    return False


def has_tag_behind(file: BinaryIO, *, size: int) -> bool:
    """Whether an MP3 ends with an APE or Lyrics3 tag, over which decoders stumble. Raises OSError."""
    file.seek(max(size - 160, 0))
    tail = file.read(160)
    if tail[-128:-125] == b"TAG":  # ID3v1
        tail = tail[:-128]
    return tail[-32:-24] == b"APETAGEX" or tail[-9:] in {b"LYRICS200", b"LYRICSEND"}


def _last_page_ends(file: BinaryIO, *, size: int) -> bool:
    """Whether the last Ogg page is all there and bears the mark of the end (RFC 3533, 6)."""
    file.seek(max(size - _LAST_PAGE, 0))
    tail = file.read(_LAST_PAGE)
    page = tail.rfind(b"OggS\0")
    if page < 0 or len(tail) < page + 27:
        return False
    lengths = tail[page + 27 : page + 27 + tail[page + 26]]
    return bool(tail[page + 5] & 4) and len(tail) >= page + 27 + tail[page + 26] + sum(lengths)


def _riff_promises(file: BinaryIO, *, size: int) -> int:
    """Where the samples of a WAV, RF64 or BW64 end by its own word, bytes; 0 when it does not say."""
    position, long_size = 12, 0
    for _ in range(_CHUNKS):
        if position > size:
            return 0
        file.seek(position)
        head = file.read(24)
        if len(head) < 8:
            return 0
        kind, length = struct.unpack_from("<4sI", head)
        if kind == b"data":
            length = long_size if length == 0xFFFFFFFF else length * (length < _UNKNOWN)
            return position + 8 + length if length else 0
        if kind == b"ds64" and len(head) == 24:
            long_size = struct.unpack_from("<Q", head, 16)[0]
        position += 8 + length + length % 2
    return 0


def _w64_promises(file: BinaryIO, *, size: int) -> int:
    """Where the samples of a W64 end by its own word, bytes; 0 when it does not say."""
    position = 40
    for _ in range(_CHUNKS):
        if position > size:
            return 0
        file.seek(position)
        head = file.read(24)
        if len(head) < 24:
            return 0
        length = struct.unpack_from("<Q", head, 16)[0]  # with this head
        if head[:16] == _W64_DATA:
            return position + length if 24 < length < 1 << 62 else 0
        if length < 24:
            return 0
        position += (length + 7) // 8 * 8
    return 0
