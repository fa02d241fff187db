"""The cover picture: four waves under one sun, drawn with numpy and written as PNG."""

import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 240
_FINE = 4  # pixels drawn a pixel kept, each way: smooth edges
_SKY_TOP, _SKY_LOW = (38, 30, 84), (246, 150, 112)
_SUN = (255, 232, 186)
# A wave each: colour, height of its middle (0 top, 1 bottom), swing, waves across, phase.
_WAVES = (
    ((196, 84, 122), 0.62, 0.045, 1.3, 0.4),
    ((124, 60, 130), 0.71, 0.040, 1.9, 2.1),
    ((66, 48, 118), 0.80, 0.035, 1.6, 4.0),
    ((28, 26, 66), 0.89, 0.030, 2.3, 5.4),
)


def _blend(
    picture: "NDArray[np.float64]", *, colour: tuple[int, int, int], where: "NDArray[np.bool_]", strength: float = 1
) -> None:
    """Lay a colour over float64 [rows, columns, 3] where bool [rows, columns] says, in place; `strength` 0 to 1."""
    picture += strength * where[:, :, None] * (np.array(colour, dtype=np.float64) - picture)


def draw() -> "NDArray[np.uint8]":
    """The picture: uint8 [SIDE, SIDE, 3]."""
    axis = (np.arange(SIDE * _FINE) + 0.5) / (SIDE * _FINE)
    x, y = np.meshgrid(axis, axis)
    # The sky changes in steps of a row of the finished picture, which PNG packs well.
    down = (np.floor(y * SIDE) / SIDE / 0.7).clip(0, 1)[:, :, None] ** 1.2
    picture = (1 - down) * np.array(_SKY_TOP, dtype=np.float64) + down * np.array(_SKY_LOW, dtype=np.float64)
    distance = np.hypot(x - 0.5, y - 0.42)
    for radius, strength in ((0.34, 0.10), (0.275, 0.16), (0.215, 0.24)):
        _blend(picture, colour=_SUN, where=distance < radius, strength=strength)
    _blend(picture, colour=_SUN, where=distance < 0.16)
    for colour, middle, swing, across, phase in _WAVES:
        edge = middle + swing * np.sin(2 * np.pi * across * x + phase) + 0.4 * swing * np.sin(9 * x + 2 * phase)
        _blend(picture, colour=colour, where=y > edge)
    small = picture.reshape(SIDE, _FINE, SIDE, _FINE, 3).mean(axis=(1, 3))
    return np.asarray(small.round().astype(np.uint8))


def _chunk(kind: bytes, *, data: bytes) -> bytes:
    """One PNG chunk with its length and checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(picture: "NDArray[np.uint8]") -> bytes:
    """Write uint8 [rows, columns, 3] as PNG; each row takes the simple filter that leaves the smallest numbers."""
    rows, columns, _ = picture.shape
    out, above = bytearray(), np.zeros((columns, 3), dtype=np.uint8)
    for row in picture:
        left = np.vstack([np.zeros((1, 3), dtype=np.uint8), row[:-1]])
        options = (row, row - left, row - above)
        kind = min(range(3), key=lambda k: int(np.abs(options[k].astype(np.int8).astype(np.int64)).sum()))
        out += bytes((kind,)) + options[kind].tobytes()
        above = row
    header = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    body = _chunk(b"IHDR", data=header) + _chunk(b"IDAT", data=zlib.compress(bytes(out), 9)) + _chunk(b"IEND", data=b"")
    return b"\x89PNG\r\n\x1a\n" + body


def picture_block(image: bytes) -> bytes:
    """A PNG as the FLAC picture block (front cover) that Ogg Vorbis carries in METADATA_BLOCK_PICTURE."""
    mime, text = b"image/png", b"Front cover"
    head = struct.pack(">II", 3, len(mime)) + mime + struct.pack(">I", len(text)) + text
    return head + struct.pack(">IIIII", SIDE, SIDE, 24, 0, len(image)) + image
