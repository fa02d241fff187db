from __future__ import annotations

import numpy as np

from stemwright.drums.onsets import Onset
from stemwright.drums.toms import ranked


def tom(time: float, lane: int, height: float, *, confidence: float = 0.5) -> Onset:
    return Onset(time, lane, velocity=0.5, confidence=confidence, height=height)


def test_three_toms_are_ranked_though_the_network_took_them_for_other_ones() -> None:
    rng = np.random.default_rng(0)
    kit = {3: -0.1, 4: -0.4, 5: -0.8}
    heard = {3: 4, 4: 5, 5: 5}  # a deep kit
    played = [3, 3, 4, 4, 5, 5, 3, 5]
    onsets = [tom(0.2 * n, heard[lane], kit[lane] + 0.02 * rng.standard_normal()) for n, lane in enumerate(played)]
    assert [onset.lane for onset in ranked(onsets)] == played


def test_one_tom_goes_to_the_lane_of_which_the_network_is_surest_all_in_all() -> None:
    onsets = [tom(0.1 * n, 5 if n % 3 else 4, -0.5) for n in range(9)]
    assert {onset.lane for onset in ranked(onsets)} == {5}


def test_two_lanes_at_one_moment_are_one_stroke_unless_both_are_sure() -> None:
    doubtful = [tom(1.0, 3, 0.3, confidence=0.5), tom(1.004, 4, 0.3, confidence=0.4)]
    assert [onset.lane for onset in ranked(doubtful)] == [3]
    sure = [tom(1.0, 3, 0.3, confidence=0.9), tom(1.004, 5, 0.3, confidence=0.9)]
    assert ranked(sure) == sure


def test_strokes_on_other_lanes_and_flams_stay() -> None:
    others = [Onset(0.1 * lane, lane, velocity=0.5, confidence=0.5) for lane in (0, 1, 2, 6, 7)]
    assert ranked(others) == others
    flam = [tom(2.0, 4, 0.0), tom(2.02, 4, 0.0)]
    assert ranked([*others, *flam]) == [*others, *flam]


def test_one_tom_whose_heights_vary_is_not_cut_in_two() -> None:
    rng = np.random.default_rng(1)
    onsets = [tom(0.1 * n, 4, -0.2 + 0.05 * rng.standard_normal(), confidence=0.8) for n in range(300)]
    assert {onset.lane for onset in ranked(onsets)} == {4}
