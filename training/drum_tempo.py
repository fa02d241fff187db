"""Fits how a drum chart's beat is told from its multiples: `python -m training.drum_tempo` prints the weights.

Patterns of many styles are played at 40 to 220 BPM, each tempo as often, with players' faults: strokes off time,
missing, invented, lanes missing, fills. Multinomial logistic regression over the readings of each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from stemwright.drums.onsets import Onset
from stemwright.drums.tempo import FASTEST_BPM, SLOWEST_BPM, readings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    Example = tuple[npt.NDArray[np.float64], int]  # features of each reading [N, 52], and which is right

PARTS: Final = 60  # of each pattern
_NEAR: Final = 0.025  # natural logarithm of a reading to the truth
_PENALTY: Final = 0.002


class Pattern(NamedTuple):
    """A bar: into how many steps and beats it is cut, and on which steps each lane is played, loudly or softly."""

    steps: int
    beats: int
    lanes: Mapping[int, Sequence[int]]
    soft: Mapping[int, Sequence[int]]


PATTERNS: Final = {
    "rock": Pattern(16, 4, {0: (0, 8, 10), 1: (4, 12), 2: range(0, 16, 2)}, {}),
    "rock in sixteenths": Pattern(16, 4, {0: (0, 6, 8), 1: (4, 12), 2: range(16)}, {}),
    "ballad": Pattern(16, 4, {0: (0, 8), 1: (4, 12), 2: range(0, 16, 2)}, {}),
    "pop": Pattern(16, 4, {0: (0, 7, 8, 10), 1: (4, 12), 2: range(0, 16, 2)}, {}),
    "house": Pattern(16, 4, {0: (0, 4, 8, 12), 1: (4, 12), 2: (2, 6, 10, 14)}, {}),
    "disco": Pattern(16, 4, {0: (0, 4, 8, 12), 1: (4, 12), 2: range(16)}, {}),
    "techno": Pattern(16, 4, {0: (0, 4, 8, 12), 2: (2, 6, 10, 14)}, {}),
    "funk": Pattern(16, 4, {0: (0, 3, 10), 1: (4, 12), 2: range(16)}, {1: (7, 9, 15)}),
    "drum and bass": Pattern(16, 4, {0: (0, 10), 1: (4, 12), 2: range(0, 16, 2)}, {}),
    "breakbeat": Pattern(16, 4, {0: (0, 2, 10, 11), 1: (4, 12), 2: range(0, 16, 2)}, {1: (7, 9)}),
    "shuffle": Pattern(12, 4, {0: (0, 6), 1: (3, 9), 2: (0, 2, 3, 5, 6, 8, 9, 11)}, {}),
    "swing": Pattern(12, 4, {7: (0, 3, 5, 6, 9, 11), 2: (3, 9), 0: (0,)}, {1: (5,)}),
    "swing with kicks": Pattern(12, 4, {7: (0, 3, 5, 6, 9, 11), 2: (3, 9)}, {0: (0, 3, 6, 9), 1: (8,)}),
    "waltz": Pattern(12, 3, {0: (0,), 1: (4, 8), 2: range(0, 12, 2)}, {}),
    "waltz in quarters": Pattern(12, 3, {0: (0,), 1: (4, 8), 7: (0, 4, 8)}, {}),
    "metal": Pattern(16, 4, {0: range(16), 1: (4, 12), 6: range(0, 16, 4)}, {}),
    "gallop": Pattern(16, 4, {0: (0, 2, 3, 4, 6, 7, 8, 10, 11, 12, 14, 15), 1: (4, 12), 7: range(0, 16, 4)}, {}),
    "train": Pattern(16, 4, {0: (0, 8), 1: (4, 12)}, {1: (0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15)}),
    "ride in quarters": Pattern(16, 4, {0: (0, 8, 11), 1: (4, 12), 7: range(0, 16, 4)}, {}),
    "toms": Pattern(16, 4, {0: (0, 8), 1: (4, 12), 5: (0, 2, 6, 8, 10, 14)}, {}),
    "sixteenths of a slow song": Pattern(16, 4, {0: (0, 7, 8), 1: (4, 12), 2: range(16)}, {1: (9,), 2: (2, 6)}),
}


def played(pattern: Pattern, bpm: float, *, bars: int, rng: np.random.Generator) -> list[Onset]:
    """A pattern as somebody plays it and a network hears it."""
    off, missing, invented = rng.choice([0.002, 0.006, 0.012]), rng.choice([0, 0.06, 0.15]), rng.choice([0, 0.05, 0.12])
    step = 60 / bpm * pattern.beats / pattern.steps
    start, fill_from, out = rng.uniform(0, 2), pattern.steps * 3 // 4, list[tuple[float, int, float]]()
    for bar in range(bars):
        fill = bar % 4 == 3
        for lanes, velocity in ((pattern.lanes, 0.75), (pattern.soft, 0.25)):
            for lane, steps in lanes.items():
                for at in steps:
                    if (fill and at >= fill_from and lane in {2, 7}) or rng.random() < missing:
                        continue
                    strong = 1.0 if at % (pattern.steps // pattern.beats) == 0 else 0.8
                    time = start + (bar * pattern.steps + at) * step
                    out.append((time, lane, velocity * strong * rng.uniform(0.85, 1.15)))
        if fill:
            run = range(fill_from, pattern.steps)
            out += [(start + (bar * pattern.steps + at) * step, int(rng.choice([1, 3, 4, 5])), 0.7) for at in run]
        if bar % 4 == 0:
            out.append((start + bar * pattern.steps * step, 6, 0.9))
    end = start + bars * pattern.steps * step
    out += [(rng.uniform(start, end), int(rng.integers(8)), 0.4) for _ in range(int(invented * len(out)))]
    moved = [(max(0.0, time + rng.normal(0, off)), lane, min(1.0, velocity)) for time, lane, velocity in out]
    return [Onset(time, lane, velocity=velocity, confidence=0.9) for time, lane, velocity in sorted(moved)]


def _varied(pattern: Pattern, rng: np.random.Generator) -> Pattern:
    """Now and then without one of its lanes, or with one kick more."""
    lanes = {lane: [*steps] for lane, steps in pattern.lanes.items()}
    if rng.random() < 0.25 and len(lanes) > 2:
        lanes.pop(int(rng.choice([lane for lane in lanes if lane != 1])))
    if len(lanes.get(0, range(99))) < 8 and rng.random() < 0.4:
        lanes[0] = sorted({*lanes[0], 2 * int(rng.integers(pattern.steps // 4))})
    return pattern._replace(lanes=lanes)


def examples(*, seed: int = 0) -> dict[str, list[Example]]:
    """Readings of many parts, by pattern."""
    rng = np.random.default_rng(seed)
    out: dict[str, list[Example]] = {}
    for name, pattern in PATTERNS.items():
        out[name] = []
        for number in range(PARTS):
            bpm = float(np.exp(rng.uniform(np.log(SLOWEST_BPM), np.log(FASTEST_BPM))))
            part = _varied(pattern, rng) if number % 2 else pattern
            found = readings(played(part, bpm, bars=int(rng.choice([6, 12, 20])), rng=rng))
            right = [n for n, (beat, _) in enumerate(found) if abs(np.log(6000 / beat / bpm)) < _NEAR]
            if right:
                out[name].append((np.stack([likeness.ravel() for _, likeness in found]), right[0]))
    return out


def fit(parts: Sequence[Example]) -> npt.NDArray[np.float64]:
    """The weights under which the right readings are the most probable."""
    from scipy.optimize import minimize

    features = np.concatenate([one for one, _ in parts])
    starts = np.cumsum([0, *(len(one) for one, _ in parts[:-1])])
    rights = starts + [right for _, right in parts]
    part_of = np.repeat(np.arange(len(parts)), [len(one) for one, _ in parts])

    def loss(weights: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        scores = features @ weights
        odds = np.exp(scores - np.maximum.reduceat(scores, starts)[part_of])
        odds /= np.add.reduceat(odds, starts)[part_of]
        slope = (features.T @ odds - features[rights].sum(axis=0)) / len(parts)
        total = -float(np.log(odds[rights] + 1e-300).mean())
        return total + _PENALTY * float(weights @ weights), slope + 2 * _PENALTY * weights

    start = np.zeros(parts[0][0].shape[1])
    found: npt.NDArray[np.float64] = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 300}).x
    return found


def share_right(weights: npt.NDArray[np.float64], parts: Sequence[Example]) -> float:
    """Of how many parts the right reading scores best."""
    return float(np.mean([int(np.argmax(features @ weights)) == right for features, right in parts]))


def main() -> None:
    """Leave each pattern out once, then fit all."""
    parts = examples()
    whole = [one for group in parts.values() for one in group]
    for name, group in parts.items():
        others = [one for other, those in parts.items() if other != name for one in those]
        print(f"{name:26s} left out: {share_right(fit(others), group):.2f}")
    weights = np.round(fit(whole), 1)
    print(f"all: {share_right(weights, whole):.3f}")
    for row in weights.reshape(4, -1).tolist():
        print(f"        {[value + 0.0 for value in row]},")


if __name__ == "__main__":
    main()
