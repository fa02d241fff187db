"""Onsets and a tempo to beats and bars, and to the grid that hits may be moved to."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from stemwright.drums.tempo import OnsetTempo, find_tempo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stemwright.drums.onsets import Onset
    from stemwright.types import Seconds

_Array: TypeAlias = npt.NDArray[np.float64]

_STEP: Final = 0.01  # s, of the beat tracker
_TIGHT: Final = 120.0  # how dear it is to leave the tempo
_WEIGHTS: Final = (1.0, 1.0, 0.35, 0.4, 0.4, 0.5, 0.8, 0.35)  # of the lanes, as marks of the beat
_HIT: Final = 0.035  # s from a beat within which a hit marks it
_MARKED: Final = 0.5  # part of the beats that must be marked, or there is no grid …
_FEWEST: Final = 8  # … nor with fewer beats
_STEADY: Final = 0.012  # s; a straight line through the beats that is this close to them is the tempo
_CLEAR: Final = 1.12  # how much better than the next the best place for the bar must be …
_SURE: Final = 2.0  # … and by how many standard errors


@dataclass(frozen=True, slots=True)
class Beats:
    """Beats in seconds; `first_bar` is the number of the beat on which a bar begins, None where that is not clear.

    `steady` says that the tempo is constant: the beats are evenly spaced.
    """

    times: tuple[Seconds, ...]
    steady: bool
    octave_bpm: float | None = None  # the strongest other tempo at which the same pulse can be counted
    beats_in_bar: int | None = None
    first_bar: int | None = None

    @property
    def bpm(self) -> float:
        """Beats a minute: the median."""
        return float(60 / np.median(np.diff(self.times)))

    def bars(self) -> tuple[Seconds, ...]:
        """Where bars begin; none where that is not clear."""
        if self.beats_in_bar is None or self.first_bar is None:
            return ()
        return self.times[self.first_bar :: self.beats_in_bar]


def find_beats(onsets: Sequence[Onset], *, bpm: float | None = None) -> Beats | None:
    """Beats through the onsets, at about `bpm` where that is known; None where the onsets do not follow any tempo.

    Dynamic programming (D. Ellis, "Beat tracking by dynamic programming", JNMR 36, 2007) over the hits; then a
    straight line where one fits, for tempi of machines and of click tracks, or the beats smoothed by their hits.
    """
    found = find_tempo(onsets) if bpm is None else OnsetTempo(bpm=bpm, octave=None)
    if found is None or len(onsets) < _FEWEST:
        return None
    period = 60 / found.bpm
    onsets = sorted(onsets, key=lambda onset: onset.time)
    times = np.array([onset.time for onset in onsets])
    weights = np.array([_WEIGHTS[onset.lane] * (0.3 + onset.velocity) * onset.confidence for onset in onsets])
    beats = _track(times, weights, period)
    if len(beats) < _FEWEST:
        return None
    snapped, marked = _snapped(beats, times, weights)
    if marked.mean() < _MARKED:
        return None
    beats, steady = _smooth(beats, snapped, marked)
    beats = np.maximum(beats[beats > -_STEADY], 0)
    beats = beats[np.diff(beats, prepend=-np.inf) > 0.3 * period]
    meter = _meter(beats, onsets)
    return Beats(
        times=tuple(float(beat) for beat in beats),
        steady=steady,
        octave_bpm=found.octave and found.octave * 60 / float(np.median(np.diff(beats))),
        beats_in_bar=meter[0] if meter else None,
        first_bar=meter[1] if meter else None,
    )


def _track(times: _Array, weights: _Array, period: Seconds) -> _Array:
    """The path of beats with the most hits on it whose steps are near the period, in seconds."""
    lag = period / _STEP
    count = int(times.max() / _STEP + lag) + 2
    strength = np.zeros(count)
    for offset, share in ((-2, 0.3), (-1, 0.7), (0, 1.0), (1, 0.7), (2, 0.3)):
        places = np.clip(np.rint(times / _STEP).astype(int) + offset, 0, count - 1)
        np.add.at(strength, places, share * weights)
    strength = np.minimum(strength, np.quantile(strength[strength > 0], 0.9))
    strength /= strength.max() + 1e-12
    steps = np.arange(round(lag * 0.6), round(lag * 1.6) + 1)
    cost = _TIGHT * np.square(np.log(steps / lag)) / 10
    best, came = strength.copy(), np.full(count, -1)
    for place in range(int(steps[0]), count):
        reach = steps[: int(np.searchsorted(steps, place, side="right"))]
        values = best[place - reach] - cost[: len(reach)]
        top = int(values.argmax())
        if values[top] > 0:
            best[place] = strength[place] + values[top]
            came[place] = place - reach[top]
    end = count - int(lag) + int(best[count - int(lag) :].argmax())
    path = [end]
    while came[path[-1]] >= 0:
        path.append(int(came[path[-1]]))
    beats: _Array = np.array(path[::-1]) * _STEP
    kept: _Array = beats[beats <= times.max() + 0.1]
    return kept


def _snapped(beats: _Array, times: _Array, weights: _Array) -> tuple[_Array, npt.NDArray[np.bool_]]:
    """Each beat moved to the mean of the hits that mark it, and whether there are any."""
    out, marked = beats.copy(), np.zeros(len(beats), bool)
    for index, beat in enumerate(beats):
        near = slice(*np.searchsorted(times, (beat - _HIT, beat + _HIT)))
        if times[near].size:
            out[index], marked[index] = np.average(times[near], weights=weights[near] + 1e-6), True
    return out, marked


def _smooth(beats: _Array, snapped: _Array, marked: npt.NDArray[np.bool_]) -> tuple[_Array, bool]:
    """Beats on a straight line where one fits, else on straight lines through 9 beats each; and which it was."""
    numbers = np.arange(len(beats))
    fitting = marked
    for _ in range(3):  # a beat or two may lie on another hit: without those
        slope, start = np.polyfit(numbers[fitting], snapped[fitting], 1)
        off = np.abs(snapped - (start + slope * numbers))
        middle = float(np.median(off[marked]))
        fitting = marked & (off <= max(3 * middle, _STEADY / 3))
    if middle < _STEADY:
        lead = -int(max(start + _STEADY, 0) / slope)  # back to the first beat of the recording
        return start + slope * np.arange(lead, len(beats)), True
    out = beats.copy()
    for index in numbers:
        around = slice(max(0, index - 4), index + 5)
        chosen = marked[around]
        if chosen.sum() >= 3:
            slope, start = np.polyfit(numbers[around][chosen], snapped[around][chosen], 1)
            out[index] = start + slope * index
    return out, False


def _meter(beats: _Array, onsets: Sequence[Onset]) -> tuple[int, int] | None:
    """Beats in a bar and the first beat that begins one; None where two readings are about as good."""
    marks = np.zeros((8, len(beats)))
    for onset in onsets:
        beat = int(np.abs(beats - onset.time).argmin())
        if abs(beats[beat] - onset.time) < 2 * _HIT:
            marks[onset.lane, beat] = max(marks[onset.lane, beat], 0.3 + onset.velocity)
    one = marks[0] + 1.5 * marks[6] - 0.8 * marks[1]
    scores = []
    for length in (4, 3):
        for place in range(length):
            here = one[place::length]
            error = float(here.std()) / len(here) ** 0.5
            scores.append((float(here.mean() - one.mean()), length, place, error))
    scores.sort(reverse=True)
    (best, length, place, error), (second, _, _, other) = scores[0], scores[1]
    if best <= 0.15 or best < _CLEAR * max(second, 0) or best - second < _SURE * float(np.hypot(error, other)):
        return None
    return length, place


def quantised(times: Sequence[Seconds], beats: Beats) -> list[float]:
    """Times as beats from the first beat, each on the nearest sixteenth, or third where a beat's hits fit that.

    >>> quantised([0.0, 0.26, 0.49, 0.83], Beats((0.0, 0.5, 1.0, 1.5), steady=True))
    [0.0, 0.5, 1.0, 1.6666666666666667]
    """
    places = [beat_of(time, beats) for time in times]
    out: list[float] = []
    by_beat: dict[int, list[float]] = {}
    for place in places:
        by_beat.setdefault(int(np.floor(place + 0.125)), []).append(place)
    parts = {beat: _parts(found) for beat, found in by_beat.items()}
    for place in places:
        count = parts[int(np.floor(place + 0.125))]
        out.append(round(place * count) / count)
    return out


def _parts(places: Sequence[float]) -> int:
    """Into how many parts the beat of these places is cut: 4, or 3 where they fit clearly better."""
    error = {parts: sum((place * parts - round(place * parts)) ** 2 / parts**2 for place in places) for parts in (3, 4)}
    return 3 if error[3] < 0.5 * error[4] and error[4] > 1e-3 * len(places) else 4


def beat_of(time: Seconds, beats: Beats) -> float:
    """A time as beats from the first beat; before it and after the last, their neighbours' tempo goes on."""
    times = beats.times
    index = max(0, min(bisect_right(times, time) - 1, len(times) - 2))
    return index + (time - times[index]) / (times[index + 1] - times[index])
