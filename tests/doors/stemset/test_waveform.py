from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt

from sounds import sound
from stemwright.audio.peaks import PeakData, Peaks
from stemwright.doors.stemset.waveform import HEIGHT, WIDTH, draw, loudest


def overview(samples: npt.NDArray[np.float32], rate: int = 44_100) -> PeakData:
    peaks = Peaks(rate)
    peaks.add(samples)
    return peaks.data()


def alpha(png: bytes) -> npt.NDArray[np.uint8]:
    """The opacity of each pixel, by a reader written from the standard."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", png, at + 8 + length)[0] == zlib.crc32(kind + data)
        chunks[kind], at = data, at + 12 + length
    width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (width, height, depth, colour, rest) == (1920, 256, 8, 4, [0, 0, 0])
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, 1 + 2 * width)
    assert not lines[:, 0].any()
    assert (lines[:, 1::2] == 255).all()
    return lines[:, 2::2]


def test_picture_is_a_png_whose_columns_are_as_high_as_the_sound_is_loud() -> None:
    loud, quiet = 0.8 * np.ones((1, 44_100), np.float32), 0.2 * np.ones((1, 44_100), np.float32)
    signs = np.sign(np.sin(np.arange(88_200)))
    wave = (np.concatenate([loud, quiet], axis=1) * signs).astype(np.float32)
    drawn = alpha(draw(overview(wave), full=0.8))
    heights = (drawn > 0).sum(axis=0)
    left, right = heights[: WIDTH // 2 - 20], heights[WIDTH // 2 + 20 :]
    assert left.min() >= HEIGHT - 4
    assert abs(right.mean() - HEIGHT / 4) < 3


def test_silence_and_a_recording_of_no_samples_are_a_line_in_the_middle() -> None:
    for samples in (np.zeros((2, 44_100), np.float32), np.zeros((2, 0), np.float32)):
        peaks = overview(samples)
        drawn = alpha(draw(peaks, full=loudest(peaks)))
        assert {*np.flatnonzero(drawn.any(axis=1))} == {HEIGHT // 2}
        assert drawn[HEIGHT // 2].all()


def test_short_and_long_recordings_fill_the_picture() -> None:
    for seconds in (0.05, 60.0):
        peaks = overview(sound("noise", seconds=seconds))
        assert (alpha(draw(peaks, full=loudest(peaks))) > 0).any(axis=0).all()
