from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from stemwright.audio.resample import Resampler, resampled_length

if TYPE_CHECKING:
    from stemwright.types import Samples

PAIRS = [
    (44_100, 48_000),
    (48_000, 44_100),
    (44_100, 22_050),
    (8_000, 44_100),
    (96_000, 44_100),
    (4_000, 44_100),
    (384_000, 44_100),
    (44_101, 44_100),
]


def resample(samples: Samples, in_rate: int, out_rate: int, sizes: list[int] | None = None) -> Samples:
    resampler = Resampler(in_rate, out_rate, channels=len(samples))
    blocks, start = [], 0
    for size in sizes or []:
        blocks.append(resampler.push(samples[:, start : start + size]))
        start += size
    if start < samples.shape[1]:
        blocks.append(resampler.push(samples[:, start:]))
    return np.concatenate([*blocks, resampler.finish()], axis=1)


def tone(hertz: float, rate: int, length: int, *, fade: int = 0) -> Samples:
    wave = np.sin(2 * np.pi * hertz * np.arange(length) / rate)
    if fade:
        ramp = 0.5 - 0.5 * np.cos(np.pi * np.arange(fade) / fade)
        wave[:fade] *= ramp
        wave[-fade:] *= ramp[::-1]
    return wave[None].astype(np.float32)


def decibels(value: float) -> float:
    return 20 * math.log10(max(value, 1e-30))


@settings(max_examples=60, deadline=None)
@given(
    length=st.integers(0, 3000),
    pair=st.sampled_from([*PAIRS, (44_100, 44_100), (4_000, 384_000), (384_000, 4_000), (32_000, 176_400)]),
    sizes=st.lists(st.integers(0, 700), max_size=8),
    channels=st.integers(1, 3),
)
def test_length_is_exact_and_blocks_do_not_matter(
    length: int, pair: tuple[int, int], sizes: list[int], channels: int
) -> None:
    samples = np.random.default_rng(length).standard_normal((channels, length)).astype(np.float32)
    whole = resample(samples, *pair)
    assert whole.dtype == np.float32
    assert whole.shape == (channels, resampled_length(length, in_rate=pair[0], out_rate=pair[1]))
    np.testing.assert_array_equal(resample(samples, *pair, sizes), whole)


@given(length=st.integers(0, 10**12), in_rate=st.integers(4_000, 384_000), out_rate=st.integers(4_000, 384_000))
def test_there_and_back_is_never_too_short(length: int, in_rate: int, out_rate: int) -> None:
    there = resampled_length(length, in_rate=in_rate, out_rate=out_rate)
    assert 0 <= there * in_rate - length * out_rate < in_rate
    assert resampled_length(there, in_rate=out_rate, out_rate=in_rate) >= length


@pytest.mark.parametrize("pair", PAIRS)
def test_equals_one_shot_soxr(pair: tuple[int, int]) -> None:
    samples = np.random.default_rng(4).standard_normal((2, 20_000)).astype(np.float32)
    expected = soxr.resample(np.ascontiguousarray(samples.T), *pair).T
    ours = resample(samples, *pair, [4096] * 4)
    assert 0 <= ours.shape[1] - expected.shape[1] <= 1
    assert decibels(np.abs(ours[:, : expected.shape[1]] - expected).max()) < -100


