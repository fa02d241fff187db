"""Kits that sound struck, not switched: skins as the modes of a membrane, cymbals as partials and bands of noise."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import signal

from training.corpus import RATE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Part = NDArray[np.float64]
    Layer = NDArray[np.float32]

FADE: Final = RATE // 3  # samples
LAYERS: Final = (0.3, 0.65, 1.0)  # loudness of each layer; soft strokes are darker
MEMBRANE: Final = (1.0, 1.594, 2.136, 2.296, 2.653, 2.918, 3.156, 3.501, 3.6)  # modes of an ideal skin, Rayleigh 1877
_EDGES: Final = np.geomspace(250, 18_000, 9)


def kit(rng: np.random.Generator) -> dict[str, list[Layer]]:
    """A kit drawn at random: of each piece three layers from soft to loud, mono, peak 1."""
    draw = rng.uniform
    high = draw(140, 260)
    middle = high / 2 ** draw(0.15, 0.5)
    low = middle / 2 ** draw(0.15, 0.6)
    ring, plate, hat = draw(0.08, 0.5), draw(0.5, 1.6), draw(0.6, 1.8)
    parts = {
        "kick": _skin(rng, hertz=draw(42, 75), ring=draw(0.05, 0.25), stick=draw(0.1, 0.8)),
        "snare": _snare(rng),
        "rim": _skin(rng, hertz=draw(350, 900), ring=draw(0.01, 0.03), stick=draw(0.5, 2)),
        "tom1": _skin(rng, hertz=high, ring=ring, stick=draw(0.05, 0.6)),
        "tom2": _skin(rng, hertz=middle, ring=ring * 1.2, stick=draw(0.05, 0.6)),
        "tom3": _skin(rng, hertz=low, ring=ring * 1.5, stick=draw(0.05, 0.6)),
        "hat": _plate(rng, size=hat, ring=float(np.exp(draw(-4.4, -2.0))), dark=draw(-0.5, 1.2)),
        "pedal": _plate(rng, size=hat, ring=draw(0.02, 0.06), dark=draw(-1, 0.5), rise=draw(0.001, 0.005)),
        "open": _plate(rng, size=hat, ring=draw(0.15, 0.7), dark=draw(-0.3, 1.2)),
        "crash": _plate(rng, size=plate, ring=draw(0.4, 1.5), dark=draw(-1, 0.6), rise=draw(0, 0.008)),
        "china": _plate(rng, size=plate * 0.8, ring=draw(0.2, 0.7), dark=draw(-1.2, 0.2), rise=draw(0, 0.004)),
        "ride": _ride(rng, size=plate * draw(0.8, 1.1), ping=draw(0.5, 1.5)),
        "bell": _ride(rng, size=plate, ping=draw(0.3, 1), bell=draw(1, 3)),
    }
    return {piece: _layers(*both) for piece, both in parts.items()}


def _layers(body: Part, bright: Part) -> list[Layer]:
    """A stroke's body and its treble, which grows faster than the loudness."""
    out = []
    for loud in LAYERS:
        sound = body + loud**0.8 * bright
        end = min(FADE, len(sound) // 4)
        sound[-end:] *= np.linspace(1, 0, end)
        out.append((sound / (np.abs(sound).max() + 1e-9)).astype(np.float32))
    return out


def _time(seconds: float) -> Part:
    return np.arange(int(min(seconds, 2.5) * RATE)) / RATE


def _band(noise: Part, low: float, high: float) -> Part:
    return np.asarray(signal.sosfilt(signal.butter(2, [low, high], "bandpass", fs=RATE, output="sos"), noise))


def _skin(rng: np.random.Generator, *, hertz: float, ring: float, stick: float) -> tuple[Part, Part]:
    """A drum with its modes, higher ones shorter, and the click of the stick or beater."""
    at = _time(7 * ring + 0.05)
    bend = 1 + rng.uniform(0, 0.25) * np.exp(-at / rng.uniform(0.01, 0.06))
    turns = np.cumsum(hertz * bend) / RATE
    body, fall, short = np.zeros(len(at)), rng.uniform(0.5, 2.5), rng.uniform(0.4, 1.4)
    for ratio in MEMBRANE:
        mode = ratio * (1 + rng.normal() * 0.03)
        strength = float(np.exp(rng.normal() * 0.5)) * mode**-fall
        body += strength * np.sin(2 * np.pi * (mode * turns + rng.random())) * np.exp(-at * mode**short / ring)
    body *= np.minimum(at / rng.uniform(0.0003, 0.003), 1)
    noise = rng.standard_normal(len(at))
    click = _band(noise, rng.uniform(300, 2500), rng.uniform(4000, 16_000)) * np.exp(-at / rng.uniform(0.002, 0.012))
    head = _band(noise, hertz, 6 * hertz) * np.exp(-at / (ring * rng.uniform(0.2, 0.6))) * rng.uniform(0, 0.4)
    return body + head, stick * 2 * click


def _snare(rng: np.random.Generator) -> tuple[Part, Part]:
    """A short skin and wires, which rattle on."""
    body, click = _skin(rng, hertz=rng.uniform(150, 330), ring=rng.uniform(0.03, 0.12), stick=rng.uniform(0.2, 1))
    at = _time(0.7)
    wires = np.zeros(len(at))
    noise, colour = rng.standard_normal(len(at)), rng.uniform(-0.4, 0.6)
    for low, high in pairwise(_EDGES[2:]):
        fall = rng.uniform(0.03, 0.16) * (low / 2000) ** -0.3
        level = (low / 3000) ** colour * float(np.exp(rng.normal() * 0.4))
        wires += level * _band(noise, low, high) * np.exp(-at / fall)
    wires *= np.minimum(at / rng.uniform(0.0005, 0.004), 1)
    count = len(at)
    body, click = (np.pad(part[:count], (0, max(0, count - len(part)))) for part in (body, click))
    return body * rng.uniform(0.3, 1.5) + 0.5 * wires, click + rng.uniform(0.3, 1.2) * wires


def _plate(rng: np.random.Generator, *, size: float, ring: float, dark: float, rise: float = 0.0) -> tuple[Part, Part]:
    """A cymbal: many partials and bands of noise; the treble dies first, and comes a little later in a big one.

    `size` scales the lowest partials down, `dark` is the power of frequency by which levels rise, `rise` is in seconds.
    """
    at = _time(6 * ring)
    lowest = 420 / size * rng.uniform(0.7, 1.4)
    out, bright = np.zeros(len(at)), np.zeros(len(at))
    noise, falls = rng.standard_normal(len(at)), rng.uniform(0, 0.8)
    start = 1 - np.exp(-at / rise) if rise > 1e-5 else np.ones(len(at))
    for low, high in pairwise(_EDGES):
        if high < lowest:
            continue
        level = (low / 3000) ** dark * float(np.exp(rng.normal() * 0.35))
        envelope = level * np.exp(-at * (low / 3000) ** falls / ring)
        band = _band(noise, low, high) * envelope * start
        if low > 4000:
            bright += band
        else:
            out += band
    for hertz in rng.uniform(lowest, 9000, 28):
        level = 0.06 * float(np.exp(rng.normal() * 0.8)) * (hertz / 3000) ** dark
        fall = ring * (hertz / 3000) ** -falls
        out += level * np.sin(2 * np.pi * (hertz * at + rng.random())) * np.exp(-at / fall)
    knock = _band(noise, 2000, 12_000) * np.exp(-at / rng.uniform(0.002, 0.01)) * rng.uniform(0, 0.6)
    return out + 0.3 * bright, bright + knock


def _ride(rng: np.random.Generator, *, size: float, ping: float, bell: float = 0.0) -> tuple[Part, Part]:
    """The stick's ping over a soft wash; of the bell a few strong partials."""
    wash, bright = _plate(rng, size=size, ring=rng.uniform(0.5, 1.6), dark=rng.uniform(-0.8, 0.5))
    at = np.arange(len(wash)) / RATE
    level = 10 ** (rng.uniform(-22, -3) / 20)
    knock = _band(rng.standard_normal(len(at)), rng.uniform(1500, 4000), rng.uniform(7000, 15_000))
    sound = level * wash + 0.3 * ping * knock * np.exp(-at / rng.uniform(0.003, 0.012))
    for hertz in np.exp(rng.uniform(np.log(600), np.log(6500), int(rng.integers(3, 9)))):
        fall = rng.uniform(0.08, 0.3) if not bell else rng.uniform(0.25, 1.2)
        strength = float(np.exp(rng.normal() * 0.6)) * (0.05 * ping + 0.15 * bell)
        sound += strength * np.sin(2 * np.pi * (hertz * at + rng.random())) * np.exp(-at / fall)
    return sound, level * bright + 0.5 * ping * knock * np.exp(-at / 0.004)
