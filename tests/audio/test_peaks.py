from __future__ import annotations

import json
import struct
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemwright.audio.peaks import PeakData, Peaks, read_dat, read_json
from stemwright.errors import CorruptInputError

if TYPE_CHECKING:
    from pathlib import Path

    from stemwright.types import Samples


def overview(samples: Samples, **options: Any) -> Peaks:
    peaks = Peaks(44_100, **options)
    peaks.add(samples)
    return peaks


def noise(channels: int, length: int) -> Samples:
    return np.random.default_rng(length).uniform(-1, 1, (channels, length)).astype(np.float32)


def test_each_pixel_is_the_lowest_and_highest_of_its_samples() -> None:
    samples = noise(1, 2000)
    values = overview(samples, samples_per_pixel=300).data().values
    assert values.shape == (7, 1, 2)
    assert values.dtype == np.int16
    for pixel in range(7):  # the last one holds 200 samples
        part = samples[0, 300 * pixel : 300 * (pixel + 1)]
        assert values[pixel, 0].tolist() == [int(part.min() * 32767), int(part.max() * 32767)]


@settings(max_examples=80, deadline=None)
@given(
    length=st.integers(0, 2000),
    channels=st.integers(1, 3),
    split=st.booleans(),
    samples_per_pixel=st.integers(2, 700),
    sizes=st.lists(st.integers(0, 400), max_size=10),
)
def test_blocks_do_not_matter(
    length: int, channels: int, split: bool, samples_per_pixel: int, sizes: list[int]
) -> None:
    samples = noise(channels, length)
    whole = overview(samples, samples_per_pixel=samples_per_pixel, split=split)
    cut = Peaks(44_100, samples_per_pixel=samples_per_pixel, split=split)
    start = 0
    for size in sizes:
        cut.add(samples[:, start : start + size])
        cut.data()  # asking changes nothing
        start += size
    cut.add(samples[:, start:])
    assert whole.data().values.shape == (-(-length // samples_per_pixel), channels if split else 1, 2)
    np.testing.assert_array_equal(cut.data().values, whole.data().values)


def test_channels_are_averaged_or_kept_apart() -> None:
    samples = np.stack([np.full(512, 0.5), np.full(512, -0.25)]).astype(np.float32)
    assert overview(samples).data().values.tolist() == [[[4095, 4095]]] * 2
    assert overview(samples, split=True).data().values.tolist() == [[[16383, 16383], [-8191, -8191]]] * 2


def test_values_are_scaled_cut_and_rounded_towards_zero() -> None:
    samples = np.array([[-1.5, 1.5, -1.0, 1.0, -0.00004, 0.00004, -0.5, 0.5]], dtype=np.float32)
    peaks = overview(samples, samples_per_pixel=2)
    assert peaks.data().values[:, 0].tolist() == [[-32768, 32767], [-32767, 32767], [-1, 1], [-16383, 16383]]
    eight = peaks.data(bits=8)
    assert eight.values.dtype == np.int8
    assert eight.values[:, 0].tolist() == [[-128, 127], [-127, 127], [0, 0], [-63, 63]]


def test_the_binary_file_is_laid_out_as_documented(tmp_path: Path) -> None:
    data = overview(noise(2, 1000), split=True).data()
    data.write_dat(tmp_path / "a.dat")
    content = (tmp_path / "a.dat").read_bytes()
    assert struct.unpack_from("<iIiiIi", content) == (2, 0, 44_100, 256, 4, 2)
    assert struct.unpack_from("<16h", content, 24) == tuple(data.values.ravel().tolist())
    assert len(content) == 24 + 4 * 2 * 2 * 2
    eight = overview(noise(2, 1000)).data(bits=8).to_dat()
    assert struct.unpack_from("<iIiiIi", eight) == (2, 1, 44_100, 256, 4, 1)
    assert len(eight) == 24 + 4 * 2


def test_the_json_file_is_laid_out_as_documented(tmp_path: Path) -> None:
    data = overview(noise(2, 600), split=True).data(bits=8)
    data.write_json(tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text()) == {
        "version": 2,
        "channels": 2,
        "sample_rate": 44_100,
        "samples_per_pixel": 256,
        "bits": 8,
        "length": 3,
        "data": data.values.ravel().tolist(),
    }


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("length", [0, 1, 5000])
def test_files_read_back_as_written(tmp_path: Path, bits: int, split: bool, length: int) -> None:
    data = overview(noise(2, length), split=split).data(bits=bits)
    data.write_dat(tmp_path / "a.dat")
    data.write_json(tmp_path / "a.json")
    for found in (read_dat(tmp_path / "a.dat"), read_json(tmp_path / "a.json")):
        assert (found.sample_rate, found.samples_per_pixel, found.bits) == (44_100, 256, bits)
        np.testing.assert_array_equal(found.values, data.values)


def test_nothing_heard_is_no_pixels() -> None:
    assert Peaks(44_100, split=True).data().values.shape == (0, 1, 2)
    assert Peaks(44_100).data(bits=8).to_dat()[16:20] == bytes(4)


def test_seconds_span_all_pixels() -> None:
    assert overview(noise(1, 44_100), samples_per_pixel=441).data().seconds == pytest.approx(1.0)


def test_memory_holds_the_result_only() -> None:
    block = noise(2, 65_536)
    peaks = Peaks(44_100)
    peaks.add(block)
    tracemalloc.start()
    for _ in range(400):  # ten minutes
        peaks.add(block)
    held, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 2 * 400 * 256 * 4
    assert most < 2_000_000


HEADER = struct.pack("<iIiiIi", 2, 0, 44_100, 256, 1, 1)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        HEADER[:-1],
        HEADER + bytes(3),
        HEADER + bytes(5),
        struct.pack("<iIiiIi", 1, 0, 44_100, 256, 1, 1) + bytes(4),
        struct.pack("<iIiiIi", 2, 0, 0, 256, 1, 1) + bytes(4),
        struct.pack("<iIiiIi", 2, 0, 44_100, 1, 1, 1) + bytes(4),
        struct.pack("<iIiiIi", 2, 0, 44_100, 256, 1, 0) + bytes(4),
        struct.pack("<iIiiIi", 2, 0, 44_100, 256, 2**32 - 1, 24) + bytes(4),
    ],
)
def test_damaged_binary_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.dat").write_bytes(content)
    with pytest.raises(CorruptInputError):
        read_dat(tmp_path / "a.dat")


