"""Waveforms as small PNG files: white on nothing, for a page to colour."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from stemwright.audio.peaks import PeakData

WIDTH: Final = 1920
HEIGHT: Final = 256
_GREY_AND_ALPHA: Final = 4
_FULL: Final = {8: 127, 16: 32767}


def loudest(peaks: PeakData) -> float:
    """The largest magnitude in an overview, 0–1."""
    return float(np.abs(peaks.values.astype(np.int32)).max(initial=0)) / _FULL[peaks.bits]


def draw(peaks: PeakData, *, full: float) -> bytes:
    """A PNG of 1920 × 256 pixels, grey with alpha; `full` is the magnitude (0–1) that reaches the edges.

    Source: PNG (third edition), W3C 2025.
    """
    low, high = _columns(peaks)
    scale = (HEIGHT // 2 - 1) / (max(full, 1e-9) * _FULL[peaks.bits])
    top = np.clip(np.rint(HEIGHT / 2 - high * scale), 0, HEIGHT - 1)
    bottom = np.clip(np.rint(HEIGHT / 2 - low * scale), 0, HEIGHT - 1)
    rows = np.arange(HEIGHT)[:, None]
    alpha = ((rows >= top) & (rows <= bottom)).astype(np.uint8) * 255
    lines = np.zeros((HEIGHT, 1 + 2 * WIDTH), dtype=np.uint8)  # the first byte of a line says: not filtered
    lines[:, 1::2], lines[:, 2::2] = 255, alpha
    return _png(lines.tobytes())


def _columns(peaks: PeakData) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], ...]:
    """Lowest and highest value of each column; short recordings repeat theirs, none at all is silence."""
    values = peaks.values.astype(np.float64)
    if not len(values):
        return np.zeros(WIDTH), np.zeros(WIDTH)
    low, high = values[..., 0].min(axis=1), values[..., 1].max(axis=1)
    edges = np.arange(WIDTH) * len(values) // WIDTH
    if len(values) < WIDTH:
        return low[edges], high[edges]
    return np.minimum.reduceat(low, edges), np.maximum.reduceat(high, edges)


def _png(lines: bytes) -> bytes:
    head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, _GREY_AND_ALPHA, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
