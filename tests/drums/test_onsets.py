from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemwright.drums.frames import SUBFRAME, Activations
from stemwright.drums.onsets import Onset, Onsets


def triangles(times: list[float], *, rows: int = 200, lane: int = 1, height: float = 1.0) -> Activations:
    """Activations as the network is taught them."""
    place = np.array(times)[:, None] / SUBFRAME
    shape = np.clip(1 - np.abs(np.arange(rows) - place) / 2, 0, 1).max(axis=0, initial=0)
    onsets = np.zeros((rows, 8), np.float32)
    onsets[:, lane] = height * shape
    half, kinds = np.full((rows, 8), 0.5, np.float32), np.zeros((rows, 2), np.float32)
    return Activations(onsets, half, kinds, half[:, :1])


def picked(activations: Activations, *, block: int = 10**6) -> list[Onset]:
    picker, found = Onsets([0.3] * 8), []
    for start in range(0, len(activations), block):
        found += picker.add(activations.rows(slice(start, start + block)))
    return found + picker.finish()


@pytest.mark.parametrize("time", [0.0, 0.1, 0.1017, 0.2043, 0.5, 1.1])
def test_a_hit_is_placed_between_the_half_frames(time: float) -> None:
    [onset] = picked(triangles([time]))
    assert onset.time == pytest.approx(time, abs=0.0008)
    assert onset.lane == 1
    assert onset.confidence > 0.95
    assert onset.velocity == pytest.approx(0.5)


@pytest.mark.parametrize("start", np.arange(0, SUBFRAME, 0.001).tolist())
def test_a_flam_of_18_ms_is_two_hits(start: float) -> None:
    first, second = picked(triangles([0.3 + start, 0.318 + start]))
    assert second.time - first.time == pytest.approx(0.018, abs=0.004)


def test_a_hump_is_one_hit() -> None:
    activations = triangles([0.3])
    for row, value in enumerate((0.5, 0.8, 0.95, 0.93, 0.94, 0.9, 0.96, 0.5)):
        activations.onsets[60 + row, 4] = value
    assert [onset.lane for onset in picked(activations)] == [1, 4]


def test_what_is_below_the_threshold_is_no_hit() -> None:
    assert not picked(triangles([0.3], height=0.29))


def test_open_hats_and_bells_are_told() -> None:
    activations = triangles([0.3], lane=2)
    activations.kinds[:, 0] = 1
    assert picked(activations)[0].kind == "open"
    activations = triangles([0.3], lane=7)
    activations.kinds[:, 1] = 1
    assert picked(activations)[0].kind == "bell"
    assert picked(triangles([0.3], lane=7))[0].kind == "plain"


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 60))
def test_onsets_do_not_depend_on_how_the_activations_were_cut(seed: int, block: int) -> None:
    rng = np.random.default_rng(seed)
    noise = np.clip(rng.random((150, 8)) ** 3, 0, 1).astype(np.float32)
    activations = Activations(noise, noise, noise[:, :2], noise[:, :1])
    whole = sorted(picked(activations), key=lambda onset: (onset.time, onset.lane))
    assert sorted(picked(activations, block=block), key=lambda onset: (onset.time, onset.lane)) == whole
    assert all(onset.time >= 0 for onset in whole)


def test_thresholds_are_one_a_lane() -> None:
    with pytest.raises(ValueError, match="8 lanes"):
        Onsets([0.3])
