"""What is played: grooves of many styles with fills, solos, and hits that follow no music at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from training.drums.bank import LANE_OF, OFF_LANES
from training.songs.drumming import GROOVES, METERS, Grid, fill

SOLO: Final = ("kick", "snare", "snare", "tom1", "tom1", "tom2", "tom2", "tom3", "tom3", "crash")
EVEN: Final = ("kick", "snare", "hat", "open", "pedal", "tom1", "tom2", "tom3", "crash", "china", "ride", "bell", "rim")
TOPS: Final = ("hat", "ride", "open", "crash", "tom3", "bell", "china")
LEADS: Final = ("ride", "ride", "crash", "crash", "open", "hat", "china", "bell", "pedal")
BARE: Final = {"hat", "open", "pedal", "ride", "bell"}  # what a groove may lack
CLOSEST: Final = 0.016  # s; closer strokes on one lane are one


@dataclass(frozen=True, slots=True)
class Stick:
    """One stroke: seconds, the piece, loudness 0–1."""

    start: float
    piece: str
    loud: float


def pattern(rng: np.random.Generator, *, seconds: float) -> list[Stick]:
    """A random performance from before 0 to `seconds`; strokes before 0 ring into it."""
    kind = rng.random()
    if kind < 0.42:
        sticks = _groove(rng, seconds)
    elif kind < 0.6:
        sticks = _solo(rng, seconds)
    elif kind < 0.75:
        sticks = _cymbals(rng, seconds)
    else:
        sticks = _random(rng, seconds)
    sticks = [stick for stick in sticks if stick.start < seconds - 0.01]
    return merged(_ornaments(rng, sticks))


def merged(sticks: list[Stick]) -> list[Stick]:
    """In order of time; of strokes on one lane that nobody could tell apart, the first alone."""
    out: list[Stick] = []
    last: dict[object, float] = {}
    for stick in sorted(sticks, key=lambda stick: stick.start):
        lane = LANE_OF.get(stick.piece, stick.piece)
        if stick.start - last.get(lane, -1e9) >= CLOSEST:
            out.append(stick)
            last[lane] = stick.start
    return out


def _groove(rng: np.random.Generator, seconds: float) -> list[Stick]:
    """Bars of one or two styles; a fill now and then, a crash after it."""
    meter = METERS["4/4" if rng.random() < 0.75 else str(rng.choice([*METERS]))]
    groups = meter[int(rng.integers(len(meter)))]
    grid = Grid(sum(groups), groups)
    step = 15 / float(np.exp(rng.uniform(np.log(60), np.log(220))))
    if step < 0.1 and rng.random() < 0.6:
        step *= 2  # half time: sixteenths at 200 BPM are for few
    swing, jitter = (float(rng.uniform(0, 0.33)) if rng.random() < 0.3 else 0.0), float(rng.uniform(0, 0.008))
    names = [str(rng.choice([*GROOVES])) for _ in range(2)]
    percussion = rng.random() < 0.25
    swaps = _swaps(rng)
    at, bar, out = -float(rng.uniform(0, grid.steps * step)), 0, []
    energy = float(rng.uniform(0.2, 1))
    bare, together = rng.random() < 0.15, rng.random() < 0.2  # nothing on top; kicks under the snare
    while at < seconds:
        strokes = GROOVES[names[(bar // 2) % 2]](rng, grid, energy)
        if rng.random() < 0.4:
            start, filling = fill(rng, grid)
            strokes = [stroke for stroke in strokes if stroke[0] < start] + filling
        if rng.random() < 0.4:
            strokes.append((0.0, "crash" if rng.random() < 0.8 else "china", 0.9))
        if rng.random() < 0.15:
            energy = float(rng.uniform(0.2, 1))
        if together:
            strokes += [
                (place, "kick", loud) for place, piece, loud in strokes if piece == "snare" and rng.random() < 0.5
            ]
        for place, piece, loud in strokes:
            if (piece in OFF_LANES and not percussion) or (bare and piece in BARE):
                continue
            late = swing * step if int(place) % 2 else 0.0
            start_s = at + place * step + late + float(rng.normal()) * jitter
            out.append(Stick(start_s, swaps.get(piece, piece), float(np.clip(loud + rng.normal() * 0.08, 0.08, 1))))
        at += grid.steps * step
        bar += 1
    return out


def _swaps(rng: np.random.Generator) -> dict[str, str]:
    """Other pieces for some, so that each lane leads often enough: ride, crash or floor tom for the hat, and so on."""
    out: dict[str, str] = {}
    if rng.random() < 0.5:
        out["clap"] = "snare"
    if rng.random() < 0.35:
        out["hat"] = str(rng.choice(TOPS, p=[0.05, 0.4, 0.15, 0.1, 0.12, 0.1, 0.08]))
    if rng.random() < 0.15:
        out["snare"] = str(rng.choice(["rim", "tom1", "tom2", "tom3"]))
    if rng.random() < 0.1:
        out["ride"] = "bell"
    return out


def _solo(rng: np.random.Generator, seconds: float) -> list[Stick]:
    """Runs over snare and toms at a speed that changes from run to run."""
    at, out = float(rng.uniform(0, 0.4)), []
    while at < seconds:
        step = float(np.exp(rng.uniform(np.log(0.05), np.log(0.4))))
        order = [str(piece) for piece in rng.choice(SOLO, int(rng.integers(1, 5)))]
        for index in range(int(rng.integers(3, 14))):
            piece = order[index * len(order) // 14 if rng.random() < 0.5 else index % len(order)]
            out.append(Stick(at + float(rng.normal()) * 0.004, piece, float(rng.uniform(0.3, 1))))
            if rng.random() < 0.15:
                out.append(Stick(at + float(rng.normal()) * 0.004, "kick", float(rng.uniform(0.5, 1))))
            at += step
    return out


def _cymbals(rng: np.random.Generator, seconds: float) -> list[Stick]:
    """An even pulse whose leading piece changes every few strokes, so that one place is crash, ride or open hat."""
    at, count, out = float(rng.uniform(0, 0.4)), 0, []
    step = float(np.exp(rng.uniform(np.log(0.14), np.log(0.7))))
    left, lead = 0, "ride"
    backbeat, bass = int(rng.choice([2, 4])), float(rng.uniform(0.1, 0.6))
    while at < seconds:
        if not left:
            left, lead = int(rng.integers(1, 9)), str(rng.choice(LEADS))
        out.append(Stick(at + float(rng.normal()) * 0.003, lead, float(rng.uniform(0.3, 1))))
        if count % backbeat == backbeat // 2 and rng.random() < 0.8:
            under = "snare" if rng.random() < 0.7 else str(rng.choice(["tom1", "tom2", "tom3"]))
            out.append(Stick(at + float(rng.normal()) * 0.003, under, float(rng.uniform(0.4, 1))))
        if rng.random() < bass:
            out.append(Stick(at + float(rng.normal()) * 0.003, "kick", float(rng.uniform(0.5, 1))))
        at, count, left = at + step, count + 1, left - 1
    return out


def _random(rng: np.random.Generator, seconds: float) -> list[Stick]:
    """Hits with no musical sense: each piece as often as each other, up to four at once, from rare to dense."""
    at, out = float(rng.uniform(0, 0.4)), []
    mean = float(np.exp(rng.uniform(np.log(0.1), np.log(0.7))))
    pieces = list(EVEN)
    if rng.random() < 0.3:
        pieces = [str(piece) for piece in rng.choice(EVEN, 3, replace=False)]
    if rng.random() < 0.3:
        pieces += [str(piece) for piece in rng.choice(OFF_LANES, 3)]
    while at < seconds:
        count = int(rng.choice([1, 2, 3, 4], p=[0.62, 0.25, 0.09, 0.04]))
        chosen = rng.choice(pieces, min(count, len(pieces)), replace=False)
        out += [Stick(at + float(rng.normal()) * 0.003, str(piece), float(rng.uniform(0.12, 1))) for piece in chosen]
        at += float(mean * rng.uniform(0.4, 1.6))
    return out


def _ornaments(rng: np.random.Generator, sticks: list[Stick]) -> list[Stick]:
    """Flams, drags and double kicks."""
    often = float(rng.choice([0.0, 0.04, 0.15]))
    out = list(sticks)
    for stick in sticks:
        if rng.random() >= often:
            continue
        if stick.piece in {"snare", "tom1", "tom2", "tom3"}:
            gap = float(rng.uniform(0.018, 0.04))
            for index in range(1 if rng.random() < 0.7 else 2):
                soft = stick.loud * float(rng.uniform(0.3, 0.8))
                out.append(Stick(stick.start - gap * (index + 1), stick.piece, soft))
        elif stick.piece == "kick":
            gap = float(rng.uniform(0.06, 0.15))
            out.append(Stick(stick.start + gap, "kick", stick.loud * float(rng.uniform(0.6, 1))))
    return out
