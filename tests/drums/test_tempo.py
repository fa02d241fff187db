"""The tempo of strokes: the same part at any tempo is counted in the same way."""

from __future__ import annotations

import numpy as np
import pytest

from drums.hits import ROCK, Event, pattern
from stemwright.drums.beats import find_beats
from stemwright.drums.onsets import Onset
from stemwright.drums.tempo import find_tempo

EIGHTHS, SIXTEENTHS = tuple(range(0, 16, 2)), tuple(range(16))
PARTS = {
    "rock": ROCK,
    "four on the floor": {0: (0, 4, 8, 12), 1: (4, 12), 2: (2, 6, 10, 14)},
    "sixteenths": {0: (0, 6, 11), 1: (4, 12), 2: SIXTEENTHS},
    "ride in quarters": {0: (0, 2, 8), 1: (4, 12), 7: (0, 4, 8, 12)},
    "toms instead of hats": {0: (0, 8, 14), 1: (4, 12), 5: EIGHTHS},
    "kicks and snares alone": {0: (0, 8, 10), 1: (4, 12)},
}


def heard(events: list[Event], *, seed: int = 0, missing: float = 0.05) -> list[Onset]:
    """Events as a player plays them and the network hears them: some ms off, some missing."""
    rng = np.random.default_rng(seed)
    kept = [(max(0.0, time + rng.normal(0, 0.005)), lane) for time, lane in events if rng.random() > missing]
    return [Onset(time, lane, velocity=rng.uniform(0.5, 0.9), confidence=0.9) for time, lane in sorted(kept)]


@pytest.mark.parametrize("bpm", [40, 46, 57, 73, 96, 120, 145, 178, 203, 220])
@pytest.mark.parametrize("name", PARTS)
def test_tempo_is_found_from_40_to_220_bpm(name: str, bpm: float) -> None:
    tempo = find_tempo(heard(pattern(bars=10, bpm=bpm, start=0.3, lanes=PARTS[name]), seed=int(bpm)))
    assert tempo is not None
    assert tempo.bpm == pytest.approx(bpm, rel=0.02)


def test_beats_of_a_waltz_and_of_a_shuffle_are_counted() -> None:
    beat = 60 / 150
    waltz = [(0.2 + (3 * bar + at) * beat, lane) for bar in range(16) for at, lane in ((0, 0), (1, 1), (2, 1))]
    waltz += [(0.2 + half * beat / 2, 2) for half in range(96)]
    swung = [
        (0.2 + (4 * bar + at) * beat, lane)
        for bar in range(12)
        for at, lane in ((0, 0), (1, 1), (2, 0), (3, 1), *((n + part, 7) for n in range(4) for part in (0, 2 / 3)))
    ]
    for part in (waltz, swung):
        beats = find_beats(heard(part))
        assert beats is not None
        assert beats.bpm == pytest.approx(150, rel=0.005)


def test_snare_tells_half_time_from_double_time_and_the_other_reading_is_named() -> None:
    """Snares on each second beat are the rule; the same hi-hats with half the snares are half as fast."""
    plain = find_tempo(heard(pattern(bars=12, bpm=150, start=0.3, lanes={0: (0, 10), 1: (4, 12), 2: EIGHTHS})))
    half = find_tempo(heard(pattern(bars=12, bpm=150, start=0.3, lanes={0: (0, 10), 1: (8,), 2: EIGHTHS})))
    assert plain is not None
    assert half is not None
    assert plain.bpm == pytest.approx(150, rel=0.02)
    assert half.bpm == pytest.approx(75, rel=0.02)
    assert half.octave == 2


@pytest.mark.parametrize("bpm", [80, 110, 170])
def test_tempo_that_drifts_is_followed(bpm: float) -> None:
    """Four in a hundred faster and slower, to and fro within fifty seconds."""
    part = pattern(bars=16, bpm=bpm, start=0.3, lanes=PARTS["four on the floor"])
    drifting = [(time - 0.3 * np.sin(time / 8), lane) for time, lane in part]
    beats = find_beats(heard(drifting))
    assert beats is not None
    assert not beats.steady
    assert beats.bpm == pytest.approx(bpm, rel=0.03)
    true = np.array([0.3 + 60 / bpm * number for number in range(64)])
    true = true - 0.3 * np.sin(true / 8)
    assert np.median([np.abs(true - time).min() for time in beats.times]) < 0.015


def test_few_hits_or_none_have_no_tempo() -> None:
    assert find_tempo([]) is None
    assert find_tempo(heard(pattern(bars=1, bpm=100, start=0))[:7]) is None
    assert find_tempo([Onset(5.0, 0, velocity=0.5, confidence=0.9)] * 20) is None
