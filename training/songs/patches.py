"""The synthesizer's sounds: what a patch is made of, and the named ones with their knobs turned."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Patch:
    """One polyphonic sound: wave and unison, loudness envelope in seconds, filter in Hz and octaves, FM."""

    wave: str = "saw"
    voices: int = 1
    detune: float = 0.0  # cents, outermost
    attack: float = 0.003
    decay: float = 0.3
    sustain: float = 0.8
    release: float = 0.08
    cutoff: float = 6000.0
    sweep: float = 0.0  # octaves that the filter opens at the start
    sweep_time: float = 0.2
    quality: float = 0.8
    tracking: float = 0.5
    sub: float = 0.0
    noise: float = 0.0
    ratio: float = 1.0
    index: float = 0.0
    vibrato: float = 0.0  # cents


WIDE = Patch(voices=3, sustain=0.85)
PLAIN = Patch(attack=0.002, decay=0.2)
FM = Patch("sine", attack=0.002)


def _supersaw(a: float, b: float, c: float, d: float) -> Patch:
    return replace(
        WIDE,
        voices=3 + 2 * round(2 * a),
        detune=8 + 22 * b,
        cutoff=3000 * 6**c,
        release=0.1 + 0.4 * d,
        sweep=1.5 * d,
        sweep_time=0.3,
        noise=0.05 * a * c,
    )


def _stab(a: float, b: float, c: float, d: float) -> Patch:
    return replace(
        WIDE,
        detune=8 + 22 * b,
        decay=0.12 + 0.3 * a,
        sustain=0.2 * b,
        sweep=3 * c,
        cutoff=900 * 7**d,
        quality=0.8 + 2 * a,
        noise=0.06 * d,
    )


def _pad(a: float, b: float, c: float, d: float) -> Patch:
    return replace(
        WIDE,
        detune=8 + 20 * d,
        attack=0.1 + 0.6 * a,
        release=0.3 + 0.8 * b,
        cutoff=600 * 14**c,
        sweep=1.2 * d,
        sweep_time=1.5,
        noise=0.04 * c,
    )


def _strings(a: float, b: float, c: float, d: float) -> Patch:
    return replace(
        WIDE, voices=5, detune=10 + 10 * d, attack=0.08 + 0.15 * a, release=0.25, cutoff=2500 * 4**c, vibrato=6 * b
    )


def _pluck(a: float, b: float, c: float, d: float) -> Patch:
    return Patch(
        "saw" if a < 0.6 else "square",
        1 + 2 * (b > 0.5),
        8.0,
        0.002,
        0.15 + 0.5 * c,
        0.0,
        0.15,
        400 * 6**d,
        1.75 + 3.5 * b,
        0.08 + 0.15 * a,
        1 + 2 * c,
        noise=0.05 * d,
    )


def _saw(a: float, b: float, c: float, d: float) -> Patch:
    return replace(
        PLAIN, voices=2, detune=6 + 8 * a, sustain=0.5 + 0.5 * b, cutoff=1200 * 12**c, sweep=2 * d, quality=0.8 + 2 * a
    )


def _square(a: float, b: float, c: float, d: float) -> Patch:
    return replace(
        PLAIN,
        wave="square",
        decay=0.15 + 0.2 * a,
        sustain=0.3 + 0.6 * b,
        release=0.04,
        cutoff=2500 * 6**c,
        vibrato=8 * d,
    )


def _pulse(a: float, b: float, c: float, d: float) -> Patch:
    return replace(_square(0.3, b, c, d), wave="pulse12" if a < 0.5 else "pulse25")


def _triangle(a: float, *_: float) -> Patch:
    return replace(PLAIN, wave="triangle", sustain=0.9, release=0.02 + 0.02 * a, cutoff=15000)


def _organ(a: float, b: float, *_: float) -> Patch:
    return Patch("organ", attack=0.005, decay=0.1, sustain=0.95, release=0.05, cutoff=3000 * 4**a, vibrato=10 * b)


def _fmkeys(a: float, b: float, c: float, d: float) -> Patch:
    return replace(
        FM,
        decay=0.8 + a,
        sustain=0.1,
        release=0.2,
        ratio=(1.0, 2.0, 14.0, 3.0)[int(3.99 * b)],
        index=0.6 + 1.8 * c,
        sweep_time=0.3 + 0.4 * d,
    )


def _fmbell(a: float, b: float, c: float, d: float) -> Patch:
    return replace(
        FM,
        decay=0.5 + 1.5 * a,
        sustain=0.0,
        release=0.5,
        ratio=(3.5, 1.41, 2.76, 7.0)[int(3.99 * b)],
        index=1 + 2 * c,
        sweep_time=0.2 + 0.5 * d,
    )


def _fmbass(a: float, b: float, c: float, d: float) -> Patch:
    return replace(
        FM,
        decay=0.4,
        sustain=0.5,
        release=0.05,
        ratio=(1.0, 2.0, 0.5, 3.0)[int(3.99 * b)],
        index=1 + 4 * c,
        sweep_time=0.08 + 0.5 * d,
        sub=0.5 * a,
    )


def _bass(a: float, b: float, c: float, d: float) -> Patch:
    return Patch(
        "saw" if a < 0.5 else "square",
        1 + (b > 0.6),
        5.0,
        0.002,
        0.25,
        0.6,
        0.04,
        250 * 12**c,
        2.5 * d,
        0.1 + 0.1 * a,
        0.9 + 1.5 * b,
        0.3,
        sub=0.8 * a,
    )


def _reese(a: float, b: float, c: float, d: float) -> Patch:
    return Patch("saw", 3, 12 + 18 * a, 0.005, 0.3, 0.95, 0.06, 300 * 12**b, 1.0 * c, 0.5, 0.9 + d, 0.2, sub=0.7)


PATCHES: dict[str, Callable[..., Patch]] = {
    "supersaw": _supersaw,
    "stab": _stab,
    "pad": _pad,
    "strings": _strings,
    "pluck": _pluck,
    "saw": _saw,
    "square": _square,
    "pulse": _pulse,
    "triangle": _triangle,
    "organ": _organ,
    "fmkeys": _fmkeys,
    "fmbell": _fmbell,
    "fmbass": _fmbass,
    "bass": _bass,
    "reese": _reese,
}


def patch(name: str, knobs: Mapping[str, float]) -> Patch:
    """A named sound with its knobs a, b, c, d (each 0..1) turned."""
    return PATCHES[name](*(knobs[key] for key in "abcd"))
