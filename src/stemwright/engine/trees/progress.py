"""One honest share of many steps: each counts for the time that it takes, as far as that is known."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence


class Shares:
    """Tells how much of all steps is done; a step's time is what it took before, or else is judged by the others.

    A step is known by a key and its expected cost in any unit. `learnt`, the seconds that a step with this key took for
    each second of sound, lives on from one song to the next. The share never falls.
    """

    def __init__(
        self,
        steps: Sequence[tuple[Hashable, float]],
        *,
        seconds: float,
        learnt: dict[Hashable, float],
        report: Callable[[float], None],
    ) -> None:
        """`seconds` is the length of the song; `report` is told the share, 0–1, and may raise."""
        self._steps, self._seconds, self._learnt, self._report = steps, seconds, learnt, report
        self._took: list[float] = []  # seconds of the steps that are done
        self._began = time.monotonic()
        self._told = 0.0
        self._lock = threading.Lock()

    def begin(self) -> None:
        """The next step begins."""
        self._began = time.monotonic()
        self.at(0.0)

    def at(self, fraction: float) -> None:
        """So much of the step is done, 0–1."""
        with self._lock:
            share = self._share(fraction)
            self._told = max(self._told, min(share, 1.0))
            told = self._told
        self._report(told)

    def end(self) -> None:
        """The step is done."""
        took = time.monotonic() - self._began
        self._learnt[self._steps[len(self._took)][0]] = took / self._seconds
        self._took.append(took)

    def _share(self, fraction: float) -> float:
        elapsed = time.monotonic() - self._began
        current, done = len(self._took), sum(self._took)
        if current == len(self._steps):
            return 1.0
        known = [*self._took]
        whole = elapsed / fraction if fraction > 0 else self._expected(current, known)
        if fraction > 0:
            known.append(whole)
        left = sum(self._expected(index, known) for index in range(current + 1, len(self._steps)))
        total = done + whole + left
        return (done + whole * fraction) / total if total else 0.0

    def _expected(self, index: int, known: list[float]) -> float:
        """Seconds that a step will take: as before, or by its cost and how the others' times are to their costs."""
        key, cost = self._steps[index]
        if key in self._learnt:
            return self._learnt[key] * self._seconds
        costs = sum(cost for _, cost in self._steps[: len(known)])
        return cost * (sum(known) / costs if costs else 1.0)
