"""Drum grooves and fills on a grid of sixteenths, for any meter that falls into groups of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

PIECES = tuple(
    "kick snare clap rim hat open pedal tom1 tom2 tom3 crash china ride bell "  # noqa: SIM905 (a list would fill a page)
    "shaker tamb cowbell conga1 conga2 bongo1 bongo2 clave snap".split()
)
METERS = {  # the groups of sixteenths that a bar falls into
    "4/4": ((4, 4, 4, 4),),
    "3/4": ((4, 4, 4),),
    "6/8": ((6, 6),),
    "12/8": ((6, 6, 6, 6),),
    "5/4": ((12, 8), (8, 12), (4, 4, 4, 4, 4)),
    "7/8": ((4, 4, 6), (6, 4, 4), (4, 6, 4)),
}
Stroke = tuple[float, str, float]  # step, piece, loudness


@dataclass(frozen=True, slots=True)
class Grid:
    """One bar's sixteenths: how many, and the lengths of the groups that they are felt in."""

    steps: int
    groups: tuple[int, ...]

    @property
    def starts(self) -> tuple[int, ...]:
        """The step on which each group starts."""
        return tuple(sum(self.groups[:index]) for index in range(len(self.groups)))

    @property
    def backbeats(self) -> tuple[int, ...]:
        """The steps that a snare marks."""
        starts = self.starts
        return starts[1::2] if len(starts) != 3 else (starts[2],)


def _every(grid: Grid, piece: str, *, each: int, loud: float, accent: float = 0.0, start: int = 0) -> list[Stroke]:
    """A piece on every `each`-th step, louder on group starts."""
    return [(s, piece, loud + accent * (s in grid.starts)) for s in range(start, grid.steps, each)]


def _at(steps: tuple[float, ...] | list[float], piece: str, loud: float) -> list[Stroke]:
    return [(step, piece, loud) for step in steps]


def _pick(rng: np.random.Generator, steps: range | tuple[int, ...], chance: float) -> list[float]:
    return [float(step) for step in steps if rng.random() < chance]


def _syncopation(rng: np.random.Generator, grid: Grid, *, chance: float) -> list[float]:
    """Kick steps between the backbeats."""
    free = tuple(s for s in range(2, grid.steps) if s not in grid.backbeats)
    return _pick(rng, tuple(s for s in free if s % 2 == 0), chance) + _pick(
        rng, tuple(s for s in free if s % 2), chance / 4
    )


def rock(rng: np.random.Generator, grid: Grid, energy: float) -> list[Stroke]:
    """Backbeat, eighths on the hat or the ride."""
    top = "ride" if energy > 0.75 and rng.random() < 0.4 else ("open" if energy > 0.8 and rng.random() < 0.3 else "hat")
    each = 4 if rng.random() < 0.2 else 2
    kicks = [0.0, *_syncopation(rng, grid, chance=0.25)]
    return (_at(kicks, "kick", 0.9) + _at(grid.backbeats, "snare", 0.9)
            + _every(grid, top, each=each, loud=0.5, accent=0.2)) if energy > 0.25 else (
            _every(grid, "hat", each=each, loud=0.4, accent=0.15) + _at((0.0,), "kick", 0.7))  # fmt: skip


def metal(rng: np.random.Generator, grid: Grid, energy: float) -> list[Stroke]:
    """Double kicks, a blast now and then, crash or china on the beat."""
    each = 1 if energy > 0.6 else 2
    kicks = _every(grid, "kick", each=each, loud=0.8)
    if rng.random() < 0.5:
        kicks = [stroke for stroke in kicks if rng.random() < 0.7 or stroke[0] == 0]
    snare = _every(grid, "snare", each=2 if rng.random() < 0.2 and energy > 0.7 else grid.steps, loud=0.85, start=2)
    top = ("crash", "china", "ride", "hat")[int(rng.integers(4))]
    return (
        kicks + (snare if len(snare) > 1 else _at(grid.backbeats, "snare", 0.95)) + _every(grid, top, each=4, loud=0.6)
    )


def four(rng: np.random.Generator, grid: Grid, energy: float) -> list[Stroke]:
    """Four to the floor: house, techno, trance."""
    even = grid.steps in {16, 20, 32}
    out = _at(tuple(range(0, grid.steps, 4)) if even else grid.starts, "kick", 0.95)
    if energy > 0.3:
        out += _at(grid.backbeats, ("clap", "snare", "clap")[int(rng.integers(3))], 0.8)
    if energy > 0.2:
        out += _at(tuple(s + 2 for s in range(0, grid.steps - 2, 4)), "open", 0.65)
    if energy > 0.5:
        out += [(s, "hat", 0.35 + 0.2 * rng.random()) for s in range(grid.steps) if s % 4 != 2 and rng.random() < 0.85]
    if energy > 0.7 and rng.random() < 0.5:
        out += _every(grid, "shaker", each=1, loud=0.3, accent=0.15)
    if rng.random() < 0.3:
        piece = ("conga1", "rim", "tom2", "cowbell", "bongo1")[int(rng.integers(5))]
        out += _at(_pick(rng, range(1, grid.steps, 2), 0.3), piece, 0.5)
    return out


