"""Bass lines, chords, arpeggios, riffs and leads: players that are set up once a song and then play bar after bar."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from training.songs.theory import Chord, near, voicing

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np

    from training.songs.drumming import Grid

Event = tuple[float, float, int, float]  # step, length in steps, MIDI pitch, loudness


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar for the players: its grid, its chords with the step each starts on, and the chord that follows."""

    grid: Grid
    chords: tuple[tuple[int, Chord], ...]
    following: Chord
    energy: float
    index: int

    def chord(self, step: float) -> Chord:
        """The chord that sounds on a step."""
        return [chord for start, chord in self.chords if start <= step][-1]


Player = Callable[[Bar], list[Event]]
STABS = (
    (0, 3, 6, 10, 12),
    (0, 3, 6, 8, 11, 14),
    (2, 6, 10, 14),
    (0, 6, 12),
    (0, 3, 8, 11),
    (3, 6, 10, 14),
    (0, 4, 7, 10, 13),
    (0, 7, 10),
)


def rhythm(rng: np.random.Generator, grid: Grid, *, density: float, fine: bool = True) -> list[tuple[int, int]]:
    """A rhythm of (step, length) that fills a bar, with about `density` of the eighths (or sixteenths) struck."""
    unit = 1 if fine else 2
    steps = [
        s
        for s in range(0, grid.steps, unit)
        if (s in grid.starts and rng.random() < 0.45 + density) or rng.random() < density * 0.6
    ]
    steps = sorted({0, *steps}) if rng.random() < 0.8 or not steps else steps
    return [(s, e - s) for s, e in zip(steps, [*steps[1:], grid.steps], strict=True)]


def _stab(rng: np.random.Generator, grid: Grid) -> list[tuple[int, int]]:
    if grid.steps != 16:
        return rhythm(rng, grid, density=0.4)
    steps = STABS[rng.integers(len(STABS))]
    return [(s, e - s) for s, e in zip(steps, [*steps[1:], 16], strict=True)]


def _walk(rng: np.random.Generator, bar: Bar, root: int, *, low: int) -> list[Event]:
    """Quarter notes from this bar's root towards the next one's."""
    goal = near(bar.following.root, to=low + 7)
    out: list[Event] = []
    pitch = root
    count = len(bar.grid.starts)
    for index, start in enumerate(bar.grid.starts):
        if index == count - 1:
            pitch = goal + int(rng.choice([-1, 1, 2, -2]))
        elif index:
            pitch = near(
                int(rng.choice(bar.chord(start).tones)), to=min(max(pitch + int(rng.choice([-4, 4])), low), low + 20)
            )
        out.append((start, bar.grid.groups[index] * 0.92, pitch, 0.75))
    return out


