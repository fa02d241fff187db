"""The vocal line: phrases with breaths, mostly by step, on chord tones where it is accented."""

from __future__ import annotations

from typing import TYPE_CHECKING

from training.songs.parts import Bar, rhythm
from training.songs.theory import near

if TYPE_CHECKING:
    import numpy as np

Sung = tuple[float, float, int, int]  # step from the section's start, length in steps, MIDI pitch, syllable


class Tune:
    """One song's singer: the same phrase rhythms come back each time a kind of section does."""

    def __init__(self, rng: np.random.Generator, *, centre: int) -> None:
        self.rng = rng
        self.centre = centre
        self.known: dict[str, list[Sung]] = {}
        self.syllable = 0

    def sing(self, kind: str, bars: list[Bar]) -> list[Sung]:
        """The section's notes; a section of a kind sung before has its notes back, with new syllables."""
        if kind not in self.known or len(self.known[kind]) == 0:
            self.known[kind] = self._write(bars, lift=3 if kind in {"chorus", "drop"} else 0)
        first = self.syllable
        total = sum(bar.grid.steps for bar in bars)
        out = [(s, n, p, first + k) for s, n, p, k in self.known[kind] if s + n <= total]
        self.syllable = max([first, *(row[3] + 1 for row in out)])
        return out

    def _write(self, bars: list[Bar], *, lift: int) -> list[Sung]:
        """Phrases of two bars that end in a held note and a rest."""
        rng, out, start, syllable, pitch = self.rng, [], 0, 0, self.centre + lift
        density = float(rng.uniform(0.25, 0.65))
        figures = [rhythm(rng, bars[0].grid, density=density, fine=rng.random() < 0.35) for _ in range(2)]
        for index, bar in enumerate(bars):
            steps = bar.grid.steps
            figure = list(figures[index % 2])
            if index % 2:
                figure = [(s, n) for s, n in figure if s < steps * 0.6] or [(0, steps // 2)]
                figure[-1] = (figure[-1][0], max(int(steps * 0.75) - figure[-1][0], 2))
            for s, n in figure:
                pitch = self._next(bar, s, pitch, lift=lift)
                out.append((float(start + s), max(n - 0.3, 0.7), pitch, syllable))
                if n >= 4 and rng.random() < 0.15:
                    out[-1] = (start + s, n / 2, pitch, syllable)
                    out.append((start + s + n / 2, n / 2 - 0.3, self._next(bar, s + 1, pitch, lift=lift), syllable))
                syllable += 1
            start += steps
        return out

    def _next(self, bar: Bar, step: int, pitch: int, *, lift: int) -> int:
        rng, chord = self.rng, bar.chord(step)
        goal = pitch + int(rng.choice([-5, -3, -2, -2, 0, 0, 2, 2, 3, 5])) + (self.centre + lift - pitch) // 4
        pool = chord.tones[:3] if step in bar.grid.starts else chord.scale
        return min((near(tone, to=goal) for tone in pool), key=lambda p: abs(p - goal) + 0.5 * (p == pitch))
