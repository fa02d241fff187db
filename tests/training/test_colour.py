from __future__ import annotations

import numpy as np
import pytest
from training.bands import HOP, N_FFT, RATE
from training.colour import FREQUENCY, chopped, chord, chorus, coded, dynamics, pitched, reshaped, vocoded


def spectrum_of(tone: np.ndarray) -> np.ndarray:
    """[2, N, F] of a mono tone, side silent."""
    frames = np.lib.stride_tricks.sliding_window_view(tone, N_FFT)[::HOP]
    mid = np.fft.rfft(frames * np.hanning(N_FFT))
    return np.stack([mid, np.zeros_like(mid)]).astype(np.complex64)


def harmonic(fundamental: float, formant: float) -> np.ndarray:
    """A second of partials under a formant."""
    seconds = np.arange(RATE) / RATE
    partials = np.arange(1, int(8000 / fundamental))
    gains = np.exp(-(((partials * fundamental - formant) / 700) ** 2))
    return np.asarray((gains[:, None] * np.sin(2 * np.pi * np.outer(partials * fundamental, seconds))).sum(axis=0))


def loud_to_quiet(spectrum: np.ndarray) -> float:
    """Power near the start against power near the end."""
    power = np.square(np.abs(spectrum[0])).mean(axis=-1)
    return float(power[5:30].mean() / power[-30:-5].mean())


@pytest.mark.parametrize("ratio", [0.8, 1.25])
def test_reshaping_moves_the_formant_and_leaves_the_partials(ratio: float) -> None:
    changed = reshaped(spectrum_of(harmonic(200, 2000)), ratio)
    power = (np.abs(changed) ** 2).sum(axis=(0, 1))
    centre = float((power * FREQUENCY).sum() / power.sum())
    assert centre == pytest.approx(2000 * ratio, rel=0.12)
    near = np.abs((FREQUENCY + 100) % 200 - 100) < 25
    assert power[near].sum() > 0.98 * power.sum()


def test_compression_brings_loud_and_quiet_together() -> None:
    loudness = np.repeat([1.0, 0.05], RATE)
    before = spectrum_of(loudness * np.random.default_rng(1).standard_normal(2 * RATE))
    after = [loud_to_quiet(dynamics(before, np.random.default_rng(seed))) for seed in range(9)]
    assert max(after) < 1.01 * loud_to_quiet(before)
    assert np.median(after) < 0.7 * loud_to_quiet(before)


def test_coding_takes_the_same_from_all_stems_and_leaves_the_low_end() -> None:
    draw = np.random.default_rng(2)
    spectra = (draw.standard_normal((4, 2, 5, len(FREQUENCY))) * (1 + 1j)).astype(np.complex64)
    changed = coded(spectra, draw)
    kept = np.abs(changed) / np.abs(spectra)
    assert np.allclose(kept, kept[:1], rtol=1e-3)
    assert np.allclose(kept[..., FREQUENCY < 1500], 1)
    assert kept[..., FREQUENCY > 19_000].max() < 0.01


def test_chopping_silences_some_of_the_sound_and_leaves_the_rest_as_it_was() -> None:
    sound = np.ones((2, 4 * RATE), np.float32)
    shares = [float((chopped(sound, np.random.default_rng(seed)) > 0.99).mean()) for seed in range(20)]
    assert 0.3 < float(np.mean(shares)) < 0.85


@pytest.mark.parametrize("semitones", [-7.0, 0.1, 5.0])
def test_pitch_moves_and_speed_does_not(semitones: float) -> None:
    seconds = np.arange(2 * RATE) / RATE
    burst = np.sin(2 * np.pi * 440 * seconds) * (seconds > 1)
    changed = pitched(np.stack([burst, burst]).astype(np.float32), semitones)[0]
    assert np.abs(changed[: RATE - 1]).max() == 0
    spectrum = np.abs(np.fft.rfft(changed[RATE + RATE // 4 :]))
    assert spectrum.argmax() / 0.75 == pytest.approx(440 * 2 ** (semitones / 12), rel=0.03)


def test_chorus_takes_the_sides_apart() -> None:
    mono = np.repeat(np.random.default_rng(4).standard_normal((1, 3 * RATE)), 2, axis=0).astype(np.float32)
    for seed in range(5):
        left, right = chorus(mono, np.random.default_rng(seed))
        assert np.corrcoef(left, right)[0, 1] < 0.9


def test_vocoder_speaks_with_the_voice_s_envelope_at_the_carrier_s_pitch() -> None:
    voice, carrier = spectrum_of(harmonic(200, 2000)), spectrum_of(harmonic(310, 2600))
    power = (np.abs(vocoded(voice, carrier)) ** 2).sum(axis=(0, 1))
    assert float((power * FREQUENCY).sum() / power.sum()) == pytest.approx(2000, rel=0.15)
    near = np.abs((FREQUENCY + 155) % 310 - 155) < 25
    assert power[near].sum() > 0.9 * power.sum()


def test_chords_have_partials_and_two_sides() -> None:
    left, right = chord(2 * RATE, np.random.default_rng(5))
    assert left.shape == (2 * RATE,)
    assert 0.1 < left.std() < 2
    assert not np.array_equal(left, right)
