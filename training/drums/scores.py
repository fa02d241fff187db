"""Drum parts written down by hand for the evaluation; nothing here is used to make training data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from training.drums.patterns import Stick, merged

if TYPE_CHECKING:
    import numpy as np

LOUD: Final = {"X": 1.0, "x": 0.75, "o": 0.55, "g": 0.25, "f": 0.85}  # f: a flam, 25 ms; o: light; g: a ghost note
FLAM: Final = 0.025  # s


@dataclass(frozen=True, slots=True)
class Score:
    """Lines of a piece and its steps; a bar has `steps` of them, four a beat unless `per_beat` says otherwise."""

    name: str
    bpm: float
    bars: tuple[dict[str, str], ...]
    per_beat: int = 4
    swing: float = 0.0


ROCK = {"hat": "X.x.X.x.X.x.X.x.", "snare": "....X.......X...", "kick": "X.......X.x....."}
ROCK_OPEN = {
    "hat": "X.x.X.x.X.x.X...",
    "open": "..............X.",
    "snare": "....X.......X..g",
    "kick": "X.....x.X.......",
}
TOMS = {
    "snare": "xxxx............",
    "tom1": "....xxxx........",
    "tom2": "........xxxx....",
    "tom3": "............xxxx",
    "kick": "X...X...X...X...",
}
CRASHED = ROCK | {"crash": "X...............", "hat": "..x.X.x.X.x.X.x."}
RIDE = {"ride": "X.x.x.x.X.x.x.x.", "snare": "....X.......X...", "kick": "X..x....X.x....."}
BELL = {"bell": "X...X...X...X...", "ride": "..x...x...x...x.", "snare": "....X..g.g..X..g", "kick": "X.x....x..x....."}
FUNK = {"hat": "xoxoxoxoxoxoxoxo", "snare": "....X..g.g.gX..g", "kick": "X.x...x...x..x.."}
DOUBLE = {"kick": "xxxxxxxxxxxxxxxx", "snare": "....X.......X...", "crash": "X...x...x...x..."}
LINEAR = {
    "tom1": "..x...x.....x...",
    "tom2": "...x.....x....x.",
    "tom3": "....x..x......xx",
    "kick": "X....x....x.....",
    "snare": ".f......f..x.f..",
}
FLOOR = {"tom3": "X.x.X.xxX.x.X.xx", "kick": "X.......X.......", "snare": "....X.......X..."}
HOUSE = {"kick": "X...X...X...X...", "open": "..X...X...X...X.", "snare": "....X.......X...", "hat": "x...x...x...x..."}
TRAP = {"hat": "x.x.xxx.x.xxx.x.", "snare": "........X.......", "kick": "X.....x...x....."}
SWING = {"ride": "x..x.xx..x.x", "pedal": "...x.....x..", "snare": "..g..o.....o", "kick": "x.....o....."}
WALTZ = {"kick": "X...........", "hat": "....x...x...", "snare": "....o...o..g", "ride": "X.........x."}
DISCO = {
    "kick": "X...X...X...X...",
    "open": "..X...X...X...X.",
    "snare": "....X.......X...",
    "crash": "............X...",
}
SPARSE = {
    "crash": "X...............",
    "kick": "X...............",
    "tom3": "........X.......",
    "tom1": "............x...",
    "ride": "....x...........",
}
FILL = {
    "snare": "f.x.............",
    "tom1": "....f.xx........",
    "tom2": "........x.xx....",
    "tom3": "............x.xX",
    "crash": "...............X",
}
CYMBALS = {
    "crash": "X.......X.......",
    "china": "....X.......X...",
    "bell": "..x.......x.....",
    "kick": "X...X...X...X...",
}

SCORES: Final = (
    Score("rock", 112, (CRASHED, ROCK, ROCK_OPEN, TOMS)),
    Score("slow rock", 72, (CRASHED, ROCK_OPEN, ROCK, FILL)),
    Score("fast ride", 168, (RIDE, RIDE, BELL, TOMS)),
    Score("funk", 98, (FUNK, FUNK, FUNK, FILL)),
    Score("double kick", 132, (DOUBLE, DOUBLE, RIDE, TOMS)),
    Score("linear toms", 104, (LINEAR, LINEAR, FLOOR, FLOOR)),
    Score("house", 126, (HOUSE, HOUSE, DISCO, HOUSE)),
    Score("trap", 140, (TRAP, TRAP, TRAP, FILL)),
    Score("jazz", 144, (SWING, SWING, SWING, SWING), per_beat=3),
    Score("waltz", 90, (WALTZ, WALTZ, WALTZ, WALTZ)),
    Score("sparse", 60, (SPARSE, SPARSE)),
    Score("cymbals", 118, (CYMBALS, BELL, CYMBALS, FILL)),
)


def sticks_of(score: Score, *, rng: np.random.Generator) -> tuple[list[Stick], float]:
    """A score played by a good drummer (4 ms deviation), and its length in seconds with a tail."""
    step = 60 / score.bpm / score.per_beat
    at, out = 0.12, []
    for bar in score.bars:
        for piece, line in bar.items():
            for place, mark in enumerate(line):
                if mark == ".":
                    continue
                start = at + place * step + float(rng.normal()) * 0.004
                out.append(Stick(start, piece, LOUD[mark]))
                if mark == "f":
                    out.append(Stick(start - FLAM, piece, 0.45))
        at += len(next(iter(bar.values()))) * step
    return merged([stick for stick in out if stick.start >= 0]), at + 1.0
