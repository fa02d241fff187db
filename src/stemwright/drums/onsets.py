"""Activations to onsets: peaks, placed between the half frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from stemwright.drums.frames import SUBFRAME, Activations, joined, silence
from stemwright.drums.lanes import HI_HAT, LANES, RIDE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stemwright.drums.lanes import Kind
    from stemwright.types import Seconds

_REACH: Final = 2  # half frames each way in which a peak is the highest: no two on one lane are closer than 17 ms
_NEAR: Final = 6  # half frames from peak to peak up to which there must be a valley between them …
_VALLEY: Final = 0.8  # … no higher than this part of the lower one


@dataclass(frozen=True, slots=True)
class Onset:
    """One hit that was heard: seconds from sample zero, the lane, velocity and confidence 0–1, what kind it was.

    `height` is that of a tom, in octaves over 128 Hz; it means nothing on other lanes. `tones` are what `Tones` heard.
    """

    time: Seconds
    lane: int
    velocity: float
    confidence: float
    kind: Kind = "plain"
    height: float = 0.0
    tones: tuple[float, ...] = ()


@dataclass(slots=True)
class _Peak:
    row: int
    height: float
    onset: Onset


class Onsets:
    """Picks the onsets of a stream of activations, the same however it was cut.

    Raises ValueError unless there are eight thresholds.
    """

    def __init__(self, thresholds: Sequence[float]) -> None:
        if len(thresholds) != len(LANES):
            raise ValueError(f"{len(thresholds)} thresholds for {len(LANES)} lanes")
        self._thresholds = np.asarray(thresholds, np.float32)
        self._tail = silence(_NEAR + _REACH)  # the last rows, of which the newest are not judged yet
        self._row = -_REACH  # of the next row that is judged
        self._pending: list[_Peak | None] = [None] * len(LANES)

    def add(self, activations: Activations) -> list[Onset]:
        """Take the next rows; give the onsets that are certain now, in order of time."""
        rows = len(activations)
        whole = joined([self._tail, activations])
        found = [onset for lane in range(len(LANES)) for onset in self._pick(whole, lane, rows)]
        self._tail = whole.rows(slice(rows, None))
        self._row += rows
        return sorted(found, key=lambda onset: (onset.time, onset.lane))

    def finish(self) -> list[Onset]:
        """The last onsets."""
        found = self.add(silence(_NEAR + _REACH))
        found += [peak.onset for peak in self._pending if peak]
        self._pending = [None] * len(LANES)
        return sorted(found, key=lambda onset: (onset.time, onset.lane))

    def _pick(self, whole: Activations, lane: int, rows: int) -> list[Onset]:
        """The onsets of one lane that became certain; rows `_NEAR` … `_NEAR + rows` of `whole` are judged."""
        heights = whole.onsets[:, lane]
        first = _NEAR
        judged = heights[first : first + rows]
        highest = judged > self._thresholds[lane]
        for step in range(1, _REACH + 1):
            highest &= judged > heights[first - step : first - step + rows]
            highest &= judged >= heights[first + step : first + step + rows]
        out: list[Onset] = []
        for index in np.flatnonzero(highest):
            place = first + int(index)
            peak = _Peak(self._row + int(index), float(heights[place]), self._onset(whole, lane, place, int(index)))
            before = self._pending[lane]
            if before and self._are_one(heights, before, peak, place):
                if peak.height > before.height:
                    self._pending[lane] = peak
                continue
            if before:
                out.append(before.onset)
            self._pending[lane] = peak
        pending = self._pending[lane]
        if pending and self._row + rows - pending.row > _NEAR:
            out.append(pending.onset)
            self._pending[lane] = None
        return out

    @staticmethod
    def _are_one(heights: npt.NDArray[np.float32], before: _Peak, peak: _Peak, place: int) -> bool:
        apart = peak.row - before.row
        if apart > _NEAR:
            return False
        return float(heights[place - apart : place + 1].min()) > _VALLEY * min(before.height, peak.height)

    def _onset(self, whole: Activations, lane: int, place: int, index: int) -> Onset:
        below, here, above = (float(value) for value in whole.onsets[place - 1 : place + 2, lane])
        # a hit is taught as a triangle of two half frames each way: these three values tell its place and height
        lean = (above - below) / (below + here + above) if self._row + index else 0.0
        aside = float(np.clip(2 * lean / (1 + abs(lean) / 2), -0.5, 0.5))
        height = (below + here + above) / (2 - abs(aside) / 2) if self._row + index else here
        kind: Kind = "plain"
        if lane == HI_HAT and whole.kinds[place, 0] > 0.5:
            kind = "open"
        elif lane == RIDE and whole.kinds[place, 1] > 0.5:
            kind = "bell"
        return Onset(
            time=max(0.0, (self._row + index + aside) * SUBFRAME),
            lane=lane,
            velocity=float(whole.velocities[place, lane]),
            confidence=min(1.0, height),
            kind=kind,
            height=float(whole.heights[place, 0]),
        )
