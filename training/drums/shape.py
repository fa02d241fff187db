"""One drum made into others of its kind: equaliser, decay, attack, another sound beneath it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import signal

from training.corpus import RATE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from training.drums.bank import Mono

TUNING: Final = {"kick": 2.0, "snare": 3.0, "rim": 3.0, "clap": 2.0, "hat": 3.5, "open": 3.5, "pedal": 3.5}  # semitones
CYMBAL: Final = 4.0  # … of all others


def reshaped(layers: Sequence[Mono], *, piece: str, rng: np.random.Generator, by: float | None = None) -> list[Mono]:
    """All layers of a piece changed in the same way: another pitch, colour, decay and attack.

    `by` is the change of pitch in semitones; without it, one is drawn.
    """
    if by is None:
        by = float(rng.normal() * TUNING.get(piece, CYMBAL))
    sections = equaliser(rng) if rng.random() < 0.8 else None
    fall = damping(rng, piece=piece) if rng.random() < 0.5 else None
    soft, snap = 0.0, 0.0
    if rng.random() < 0.3:
        soft = float(rng.uniform(0.0003, 0.003))
    elif rng.random() < 0.4:
        snap = float(rng.uniform(-0.6, 2.0))
    length = float(rng.uniform(0.004, 0.03))
    out = []
    for layer in layers:
        sound = tuned(layer, by)
        if sections is not None:
            sound = np.asarray(signal.sosfilt(sections, sound), np.float32)
        at = np.arange(len(sound), dtype=np.float32) / np.float32(RATE)
        if fall is not None:
            sound = sound * np.exp(-at / np.float32(fall))
        if soft:
            sound = sound * np.minimum(at / np.float32(soft), 1)
        if snap:
            sound = sound * (1 + np.float32(snap) * np.exp(-at / np.float32(length)))
        out.append(np.ascontiguousarray(sound, dtype=np.float32))
    return out


def equaliser(rng: np.random.Generator) -> NDArray[np.float32]:
    """Two or three bells of up to 12 dB and a shelf, as second-order sections (Bristow-Johnson's cookbook)."""
    rows = []
    for _ in range(int(rng.integers(1, 4))):
        gain, hertz, width = rng.normal() * 5, np.exp(rng.uniform(np.log(60), np.log(14_000))), rng.uniform(0.5, 3)
        amp, omega = 10 ** (np.clip(gain, -12, 12) / 40), 2 * np.pi * hertz / RATE
        alpha = np.sin(omega) / (2 * width)
        rows.append([1 + alpha * amp, -2 * np.cos(omega), 1 - alpha * amp,
                     1 + alpha / amp, -2 * np.cos(omega), 1 - alpha / amp])  # fmt: skip
    gain, omega = np.clip(rng.normal() * 5, -12, 12), 2 * np.pi * np.exp(rng.uniform(np.log(200), np.log(9000))) / RATE
    amp, alpha, cos = 10 ** (gain / 40), np.sin(omega) / np.sqrt(2), np.cos(omega)
    root = 2 * np.sqrt(amp) * alpha
    rows.append([amp * (amp + 1 + (amp - 1) * cos + root), -2 * amp * (amp - 1 + (amp + 1) * cos),
                 amp * (amp + 1 + (amp - 1) * cos - root), amp + 1 - (amp - 1) * cos + root,
                 2 * (amp - 1 - (amp + 1) * cos), amp + 1 - (amp - 1) * cos - root])  # fmt: skip
    sections = np.array(rows)
    return np.asarray(sections / sections[:, 3:4], np.float32)


def damping(rng: np.random.Generator, *, piece: str) -> float:
    """Seconds in which a piece loses 8.7 dB more than it does by itself; a cymbal stays one."""
    low, high = {"hat": (0.03, 0.3), "pedal": (0.03, 0.3), "open": (0.15, 0.8)}.get(piece, (0.06, 0.8))
    if piece in {"crash", "china", "ride", "bell"}:
        low, high = 0.3, 2.0
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def layered(layers: Sequence[Mono], under: Mono, *, db: float) -> list[Mono]:
    """Each layer with another sound of the same piece under it, so many dB below its peak."""
    out = []
    for layer in layers:
        count = max(len(layer), len(under))
        ratio = float(np.abs(layer).max()) / (float(np.abs(under).max()) + 1e-9) * 10 ** (db / 20)
        out.append(np.pad(layer, (0, count - len(layer))) + np.float32(ratio) * np.pad(under, (0, count - len(under))))
    return out


def tuned(sound: Mono, semitones: float) -> Mono:
    """Played faster or slower."""
    where = np.arange(0, len(sound) - 1, 2 ** (semitones / 12))
    low = where.astype(np.int64)
    part = (where - low).astype(np.float32)
    return np.asarray(sound[low] * (1 - part) + sound[np.minimum(low + 1, len(sound) - 1)] * part, np.float32)
