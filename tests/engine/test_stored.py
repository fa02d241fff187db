"""Stored stems are read in step, and only where they are what was said of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sounds import sound, write_wav
from stemwright.engine.stored import Promise, opened
from stemwright.errors import CorruptInputError, OptionError, StemwrightError

if TYPE_CHECKING:
    from pathlib import Path

SONG = sound("noise", seconds=1.0)
FRAMES = SONG.shape[1]
PROMISE = Promise(sample_rate=44_100, channels=2, frames=FRAMES)


def files(folder: Path, *, cut: int = 0) -> dict[str, Path]:
    """A song as two halves; the second one shorter by `cut` samples."""
    return {
        "a": write_wav(folder / "a.wav", 0.5 * SONG),
        "b": write_wav(folder / "b.wav", 0.25 * SONG[:, : FRAMES - cut]),
    }


@pytest.mark.parametrize("region", [(0, None), (1, None), (20_000, 20_001), (12_345, 40_000), (0, FRAMES)])
def test_blocks_of_a_region_are_in_step_to_the_sample(region: tuple[int, int | None], tmp_path: Path) -> None:
    first, last = region
    with opened(files(tmp_path)) as stems:
        blocks = [*stems.blocks(first=first, last=last)]
    a, b = (np.concatenate(parts, axis=1) for parts in zip(*blocks, strict=True))
    assert np.array_equal(a, 0.5 * SONG[:, first:last])
    assert np.array_equal(b, 0.25 * SONG[:, first:last])


@pytest.mark.parametrize("region", [(FRAMES, None), (0, FRAMES + 1)])
def test_region_outside_the_song_is_refused(region: tuple[int, int | None], tmp_path: Path) -> None:
    with opened(files(tmp_path)) as stems, pytest.raises(OptionError, match="not within it"):
        [*stems.blocks(first=region[0], last=region[1])]


def test_stems_of_different_lengths_are_refused_by_name(tmp_path: Path) -> None:
    with opened(files(tmp_path, cut=1)) as stems, pytest.raises(CorruptInputError, match="b ends before others"):
        [*stems.blocks()]


def test_stems_of_different_shapes_are_refused_at_once(tmp_path: Path) -> None:
    both = files(tmp_path) | {"mono": write_wav(tmp_path / "mono.wav", SONG[:1])}
    with pytest.raises(CorruptInputError, match="same sample rate and number of channels"), opened(both):
        pass


def test_stem_that_is_as_promised_is_read_whole(tmp_path: Path) -> None:
    stem = {"a": files(tmp_path)["a"]}
    with opened(stem, limits=PROMISE.limits()) as stems:
        assert np.array_equal(np.concatenate([*stems.single(PROMISE)], axis=1), 0.5 * SONG)
    assert PROMISE.size_bytes == SONG.size * 4


@pytest.mark.parametrize(
    "change", [{"frames": FRAMES + 1}, {"frames": FRAMES - 1}, {"channels": 1}, {"sample_rate": 48_000}]
)
def test_stem_that_is_not_as_promised_is_refused(change: dict[str, int], tmp_path: Path) -> None:
    promise = replace(PROMISE, **change)
    with (
        pytest.raises(StemwrightError),
        opened({"a": files(tmp_path)["a"]}, limits=promise.limits()) as stems,
    ):
        [*stems.single(promise)]
