"""How far a run is, and how long it still takes."""

from __future__ import annotations

import time

from stemwright.studio.stages import SHARES


class Remaining:
    """Stage and share of the engine as percent of the run, and seconds left: measured so far, else by known speed."""

    def __init__(self, duration: float | None, *, speed: float | None, preview: bool) -> None:
        self._expected = speed * duration if speed and duration else None
        self._preview = preview
        self._since = time.monotonic()
        self._first: tuple[float, float] | None = None  # when and where the separating began to be told

    def __call__(self, stage: str, fraction: float | None) -> tuple[str, float, float | None]:
        """Stage, percent and seconds left, for a stage of the engine and the share of it that is done."""
        low, high = SHARES.get(stage, (12.0, 14.0))
        percent = low + (fraction or 0.0) * (high - low)
        elapsed = time.monotonic() - self._since
        remaining = None if self._expected is None else max(0.5, self._expected - elapsed)
        if stage == "separating" and fraction:
            self._first = self._first or (time.monotonic(), fraction)
            spent, done = time.monotonic() - self._first[0], fraction - self._first[1]
            if done > 0.05:
                remaining = spent / done * (1 - fraction) * 1.1 + 0.5
        elif stage == "encoding" and self._expected is None:
            remaining = 0.1 * elapsed
        if self._preview:
            low, high = SHARES["preview"]
            return "preview", low + percent / 100 * (high - low), None
        return stage, percent, remaining
