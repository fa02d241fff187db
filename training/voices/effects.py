"""What studios print on a vocal: rooms, echoes, compression, a telephone, warmth, width."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
from scipy import signal

from training.corpus import RATE
from training.voices.vocals import Audio, stereo

if TYPE_CHECKING:
    from collections.abc import Callable

# Reverberation time in seconds, pre-delay in ms and share of the dry power in dB: from … to.
ROOMS: Final = {
    "room": ((0.25, 0.6), (1, 8), (-18, -6)),
    "plate": ((0.9, 2.0), (5, 40), (-20, -9)),
    "hall": ((1.6, 3.5), (15, 60), (-22, -11)),
}


def reverb(audio: Audio, rng: np.random.Generator, *, kind: str) -> Audio:
    """Add a synthetic room to [T, 2]: early reflections, then noise that dies sooner at high frequencies."""
    (t_low, t_high), (d_low, d_high), (w_low, w_high) = ROOMS[kind]
    response = _response(rng, rng.uniform(t_low, t_high), rng.uniform(d_low, d_high) / 1000, diffuse=kind != "room")
    wet = signal.oaconvolve(stereo(audio), response, axes=0)[: len(audio)]
    return audio + _at_level(wet, audio, rng.uniform(w_low, w_high))


def _response(rng: np.random.Generator, t60: float, pre_delay: float, *, diffuse: bool) -> Audio:
    """Give an impulse response [T, 2]; without direct sound."""
    length = int(min(t60, 3.0) * RATE)
    seconds = np.arange(length) / RATE
    out = np.zeros((length, 2))
    edges = (150.0, 700.0, 2500.0, 7000.0)
    noise = rng.standard_normal((length, 2))
    for band, share in enumerate((1.0, 1.1, 0.9, 0.6, 0.35)):
        part = _band(noise, edges, band)
        out += part * np.exp(-6.91 * seconds / (t60 * share * rng.uniform(0.9, 1.1)))[:, None]
    out *= np.minimum(1.0, seconds / (0.02 if diffuse else 0.004))[:, None]
    for _ in range(10):
        at = int(rng.uniform(0.002, 0.05) * RATE)
        if at < length:
            out[at, rng.integers(2)] += rng.uniform(2, 8) * rng.choice((-1, 1)) * np.exp(-at / RATE / 0.03)
    quiet = signal.butter(1, rng.uniform(120, 350), "highpass", fs=RATE, output="sos")
    out = signal.sosfilt(quiet, out, axis=0)
    return np.concatenate((np.zeros((int(pre_delay * RATE), 2)), out)).astype(np.float32)


def _band(noise: npt.NDArray[np.float64], edges: tuple[float, ...], band: int) -> npt.NDArray[np.float64]:
    if band == 0:
        sos = signal.butter(2, edges[0], "lowpass", fs=RATE, output="sos")
    elif band == len(edges):
        sos = signal.butter(2, edges[-1], "highpass", fs=RATE, output="sos")
    else:
        sos = signal.butter(2, (edges[band - 1], edges[band]), "bandpass", fs=RATE, output="sos")
    return np.asarray(signal.sosfilt(sos, noise, axis=0))


def delay(audio: Audio, rng: np.random.Generator, *, tempo: float) -> Audio:
    """Add echoes in time with the tempo (beats a minute), each duller than the one before; sometimes ping-pong."""
    beats = rng.choice((0.25, 0.5, 0.75, 1.0, 1.5))
    step = int(beats * 60 / tempo * RATE)
    feedback, crossed = rng.uniform(0.2, 0.55), rng.random() < 0.5
    sos = signal.butter(1, (250.0, rng.uniform(2500, 6000)), "bandpass", fs=RATE, output="sos")
    echo, wet = stereo(audio), np.zeros_like(audio)
    for number in range(1, 5):
        start = number * step
        if start >= len(audio):
            break
        echo = signal.sosfilt(sos, echo, axis=0).astype(np.float32) * np.float32(feedback if number > 1 else 1.0)
        heard = echo * np.array([1.0, 0.15] if number % 2 else [0.15, 1.0], np.float32) if crossed else echo
        wet[start:] += heard[: len(audio) - start]
    return audio + _at_level(wet, audio, rng.uniform(-20, -9))


def compress(audio: Audio, rng: np.random.Generator) -> Audio:
    """Even the level of [T, 2] out: ratio 2 to 8 above a threshold that lies within the voice's range."""
    level = _level_db(audio, seconds=rng.uniform(0.005, 0.03))
    loud = level[level > level.max() - 50]
    threshold, ratio = np.percentile(loud, rng.uniform(20, 60)), rng.uniform(2, 8)
    over = np.maximum(0.0, level - threshold)
    return np.asarray(audio * 10 ** (-over * (1 - 1 / ratio) / 20)[:, None], dtype=np.float32)


