"""What ffmpeg leaves wrong or out in the files it writes, put right in place: an MP3's padding, a WAV's ID3 tag."""

from __future__ import annotations

import struct
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_UINT32_MAX = 0xFFFFFFFF
_HEADER_FRAME_BYTES = 4096  # more than an MP3 frame can have


def set_mp3_length(path: Path, *, frames: int) -> None:
    """Write into an MP3's LAME header how many samples of padding to drop, so that `frames` samples are left.

    ffmpeg (5.1 to 9.0 at least) keeps 1 to 46 samples too many when there are 1 to 46 beyond a whole MP3 frame.
    Raises ValueError when the file has no such header. Source: the "LAME tag" at gabriel.mp3-tech.org.
    """
    with path.open("r+b") as file:
        start = id3_size(file.read(10))
        file.seek(start)
        frame = bytearray(file.read(_HEADER_FRAME_BYTES))
        info = frame.find(b"Info", 0, 64)
        info = frame.find(b"Xing", 0, 64) if info < 0 else info
        if info < 0 or frame[info + 7] & 0x0F != 0x0F:
            raise ValueError("the MP3 has no header to write its length into")
        samples_in_frame = 1152 if frame[1] & 0x08 else 576  # MPEG-1, or one of the half rates
        lame = info + 120
        delay = frame[lame + 21] << 4 | frame[lame + 22] >> 4
        padding = struct.unpack_from(">I", frame, info + 8)[0] * samples_in_frame - delay - frames
        if not 0 <= padding < 4096:
            raise ValueError(f"the MP3 has a padding of {padding} samples, which its header cannot hold")
        frame[lame + 21 : lame + 24] = (delay << 12 | padding).to_bytes(3, "big")
        struct.pack_into(">H", frame, lame + 34, _crc16(frame[: lame + 34]))
        file.seek(start)
        file.write(frame[: lame + 36])


def append_wav_chunk(path: Path, *, name: bytes, body: bytes) -> None:
    """Append a chunk to a RIFF/WAVE or RF64 file and correct its size; what was there is not touched.

    A RIFF file that would pass 4 GiB becomes RF64, in the room that ffmpeg's `-rf64 auto` reserves for that.
    Raises ValueError when the file is neither, or has no such room.
    """
    with path.open("r+b") as file:
        head = file.read(20)
        end = file.seek(0, 2)
        chunk = bytes(end % 2) + struct.pack("<4sI", name, len(body)) + body + bytes(len(body) % 2)
        size = end + len(chunk) - 8
        if head[8:12] != b"WAVE" or head[:4] not in {b"RIFF", b"RF64"}:
            raise ValueError("not a WAV file")
        file.write(chunk)
        if head[:4] == b"RF64":
            _write_at(file, 20, struct.pack("<Q", size))
        elif size <= _UINT32_MAX:
            _write_at(file, 4, struct.pack("<I", size))
        else:
            _make_rf64(file, size)


def _make_rf64(file: IO[bytes], size: int) -> None:
    """Turn RIFF into RF64: `ds64` first, for the room that a `JUNK` chunk kept. Source: EBU Tech 3306."""
    at, others, junk, block_align = 12, b"", 0, 1
    while True:
        file.seek(at)
        name, length = struct.unpack("<4sI", file.read(8))
        if name == b"data":
            break
        body = file.read(length + length % 2)
        if name == b"JUNK":
            junk = length
        else:
            others += struct.pack("<4sI", name, length) + body
        if name == b"fmt ":
            block_align = struct.unpack_from("<H", body, 12)[0]
        at += 8 + len(body)
    if junk != 28:
        raise ValueError("the WAV file has no room for the sizes of RF64")
    ds64 = struct.pack("<4sIQQQI", b"ds64", 28, size, length, length // block_align, 0)
    head = struct.pack("<4sI4s", b"RF64", _UINT32_MAX, b"WAVE")
    _write_at(file, 0, head + ds64 + others + struct.pack("<4sI", b"data", _UINT32_MAX))


def id3_size(head: bytes) -> int:
    """Bytes of the ID3v2 tag that a file starts with, from its first 10 bytes; 0 without one."""
    if head[:3] != b"ID3":
        return 0
    return 10 + sum(byte << 7 * place for place, byte in enumerate(reversed(head[6:10])))


def _write_at(file: IO[bytes], at: int, data: bytes) -> None:
    file.seek(at)
    file.write(data)


def _crc16(data: bytes | bytearray) -> int:
    """CRC-16/ARC."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc
