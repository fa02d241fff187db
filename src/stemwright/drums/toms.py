"""The toms of a song among themselves: which is the high, the middle and the low one is told by all together."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from stemwright.drums.features import LONG_WINDOW, RATE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stemwright.drums.onsets import Onset
    from stemwright.types import Seconds

    Floats = npt.NDArray[np.float64]

TOMS: Final = (3, 4, 5)  # lanes, high to low
_ONE: Final[Seconds] = 0.015  # onsets on several lanes of toms within this are one hit …
_TWO_TOMS: Final = 0.75  # … unless the network is this sure of each
_LOW_LANES: Final = (0, 1)  # kick and snare, whose tones a tom's are lost in …
_WITH: Final[Seconds] = 0.02  # … within this
_PLAYED: Final = 0.6  # the confidence of a kick or a snare that counts for this
_FEWEST, _FEWEST_PART = 4, 0.25  # clear hits, and their part of all, that make templates
_LOWEST: Final = 2  # bin of the tones: a kick drum lies below
_ALIKE: Final = 0.55  # cosine between the tones of two hits of one tom, on average
_SHARE: Final = 0.1  # of all hits, that a tom has at least
_OCTAVE: Final = 0.6  # of likeness, lost for each octave between the heights that the network hears
_GAP: Final = 0.12  # octaves between two toms, at least: a semitone and a half
_FAINT: Final = 0.15  # part of the strongest partial, below which there is none
_STRAY: Final = (
    3.0  # powers of e that a partial must be stronger by, for each octave that it is off the network's height
)
_OCTAVE_BELOW: Final = (0.6, 1.7)  # octaves: skins are not in tune with themselves
_HIGHEST_HZ: Final = 330.0
_DOUBT: Final = 0.1  # what counts as the network's confidence for a lane on which it heard nothing
_RACK_AND_FLOOR: Final = 0.5  # what two toms are likelier (log) to be the high and the floor tom than high and middle
_MOST: Final = 1500  # hits that are compared with each other; more are compared with their toms alone


def ranked(onsets: Sequence[Onset]) -> list[Onset]:
    """The onsets with each tom on the lane of its rank; others stay as they are. In order of time.

    The network tells lanes of toms from how high they sound, which does not carry over from kit to kit. Here hits
    are gathered by their tones into templates, these into at most three toms by their pitch, and the toms go to lanes
    in their order; where there are fewer than three, the network's confidences help to decide to which.
    """
    rest = [onset for onset in onsets if onset.lane not in TOMS]
    hits = _hits(sorted((onset for onset in onsets if onset.lane in TOMS), key=lambda onset: onset.time))
    single = [hit for hit in hits if not _several(hit)]
    out = rest + [onset for hit in hits if _several(hit) for onset in hit]
    if single:
        best = [max(hit, key=lambda onset: onset.confidence) for hit in single]
        sure = np.full((len(single), len(TOMS)), _DOUBT)
        for row, hit in zip(sure, single, strict=True):
            for onset in hit:
                row[onset.lane - TOMS[0]] = onset.confidence
        tones = _unit(np.array([onset.tones for onset in best])[:, _LOWEST:])
        heights = np.array([onset.height for onset in best])
        toms = _toms(tones, heights, clear=_clear(best, onsets))
        out += [replace(onset, lane=lane) for onset, lane in zip(best, _lanes(toms, sure), strict=True)]
    return sorted(out, key=lambda onset: (onset.time, onset.lane))


def _hits(toms: Sequence[Onset]) -> list[list[Onset]]:
    """Onsets at one moment together."""
    out: list[list[Onset]] = []
    for onset in toms:
        if out and onset.time - out[-1][0].time < _ONE and all(onset.lane != other.lane for other in out[-1]):
            out[-1].append(onset)
        else:
            out.append([onset])
    return out


def _several(hit: Sequence[Onset]) -> bool:
    return len(hit) > 1 and all(onset.confidence > _TWO_TOMS for onset in hit)


def _clear(hits: Sequence[Onset], onsets: Sequence[Onset]) -> npt.NDArray[np.bool_]:
    """Which hits sound alone: neither a kick nor a snare is struck with them. If too few do, all count as such."""
    played = (onset for onset in onsets if onset.lane in _LOW_LANES and onset.confidence >= _PLAYED)
    others = np.array([-np.inf, *sorted(onset.time for onset in played), np.inf])
    times = np.array([hit.time for hit in hits])
    after = np.searchsorted(others, times)
    clear = np.minimum(others[after] - times, times - others[after - 1]) > _WITH
    enough = np.count_nonzero(clear) >= max(_FEWEST, _FEWEST_PART * len(times))
    return clear if enough else np.ones(len(times), bool)


def _unit(rows: Floats) -> Floats:
    return np.asarray(rows / (np.sqrt(np.square(rows).sum(axis=-1, keepdims=True)) + 1e-9))


def _toms(tones: Floats, heights: Floats, *, clear: npt.NDArray[np.bool_]) -> npt.NDArray[np.int_]:
    """For each hit the rank of its tom, 0 the highest, at most 3 of them; from tones [N, B] and heights [N].

    Templates are made of the hits that are `clear`, [N].
    """
    alone = np.flatnonzero(clear)
    templates = [alone[members] for members in _templates(tones[alone])]
    middles = np.array([np.median(heights[members]) for members in templates])
    means = np.array([tones[members].mean(axis=0) for members in templates])
    places = [_place(mean, heard=float(height)) for mean, height in zip(means, middles, strict=True)]
    likeness = tones @ _unit(means).T - _OCTAVE * np.abs(heights[:, None] - middles)
    nearest = likeness.argmax(axis=1)
    for number, members in enumerate(templates):
        nearest[members] = number
    rank = _ranks(places, np.bincount(nearest, minlength=len(templates)))
    return np.asarray(rank[nearest])


def _templates(tones: Floats) -> list[npt.NDArray[np.int_]]:
    """Hits that sound alike, the numbers of each group; small groups are left out."""
    from scipy.cluster.hierarchy import fcluster, linkage

    chosen = np.unique(np.linspace(0, len(tones) - 1, min(len(tones), _MOST)).astype(int))
    if len(chosen) == 1:
        return [chosen]
    part = tones[chosen]
    apart = np.maximum(1 - part @ part.T, 0)[np.triu_indices(len(part), 1)]
    labels = fcluster(linkage(apart, "average"), 1 - _ALIKE, "distance")
    groups = [chosen[labels == label] for label in np.unique(labels)]
    large = [group for group in groups if len(group) >= _SHARE * len(chosen)]
    return large or [max(groups, key=len)]


def _place(tones: Floats, *, heard: float) -> float:
    """How high a tom is, in octaves over 128 Hz: between what the network heard and the partial that explains it.

    Where another partial lies an octave or so below the strongest, it is the fundamental, and the network was mistaken.
    """
    partials = _partials(tones)
    if not partials:
        return heard
    strongest = max(partials, key=lambda partial: partial[1])[0]
    below = [pitch for pitch, _ in partials if _OCTAVE_BELOW[0] < strongest - pitch < _OCTAVE_BELOW[1]]
    if below:
        return below[0]
    pitch, _ = max(partials, key=lambda partial: np.log(partial[1]) - _STRAY * abs(partial[0] - heard))
    return (pitch + heard) / 2


def _partials(tones: Floats) -> list[tuple[float, float]]:
    """Peaks of the tones, low to high: octaves over 128 Hz, and the part of the strongest."""
    step = RATE / LONG_WINDOW
    hertz = step * (4 + _LOWEST + np.arange(len(tones)))
    padded = np.concatenate([[0.0], tones])
    out = []
    for index in range(int(np.searchsorted(hertz, _HIGHEST_HZ))):
        below, here, above = padded[index : index + 3]
        if here > 0 and here >= max(below, above, _FAINT * tones.max()):
            left, middle, right = np.log(np.array([below, here, above]) + 1e-9)
            bend = left - 2 * middle + right
            lean = float(np.clip((left - right) / (2 * bend), -0.5, 0.5)) if index and bend < 0 else 0.0
            out.append((float(np.log2((hertz[index] + lean * step) / 128)), float(here / tones.max())))
    return out


def _ranks(places: Sequence[float], counts: npt.NDArray[np.int_]) -> npt.NDArray[np.int_]:
    """Of each template its tom's rank: those closer than a gap are one tom, and the closest ones if there are four."""
    groups = [([number], place) for number, place in enumerate(places)]
    while len(groups) > 1:
        groups.sort(key=lambda group: -group[1])
        gaps = [first[1] - second[1] for first, second in pairwise(groups)]
        closest = int(np.argmin(gaps))
        if gaps[closest] > _GAP and len(groups) <= len(TOMS):
            break
        (first, high), (second, low) = groups[closest : closest + 2]
        one, other = (counts[numbers].sum() + 1e-9 for numbers in (first, second))
        groups[closest : closest + 2] = [(first + second, (high * one + low * other) / (one + other))]
    out = np.zeros(len(places), int)
    for rank, (numbers, _) in enumerate(groups):
        out[numbers] = rank
    return out


def _lanes(ranks: npt.NDArray[np.int_], sure: Floats) -> list[int]:
    """A lane for each hit, [N], by its tom's rank and the confidences [N, 3]."""
    toms = np.unique(ranks)
    trust = np.array([np.log(sure[ranks == tom]).mean(axis=0) for tom in toms])

    def likely(lanes: tuple[int, ...]) -> float:
        usual = _RACK_AND_FLOOR if lanes == (0, 2) else 0.0
        return usual + float(np.mean([row[lane] for row, lane in zip(trust, lanes, strict=True)]))

    lanes = max(combinations(range(len(TOMS)), len(toms)), key=likely)
    return [TOMS[lanes[int(np.searchsorted(toms, rank))]] for rank in ranks]