def _level_db(audio: Audio, *, seconds: float) -> npt.NDArray[np.float64]:
    """Give the power in dB, [T], with a fast rise and a fall ten times as slow."""
    step = 64
    power = np.add.reduceat((audio.astype(np.float64) ** 2).mean(axis=1), np.arange(0, len(audio), step)) / step
    fast = _one_pole(power, seconds * RATE / step)
    slow = _one_pole(power, 10 * seconds * RATE / step)
    db = 10 * np.log10(np.maximum(fast, slow) + 1e-10)
    return np.asarray(np.interp(np.arange(len(audio)), np.arange(len(db)) * step, db), dtype=np.float64)


def _one_pole(values: npt.NDArray[np.float64], count: float) -> npt.NDArray[np.float64]:
    keep = float(np.exp(-1 / max(count, 0.1)))
    return np.asarray(signal.lfilter([1 - keep], [1, -keep], values))


def telephone(audio: Audio, rng: np.random.Generator) -> Audio:
    """Cut [T, 2] to the band of a telephone or a megaphone, and drive it."""
    band = (rng.uniform(250, 500), rng.uniform(2500, 5000))
    narrow = signal.sosfilt(signal.butter(3, band, "bandpass", fs=RATE, output="sos"), audio, axis=0)
    return saturate(narrow.astype(np.float32), rng)


def saturate(audio: Audio, rng: np.random.Generator) -> Audio:
    """Add the warmth of a tube: a soft, slightly lopsided bend of [T, 2], twice oversampled."""
    level = np.sqrt((audio**2).mean()) + 1e-9
    drive, bias = rng.uniform(0.15, 0.6), rng.uniform(0, 0.2)
    fine = signal.resample_poly(audio, 2, 1, axis=0)
    bent = np.tanh(fine * (drive / level / 2) + bias) - np.tanh(bias)
    out = signal.resample_poly(bent, 1, 2, axis=0)[: len(audio)] * (2 * level / drive)
    out = signal.sosfilt(signal.butter(1, 20.0, "highpass", fs=RATE, output="sos"), out, axis=0)  # the bend adds DC
    return np.asarray(out, dtype=np.float32)


def widen(audio: Audio, rng: np.random.Generator) -> Audio:
    """Add a copy to each side, late by 8 to 22 ms and slowly wavering in pitch."""
    out = audio.copy()
    seconds = np.arange(len(audio)) / RATE
    mono, gain = audio.mean(axis=1), 10 ** (rng.uniform(-12, -4) / 20)
    for side in (0, 1):
        late = rng.uniform(0.008, 0.022) + rng.uniform(0.0003, 0.0012) * np.sin(
            2 * np.pi * rng.uniform(0.2, 0.9) * seconds + rng.uniform(0, 6.28)
        )
        at = np.maximum(seconds - late, 0) * RATE
        out[:, side] += np.float32(gain) * np.interp(at, np.arange(len(mono)), mono)
    return out


def tone(audio: Audio, rng: np.random.Generator) -> Audio:
    """Cut the rumble of [T, 2] and tilt it brighter or darker by up to 5 dB above 3 kHz."""
    out = signal.sosfilt(signal.butter(2, rng.uniform(60, 140), "highpass", fs=RATE, output="sos"), audio, axis=0)
    above = signal.sosfilt(signal.butter(1, rng.uniform(2000, 6000), "highpass", fs=RATE, output="sos"), out, axis=0)
    return (out + above * (10 ** (rng.uniform(-5, 5) / 20) - 1)).astype(np.float32)


def _at_level(wet: Audio, dry: Audio, db: float) -> Audio:
    """Scale the wet part so that its power lies `db` from the dry part's."""
    power = float((wet**2).mean()) + 1e-12
    return np.asarray(wet * np.sqrt(float((dry**2).mean()) / power * 10 ** (db / 10)), dtype=np.float32)


def printed(audio: Audio, rng: np.random.Generator, *, tempo: float | None) -> tuple[Audio, list[str]]:
    """Put a random chain on [T, 2], in a studio's order. Gives the audio and the names of what was used."""
    room = str(rng.choice(("none", "room", "plate", "hall"), p=(0.25, 0.25, 0.3, 0.2)))
    chain: list[tuple[str, float, Callable[..., Audio], dict[str, Any]]] = [
        ("tone", 0.7, tone, {}),
        ("compress", 0.6, compress, {}),
        ("saturate", 0.25, saturate, {}),
        ("telephone", 0.05, telephone, {}),
        ("widen", 0.25, widen, {}),
        ("delay", 0.3, delay, {"tempo": tempo or float(rng.uniform(80, 140))}),
        (room, 1.0 if room != "none" else 0.0, reverb, {"kind": room}),
    ]
    used: list[str] = []
    for name, chance, apply, options in chain:
        if rng.random() < chance:
            audio = apply(audio, rng, **options)
            used.append(name)
    return audio.astype(np.float32), used
