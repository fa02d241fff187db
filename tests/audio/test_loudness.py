from __future__ import annotations

import tracemalloc

import numpy as np
import numpy.typing as npt
import pyloudnorm
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemwright.audio.loudness import LoudnessMeter, _phase, k_weighting


def measured(samples: npt.NDArray[np.floating], rate: int, *, block: int = 50_000) -> LoudnessMeter:
    meter = LoudnessMeter(rate, channels=len(samples))
    for start in range(0, samples.shape[1], block):
        meter.add(samples[:, start : start + block].astype(np.float32))
    return meter


def results(meter: LoudnessMeter) -> tuple[float | None, float | None, float | None]:
    return meter.integrated_lufs(), meter.true_peak_dbtp(), meter.sample_peak_dbfs()


def tone(
    hertz: float, rate: int, seconds: float, *, dbfs: float = 0.0, degrees: float = 0.0
) -> npt.NDArray[np.float64]:
    time = np.arange(round(seconds * rate)) / rate
    wave: npt.NDArray[np.float64] = 10 ** (dbfs / 20) * np.sin(2 * np.pi * hertz * time + np.radians(degrees))
    return wave


def signal(kind: str, rate: int, channels: int) -> npt.NDArray[np.float64]:
    rng = np.random.default_rng(7)
    length = 5 * rate
    time = np.arange(length) / rate
    if kind == "noise":
        return rng.standard_normal((channels, length)) * 0.1
    if kind == "low tone":
        return np.tile(0.3 * np.sin(2 * np.pi * 45 * time), (channels, 1))
    if kind == "high tone":
        return np.tile(0.3 * np.sin(2 * np.pi * 3000 * time), (channels, 1))
    swell = 0.02 + np.sin(2 * np.pi * 0.3 * time) ** 2
    music = 0.3 * np.sin(2 * np.pi * 55 * time) + 0.2 * np.sin(2 * np.pi * 220 * time)
    return (rng.standard_normal((channels, length)) * 0.05 + music) * swell


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("kind", ["noise", "low tone", "high tone", "music"])
def test_agrees_with_pyloudnorm(kind: str, rate: int, channels: int) -> None:
    samples = signal(kind, rate, channels)
    expected = pyloudnorm.Meter(rate).integrated_loudness(samples.T)
    assert measured(samples, rate).integrated_lufs() == pytest.approx(expected, abs=0.1)


def test_the_filter_at_48_khz_is_the_one_that_the_standard_prints() -> None:
    shelf = [1.53512485958697, -2.69169618940638, 1.19839281085285, 1.0, -1.69065929318241, 0.73248077421585]
    high_pass = [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621]
    np.testing.assert_allclose(k_weighting(48_000), [shelf, high_pass], atol=1e-12)


@pytest.mark.parametrize("rate", [4_000, 8_000, 44_100, 384_000])
def test_the_filter_is_the_same_analogue_one_at_all_rates(rate: int) -> None:
    from scipy.signal import sosfreqz

    hertz = np.array([20.0, 38.0, 100.0, 300.0])
    _, ours = sosfreqz(k_weighting(rate), worN=hertz, fs=rate)
    _, expected = sosfreqz(k_weighting(48_000), worN=hertz, fs=48_000)
    np.testing.assert_allclose(20 * np.log10(np.abs(ours / expected)), 0, atol=0.06)


# EBU Tech 3341, table 1: cases 1 to 5 as (dBFS, seconds) of a 1 kHz sine in both channels.
EBU = {
    1: ([(-23.0, 20.0)], -23.0),
    2: ([(-33.0, 20.0)], -33.0),
    3: ([(-36.0, 10.0), (-23.0, 60.0), (-36.0, 10.0)], -23.0),
    4: ([(-72.0, 10.0), (-36.0, 10.0), (-23.0, 60.0), (-36.0, 10.0), (-72.0, 10.0)], -23.0),
    5: ([(-26.0, 20.0), (-20.0, 20.1), (-26.0, 20.0)], -23.0),
}


@pytest.mark.parametrize("case", EBU)
def test_minimum_requirements_of_the_ebu(case: int) -> None:
    parts, expected = EBU[case]
    wave = np.concatenate([tone(1000, 48_000, seconds, dbfs=dbfs) for dbfs, seconds in parts])
    assert measured(np.stack([wave, wave]), 48_000).integrated_lufs() == pytest.approx(expected, abs=0.1)


# EBU Tech 3341, cases 15 to 19: a sine of rate / divisor, its phase, its amplitude; expected dBTP.
TRUE_PEAKS = {15: (4, 0.0, 0.5), 16: (4, 45.0, 0.5), 17: (6, 60.0, 0.5), 18: (8, 67.5, 0.5), 19: (4, 45.0, 1.41)}


@pytest.mark.parametrize("rate", [44_100, 48_000])
@pytest.mark.parametrize("case", TRUE_PEAKS)
def test_true_peak_requirements_of_the_ebu(case: int, rate: int) -> None:
    divisor, degrees, amplitude = TRUE_PEAKS[case]
    wave = amplitude * tone(rate / divisor, rate, 1.3, degrees=degrees)
    ramp = np.minimum(1, np.arange(len(wave)) / 500)  # else the sudden start is a peak of its own
    wave *= ramp * ramp[::-1]
    found = measured(np.stack([wave, wave]), rate).true_peak_dbtp()
    assert found is not None
    assert -0.4 <= found - 20 * np.log10(amplitude) <= 0.2


