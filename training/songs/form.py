"""A song's form: sections of bars with their chords, and when each step of them sounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from training.songs import parts, theory

if TYPE_CHECKING:
    import numpy as np

    from training.songs.drumming import Grid
    from training.songs.styles import Style

T = TypeVar("T")
FORMS = (
    ("intro", "verse", "chorus", "verse", "chorus", "break", "chorus", "outro"),
    ("intro", "verse", "pre", "chorus", "verse", "pre", "chorus", "bridge", "chorus"),
    ("verse", "chorus", "verse", "chorus", "solo", "chorus"),
    ("intro", "verse", "chorus", "break", "verse", "chorus", "chorus"),
)
DANCE = (
    ("intro", "verse", "build", "drop", "break", "verse", "build", "drop", "outro"),
    ("intro", "drop", "break", "build", "drop", "outro"),
    ("verse", "pre", "build", "chorus", "break", "verse", "build", "chorus"),
    ("intro", "verse", "chorus", "break", "build", "drop", "chorus"),
)
ENERGY = {
    "intro": 0.35,
    "verse": 0.55,
    "pre": 0.65,
    "chorus": 0.9,
    "break": 0.25,
    "build": 0.6,
    "drop": 1.0,
    "bridge": 0.5,
    "solo": 0.8,
    "outro": 0.4,
}


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of bars of one kind; `start` is the step (sixteenth) where it begins."""

    kind: str
    start: int
    bars: tuple[parts.Bar, ...]


@dataclass(frozen=True, slots=True)
class Clock:
    """Steps to seconds, with swing."""

    step: float
    swing: float
    unit: int

    def seconds(self, step: float) -> float:
        """When a step sounds; the second of each pair of units comes late by `swing` units."""
        pair, into = divmod(step, 2 * self.unit)
        if self.swing and into < self.unit:
            into *= 1 + self.swing
        elif self.swing:
            into = self.unit * (1 + self.swing) + (into - self.unit) * (1 - self.swing)
        return (pair * 2 * self.unit + into) * self.step


def choice(rng: np.random.Generator, options: tuple[T, ...]) -> T:
    """One of the options, all as likely."""
    return options[int(rng.integers(len(options)))]


def sections(
    rng: np.random.Generator, *, style: Style, grid: Grid, step_seconds: float, tonic: int
) -> tuple[Section, ...]:
    """Sections that add up to 80..100 s, with their chords."""
    mode = choice(rng, style.modes)
    size = int(choice(rng, style.chord_size))
    loops = {kind: theory.progression(rng, mode=mode) for kind in ENERGY}
    if rng.random() < 0.5:
        loops = {kind: loops["chorus" if kind in {"drop", "chorus", "solo", "intro"} else "verse"] for kind in loops}
    halves = len(grid.groups) > 1 and rng.random() < 0.2
    total = float(rng.uniform(80, 98)) / (grid.steps * step_seconds)
    form = choice(rng, DANCE if style.electronic and rng.random() < 0.7 else FORMS)
    weights = [0.5 if kind in {"intro", "outro", "pre", "build"} else 1.0 for kind in form]
    lengths = [max(round(total * weight / sum(weights) / 4) * 4, 4 if weight > 0.6 else 2) for weight in weights]
    while sum(lengths) > total + 3 and len(lengths) > 3:
        form, lengths = form[:-1], lengths[:-1]
    while sum(lengths) < total - 3:
        lengths[int(rng.integers(len(lengths)))] += 4
    out: list[Section] = []
    start = 0
    for kind, length in zip(form, lengths, strict=True):
        chords = [theory.chord(tonic, mode=mode, degree=degree, size=size) for degree in loops[kind]]
        bars = []
        for index in range(length):
            now, after = chords[index % 4], chords[(index + 1) % 4]
            split = ((0, now), (grid.starts[len(grid.starts) // 2], chords[(index + 2) % 4])) if halves else ((0, now),)
            bars.append(parts.Bar(grid, split, after, ENERGY[kind], index))
        out.append(Section(kind, start, tuple(bars)))
        start += length * grid.steps
    return tuple(out)


@dataclass(frozen=True, slots=True)
class Form:
    """What all players of a song share; `loose` is by how many seconds they scatter."""

    style: Style
    grid: Grid
    clock: Clock
    loose: float
    sections: tuple[Section, ...]
