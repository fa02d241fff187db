"""Counts of right and wrong onsets, matched by `mir_eval` (Raffel et al., ISMIR 2014)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from stemwright.drums.lanes import LANES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Event = tuple[float, int]  # seconds, lane
NOTHING: Final = -1  # in place of a lane


@dataclass(slots=True)
class Tally:
    """Counts a lane: right, wanted, given; how late the right ones were; what was heard in place of the others."""

    right: Counter[int] = field(default_factory=Counter)
    wanted: Counter[int] = field(default_factory=Counter)
    given: Counter[int] = field(default_factory=Counter)
    late: list[float] = field(default_factory=list)
    heard: Counter[tuple[int, int]] = field(default_factory=Counter)  # (lane played, lane heard or NOTHING)
    asked: Counter[str] = field(default_factory=Counter)  # of strokes of special kinds …
    found: Counter[str] = field(default_factory=Counter)  # … and those that were found, all of a group

    def add(
        self,
        wanted: Sequence[Event],
        given: Sequence[Event],
        *,
        tolerance: float,
        special: Mapping[str, Iterable[set[Event]]] | None = None,
    ) -> None:
        """Match one recording's onsets lane by lane; `special` are groups of strokes that are counted by name too."""
        met: set[Event] = set()
        used: set[Event] = set()
        for lane in range(len(LANES)):
            here = [at for at, other in wanted if other == lane]
            found = [at for at, other in given if other == lane]
            pairs = matched(here, found, tolerance=tolerance)
            self.right[lane] += len(pairs)
            self.wanted[lane] += len(here)
            self.given[lane] += len(found)
            self.late += [b - a for a, b in pairs]
            met |= {(a, lane) for a, _ in pairs}
            used |= {(b, lane) for _, b in pairs}
        for name, groups in (special or {}).items():
            for group in groups:
                self.asked[name] += 1
                self.found[name] += group <= met
        wrong = [event for event in given if event not in used]
        for at, lane in wanted:
            near = [other for when, other in wrong if abs(when - at) <= tolerance and other != lane]
            self.heard[lane, lane if (at, lane) in met else (near or [NOTHING])[0]] += 1

    def scores(self, lane: int | None = None) -> tuple[float, float, float]:
        """Precision, recall and F of a lane, or of all (micro)."""
        lanes = range(len(LANES)) if lane is None else (lane,)
        right, wanted, given = (sum(count[n] for n in lanes) for count in (self.right, self.wanted, self.given))
        return right / max(given, 1), right / max(wanted, 1), 2 * right / max(wanted + given, 1)

    def macro(self) -> float:
        """The mean F of the lanes that were played."""
        return float(np.mean([self.scores(lane)[2] for lane in range(len(LANES)) if self.wanted[lane]]))

    def and_with(self, other: Tally) -> Tally:
        """Both together."""
        counts = ("right", "wanted", "given", "late", "heard", "asked", "found")
        return Tally(*(getattr(self, name) + getattr(other, name) for name in counts))


def matched(wanted: Sequence[float], given: Sequence[float], *, tolerance: float) -> list[tuple[float, float]]:
    """The most pairs no further apart than the tolerance; each used once."""
    from mir_eval.util import match_events

    if not wanted or not given:
        return []
    pairs = match_events(np.asarray(wanted), np.asarray(given), tolerance)
    return [(wanted[a], given[b]) for a, b in pairs]