@dataclass(frozen=True, slots=True)
class Bassist:
    """A bass player with the rhythm and the leaps that one song has; `low` is about the lowest pitch."""

    rng: np.random.Generator
    low: int
    short: float
    own: list[tuple[int, int]]
    leaps: list[int]

    def root(self, bar: Bar, step: float) -> int:
        """The pitch of the root that sounds on a step."""
        return near(bar.chord(step).root, to=self.low + 6)

    def eighths(self, bar: Bar) -> list[Event]:
        """Driving eighths."""
        steps = range(0, bar.grid.steps, 2)
        return [(s, 2 * self.short, self.root(bar, s), 0.75 + 0.15 * (s in bar.grid.starts)) for s in steps]

    def offbeat(self, bar: Bar) -> list[Event]:
        """Between the kicks."""
        return [(s, 1.8 * self.short, self.root(bar, s), 0.85) for s in range(2, bar.grid.steps, 4)]

    def rolling(self, bar: Bar) -> list[Event]:
        """Three sixteenths after each kick."""
        steps = (s for s in range(bar.grid.steps) if s % 4)
        return [(s, 0.9 * self.short, self.root(bar, s), 0.7 + 0.1 * (s % 4 == 2)) for s in steps]

    def octaves(self, bar: Bar) -> list[Event]:
        """Root and octave in turn."""
        return [(s, 1.8 * self.short, self.root(bar, s) + 12 * (s // 2 % 2), 0.8) for s in range(0, bar.grid.steps, 2)]

    def long(self, bar: Bar) -> list[Event]:
        """One note a chord."""
        edges = [*(start for start, _ in bar.chords), bar.grid.steps]
        return [(s, (e - s) * 0.98, self.root(bar, s), 0.8) for s, e in pairwise(edges)]

    def fifths(self, bar: Bar) -> list[Event]:
        """Root and fifth in turn."""
        out: list[Event] = []
        for index, (start, length) in enumerate(zip(bar.grid.starts, bar.grid.groups, strict=True)):
            up = index % 2 * (7 - 12 * (self.rng.random() < 0.3))
            out.append((start, length * self.short, self.root(bar, start) + up, 0.8))
        return out

    def walking(self, bar: Bar) -> list[Event]:
        """From this bar's root towards the next one's."""
        return _walk(self.rng, bar, self.root(bar, 0), low=self.low)

    def tumbao(self, bar: Bar) -> list[Event]:
        """The next bar's root comes early."""
        steps, after = bar.grid.steps, near(bar.following.root, to=self.low + 6)
        first = self.root(bar, 0) + 7 * (self.rng.random() < 0.4)
        return [(steps * 3 / 8, steps / 4, first, 0.85), (steps * 3 / 4, steps / 4, after, 0.85)]

    def funk(self, bar: Bar) -> list[Event]:
        """Short notes that leap."""
        return [
            (
                s,
                max(min(n, 3) * self.short, 0.5),
                self.root(bar, s) + self.leaps[s],
                0.6 + 0.3 * (self.leaps[s - 1] == 0),
            )
            for s, n in self.own
        ]

    def riff(self, bar: Bar) -> list[Event]:
        """A figure that leaps."""
        return [(s, n * self.short, self.root(bar, s) + self.leaps[s], 0.85) for s, n in self.own]

    def stab(self, bar: Bar) -> list[Event]:
        """A figure on the root."""
        return [(s, n * self.short, self.root(bar, s), 0.85) for s, n in self.own]


def bass(rng: np.random.Generator, grid: Grid, *, kind: str, low: int) -> Player:
    """A bass player of a kind (see Bassist)."""
    own = rhythm(rng, grid, density=0.5) if kind in {"funk", "acid"} else _stab(rng, grid)
    leaps = [int(rng.choice([0, 0, 0, 12, 7, 10, 0, -2])) for _ in range(64)]
    one = Bassist(rng, low, float(rng.uniform(0.5, 0.95)), own, leaps)
    known = (
        one.eighths,
        one.offbeat,
        one.rolling,
        one.octaves,
        one.long,
        one.fifths,
        one.walking,
        one.tumbao,
        one.funk,
        one.riff,
    )
    return {**{play.__name__: play for play in known}, "acid": one.funk}.get(kind, one.stab)


@dataclass(frozen=True, slots=True)
class Comper:
    """A chord player with the rhythms that one song has; chords lie around `centre`."""

    centre: int
    spread: bool
    short: float
    own: list[tuple[int, int]]
    free: list[tuple[int, int]]
    order: list[int]

    def chord(self, bar: Bar, start: float, length: float, loud: float, *, strum: float = 0.0) -> list[Event]:
        """The chord of a step, its tones `strum` steps apart."""
        pitches = voicing(bar.chord(start).tones, centre=self.centre, spread=self.spread)
        return [(start + strum * i, length, p, loud) for i, p in enumerate(pitches)]

    def fifth(self, bar: Bar, start: float, length: float, loud: float) -> list[Event]:
        """A power chord."""
        root = near(bar.chord(start).root, to=self.centre)
        return [(start, length, root + up, loud) for up in (0, 7, 12)]

    def pad(self, bar: Bar) -> list[Event]:
        """Held chords."""
        edges = [*(start for start, _ in bar.chords), bar.grid.steps]
        return _flat(self.chord(bar, s, (e - s) * 1.02, 0.65) for s, e in pairwise(edges))

    def skank(self, bar: Bar) -> list[Event]:
        """Short chords between the beats."""
        return _flat(self.chord(bar, s, 1.2 * self.short, 0.75) for s in range(2, bar.grid.steps, 4))

    def strum(self, bar: Bar) -> list[Event]:
        """Down and up strokes in eighths."""
        steps = [s for s in range(0, bar.grid.steps, 2) if s in bar.grid.starts or self.order[s // 2 % 8] < 5]
        return _flat(
            self.chord(bar, s, 3.5, 0.55 + 0.2 * (s in bar.grid.starts), strum=0.03 if s % 4 else 0.05) for s in steps
        )

    def beats(self, bar: Bar) -> list[Event]:
        """A chord a beat."""
        both = zip(bar.grid.starts, bar.grid.groups, strict=True)
        return _flat(self.chord(bar, s, n * self.short, 0.65) for s, n in both)

    def broken(self, bar: Bar) -> list[Event]:
        """One tone after another, ringing on."""
        out: list[Event] = []
        for s in range(0, bar.grid.steps, 2):
            pitches = voicing((*bar.chord(s).tones, bar.chord(s).root), centre=self.centre, spread=True)
            out.append((s, 4.0, pitches[self.order[s // 2 % 8] % len(pitches)], 0.6))
        return out

    def chug(self, bar: Bar) -> list[Event]:
        """Damped power chords in eighths or sixteenths."""
        steps = range(0, bar.grid.steps, 2 if bar.energy < 0.7 else 1)
        return _flat(
            self.fifth(bar, s, 0.8 if self.order[s % 8] > 2 else 2.0, 0.6 + 0.3 * (s in bar.grid.starts)) for s in steps
        )

    def power(self, bar: Bar) -> list[Event]:
        """Power chords that ring."""
        return _flat(self.fifth(bar, s, n * 0.95, 0.85) for s, n in self.free)

    def gated(self, bar: Bar) -> list[Event]:
        """Chords chopped in sixteenths."""
        return _flat(self.chord(bar, s, 0.7, 0.65) for s in range(bar.grid.steps) if self.order[s % 8] < 6)

    def stab(self, bar: Bar) -> list[Event]:
        """Short chords in a dance figure."""
        return _flat(self.chord(bar, s, n * self.short, 0.7) for s, n in self.own)

    def loose(self, bar: Bar) -> list[Event]:
        """Short chords in a rhythm of the song's own."""
        return _flat(self.chord(bar, s, n * self.short, 0.7) for s, n in self.free)


def _flat(lists: Iterable[list[Event]]) -> list[Event]:
    return [event for events in lists for event in events]


def comp(rng: np.random.Generator, grid: Grid, *, kind: str, centre: int) -> Player:
    """A chord player of a kind (see Comper)."""
    own = _stab(rng, grid)
    free = rhythm(rng, grid, density=0.45, fine=rng.random() < 0.4)
    one = Comper(
        centre, bool(rng.random() < 0.4), float(rng.uniform(0.35, 0.95)), own, free, rng.permutation(8).tolist()
    )
    known = (one.pad, one.skank, one.strum, one.beats, one.broken, one.chug, one.power, one.gated, one.stab, one.loose)
    return {play.__name__: play for play in known}[kind]


def arp(rng: np.random.Generator, grid: Grid, *, centre: int) -> Player:
    """Arpeggios in sixteenths or eighths, one or two octaves."""
    each = int(rng.choice([1, 1, 2])) if grid.steps % 2 == 0 else 1
    octaves = int(rng.integers(1, 3))
    shape = int(rng.integers(4))
    short = float(rng.uniform(0.4, 1.4))
    order = rng.permutation(16)
    rests = {int(s) for s in range(16) if rng.random() < 0.15}

    def play(bar: Bar) -> list[Event]:
        out: list[Event] = []
        for index, s in enumerate(range(0, bar.grid.steps, each)):
            if index % 16 in rests and index:
                continue
            close = voicing(bar.chord(s).tones, centre=centre)
            pitches = [p + 12 * o for o in range(octaves) for p in close]
            count = len(pitches)
            turn = index % max(2 * count - 2, 1)
            at = (
                index % count,
                count - 1 - index % count,
                turn if turn < count else 2 * count - 2 - turn,
                int(order[index % 16]) % count,
            )[shape]
            out.append((s, each * short, pitches[at], 0.6 + 0.2 * (s in bar.grid.starts)))
        return out

    return play


def line(rng: np.random.Generator, grid: Grid, *, kind: str, centre: int) -> Player:
    """A one-voice line: a `riff` that repeats each two bars, or a `lead` that wanders."""
    figures = [rhythm(rng, grid, density=0.55 if kind == "riff" else 0.35, fine=rng.random() < 0.5) for _ in range(2)]
    moves = [[int(rng.choice([-2, -1, -1, 0, 1, 1, 2, 3, -3])) for _ in range(32)] for _ in range(2)]
    short = float(rng.uniform(0.6, 1.0))

    def play(bar: Bar) -> list[Event]:
        scale = sorted(bar.chord(0).scale)
        degree = scale.index(bar.chord(0).root) if bar.chord(0).root in scale else 0
        out: list[Event] = []
        which = bar.index % 2
        for count, (s, n) in enumerate(figures[which]):
            degree += moves[which][count] if kind == "riff" else int(rng.choice([-2, -1, 1, 2, 0, 4, -4]))
            tones = bar.chord(s).tones
            pitch_class = scale[degree % 7] if s % 4 else min(tones, key=lambda t: (t - scale[degree % 7]) % 12)
            at = centre if kind == "riff" else (out[-1][2] if out else centre)
            out.append(
                (s, n * short, near(pitch_class, to=min(max(at, centre - 9), centre + 9)), 0.7 + 0.15 * rng.random())
            )
        return out

    return play