def disco(rng: np.random.Generator, grid: Grid, energy: float) -> list[Stroke]:
    """Kick on the beat, open hat between, snare behind."""
    out = _every(grid, "kick", each=4, loud=0.9) + _at(grid.backbeats, "snare", 0.85)
    out += [
        (s, "open" if s % 4 == 2 else "hat", 0.6 if s % 4 == 2 else 0.4)
        for s in range(0, grid.steps, 1 if energy > 0.6 else 2)
    ]
    return out + (_every(grid, "tamb", each=2, loud=0.35, accent=0.2) if rng.random() < 0.4 else [])


def breaks(rng: np.random.Generator, grid: Grid, energy: float) -> list[Stroke]:
    """Drum and bass: two-step with ghosts."""
    kicks = [0.0, float(grid.backbeats[-1] - 2), *_pick(rng, range(2, grid.steps, 2), 0.12)]
    out = _at(kicks, "kick", 0.9) + _at(grid.backbeats, "snare", 0.95)
    out += _at(_pick(rng, range(1, grid.steps, 2), 0.3), "snare", 0.25)
    top = "ride" if energy > 0.8 and rng.random() < 0.4 else "hat"
    return out + _every(grid, top, each=2 if rng.random() < 0.6 else 1, loud=0.4, accent=0.15)


