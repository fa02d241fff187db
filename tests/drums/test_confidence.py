from __future__ import annotations

from stemwright.drums.confidence import confident
from stemwright.drums.onsets import Onset

LOWEST = [0.3] * 8
SURE = [Onset(0.5 * n, 0, 0.5, 0.98) for n in range(40)]  # a kick that goes on


def hits(lane: int, *confidences: float) -> list[Onset]:
    return [Onset(0.5 * n + 0.01 * lane, lane, 0.5, value) for n, value in enumerate(confidences)]


def kept(onsets: list[Onset]) -> list[float]:
    """The confidences that are left of these on top of the kick."""
    return [onset.confidence for onset in confident([*onsets, *SURE], lowest=LOWEST) if onset.lane]


def test_what_is_far_less_sure_than_most_of_its_lane_is_left_out() -> None:
    assert kept(hits(1, *[0.95] * 9, 0.45)) == [0.95] * 9


def test_a_lane_of_which_the_network_is_never_sure_is_kept() -> None:
    assert kept(hits(6, *[0.4, 0.45] * 6)) == [0.4, 0.45] * 6


def test_a_few_hits_alone_must_be_fairly_sure() -> None:
    assert kept(hits(7, 0.35, 0.5)) == [0.5]


def test_a_crash_must_be_surer_than_a_ride() -> None:
    heard = [*[0.95] * 9, 0.6]
    assert kept(hits(6, *heard)) == heard[:-1]
    assert kept(hits(7, *heard)) == heard


def test_nothing_below_the_threshold_of_its_lane_gets_through() -> None:
    assert kept(hits(2, *[0.25] * 20)) == []


def test_where_the_network_is_sure_of_nothing_for_seconds_there_are_no_drums() -> None:
    music = [Onset(60 + 0.4 * n, n % 3, 0.5, 0.5) for n in range(40)]
    assert confident([*SURE, *music], lowest=LOWEST) == SURE
    hit = Onset(68.1, 1, 0.5, 0.9)
    assert confident([*SURE, *music, hit], lowest=LOWEST) == [*SURE, hit]


def test_a_kit_of_which_the_network_is_half_sure_is_still_a_kit() -> None:
    half = [Onset(0.4 * n, n % 3, 0.5, 0.5 if n % 3 else 0.75) for n in range(60)]
    assert confident(half, lowest=LOWEST) == half


def test_nothing_stays_nothing() -> None:
    assert confident([], lowest=LOWEST) == []
