"""Insert and send effects in numpy; sound is float32 [2, T] at 44.1 kHz everywhere."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from training.corpus import RATE
from training.levels import gain_of

Sound = NDArray[np.float32]


def loudness(sound: Sound) -> float:
    """Level of the sounding parts in dB: mean square of the 100 ms blocks near the louder ones; -120 for silence."""
    block = RATE // 10
    whole = sound.shape[1] // block * block
    power = np.square(sound[:, :whole]).reshape(2, -1, block).mean(axis=(0, 2)) * 2
    if power.max(initial=0) < 1e-12:
        return -120.0
    heard = power[power > 0.01 * np.percentile(power[power > power.max() * 1e-4], 80)]
    return float(10 * np.log10(heard.mean()))


@lru_cache(maxsize=64)
def _impulse(seconds: float, damping: float, seed: int) -> Sound:
    """A room's response [2, N]: decaying noise that loses its treble faster than its bass."""
    rng = np.random.default_rng(seed)
    count = int(RATE * min(seconds * 1.1, 4.0))
    at = np.arange(count) / RATE
    noise = rng.standard_normal((2, count))
    dark = signal.lfilter([1 - damping], [1, -damping], noise, axis=1) * 2
    out = noise * np.exp(-6.9 * at / (seconds * 0.5)) * 0.5 + dark * np.exp(-6.9 * at / seconds)
    out[:, : int(0.002 * RATE)] = 0
    for tap in rng.uniform(0.004, 0.06, 6):
        out[rng.integers(2), int(tap * RATE)] += rng.uniform(-6, 6)
    out = signal.sosfilt(signal.butter(2, 150, "high", fs=RATE, output="sos"), out, axis=1)
    return np.asarray(out / np.sqrt(np.square(out).sum(axis=1, keepdims=True)), dtype=np.float32)


def room(sound: Sound, *, seconds: float, damping: float = 0.6, pre_delay: float = 0.01, seed: int = 0) -> Sound:
    """The wet sound alone of a room with a decay of `seconds` to -60 dB: [2, T]."""
    response = _impulse(round(seconds, 2), round(damping, 2), seed)
    wet = signal.oaconvolve(sound, response, axes=1)[:, : sound.shape[1]].astype(np.float32, copy=False)
    late = int(pre_delay * RATE)
    return np.concatenate([np.zeros((2, late), np.float32), wet[:, : wet.shape[1] - late]], axis=1)


def echo(sound: Sound, *, seconds: float, fall: float, times: int = 4) -> Sound:
    """The wet echoes alone, ping-pong: [2, T]."""
    out = np.zeros_like(sound)
    for index in range(1, times + 1):
        late = int(index * seconds * RATE)
        if late >= sound.shape[1]:
            break
        source = sound[::-1] if index % 2 else sound
        out[:, late:] += np.float32(fall**index) * source[:, : sound.shape[1] - late]
    return out


def chorus(sound: Sound, *, depth: float, rate: float) -> Sound:
    """Sound plus a copy with a wavering delay, out of phase on the two sides: [2, T]."""
    count = sound.shape[1]
    at = np.arange(0, count + 64, 64)
    out = np.empty_like(sound)
    index = np.arange(count, dtype=np.float32)
    for side in range(2):
        delay = (0.012 + 0.004 * np.sin(2 * np.pi * rate * at / RATE + side * np.pi / 2)) * RATE
        where = index - np.interp(index, at, delay).astype(np.float32)
        low = np.maximum(where.astype(np.int32), 0)
        part = where - low
        moved = sound[side, low] * (1 - part) + sound[side, np.minimum(low + 1, count - 1)] * part
        out[side] = sound[side] * (1 - 0.4 * depth) + moved * np.float32(0.7 * depth)
    return out


def filtered(sound: Sound, kind: Literal["low", "high"], hertz: float, *, order: int = 2) -> Sound:
    """Butterworth `low` or `high` pass: [2, T]."""
    sections = signal.butter(order, min(hertz, 20000), kind, fs=RATE, output="sos")
    return np.asarray(signal.sosfilt(sections.astype(np.float32), sound, axis=1), dtype=np.float32)


def drive(sound: Sound, *, amount: float) -> Sound:
    """Soft clipping; `amount` 0..1 from warm to crushed. The level stays about the same."""
    level = gain_of(loudness(sound)) + 1e-9
    push = np.float32((0.3 + 5 * amount**2) / level / 2)
    return np.asarray(np.tanh(sound * push) * np.float32(level / max(0.3 + 1.2 * amount, 0.35)))


def amplifier(sound: Sound, *, gain: float, tone: float) -> Sound:
    """A guitar amplifier: high pass, hard drive, speaker cabinet: [2, T] in, the same on both sides out."""
    mono = filtered(sound.mean(axis=0, keepdims=True), "high", 110, order=1)
    mono = filtered(mono, "low", 5500, order=1)
    level = np.sqrt(np.mean(np.square(mono)[np.abs(mono) > 1e-4])) if np.any(np.abs(mono) > 1e-4) else 1.0
    hot = np.tanh(mono * np.float32((2 + 30 * gain**2) / (level * 3)) + np.float32(0.15)) - np.float32(np.tanh(0.15))
    cabinet = filtered(filtered(hot, "low", 3200 + 2400 * tone, order=4), "high", 85, order=2)
    forward, back = signal.iirpeak(1800 + 1400 * tone, 1.2, fs=RATE)
    cabinet += 0.6 * signal.lfilter(forward.astype(np.float32), back.astype(np.float32), cabinet, axis=1)
    return np.repeat(cabinet, 2, axis=0)


