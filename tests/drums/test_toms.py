from __future__ import annotations

import numpy as np

from stemwright.drums.onsets import Onset
from stemwright.drums.toms import ranked

BIN = 44_100 / 4096  # Hz, of the tones; the first lies at 4 bins


def tom(time: float, lane: int, hertz: float, *, confidence: float = 0.5, heard: float | None = None) -> Onset:
    """A hit of a tom with a fundamental and a fainter partial 1.6 times as high; `heard` is the network's height."""
    bins = BIN * (4 + np.arange(72))
    tones = np.exp(-(((bins - hertz) / 9) ** 2)) + 0.3 * np.exp(-(((bins - 1.6 * hertz) / 9) ** 2))
    tones += 0.02 * np.random.default_rng(round(1000 * time)).random(72)
    tones /= np.sqrt(np.square(tones).sum())
    height = float(np.log2((heard or hertz) / 128))
    return Onset(time, lane, 0.5, confidence, height=height, tones=tuple(tones.tolist()))


def test_three_toms_are_ranked_though_the_network_took_them_for_other_ones() -> None:
    kit = {3: 120.0, 4: 96.0, 5: 72.0}
    heard = {3: 4, 4: 5, 5: 5}  # a deep kit
    played = [3, 3, 4, 4, 5, 5, 3, 5]
    onsets = [tom(0.2 * n, heard[lane], kit[lane]) for n, lane in enumerate(played)]
    assert [onset.lane for onset in ranked(onsets)] == played


def test_toms_a_whole_tone_apart_are_told_by_their_tones_though_the_network_hears_one_height() -> None:
    rng = np.random.default_rng(0)
    kit = {3: 150.0, 4: 128.0, 5: 90.0}
    played = [3, 4, 5] * 6
    onsets = [
        tom(0.2 * n, 4, kit[lane], heard=kit[lane] * 2 ** float(0.08 * rng.standard_normal()))
        for n, lane in enumerate(played)
    ]
    assert [onset.lane for onset in ranked(onsets)] == played


def test_two_toms_are_the_high_and_the_floor_tom_unless_the_network_is_sure() -> None:
    onsets = [tom(0.2 * n, 4, 130.0 if n % 2 else 85.0, confidence=0.25) for n in range(10)]
    assert [onset.lane for onset in ranked(onsets)] == [5, 3] * 5
    sure = [tom(0.2 * n, 3 if n % 2 else 4, 130.0 if n % 2 else 85.0, confidence=0.95) for n in range(10)]
    assert [onset.lane for onset in ranked(sure)] == [4, 3] * 5


def test_one_tom_goes_to_the_lane_of_which_the_network_is_surest_all_in_all() -> None:
    onsets = [tom(0.1 * n, 5 if n % 3 else 4, 90.0) for n in range(9)]
    assert {onset.lane for onset in ranked(onsets)} == {5}


def test_two_lanes_at_one_moment_are_one_hit_unless_both_are_sure() -> None:
    doubtful = [tom(1.0, 3, 160.0, confidence=0.5), tom(1.004, 4, 160.0, confidence=0.4)]
    assert [onset.lane for onset in ranked(doubtful)] == [3]
    sure = [tom(1.0, 3, 160.0, confidence=0.9), tom(1.004, 5, 80.0, confidence=0.9)]
    assert ranked(sure) == sure


def test_hits_on_other_lanes_and_flams_stay() -> None:
    others = [Onset(0.1 * lane, lane, velocity=0.5, confidence=0.5) for lane in (0, 1, 2, 6, 7)]
    assert ranked(others) == others
    flam = [tom(2.0, 4, 120.0), tom(2.02, 4, 120.0)]
    assert ranked([*others, *flam]) == [*others, *flam]


def test_one_tom_whose_height_is_heard_unevenly_is_not_cut_in_two() -> None:
    rng = np.random.default_rng(1)
    heights = 110 * 2 ** (0.1 * rng.standard_normal(300))
    onsets = [tom(0.1 * n, 4, 110.0, heard=float(heights[n]), confidence=0.8) for n in range(300)]
    assert {onset.lane for onset in ranked(onsets)} == {4}


def test_thousands_of_hits_are_ranked_too() -> None:
    played = [3, 5] * 1200
    onsets = [tom(0.1 * n, 4, 140.0 if lane == 3 else 80.0, confidence=0.25) for n, lane in enumerate(played)]
    assert [onset.lane for onset in ranked(onsets)] == played


def test_a_floor_tom_whose_second_partial_is_the_strongest_is_still_the_lowest() -> None:
    bins = BIN * (4 + np.arange(72))
    tones = np.exp(-(((bins - 172) / 9) ** 2)) + 0.25 * np.exp(-(((bins - 86) / 9) ** 2))
    floor = tuple((tones / np.sqrt(np.square(tones).sum())).tolist())
    onsets = []
    for n in range(12):
        played = (3, 4, 5)[n % 3]
        if played == 5:
            onsets.append(Onset(0.2 * n, 3, 0.5, 0.5, height=0.4, tones=floor))
        else:
            onsets.append(tom(0.2 * n, played + 1, {3: 140.0, 4: 110.0}[played]))
    assert [onset.lane for onset in ranked(onsets)] == [3, 4, 5] * 4