GOOD = {"version": 2, "channels": 1, "sample_rate": 44_100, "samples_per_pixel": 256, "bits": 8, "length": 1}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        "\x00",
        json.dumps({**GOOD, "data": [1]}),
        json.dumps({**GOOD, "data": [1, 300]}),
        json.dumps({**GOOD, "data": [1, "x"]}),
        json.dumps({**GOOD, "data": None}),
        json.dumps({**GOOD, "bits": 12, "data": [1, 2]}),
        json.dumps({**GOOD, "version": 1, "data": [1, 2]}),
        json.dumps({**GOOD, "channels": -1, "data": [1, 2]}),
    ],
)
def test_damaged_json_files_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(CorruptInputError):
        read_json(tmp_path / "a.json")


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        Peaks(44_100, samples_per_pixel=1)
    with pytest.raises(ValueError, match="8 or 16"):
        Peaks(44_100).data(bits=12)
    peaks = overview(noise(2, 10))
    with pytest.raises(ValueError, match=r"expected \[2, T\]"):
        peaks.add(noise(1, 10))
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="finite"):
            overview(np.full((1, 256), bad, dtype=np.float32))


def test_equality_is_identity() -> None:
    data = PeakData(np.zeros((1, 1, 2), dtype=np.int16), 44_100, 256)
    assert data == data  # noqa: PLR0124
