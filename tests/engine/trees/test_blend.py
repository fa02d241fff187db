"""Estimates made one: bins chosen by magnitude, no seams, and the rest of a sound to the last bit that float has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from sounds import level_db, sound
from stemwright.engine.trees.blend import blend, rest
from stemwright.engine.trees.sound import Sound

if TYPE_CHECKING:
    from pathlib import Path

    from stemwright.types import Samples

RATE = 44_100
FRAMES = (1 << 18) + 5000  # a little more than a block


def stored(path: Path, samples: Samples) -> Sound:
    made = Sound.at(path, channels=samples.shape[0])
    for block in np.array_split(samples, 5, axis=1):
        made.write(block)
    made.close()
    return made


def tone(hertz: float) -> Any:
    return np.tile(0.3 * np.sin(2 * np.pi * hertz * np.arange(FRAMES) / RATE), (2, 1)).astype(np.float32)


@pytest.mark.parametrize("method", ["mean", "median", "min", "max"])
@pytest.mark.parametrize("frames", [1, 1000, FRAMES])
def test_equal_estimates_come_out_as_they_are(tmp_path: Path, method: Any, frames: int) -> None:
    samples = sound("noise", seconds=frames / RATE)
    parts = [(stored(tmp_path / name, samples), 1.0) for name in "ab"]
    out = np.concatenate([*blend(method, parts)], axis=1)
    assert out.shape == samples.shape
    assert level_db(out - samples, samples) < -100


def test_least_magnitude_keeps_what_both_have_and_greatest_what_either_has(tmp_path: Path) -> None:
    shared, first, second = tone(440), tone(2000), tone(5000)
    parts = [(stored(tmp_path / "a", shared + first), 1.0), (stored(tmp_path / "b", shared + second), 1.0)]
    inner = slice(8192, -8192)
    for method, wanted in {"min": shared, "max": shared + first + second}.items():
        out = np.concatenate([*blend(method, parts)], axis=1)  # type: ignore[arg-type]
        assert level_db((out - wanted)[:, inner], wanted) < -60


def test_mean_weighs_and_median_leaves_out_the_outlier(tmp_path: Path) -> None:
    samples = sound("noise", seconds=0.2)
    parts = [(stored(tmp_path / str(part), part * samples), part) for part in (1.0, 2.0, 9.0)]
    [mean], [middle] = blend("mean", parts), blend("median", parts)
    assert level_db(mean - (1 + 4 + 81) / 12 * samples, samples) < -120
    assert np.array_equal(middle, 2 * samples)


def test_rest_is_what_the_parts_leave(tmp_path: Path) -> None:
    samples = sound("noise", seconds=FRAMES / RATE)
    whole, part = stored(tmp_path / "whole", samples), stored(tmp_path / "part", 0.3 * samples)
    out = np.concatenate([*rest(whole, [part, part])], axis=1)
    assert level_db(out - 0.4 * samples, samples) < -130


def test_reading_outside_of_a_sound_gives_silence(tmp_path: Path) -> None:
    samples = sound("noise", seconds=0.01)
    one = stored(tmp_path / "one", samples)
    assert np.array_equal(one.read(-100, 200), np.pad(samples[:, :100], ((0, 0), (100, 0))))
    assert np.array_equal(one.read(400, 100), np.pad(samples[:, 400:], ((0, 0), (0, 59))))
    assert not one.read(1000, 50).any()
    assert not one.read(-100, 50).any()


def test_shape_holds_the_moments_that_models_scale_by(tmp_path: Path) -> None:
    samples = sound("noise", seconds=0.5) + np.float32(0.1)
    shape = stored(tmp_path / "one", samples).shape(RATE)
    mean = samples.mean(axis=0)
    assert shape.mean == pytest.approx(mean.mean(), rel=1e-5)
    assert shape.deviation == pytest.approx(mean.std(ddof=1), rel=1e-5)