def trap(rng: np.random.Generator, grid: Grid, energy: float) -> list[Stroke]:
    """Half time: one snare, sparse kicks, rolling hats."""
    middle = float(grid.steps // 4 * 2)
    out = _at([0.0, *_pick(rng, range(3, grid.steps, 1), 0.14)], "kick", 0.9) + _at(
        (middle,), str(rng.choice(["clap", "snare", "snap"])), 0.9
    )
    for s in range(0, grid.steps, 2):
        roll = rng.random()
        cut = 4 if roll < 0.08 * energy else (3 if roll < 0.16 * energy else (2 if roll < 0.3 else 1))
        out += [(s + 2 * k / cut, "hat", 0.5 - 0.08 * (k % 2)) for k in range(cut)]
    return out + (_at((float(grid.steps - 2),), "open", 0.5) if rng.random() < 0.5 else [])


def boombap(rng: np.random.Generator, grid: Grid, energy: float) -> list[Stroke]:
    """Hip-hop: heavy backbeat, loose kicks."""
    out = _at([0.0, *_syncopation(rng, grid, chance=0.22)], "kick", 0.9) + _at(grid.backbeats, "snare", 0.85)
    out += _at(_pick(rng, range(1, grid.steps, 2), 0.12), "kick", 0.6)
    return (
        out + _every(grid, "hat", each=2, loud=0.45, accent=0.15) + (_at((6.0,), "open", 0.4) if energy > 0.6 else [])
    )


def reggae(rng: np.random.Generator, grid: Grid, energy: float) -> list[Stroke]:
    """One drop, or steppers when the song is up."""
    drop = float(grid.steps // 4 * 2)
    out = _at((drop,), "kick", 0.9) + _at((drop,), "rim" if energy < 0.7 else "snare", 0.8)
    if energy > 0.75 and rng.random() < 0.5:
        out += _every(grid, "kick", each=4, loud=0.75)
    out += _every(grid, "hat", each=2, loud=0.4, accent=-0.1)
    return out + _at(_pick(rng, range(3, grid.steps, 2), 0.1), "rim", 0.4)


def swing(rng: np.random.Generator, grid: Grid, energy: float) -> list[Stroke]:
    """Jazz: ride, hat with the foot, comping snare."""
    out: list[Stroke] = []
    for index, start in enumerate(grid.starts):
        out += [(start, "ride", 0.6)] + ([(start + 2, "ride", 0.45)] if index % 2 else [])
        out += [(start, "pedal", 0.5)] if index % 2 else []
        out += [(start, "kick", 0.25)] if rng.random() < 0.7 else []
    out += _at(_pick(rng, range(2, grid.steps, 2), 0.15 + 0.15 * energy), "snare", 0.4)
    return out + _at(_pick(rng, range(2, grid.steps, 4), 0.12), "kick", 0.6)


def latin(rng: np.random.Generator, grid: Grid, energy: float) -> list[Stroke]:
    """Clave, congas, bell."""
    clave = (0, 3, 6, 10, 12) if grid.steps == 16 else grid.starts
    out = _at(clave, "clave" if rng.random() < 0.6 else "rim", 0.7) + _at((0.0, float(grid.steps // 2)), "kick", 0.75)
    out += _at((3.0, float(grid.steps // 2 + 3)), "kick", 0.6)
    for s in range(0, grid.steps, 2):
        out += [(s, "conga1" if s % 8 in (4, 2) else "conga2", 0.65 if s % 8 in (4, 6) else 0.35)]
    out += _every(grid, "shaker", each=1, loud=0.3, accent=0.2) if rng.random() < 0.5 else []
    return out + (_every(grid, "cowbell", each=4, loud=0.5) if energy > 0.6 else [])


def funk(rng: np.random.Generator, grid: Grid, energy: float) -> list[Stroke]:
    """Sixteenths, ghost notes, a kick on the one."""
    out = _at([0.0, *_syncopation(rng, grid, chance=0.3)], "kick", 0.88) + _at(grid.backbeats, "snare", 0.9)
    out += _at(_pick(rng, range(1, grid.steps, 2), 0.35), "snare", 0.22)
    each = 1 if energy > 0.5 else 2
    out += _every(grid, "hat", each=each, loud=0.35, accent=0.25)
    return out + _at(_pick(rng, (6, 14), 0.4), "open", 0.5)


def soft(rng: np.random.Generator, grid: Grid, energy: float) -> list[Stroke]:
    """Ballad: few strokes."""
    out = _at((0.0,), "kick", 0.7) + _at(_pick(rng, (6, 10), 0.5), "kick", 0.55)
    out += _at(
        (float(grid.backbeats[-1]),) if energy < 0.6 else grid.backbeats, "rim" if energy < 0.5 else "snare", 0.6
    )
    return out + _every(grid, "hat", each=2 if energy > 0.4 else 4, loud=0.3, accent=0.1)


def train(rng: np.random.Generator, grid: Grid, energy: float) -> list[Stroke]:
    """Folk: brushed sixteenths or only hands and a shaker."""
    if rng.random() < 0.5:
        out = _every(grid, "shaker", each=2, loud=0.4, accent=0.2) + _at((0.0,), "kick", 0.6)
        return out + (_at(grid.backbeats, "clap", 0.5) if energy > 0.5 else _at(grid.backbeats, "tamb", 0.5))
    out = [(s, "snare", 0.5 if s in grid.backbeats else 0.2 + 0.1 * rng.random()) for s in range(0, grid.steps, 2)]
    return out + _at(grid.starts[::2], "kick", 0.65)


GROOVES: dict[str, Callable[[np.random.Generator, Grid, float], list[Stroke]]] = {
    "rock": rock, "metal": metal, "four": four, "disco": disco, "breaks": breaks, "trap": trap, "boombap": boombap,
    "reggae": reggae, "swing": swing, "latin": latin, "funk": funk, "soft": soft, "train": train,
}  # fmt: skip


def fill(rng: np.random.Generator, grid: Grid) -> tuple[int, list[Stroke]]:
    """A fill at a bar's end: the step where it starts, and its strokes."""
    start = int(grid.starts[-1] if rng.random() < 0.6 or len(grid.starts) < 3 else grid.starts[-2])
    kind = int(rng.integers(4))
    out: list[Stroke] = []
    order = ("snare", "tom1", "tom2", "tom3")
    for index, s in enumerate(range(start, grid.steps)):
        part = index / (grid.steps - start)
        if kind == 0:
            out.append((s, order[int(part * 4)], 0.6 + 0.3 * part))
        elif kind == 1:
            out.append((s, "snare", 0.3 + 0.6 * part))
        elif kind == 2 and rng.random() < 0.6:
            out.append((s, order[int(rng.integers(4))], 0.75))
        elif kind == 3 and index % 2 == 0:
            out += [(s, "kick", 0.7), (s + 1, order[int(rng.integers(4))], 0.8)]
    return start, out


def build(rng: np.random.Generator, grid: Grid, part: float) -> list[Stroke]:
    """A snare roll that gets faster and louder; `part` is how far the build-up has come, 0..1."""
    each = 4 if part < 0.4 else (2 if part < 0.75 else 1)
    piece = "snare" if rng.random() < 0.7 else "clap"
    return [(s, piece, 0.35 + 0.5 * part) for s in range(0, grid.steps, each)]
