"""Changes of a stem that make one recording sound like many: tone, formants, pitch, width, dynamics, coding.

Spectra are `[2, N, F]` complex64: mid and side, frames, bins. Gains are real, so that a changed stem keeps its phases.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import maximum_filter, uniform_filter1d

from training.bands import HOP, N_FFT, RATE

Spectrum = npt.NDArray[np.complex64]
FREQUENCY: Final = np.fft.rfftfreq(N_FFT, 1 / RATE)
OCTAVE: Final = np.log2(np.maximum(FREQUENCY, 20))


def tone(random: np.random.Generator) -> npt.NDArray[np.float32]:
    """Gains `[F]` of a random tone control: broad, and now and then with the peaks and dips of another timbre."""
    points = np.log2([20, 80, 320, 1280, 5120, 22050])
    curve = np.interp(OCTAVE, points, random.normal(0, 4, len(points)))
    if random.random() < 0.4:
        fine = np.linspace(np.log2(60), np.log2(18_000), 26)
        curve = curve + np.interp(OCTAVE, fine, random.normal(0, random.uniform(2, 6), len(fine)))
    gains: npt.NDArray[np.float32] = (10 ** (curve / 20)).astype(np.float32)
    return gains


def reshaped(spectrum: Spectrum, ratio: float) -> Spectrum:
    """With its spectral envelope stretched by `ratio` (> 1: formants higher) and its partials left in place."""
    width = round(450 * N_FFT / RATE)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    envelope = np.sqrt(uniform_filter1d(power.sum(axis=0), width, axis=-1, mode="nearest") + 1e-9)
    at = np.clip(np.arange(len(FREQUENCY)) / ratio, 0, len(FREQUENCY) - 1.001)
    low = at.astype(np.intp)
    part = (at - low).astype(np.float32)
    moved = envelope[:, low] * (1 - part) + envelope[:, low + 1] * part
    return spectrum * np.clip(moved / envelope, 0.01, 30).astype(np.float32)


def compression(power: npt.NDArray[np.float32], random: np.random.Generator) -> npt.NDArray[np.float32]:
    """Gains `[N]` of a compressor that sees the power `[N]` of each frame: threshold within its range, ratio 1.5–6."""
    seconds = random.uniform(0.03, 0.3)
    level = 10 * np.log10(uniform_filter1d(power, max(1, round(seconds * RATE / HOP))) + 1e-6)
    over = np.maximum(0, level - np.percentile(level, random.uniform(10, 70)))
    gains: npt.NDArray[np.float32] = (10 ** (-over * (1 - 1 / random.uniform(1.5, 6)) / 20)).astype(np.float32)
    return gains


def dynamics(spectrum: Spectrum, random: np.random.Generator) -> Spectrum:
    """Compressed."""
    power = (np.square(spectrum.real) + np.square(spectrum.imag)).sum(axis=(0, 2))
    return spectrum * compression(power, random)[None, :, None]


def coded(spectra: npt.NDArray[np.complex64], random: np.random.Generator) -> npt.NDArray[np.complex64]:
    """Stems `[4, 2, N, F]` without what a lossy coder would drop of their mix: the top, and what is masked nearby."""
    mix = spectra.sum(axis=0)
    power = np.square(mix.real) + np.square(mix.imag)
    loudest = maximum_filter(power, size=(1, 1, 25))
    masked = (power < loudest * 10 ** random.uniform(-3.5, -1.5)) & (FREQUENCY > 1500)
    masked |= random.uniform(9_000, 19_000) < FREQUENCY
    return np.where(masked, np.float32(0.003), np.float32(1)) * spectra


def chopped(samples: npt.NDArray[np.float32], random: np.random.Generator) -> npt.NDArray[np.float32]:
    """`[2, T]` float32 cut into pieces in time, some of them silent, as producers chop a voice or gate a pad."""
    step = int(RATE * random.uniform(0.06, 0.4))
    pattern = random.random(random.integers(2, 9)) < random.uniform(0.4, 0.8)
    gates = np.resize(pattern, samples.shape[1] // step + 2).astype(np.float32).repeat(step)[: samples.shape[1] + 1]
    soft = uniform_filter1d(gates, int(RATE * 0.006))[: samples.shape[1]]
    return samples * soft


def read_at(samples: npt.NDArray[np.float32], late: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """`[2, T]` float32 read `late` `[T]` or `[2, T]` samples behind, between samples too; silence before the start."""
    at = np.arange(samples.shape[1]) - np.broadcast_to(late, samples.shape)
    low = np.floor(at).astype(np.intp)
    part = (at - low).astype(np.float32)
    padded = np.pad(samples, ((0, 0), (1, 1)))
    low = np.clip(low, -1, samples.shape[1] - 1)
    lower, upper = (np.take_along_axis(padded, low + step, axis=1) for step in (1, 2))
    return np.asarray(lower * (1 - part) + upper * part, np.float32)


def pitched(samples: npt.NDArray[np.float32], semitones: float) -> npt.NDArray[np.float32]:
    """`[2, T]` float32 at another pitch and the same speed, formants and all: two grains of 60 ms that take turns."""
    grain = 0.06 * RATE
    phase = np.arange(samples.shape[1]) * (1 - 2 ** (semitones / 12)) / grain
    shifted = np.zeros_like(samples)
    for turn in (phase % 1, (phase + 0.5) % 1):
        shifted += read_at(samples, turn * grain) * np.square(np.sin(np.pi * turn)).astype(np.float32)
    return shifted


def chorus(samples: npt.NDArray[np.float32], random: np.random.Generator) -> npt.NDArray[np.float32]:
    """`[2, T]` float32 with delays that sway against each other on the two sides."""
    turns = np.arange(samples.shape[1]) / RATE * random.uniform(0.1, 3) + random.random()
    sway = random.uniform(20, 250) * np.stack(
        [np.sin(2 * np.pi * turns), np.sin(2 * np.pi * (turns + random.random()))]
    )
    wet = read_at(samples, 260 + random.uniform(0, 900) + sway)
    return np.asarray(samples * random.uniform(0, 0.7) + wet * 0.7, np.float32)


def chord(length: int, random: np.random.Generator) -> npt.NDArray[np.float32]:
    """Sawtooth chords, detuned between the sides, `[2, length]` float32: what a vocoder speaks through."""
    steps = random.integers(-5, 6, 1 + length // int(RATE * random.uniform(0.4, 2)))
    root = random.uniform(33, 57) + np.repeat(steps, -(-length // len(steps)))[:length]
    sound = np.zeros((2, length), np.float32)
    for note in random.choice([0, 3, 4, 7, 10, 12, 15, 19], random.integers(1, 5), replace=False):
        for side in (0, 1):
            hertz = 440 * 2 ** ((root + note + random.normal(0, 0.08) - 69) / 12)
            turns = np.cumsum(hertz / RATE) + random.random()
            sound[side] += (turns % 1).astype(np.float32) - np.float32(0.5)
    return sound


def vocoded(voice: Spectrum, carrier: Spectrum) -> Spectrum:
    """The carrier with the voice's spectral envelope in place of its own, as a vocoder makes it."""
    width = round(250 * N_FFT / RATE)
    envelopes = []
    for spectrum in (voice, carrier):
        power = (np.square(spectrum.real) + np.square(spectrum.imag)).sum(axis=0)
        around = uniform_filter1d(power, width, axis=-1, mode="nearest")
        envelopes.append(np.sqrt(np.maximum(around, 0)))
    floor = 0.01 * np.sqrt(np.square(envelopes[1]).mean()) + 1e-6
    return np.asarray(carrier * (envelopes[0] / (envelopes[1] + floor)), np.complex64)