def compress(sound: Sound, *, ratio: float, attack: float = 0.005, release: float = 0.12) -> Sound:
    """A compressor whose threshold lies at the sound's own level: [2, T]."""
    block = 128
    count = sound.shape[1]
    whole = -(-count // block)
    padded = np.pad(sound, ((0, 0), (0, whole * block - count)))
    level = 10 * np.log10(np.square(padded).reshape(2, whole, block).mean(axis=(0, 2)) + 1e-10)
    over = np.maximum(level - loudness(sound), 0) * (1 - 1 / ratio)
    fast = np.exp(-block / RATE / attack)
    slow = np.exp(-block / RATE / release)
    cut = np.maximum(signal.lfilter([1 - fast], [1, -fast], over), signal.lfilter([1 - slow], [1, -slow], over) * 0.9)
    factor = 10 ** (-cut / 20)
    return sound * np.interp(np.arange(count), (np.arange(whole) + 0.5) * block, factor).astype(np.float32)


def duck(kicks: list[float], *, depth: float, release: float, frames: int) -> NDArray[np.float32]:
    """The gain [T] that a kick at each of these seconds pushes down."""
    out = np.ones(frames, np.float32)
    count = int(release * RATE)
    dip = (1 - depth * (1 - np.linspace(0, 1, count) ** 1.6)).astype(np.float32)
    for at in kicks:
        start = int(at * RATE)
        part = out[start : start + count]
        np.minimum(part, dip[: len(part)], out=part)
    return out


def sweep(sound: Sound, cutoff: NDArray[np.float64], *, quality: float) -> Sound:
    """A resonant low pass whose cutoff (Hz) moves, one value each 512 frames: [2, T]."""
    block = 512
    out = np.empty_like(sound)
    state = np.zeros((2, 2), np.float32)
    omega = 2 * np.pi * np.clip(cutoff, 30, 18000) / RATE
    alpha = np.sin(omega) / (2 * quality)
    cosine = np.cos(omega)
    base = 1 + alpha
    forward = np.stack([(1 - cosine) / 2, 1 - cosine, (1 - cosine) / 2], axis=1) / base[:, None]
    back = np.stack([base, -2 * cosine, 1 - alpha], axis=1) / base[:, None]
    forward, back = forward.astype(np.float32), back.astype(np.float32)
    for index in range(-(-sound.shape[1] // block)):
        at = slice(index * block, (index + 1) * block)
        which = min(index, len(cutoff) - 1)
        out[:, at], state = signal.lfilter(forward[which], back[which], sound[:, at], axis=1, zi=state)
    return out


def tilt(sound: Sound, *, db: float, hertz: float = 900.0) -> Sound:
    """Treble up and bass down by `db`/2 each around a frequency, or the reverse: [2, T]."""
    low = filtered(sound, "low", hertz, order=1)
    return low * np.float32(gain_of(-db / 2)) + (sound - low) * np.float32(gain_of(db / 2))


def tremolo(sound: Sound, *, hertz: float, depth: float, panned: bool, square: bool = False) -> Sound:
    """Loudness that wavers; `panned`: against each other on the two sides; `square`: a gate."""
    at = np.arange(0, sound.shape[1] + 32, 32) / RATE
    out = np.empty_like(sound)
    index = np.arange(sound.shape[1], dtype=np.float32)
    for side in range(2):
        wave = np.sin(2 * np.pi * hertz * at + (np.pi * side if panned else 0))
        wave = np.tanh(8 * wave) if square else wave
        out[side] = sound[side] * np.interp(index, at * RATE, 1 - depth * (0.5 - 0.5 * wave)).astype(np.float32)
    return out


def phaser(sound: Sound, *, hertz: float, depth: float) -> Sound:
    """Four all-passes whose corner wanders, mixed with the sound: [2, T]."""
    block = 256
    out = np.empty_like(sound)
    state = np.zeros((2, 4), np.float32)
    for index in range(-(-sound.shape[1] // block)):
        at = slice(index * block, (index + 1) * block)
        corner = 300 * 2 ** (2 + 2 * np.sin(2 * np.pi * hertz * index * block / RATE))
        turn = np.tan(np.pi * corner / RATE)
        one = (turn - 1) / (turn + 1)
        back = np.poly([-one] * 4).astype(np.float32)
        out[:, at], state = signal.lfilter(back[::-1], back, sound[:, at], axis=1, zi=state)
    return (sound + np.float32(depth) * out) * np.float32(1 / (1 + 0.5 * depth))


def crush(sound: Sound, *, every: int, bits: int) -> Sound:
    """Each `every`-th sample held, `bits` deep: [2, T]."""
    peak = np.abs(sound).max() + 1e-9
    held = np.repeat(sound[:, ::every], every, axis=1)[:, : sound.shape[1]]
    steps = np.float32(2 ** (bits - 1) / peak)
    return np.asarray(np.round(held * steps) / steps, dtype=np.float32)


def pan(sound: Sound, *, place: float) -> Sound:
    """Balance: equal power, the centre unchanged."""
    angle = (place + 1) * np.pi / 4
    return sound * np.array([[np.cos(angle)], [np.sin(angle)]], np.float32) * np.float32(np.sqrt(2))


def limit(sound: Sound, *, ceiling: float = 0.97) -> Sound:
    """Peaks above the ceiling bent under it, what lies below 70 % of it untouched."""
    knee = 0.7 * ceiling
    over = np.abs(sound) > knee
    if over.any():
        rest = (np.abs(sound[over]) - knee) / (ceiling - knee)
        sound = sound.copy()
        sound[over] = np.sign(sound[over]) * (knee + (ceiling - knee) * np.tanh(rest))
    return sound
