"""Drums made of sines and noise, struck at known moments; made by nothing of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sounds import Samples

RATE = 44_100
Event = tuple[float, int]  # seconds, lane
ROCK = {0: (0, 3, 8, 10), 1: (4, 12), 2: tuple(range(0, 16, 2))}  # lane: sixteenths of a bar
CRASHED = ROCK | {6: (0,)}


def one_shot(lane: int, *, rng: np.random.Generator, rate: int = RATE) -> Samples:
    """A kick, a snare or a closed hi-hat. Output: `[T]` float32, loud from the first samples on."""
    at = np.arange(round(0.4 * rate)) / rate
    noise = rng.standard_normal(len(at))
    if lane == 0:
        sweep = 50 + 120 * np.exp(-at / 0.02)
        wave = np.sin(2 * np.pi * np.cumsum(sweep) / rate + 0.6) * np.exp(-at / 0.11)
        wave = wave + 0.25 * noise * np.exp(-at / 0.003)
    elif lane == 1:
        wave = 0.5 * np.sin(2 * np.pi * 190 * at + 0.5) * np.exp(-at / 0.07) + 0.5 * noise * np.exp(-at / 0.08)
    else:
        bright = np.diff(np.diff(np.diff(noise, prepend=0), prepend=0), prepend=0) / 6
        wave = 0.7 * bright * np.exp(-at / 0.03)
    return wave.astype(np.float32)


def pattern(*, bars: int, bpm: float, start: float, lanes: Mapping[int, Sequence[int]] | None = None) -> list[Event]:
    """A part as events in order of time."""
    sixteenth = 15 / bpm
    steps = [(bar * 16 + step, lane) for bar in range(bars) for lane, of in (lanes or ROCK).items() for step in of]
    return [(start + step * sixteenth, lane) for step, lane in sorted(steps)]


def rendered(events: Sequence[Event], *, seconds: float, seed: int = 0, rate: int = RATE) -> Samples:
    """Events as sound, `[1, T]` float32; each starts on the sample nearest to its time."""
    rng = np.random.default_rng(seed)
    out = np.zeros(round(seconds * rate), np.float32)
    for time, lane in events:
        sound = one_shot(lane, rng=rng, rate=rate)
        first = round(time * rate)
        part = sound[: len(out) - first]
        out[first : first + len(part)] += 0.5 * part
    return out[None]


def pairs(wanted: Sequence[Event], given: Sequence[Event], *, within: float = 0.025) -> list[tuple[Event, Event]]:
    """Each wanted event with the nearest given one on its lane, where it is near enough; each used once."""
    left, out = list(given), []
    for event in wanted:
        near = [other for other in left if other[1] == event[1] and abs(other[0] - event[0]) <= within]
        if near:
            best = min(near, key=lambda other: abs(other[0] - event[0]))
            left.remove(best)
            out.append((event, best))
    return out
