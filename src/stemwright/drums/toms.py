"""The toms of a song among themselves: which is the high, the middle and the low one is told by all together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stemwright.drums.onsets import Onset
    from stemwright.types import Seconds

_TOMS: Final = (3, 4, 5)  # lanes, high to low
_ONE: Final[Seconds] = 0.015  # onsets on several lanes of toms within this are one stroke …
_TWO_TOMS: Final = 0.75  # … unless the network is this sure of each
_SPREAD: Final = 0.1  # octaves, of the heights that are heard of one tom
_GAP: Final = 0.1  # octaves between the means of two toms, at least: a little more than a semitone
_TRUST: Final = 0.25  # in the confidences: what is wrong with one stroke is wrong with all of its tom
_CUTS: Final = 500  # places that are tried
_GROUP: Final = 3.0  # what one more group must bring
_DOUBT: Final = 0.1  # what counts as the network's confidence for a lane on which it heard nothing


def ranked(onsets: Sequence[Onset]) -> list[Onset]:
    """The onsets with each tom on the lane of its rank; others stay as they are. In order of time.

    The network tells lanes of toms from how high they sound, which does not carry over from kit to kit. Here their
    heights are gathered in at most three groups, which go to lanes in their order; where there are fewer, the network's
    confidences decide to which.
    """
    rest = [onset for onset in onsets if onset.lane not in _TOMS]
    strokes = _strokes(sorted((onset for onset in onsets if onset.lane in _TOMS), key=lambda onset: onset.time))
    single = [stroke for stroke in strokes if not _several(stroke)]
    out = rest + [onset for stroke in strokes if _several(stroke) for onset in stroke]
    if single:
        heights = np.array([max(stroke, key=lambda onset: onset.confidence).height for stroke in single])
        sure = np.full((len(single), len(_TOMS)), _DOUBT)
        for row, stroke in zip(sure, single, strict=True):
            for onset in stroke:
                row[onset.lane - _TOMS[0]] = onset.confidence
        for stroke, lane in zip(single, _lanes(heights, sure), strict=True):
            best = max(stroke, key=lambda onset: onset.confidence)
            out.append(replace(best, lane=lane))
    return sorted(out, key=lambda onset: (onset.time, onset.lane))


def _strokes(toms: Sequence[Onset]) -> list[list[Onset]]:
    """Onsets at one moment together."""
    out: list[list[Onset]] = []
    for onset in toms:
        if out and onset.time - out[-1][0].time < _ONE and all(onset.lane != other.lane for other in out[-1]):
            out[-1].append(onset)
        else:
            out.append([onset])
    return out


def _several(stroke: Sequence[Onset]) -> bool:
    return len(stroke) > 1 and all(onset.confidence > _TWO_TOMS for onset in stroke)


def _lanes(heights: npt.NDArray[np.float64], sure: npt.NDArray[np.float64]) -> list[int]:
    """A lane for each height, [N], by the confidences [N, 3].

    In the order of their heights the strokes are cut into one to three groups, where they are told apart best: by how
    close heights within a group are, and by how well the confidences agree with the groups' lanes.
    """
    order = np.argsort(-heights, kind="stable")
    sums = [np.concatenate([[0.0], np.cumsum(values[order])]) for values in (heights, np.square(heights))]
    agreed = np.concatenate([np.zeros((1, len(_TOMS))), np.cumsum(np.log(sure)[order], axis=0)])

    def spread(first: npt.NDArray[np.int_] | int, last: npt.NDArray[np.int_] | int) -> npt.NDArray[np.float64]:
        """Squared distances from their mean of the strokes `first` … `last`, added up."""
        total, squares = (values[last] - values[first] for values in sums)
        return np.asarray(squares - total**2 / np.maximum(np.subtract(last, first), 1))

    def mean(first: npt.NDArray[np.int_] | int, last: npt.NDArray[np.int_] | int) -> npt.NDArray[np.float64]:
        """The mean height of the strokes `first` … `last`; NaN where there are none."""
        strokes = np.subtract(last, first).astype(float)
        return np.asarray((sums[0][last] - sums[0][first]) / np.where(strokes > 0, strokes, np.nan))

    count = len(heights)
    best, cuts = -np.inf, (0, 0)
    ends = np.unique(np.linspace(0, count, min(count, _CUTS) + 1).astype(int))
    for place, first in enumerate(
        ends
    ):  # strokes before `first` are high, before `second` in the middle, the others low
        second = ends[place:]
        apart = spread(0, first) + spread(first, second) + spread(second, count)
        fits = agreed[first, 0] + agreed[second, 1] - agreed[first, 1] + agreed[count, 2] - agreed[second, 2]
        groups = int(first > 0) + (second > first).astype(int) + (second < count).astype(int)
        score = _TRUST * fits - apart / (2 * _SPREAD**2) - _GROUP * groups
        high, middle, low = mean(0, first), mean(first, second), mean(second, count)
        near = (high - middle < _GAP) | (middle - low < _GAP) | (high - low < _GAP)  # false beside an empty group
        score[near] = -np.inf
        top = int(score.argmax())
        if score[top] > best:
            best, cuts = float(score[top]), (int(first), int(second[top]))
    out = [0] * count
    for rank, index in enumerate(order):
        out[int(index)] = _TOMS[(rank >= cuts[0]) + (rank >= cuts[1])]
    return out
