from __future__ import annotations

import itertools
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemwright.analysis.key import TONICS, Key, KeyMeter

Mode = Literal["major", "minor"]
Wave = npt.NDArray[np.float32]
PROGRESSIONS: dict[Mode, list[tuple[int, ...]]] = {  # semitones above the tonic
    "major": [(0, 4, 7), (7, 11, 14), (9, 12, 16), (5, 9, 12)],
    "minor": [(0, 3, 7), (8, 12, 15), (5, 8, 12), (7, 11, 14)],
}
# The wheels as they are in print.
CAMELOT = {
    "G# minor": "1A", "Eb minor": "2A", "Bb minor": "3A", "F minor": "4A", "C minor": "5A", "G minor": "6A",
    "D minor": "7A", "A minor": "8A", "E minor": "9A", "B minor": "10A", "F# minor": "11A", "C# minor": "12A",
    "B major": "1B", "F# major": "2B", "Db major": "3B", "Ab major": "4B", "Eb major": "5B", "Bb major": "6B",
    "F major": "7B", "C major": "8B", "G major": "9B", "D major": "10B", "A major": "11B", "E major": "12B",
}  # fmt: skip
OPEN_KEY = {
    "C major": "1d", "G major": "2d", "D major": "3d", "A major": "4d", "E major": "5d", "B major": "6d",
    "F# major": "7d", "Db major": "8d", "Ab major": "9d", "Eb major": "10d", "Bb major": "11d", "F major": "12d",
    "A minor": "1m", "E minor": "2m", "B minor": "3m", "F# minor": "4m", "C# minor": "5m", "G# minor": "6m",
    "Eb minor": "7m", "Bb minor": "8m", "F minor": "9m", "C minor": "10m", "G minor": "11m", "D minor": "12m",
}  # fmt: skip
KEYS = [Key(tonic=tonic, mode=mode, confidence=1.0) for mode in PROGRESSIONS for tonic in TONICS[mode]]


