"""One voice as pitch, spectral envelope and breath (the WORLD vocoder), and how to change each alone."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from training.corpus import RATE

Frames = npt.NDArray[np.float32]
Curve = npt.NDArray[np.float64]

FRAME_S: Final = 0.005
LOWEST_HZ: Final = 66.0  # below it the envelope's transform is too short for one period
HIGHEST_HZ: Final = 1400.0
BINS: Final = 1025


@dataclass(frozen=True)
class Voice:
    """What WORLD hears every 5 ms: pitch in Hz (0: unvoiced) [N], log power envelope and aperiodicity [N, 1025]."""

    f0: Curve
    envelope: Frames
    aperiodicity: Frames

    @property
    def seconds(self) -> float:
        """Length."""
        return len(self.f0) * FRAME_S


@cache
def _pyworld() -> Any:
    """The vocoder; its import warns of what it imports itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pyworld
    return pyworld


def analyse(mono: npt.NDArray[np.float32], *, lowest: float = 70.0, highest: float = 1100.0) -> Voice:
    """Take [T] at 44.1 kHz apart; the voice's pitch is looked for between two frequencies in Hz."""
    x = mono.astype(np.float64)
    library = _pyworld()
    f0, times = library.harvest(x, RATE, f0_floor=lowest, f0_ceil=highest)
    f0 = library.stonemask(x, f0, times, RATE)
    envelope = library.cheaptrick(x, f0, times, RATE, fft_size=2 * (BINS - 1))
    aperiodicity = library.d4c(x, f0, times, RATE, fft_size=2 * (BINS - 1))
    return Voice(f0, np.log(envelope + 1e-16).astype(np.float32), aperiodicity.astype(np.float32))


def synthesise(voice: Voice) -> npt.NDArray[np.float32]:
    """Give [T] at 44.1 kHz, 220.5 samples a frame."""
    f0 = np.where(voice.f0 > 0, np.clip(voice.f0, LOWEST_HZ, HIGHEST_HZ), 0.0)
    envelope = np.ascontiguousarray(np.exp(voice.envelope.astype(np.float64)))
    aperiodicity = np.ascontiguousarray(np.clip(voice.aperiodicity.astype(np.float64), 1e-3, 1.0))
    out = _pyworld().synthesize(f0, envelope, aperiodicity, RATE, FRAME_S * 1000)
    return np.asarray(out, dtype=np.float32)


def shifted(voice: Voice, semitones: float | Curve) -> Voice:
    """Move the pitch, the same everywhere or by a curve [N]; formants stay."""
    return replace(voice, f0=voice.f0 * 2 ** (np.asarray(semitones) / 12))


def with_formants(voice: Voice, ratio: float) -> Voice:
    """Stretch the envelope along frequency: below 1 a longer throat, above 1 a shorter one; pitch stays."""
    if ratio == 1:
        return voice
    at = np.minimum(np.arange(BINS) / ratio, BINS - 1)
    low = np.minimum(at.astype(int), BINS - 2)
    part = (at - low).astype(np.float32)
    return replace(
        voice,
        envelope=_blend(voice.envelope, low, part) - np.float32(np.log(ratio)),
        aperiodicity=_blend(voice.aperiodicity, low, part),
    )


def breathier(voice: Voice, amount: float) -> Voice:
    """Let breath replace part (0 to 1) of what is periodic, most above 2 kHz."""
    hz = np.arange(BINS) * RATE / 2 / (BINS - 1)
    share = np.float32(amount) * (0.3 + 0.7 * (hz / (hz + 2000.0))).astype(np.float32)
    return replace(voice, aperiodicity=1 - (1 - voice.aperiodicity) * (1 - share))


def whispered(voice: Voice) -> Voice:
    """Take the pitch away, and the low end that only a sounding voice has."""
    hz = np.arange(BINS) * RATE / 2 / (BINS - 1)
    tilt = np.log(np.clip((hz + 60.0) / 1200.0, 0.05, 4.0)).astype(np.float32) * np.float32(1.3)
    return replace(
        voice,
        f0=np.zeros_like(voice.f0),
        envelope=voice.envelope + tilt,
        aperiodicity=np.ones_like(voice.aperiodicity),
    )