@pytest.mark.parametrize("pair", PAIRS)
def test_a_tone_keeps_its_level_and_its_phase(pair: tuple[int, int]) -> None:
    in_rate, out_rate = pair
    for part in (0.03, 0.5, 0.9):  # of the lower Nyquist frequency
        hertz = part * min(pair) / 2
        ours = resample(tone(hertz, in_rate, in_rate // 2), in_rate, out_rate)[0]
        time = np.arange(len(ours)) / out_rate
        middle = slice(len(ours) // 4, 3 * len(ours) // 4)
        phasor = 2 * np.mean((ours * np.exp(-2j * np.pi * hertz * time))[middle] * np.hanning(len(ours[middle])) * 2)
        assert decibels(abs(phasor)) == pytest.approx(0, abs=0.1)
        lag_in_samples = (np.angle(phasor) + np.pi / 2) / (2 * np.pi * hertz) * out_rate
        assert abs(lag_in_samples) < 0.01


@pytest.mark.parametrize("pair", [(44_100, 48_000), (48_000, 44_100), (22_050, 44_100), (384_000, 44_100)])
def test_an_impulse_stays_at_its_place(pair: tuple[int, int]) -> None:
    in_rate, out_rate = pair
    samples = np.zeros((1, in_rate // 5), dtype=np.float32)
    samples[0, in_rate // 10] = 1.0
    ours = resample(samples, in_rate, out_rate)[0].astype(np.float64)
    place = out_rate // 10
    assert np.argmax(np.abs(ours)) == place
    symmetric = ours[place - 200 : place + 201]
    np.testing.assert_allclose(symmetric, symmetric[::-1], atol=1e-5 * np.abs(ours).max())
    # Noise there and back lines up with itself at lag 0.
    noise = np.random.default_rng(5).standard_normal((1, 4000)).astype(np.float32)
    back = resample(resample(noise, in_rate, out_rate), out_rate, in_rate)[0, :4000]
    lags = np.correlate(back, noise[0], mode="full")
    assert np.argmax(lags) == 3999


@pytest.mark.parametrize("pair", [(48_000, 44_100), (96_000, 44_100), (384_000, 44_100), (44_100, 4_000)])
def test_what_the_lower_rate_cannot_hold_is_gone(pair: tuple[int, int]) -> None:
    in_rate, out_rate = pair
    for part in (1.01, 1.05, 1.5):  # of the output's Nyquist frequency
        hertz = part * out_rate / 2
        if hertz < in_rate / 2:
            ours = resample(tone(hertz, in_rate, in_rate, fade=in_rate // 2), in_rate, out_rate)
            assert decibels(np.abs(ours).max()) < -90


@pytest.mark.parametrize("pair", [(8_000, 44_100), (4_000, 384_000), (44_100, 48_000)])
def test_a_higher_rate_adds_no_images(pair: tuple[int, int]) -> None:
    in_rate, out_rate = pair
    ours = resample(tone(0.8 * in_rate / 2, in_rate, in_rate, fade=in_rate // 4), in_rate, out_rate)[0]
    spectrum = np.abs(np.fft.rfft(ours * np.hanning(len(ours))))
    hertz = np.fft.rfftfreq(len(ours), 1 / out_rate)
    assert decibels(spectrum[hertz > in_rate / 2].max() / spectrum.max()) < -90


def test_there_and_back_gives_the_same_samples() -> None:
    tones = [tone(hertz, 44_100, 30_000, fade=2000) for hertz in (50, 440, 3000, 15_000)]
    band: Samples = np.stack(tones).mean(axis=0, dtype=np.float32)
    for rate in (48_000, 96_000, 44_101):
        back = resample(resample(band, 44_100, rate), rate, 44_100)
        assert back.shape[1] >= 30_000
        assert decibels(np.abs(back[:, :30_000] - band).max()) < -90


def test_equal_rates_pass_blocks_untouched() -> None:
    resampler = Resampler(44_100, 44_100, channels=2)
    block = np.random.default_rng(6).standard_normal((2, 100)).astype(np.float32)
    assert resampler.push(block) is block
    assert resampler.finish().shape == (2, 0)


@pytest.mark.parametrize("pair", [(44_100, 44_100), (44_100, 48_000)])
def test_nothing_goes_in_after_the_end(pair: tuple[int, int]) -> None:
    resampler = Resampler(*pair, channels=1)
    assert resampler.finish().shape == (1, 0)
    with pytest.raises(RuntimeError):
        resampler.push(np.zeros((1, 1), dtype=np.float32))
    with pytest.raises(RuntimeError):
        resampler.finish()


@pytest.mark.parametrize("pair", [(0, 44_100), (44_100, 3_999), (384_001, 44_100)])
def test_rates_out_of_range_are_refused(pair: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="cannot resample at"):
        Resampler(*pair, channels=1)


@pytest.mark.parametrize("shape", [(1, 5), (3, 5), (5,), (2, 5, 1)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \[2, T\]"):
        Resampler(44_100, 48_000, channels=2).push(np.zeros(shape, dtype=np.float32))
