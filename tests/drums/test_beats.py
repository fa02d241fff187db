from __future__ import annotations

import numpy as np
import pytest

from drums.hits import CRASHED, pattern
from stemwright.drums.beats import Beats, beat_of, find_beats, quantised
from stemwright.drums.onsets import Onset


def onsets(events: list[tuple[float, int]]) -> list[Onset]:
    return [Onset(time, lane, velocity=0.8, confidence=0.9) for time, lane in events]


@pytest.mark.parametrize("bpm", [62, 97.3, 120, 151, 198])
def test_beats_of_a_constant_tempo_are_exact_though_the_tempo_given_is_a_little_off(bpm: float) -> None:
    beats = find_beats(onsets(pattern(bars=12, bpm=bpm, start=0.35)), bpm=bpm * 1.004)
    assert beats is not None
    assert beats.steady
    assert beats.bpm == pytest.approx(bpm, rel=0.001)
    off = [(time - 0.35) * bpm / 60 for time in beats.times]
    assert max(abs(value - round(value)) for value in off) < 0.02


@pytest.mark.parametrize("bpm", [90, 97.3, 120, 140])
@pytest.mark.parametrize("early", [0.0, 0.0008])
def test_beat_and_bar_on_the_first_sample_are_told(bpm: float, early: float) -> None:
    part = [(max(0.0, time - early), lane) for time, lane in pattern(bars=8, bpm=bpm, start=0.0, lanes=CRASHED)]
    beats = find_beats(onsets(part))
    assert beats is not None
    assert beats.steady
    assert beats.times[0] == pytest.approx(0, abs=0.002)
    assert beats.bars()[:2] == pytest.approx([0, 240 / bpm], abs=0.003)


@pytest.mark.parametrize("bpm", [84, 110, 133])
@pytest.mark.parametrize("pickup", [1, 2, 3])
def test_hits_before_the_first_bar_do_not_bend_the_tempo(bpm: float, pickup: int) -> None:
    rng = np.random.default_rng(pickup)
    sixteenth = 15 / bpm
    part = [(1 - sixteenth * (index + 1), 1) for index in range(pickup)] + pattern(bars=6, bpm=bpm, start=1.0)
    beats = find_beats(onsets([(time + float(rng.uniform(-0.001, 0.001)), lane) for time, lane in part]))
    assert beats is not None
    assert beats.steady
    assert beats.bpm == pytest.approx(bpm, rel=0.0005)


def test_other_tempo_counts_the_same_pulse() -> None:
    slowing = [(time + 0.004 * time**2, lane) for time, lane in pattern(bars=12, bpm=120, start=0.2)]
    beats = find_beats(onsets(slowing))
    assert beats is not None
    assert not beats.steady
    assert beats.octave_bpm is not None
    assert min(abs(beats.octave_bpm / beats.bpm - ratio) for ratio in (1 / 3, 1 / 2, 2, 3)) < 1e-9


def test_bars_begin_where_the_part_begins() -> None:
    beats = find_beats(onsets(pattern(bars=12, bpm=112, start=0.5, lanes=CRASHED)), bpm=112)
    assert beats is not None
    assert beats.beats_in_bar == 4
    bar = 240 / 112
    off = [(time - 0.5) / bar for time in beats.bars()]
    assert max(abs(value - round(value)) for value in off) < 0.02


def test_where_the_first_half_of_a_bar_is_like_the_second_no_bars_are_told() -> None:
    beats = find_beats(onsets(pattern(bars=12, bpm=112, start=0.5)), bpm=112)
    assert beats is not None
    assert beats.bars() == ()


def test_beats_follow_a_tempo_that_drifts() -> None:
    straight = pattern(bars=16, bpm=100, start=0.2)
    drifting = [(time - 0.6 * np.sin(time / 8), lane) for time, lane in straight]  # 100 BPM, 7 % to and fro
    beats = find_beats(onsets(drifting), bpm=100)
    assert beats is not None
    assert not beats.steady
    true = np.array([0.2 + 0.6 * index for index in range(64)])
    true = true - 0.6 * np.sin(true / 8)
    misses = [np.abs(true - time).min() for time in beats.times[2:-2]]
    assert np.median(misses) < 0.02
    assert max(misses) < 0.06


def test_hits_at_random_have_no_beats() -> None:
    rng = np.random.default_rng(1)
    times = np.cumsum(rng.exponential(0.9, 60) + 0.05)
    assert find_beats(onsets([(float(time), int(rng.integers(8))) for time in times]), bpm=190) is None
    for seed in range(5):
        rng = np.random.default_rng(seed)
        times = np.cumsum(rng.exponential(1.2, 60) + 0.05)
        beats = find_beats(onsets([(float(time), int(rng.integers(8))) for time in times]))
        assert beats is None or beats.bars() == ()


def test_with_few_hits_there_are_no_beats() -> None:
    events = onsets(pattern(bars=4, bpm=100, start=0.0))
    assert find_beats(events) is not None
    assert find_beats(events[:5]) is None
    assert find_beats(events[:5], bpm=100) is None
    assert find_beats([]) is None


def test_where_chance_alone_tells_one_bar_line_from_another_no_bars_are_told() -> None:
    """Equal beats, of which a player or the network missed some."""
    for seed in range(6):
        rng = np.random.default_rng(seed)
        part = pattern(bars=12, bpm=140, start=0.4, lanes={0: range(0, 16, 2), 1: (4, 12), 6: range(0, 16, 4)})
        heard = [event for event in part if rng.random() > 0.1]
        beats = find_beats(onsets(heard))
        assert beats is not None
        assert beats.bars() == ()


def test_places_go_on_before_the_first_beat_and_after_the_last() -> None:
    beats = Beats((1.0, 1.5, 2.0), steady=True)
    assert [beat_of(time, beats) for time in (0.5, 1.0, 1.25, 3.0)] == [-1.0, 0.0, 0.5, 4.0]


def test_triplets_are_told_from_sixteenths() -> None:
    beats = Beats((0.0, 0.6, 1.2, 1.8), steady=True)
    times = [0.01, 0.2, 0.41, 0.6, 0.76, 0.9, 1.04]
    assert quantised(times, beats) == pytest.approx([0, 1 / 3, 2 / 3, 1, 1.25, 1.5, 1.75])