def quantised(voice: Voice, *, scale: tuple[int, ...], tonic: int, glide_s: float = 0.02) -> Voice:
    """Pull the pitch to the nearest note of a scale (semitones above `tonic`, 0 is C), as "autotune" does."""
    midi = _midi(gaussian_filter1d(_filled(voice.f0), 8))
    notes = np.array([octave * 12 + tonic + step for octave in range(-1, 12) for step in scale], dtype=float)
    nearest = notes[np.abs(midi[:, None] - notes).argmin(axis=1)]
    nearest = gaussian_filter1d(nearest, max(0.3, glide_s / FRAME_S))
    return replace(voice, f0=np.where(voice.f0 > 0, _hertz(nearest), 0.0))


def steadied(voice: Voice, seconds: float) -> Voice:
    """Smooth the pitch over so many seconds, which takes vibrato away (0.15) but leaves the melody."""
    smooth = np.exp(gaussian_filter1d(np.log(_filled(voice.f0)), seconds / FRAME_S))
    return replace(voice, f0=np.where(voice.f0 > 0, smooth, 0.0))


def with_vibrato(voice: Voice, *, hertz: float, semitones: float) -> Voice:
    """Add vibrato, growing over the first 0.4 s of each voiced stretch."""
    since = _seconds_since_onset(voice.f0 > 0)
    depth = semitones * np.clip((since - 0.15) / 0.3, 0.0, 1.0)
    return shifted(voice, depth * np.sin(2 * np.pi * hertz * since))


def stretched(voice: Voice, ratio: float) -> Voice:
    """Make it last `ratio` times as long at the same pitch."""
    count = max(2, round(len(voice.f0) * ratio))
    return taken(voice, np.linspace(0, len(voice.f0) - 1, count))


def taken(voice: Voice, positions: Curve) -> Voice:
    """Give the frames at fractional positions [M] of the voice."""
    low = np.minimum(positions.astype(int), len(voice.f0) - 2)
    part = (positions - low).astype(np.float32)[:, None]
    nearest = np.round(positions).astype(int)
    mixed = (1 - part[:, 0]) * voice.f0[low] + part[:, 0] * voice.f0[low + 1]
    both = (voice.f0[low] > 0) & (voice.f0[low + 1] > 0)
    return Voice(
        f0=np.where(both, mixed, voice.f0[nearest]),
        envelope=(1 - part) * voice.envelope[low] + part * voice.envelope[low + 1],
        aperiodicity=(1 - part) * voice.aperiodicity[low] + part * voice.aperiodicity[low + 1],
    )


def drift(length: int, rng: np.random.Generator, *, seconds: float, size: float) -> Curve:
    """Give a slow random curve [length] of frames with a standard deviation of `size`."""
    sigma = seconds / FRAME_S
    noise = gaussian_filter1d(rng.standard_normal(length), sigma)
    return np.asarray(size * noise * np.sqrt(2 * np.sqrt(np.pi) * sigma))


def _blend(frames: Frames, low: npt.NDArray[np.int64], part: Frames) -> Frames:
    return np.take(frames, low, axis=1) * (1 - part) + np.take(frames, low + 1, axis=1) * part


def _filled(f0: Curve) -> Curve:
    """Give the pitch with unvoiced frames bridged, so that it can be smoothed."""
    voiced = np.flatnonzero(f0 > 0)
    if not voiced.size:
        return np.full_like(f0, 200.0)
    bridged: Curve = np.interp(np.arange(len(f0)), voiced, np.log(f0[voiced]))
    return np.asarray(np.exp(bridged), dtype=np.float64)


def _seconds_since_onset(voiced: npt.NDArray[np.bool_]) -> Curve:
    frames = np.arange(len(voiced))
    last_unvoiced = np.maximum.accumulate(np.where(voiced, -1, frames))
    return np.asarray((frames - last_unvoiced) * FRAME_S, dtype=np.float64)


def _midi(hertz: Curve) -> Curve:
    return np.asarray(69 + 12 * np.log2(hertz / 440.0))


def _hertz(midi: Curve) -> Curve:
    return np.asarray(440.0 * 2 ** ((midi - 69) / 12))