def chords(tonic: int, mode: Mode, *, a4: float = 440.0, rate: int = 22_050, beats: int = 16) -> Wave:
    """A chord each half second with its root in the bass, of tones with six harmonics. Output: [1, T]."""
    time = np.arange(rate // 2) / rate
    wave = []
    for chord in itertools.islice(itertools.cycle(PROGRESSIONS[mode]), beats):
        sound = np.zeros_like(time)
        for step in (chord[0] - 24, *chord):
            hertz = a4 * 2 ** ((60 + tonic + step - 69) / 12)
            for harmonic in range(1, 7):
                if hertz * harmonic < rate / 2:
                    sound += 0.6**harmonic * np.sin(2 * np.pi * hertz * harmonic * time)
        wave.append(sound * np.exp(-time))
    return (0.05 * np.concatenate(wave)[None]).astype(np.float32)


def key_of(wave: npt.NDArray[np.floating], rate: int = 22_050) -> Key | None:
    meter = KeyMeter(rate)
    meter.add(wave.astype(np.float32))
    return meter.key()


def name_of(wave: npt.NDArray[np.floating], rate: int = 22_050) -> str | None:
    key = key_of(wave, rate)
    return key.name if key else None


@pytest.mark.parametrize("a4", [430, 440, 450])
@pytest.mark.parametrize("mode", [*PROGRESSIONS])
@pytest.mark.parametrize("tonic", range(12))
def test_the_key_of_a_progression_is_found_in_any_tuning(tonic: int, mode: Mode, a4: float) -> None:
    key = key_of(chords(tonic, mode, a4=a4))
    assert key is not None
    assert key.name == f"{TONICS[mode][tonic]} {mode}"
    assert 0.5 < key.confidence <= 1


@settings(max_examples=8, deadline=None)
@given(tonic=st.integers(0, 11), mode=st.sampled_from([*PROGRESSIONS]), a4=st.floats(430, 450))
def test_drums_and_noise_over_the_chords_do_not_change_the_key(tonic: int, mode: Mode, a4: float) -> None:
    wave = chords(tonic, mode, a4=a4)
    rng = np.random.default_rng(1)
    beat = np.zeros_like(wave)
    for start in range(0, wave.shape[1] - 3000, 11_025):
        beat[0, start : start + 3000] += 0.2 * rng.standard_normal(3000) * np.exp(-np.arange(3000) / 600)
    assert name_of(wave + beat + 0.001 * rng.standard_normal(wave.shape)) == f"{TONICS[mode][tonic]} {mode}"


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_every_sample_rate_gives_the_same_key(rate: int) -> None:
    assert name_of(chords(9, "minor", rate=rate), rate) == "A minor"
    assert name_of(chords(3, "major", rate=rate), rate) == "Eb major"


@pytest.mark.parametrize("gain", [0.01, 1.0, 30.0])
def test_loudness_does_not_matter(gain: float) -> None:
    assert name_of(chords(2, "major") * gain) == "D major"


def test_sound_in_opposite_phase_is_not_lost() -> None:
    wave = chords(7, "minor")
    assert name_of(np.concatenate([wave, -wave])) == "G minor"


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_every_key_has_its_places_on_the_wheels(key: Key) -> None:
    assert key.camelot == CAMELOT[key.name]
    assert key.open_key == OPEN_KEY[key.name]


def test_there_are_24_keys_and_each_has_a_place_of_its_own() -> None:
    assert {key.name for key in KEYS} == CAMELOT.keys() == OPEN_KEY.keys()
    assert len({key.camelot for key in KEYS}) == len({key.open_key for key in KEYS}) == 24


def unpitched(kind: str, rate: int = 22_050) -> npt.NDArray[np.float64]:
    rng = np.random.default_rng(5)
    time = np.arange(12 * rate) / rate
    noise = rng.standard_normal(len(time))
    kinds = {
        "silence": np.zeros_like(time),
        "white noise": 0.1 * noise,
        "dither": 1e-5 * noise,
        "brown noise": 0.001 * np.cumsum(noise),
        "bursts of noise": 0.3 * noise * np.exp(-(time % 0.5) / 0.05),
        "offset": np.full_like(time, 0.5),
        "clicks": np.where(np.arange(len(time)) % 10_000 == 0, 0.9, 0.0),
        "one note for ever": 0.3 * np.sin(2 * np.pi * 220 * time),
    }
    return kinds[kind][None]


NOISES = ["silence", "white noise", "dither", "brown noise", "bursts of noise", "offset", "clicks", "one note for ever"]


@pytest.mark.parametrize("kind", NOISES)
def test_there_is_no_key_where_there_are_no_pitches(kind: str) -> None:
    assert key_of(unpitched(kind)) is None


@pytest.mark.parametrize("beats", [0, 1, 3])
def test_there_is_no_key_in_less_than_two_seconds(beats: int) -> None:
    meter = KeyMeter(22_050)
    assert meter.key() is None
    meter.add(np.concatenate([np.zeros((1, 0), dtype=np.float32), chords(0, "major")[:, : beats * 11_025]], axis=1))
    assert meter.key() is None


@settings(max_examples=6, deadline=None)
@given(sizes=st.lists(st.integers(0, 150_000), min_size=1, max_size=3))
def test_the_result_does_not_depend_on_the_blocks(sizes: list[int]) -> None:
    wave = chords(4, "minor", beats=40)
    meter, start = KeyMeter(22_050), 0
    for size in sizes:
        meter.add(wave[:, start : start + size])
        meter.key()  # asking in between changes nothing
        start += size
    meter.add(wave[:, start:])
    assert meter.key() == key_of(wave)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_refused(bad: float) -> None:
    wave = chords(0, "major")
    wave[0, 500] = bad
    with pytest.raises(ValueError, match="finite"):
        key_of(wave)


def test_a_change_of_channels_is_refused() -> None:
    meter = KeyMeter(22_050)
    meter.add(np.zeros((2, 10), dtype=np.float32))
    with pytest.raises(ValueError, match="expected"):
        meter.add(np.zeros((1, 10), dtype=np.float32))


@pytest.mark.parametrize("rate", [0, 3_999, 384_001])
def test_an_impossible_sample_rate_is_refused(rate: int) -> None:
    with pytest.raises(ValueError, match="rates go from"):
        KeyMeter(rate)


@pytest.mark.parametrize("rate", [4_000, 384_000])
def test_the_outermost_sample_rates_work(rate: int) -> None:
    assert name_of(chords(5, "major", rate=rate, beats=8), rate) == "F major"