@pytest.mark.parametrize(("rate", "factor"), [(44_100, 4), (96_000, 2), (176_400, 2), (192_000, 1)])
def test_true_peak_is_that_of_an_oversampled_signal(rate: int, factor: int) -> None:
    rng = np.random.default_rng(8)
    spectrum = np.zeros(rate // 2 + 1, dtype=complex)
    used = round(0.4 * rate)
    spectrum[1:used] = np.exp(2j * np.pi * rng.random(used - 1))
    fine = np.fft.irfft(np.pad(spectrum, (0, (rate * factor) // 2 - rate // 2)), rate * factor)
    fine *= 0.5 / np.abs(fine).max()
    wave = fine[::factor]  # periodic, so three periods hold one without edges
    found = measured(np.tile(wave, 3)[None], rate).true_peak_dbtp()
    assert found == pytest.approx(20 * np.log10(0.5), abs=0.15)


@pytest.mark.parametrize("level", [0.2, 1.0])
def test_true_peak_equals_plain_interpolation(level: float) -> None:
    rng = np.random.default_rng(10)
    wave = (rng.standard_normal(20_000) * np.sin(np.arange(20_000) / 900) * level).astype(np.float32)
    plain = max(float(np.abs(np.convolve(wave, _phase(shift)[::-1])).max()) for shift in (0.25, 0.5, 0.75))
    assert measured(wave[None], 8_000).true_peak_dbtp() == pytest.approx(20 * np.log10(plain), abs=1e-4)


def test_a_peak_across_the_border_of_a_second_is_seen() -> None:
    rate = 8_000
    for place in range(rate - 30, rate + 30):
        wave = np.zeros((1, 2 * rate))
        wave[0, place : place + 2] = 0.5
        meter = measured(wave, rate)
        assert meter.true_peak_dbtp() == pytest.approx(20 * np.log10(0.5 * 4 / np.pi), abs=0.3)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 99),
    seconds=st.floats(0, 3.2),
    cuts=st.lists(st.integers(0, 9000), max_size=12),
    rate=st.sampled_from([4_000, 11_025]),
)
def test_blocks_do_not_matter(seed: int, seconds: float, cuts: list[int], rate: int) -> None:
    samples = np.random.default_rng(seed).standard_normal((2, round(seconds * rate))).astype(np.float32)
    cut = LoudnessMeter(rate, channels=2)
    start = 0
    for size in cuts:
        cut.add(samples[:, start : start + size])
        results(cut)  # asking changes nothing
        start += size
    cut.add(samples[:, start:])
    assert results(cut) == results(measured(samples, rate, block=10**6))


@pytest.mark.parametrize("gain_db", [-30.0, -6.0, 12.0])
def test_gain_moves_all_three_alike(gain_db: float) -> None:
    samples = signal("music", 44_100, 2)
    before = results(measured(samples, 44_100))
    after = results(measured(samples * 10 ** (gain_db / 20), 44_100))
    for quiet, loud in zip(before, after, strict=True):
        assert quiet is not None
        assert loud == pytest.approx(quiet + gain_db, abs=1e-3)


def test_two_equal_channels_are_3_db_louder_than_one() -> None:
    wave = signal("noise", 44_100, 1)
    one, two = measured(wave, 44_100), measured(np.concatenate([wave, wave]), 44_100)
    assert two.integrated_lufs() == pytest.approx((one.integrated_lufs() or 0) + 3.0103, abs=1e-6)
    assert two.true_peak_dbtp() == pytest.approx(one.true_peak_dbtp(), abs=1e-6)


def test_true_peak_is_never_below_the_sample_peak() -> None:
    for rate in (8_000, 96_000, 384_000):
        meter = measured(signal("noise", rate, 1), rate)
        assert (meter.true_peak_dbtp() or 0) >= (meter.sample_peak_dbfs() or 0)


def test_silence_has_no_level() -> None:
    assert results(LoudnessMeter(44_100, channels=2)) == (None, None, None)
    assert results(measured(np.zeros((2, 100_000)), 44_100)) == (None, None, None)
    assert measured(tone(1000, 48_000, 5, dbfs=-75)[None], 48_000).integrated_lufs() is None


def test_the_first_value_comes_after_400_ms() -> None:
    wave = tone(1000, 44_100, 1)[None]
    assert measured(wave[:, :17_639], 44_100).integrated_lufs() is None
    assert measured(wave[:, :17_640], 44_100).integrated_lufs() == pytest.approx(-3.01, abs=0.1)


def test_silence_after_sound_is_gated_out() -> None:
    sound = signal("noise", 44_100, 2)
    alone = measured(sound, 44_100).integrated_lufs()
    assert measured(np.pad(sound, ((0, 0), (0, 20 * 44_100))), 44_100).integrated_lufs() == pytest.approx(
        alone, abs=0.2
    )


def test_memory_does_not_grow_with_the_length() -> None:
    meter = LoudnessMeter(8_000, channels=2)
    block = np.random.default_rng(9).standard_normal((2, 80_000)).astype(np.float32)
    meter.add(block)
    tracemalloc.start()
    for _ in range(60):  # ten minutes
        meter.add(block)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2_000_000


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_refused(bad: float) -> None:
    block = np.zeros((1, 10), dtype=np.float32)
    block[0, 3] = bad
    with pytest.raises(ValueError, match="finite"):
        LoudnessMeter(44_100, channels=1).add(block)


def test_what_cannot_be_measured_is_refused() -> None:
    for rate in (3_999, 384_001):
        with pytest.raises(ValueError, match="cannot measure at"):
            LoudnessMeter(rate, channels=1)
    for channels in (0, 3):
        with pytest.raises(ValueError, match="mono and stereo only"):
            LoudnessMeter(44_100, channels=channels)
    with pytest.raises(ValueError, match=r"expected \[2, T\]"):
        LoudnessMeter(44_100, channels=2).add(np.zeros((1, 10), dtype=np.float32))
