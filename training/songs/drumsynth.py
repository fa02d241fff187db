"""Drum machines in numpy: 808- and 909-like kicks, snares, claps, hats, cymbals and hand percussion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import signal

from training.corpus import RATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


def _time(seconds: float) -> NDArray[np.float64]:
    return np.arange(int(seconds * RATE)) / RATE


def _band(noise: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    return signal.sosfilt(signal.butter(2, [low, min(high, 20000)], "bandpass", fs=RATE, output="sos"), noise)


def kick(rng: np.random.Generator) -> NDArray[np.float64]:
    """A falling sine with a click, perhaps driven: mono [N]."""
    long = float(rng.choice([0.12, 0.2, 0.35, 0.7]) * rng.uniform(0.8, 1.2))
    at = _time(min(long * 4, 1.6))
    base, top, speed = rng.uniform(34, 60), rng.uniform(60, 400), rng.uniform(0.01, 0.05)
    body = np.sin(2 * np.pi * np.cumsum(base + top * np.exp(-at / speed)) / RATE) * np.exp(-at / long)
    click = (
        _band(rng.standard_normal(len(at)), 1500, rng.uniform(5000, 12000)) * np.exp(-at / 0.004) * rng.uniform(0, 0.7)
    )
    return np.tanh((body + click) * rng.uniform(0.8, 4))


def snare(rng: np.random.Generator) -> NDArray[np.float64]:
    """Two tones and noise: mono [N]."""
    at = _time(0.5)
    base, wires = rng.uniform(150, 240), rng.uniform(0.05, 0.16)
    tone = np.sin(2 * np.pi * np.cumsum(base * (1 + np.exp(-at / 0.01))) / RATE) + 0.6 * np.sin(
        2 * np.pi * base * 1.6 * at
    )
    noise = _band(rng.standard_normal(len(at)), rng.uniform(500, 2500), rng.uniform(8000, 18000))
    return np.tanh(
        (tone * np.exp(-at / rng.uniform(0.03, 0.1)) * rng.uniform(0.3, 1) + 1.6 * noise * np.exp(-at / wires))
        * rng.uniform(0.8, 2.5)
    )


def clap(rng: np.random.Generator) -> NDArray[np.float64]:
    """Bursts of noise and a tail: mono [N]."""
    at = _time(0.45)
    shape = np.exp(-at / rng.uniform(0.05, 0.14)) * 0.6
    for late in (0, rng.uniform(0.008, 0.014), rng.uniform(0.018, 0.028)):
        shape += np.where(at >= late, np.exp(-np.maximum(at - late, 0) / 0.004), 0)
    return _band(rng.standard_normal(len(at)), rng.uniform(600, 1000), rng.uniform(2500, 9000)) * shape


def metal(rng: np.random.Generator, *, decay: float, low: float, mixed: float = 0.5) -> NDArray[np.float64]:
    """Hats and cymbals: six squares and noise above `low` Hz: mono [N]."""
    at = _time(min(decay * 6, 2.5))
    base = rng.uniform(200, 520)
    squares = (
        sum(
            np.sign(np.sin(2 * np.pi * base * ratio * at + rng.random()))
            for ratio in (1, 1.342, 1.2312, 1.6532, 1.9523, 2.1523)
        )
        / 4
    )
    mix = mixed * squares + (1 - mixed) * rng.standard_normal(len(at))
    return signal.sosfilt(signal.butter(3, low, "high", fs=RATE, output="sos"), mix) * np.exp(-at / decay)


def drum(rng: np.random.Generator, *, hertz: float, decay: float, bend: float = 0.3) -> NDArray[np.float64]:
    """A skin: toms, congas, bongos: mono [N]."""
    at = _time(decay * 5)
    tone = np.sin(2 * np.pi * np.cumsum(hertz * (1 + bend * np.exp(-at / 0.03))) / RATE) * np.exp(-at / decay)
    return tone + 0.3 * _band(rng.standard_normal(len(at)), 300, 4000) * np.exp(-at / 0.01)


def block(rng: np.random.Generator, *, hertz: float, decay: float) -> NDArray[np.float64]:
    """Wood, bells and rims: two inharmonic tones: mono [N]."""
    at = _time(decay * 6)
    return (np.sin(2 * np.pi * hertz * at) + 0.7 * np.sin(2 * np.pi * hertz * rng.uniform(1.4, 1.6) * at)) * np.exp(
        -at / decay
    )


def shaker(rng: np.random.Generator, *, decay: float, ring: float = 0.0) -> NDArray[np.float64]:
    """Seeds, or the jingles of a tambourine: mono [N]."""
    at = _time(decay * 6)
    shape = np.minimum(at / 0.012, 1) * np.exp(-at / decay)
    out = _band(rng.standard_normal(len(at)), 4000, 15000)
    jingles = np.sin(2 * np.pi * rng.uniform(5000, 11000, 5)[:, None] * at).sum(axis=0)
    return np.asarray((out + ring * jingles / 3) * shape)


def _skin(rng: np.random.Generator, low: float, high: float, decay: float, bend: float) -> NDArray[np.float64]:
    return drum(rng, hertz=rng.uniform(low, high), decay=decay, bend=bend)


def _block(rng: np.random.Generator, low: float, high: float, decay: float) -> NDArray[np.float64]:
    return block(rng, hertz=rng.uniform(low, high), decay=decay)


def _metal(rng: np.random.Generator, short: float, long: float, low: float, high: float) -> NDArray[np.float64]:
    return metal(rng, decay=rng.uniform(short, long), low=rng.uniform(low, high), mixed=rng.random())


def _seeds(rng: np.random.Generator, decay: float, ring: float) -> NDArray[np.float64]:
    return shaker(rng, decay=decay, ring=ring)


def _snap(rng: np.random.Generator) -> NDArray[np.float64]:
    return clap(rng)[: RATE // 8]


MAKERS: dict[str, tuple[Callable[..., NDArray[np.float64]], tuple[float, ...]]] = {
    "kick": (kick, ()),
    "snare": (snare, ()),
    "clap": (clap, ()),
    "snap": (_snap, ()),
    "rim": (_block, (800, 1700, 0.012)),
    "clave": (_block, (2000, 2600, 0.025)),
    "cowbell": (_block, (500, 620, 0.09)),
    "hat": (_metal, (0.015, 0.05, 5000, 9000)),
    "pedal": (_metal, (0.02, 0.04, 5000, 7000)),
    "open": (_metal, (0.12, 0.3, 5000, 8500)),
    "crash": (_metal, (0.4, 0.8, 2500, 5000)),
    "china": (_metal, (0.3, 0.5, 1500, 2500)),
    "ride": (_metal, (0.4, 0.6, 4500, 6500)),
    "bell": (_metal, (0.4, 0.6, 3000, 4000)),
    "tom1": (_skin, (150, 200, 0.18, 0.3)),
    "tom2": (_skin, (110, 140, 0.22, 0.3)),
    "tom3": (_skin, (75, 100, 0.28, 0.3)),
    "conga1": (_skin, (280, 340, 0.1, 0.1)),
    "conga2": (_skin, (190, 240, 0.14, 0.1)),
    "bongo1": (_skin, (450, 540, 0.06, 0.1)),
    "bongo2": (_skin, (330, 400, 0.08, 0.1)),
    "shaker": (_seeds, (0.03, 0.0)),
    "tamb": (_seeds, (0.07, 0.6)),
}


def piece(name: str, rng: np.random.Generator) -> NDArray[np.float32]:
    """One piece of a made-up machine: float32 [2, N], peak 1."""
    make, numbers = MAKERS[name]
    sound = make(rng, *numbers)
    sound[-32:] *= np.linspace(1, 0, 32)
    return np.repeat((sound / np.abs(sound).max())[None], 2, axis=0).astype(np.float32)
