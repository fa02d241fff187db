from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemwright.analysis.tempo import Tempo, TempoMeter

Wave = npt.NDArray[np.float32]
Strokes = list[tuple[float, str, float]]  # beat in the bar, piece, loudness


def each(step: float, bar: float, piece: str, loud: float, *, first: float = 0.0) -> Strokes:
    return [(float(beat), piece, loud) for beat in np.arange(first, bar, step)]


BACKBEAT: Strokes = [(0, "kick", 1), (1, "snare", 1), (2, "kick", 1), (3, "snare", 1)]
PATTERNS: dict[str, tuple[float, Strokes]] = {  # beats in a bar, strokes
    "metronome": (1, [(0, "click", 1)]),
    "kick and snare": (4, BACKBEAT),
    "eighths": (4, BACKBEAT + each(0.5, 4, "hat", 0.4)),
    "sixteenths": (4, [*BACKBEAT, (2.5, "kick", 0.9), *each(0.25, 4, "hat", 0.3)]),
    "four to the floor": (
        4,
        each(1, 4, "kick", 1) + each(2, 4, "snare", 0.8, first=1) + each(1, 4, "hat", 0.5, first=0.5),
    ),
    "shuffle": (4, BACKBEAT + each(1, 4, "hat", 0.4) + each(1, 4, "hat", 0.4, first=2 / 3)),
    "breakbeat": (4, [(0, "kick", 1), (1, "snare", 1), (2.5, "kick", 1), (3, "snare", 1), *each(0.5, 4, "hat", 0.4)]),
    "waltz": (3, [(0, "kick", 1), (1, "snare", 0.6), (2, "snare", 0.6), *each(0.5, 3, "hat", 0.3)]),
    "6/8": (2, [(0, "kick", 1), (1, "snare", 1), *each(1 / 3, 2, "hat", 0.4)]),
    "5/4": (5, [(0, "kick", 1), (1, "snare", 1), (3, "kick", 1), (4, "snare", 1), *each(0.5, 5, "hat", 0.4)]),
    "7/8": (3.5, [(0, "kick", 1), (1, "snare", 1), (2, "kick", 1), (3, "snare", 0.8), *each(0.5, 3.5, "hat", 0.4)]),
}


def sound(piece: str, rate: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    time = np.arange(round(0.18 * rate)) / rate
    hiss = rng.standard_normal(len(time))
    sounds: dict[str, npt.NDArray[np.float64]] = {
        "kick": np.sin(2 * np.pi * (50 * time + 1.8 * (1 - np.exp(-time / 0.03)))) * np.exp(-time / 0.06),
        "snare": 0.5 * hiss * np.exp(-time / 0.045) + 0.5 * np.sin(2 * np.pi * 190 * time) * np.exp(-time / 0.05),
        "hat": 0.4 * np.diff(hiss, prepend=0) * np.exp(-time / 0.015),
        "click": np.sin(2 * np.pi * 1500 * time) * np.exp(-time / 0.006),
    }
    return sounds[piece]


def play(pattern: str, bpm: float, *, seconds: float = 24, rate: int = 22_050, drift: float = 0.0) -> Wave:
    """A pattern played by a hand that is 3 ms loose; the tempo grows by `drift` of itself. Output: [1, T]."""
    rng = np.random.default_rng(3)
    bar, strokes = PATTERNS[pattern]
    sounds = {piece: sound(piece, rate, rng) for _, piece, _ in strokes}
    wave = 1e-4 * rng.standard_normal(round(seconds * rate))
    for start in np.arange(0, seconds * bpm / 60 * (1 + drift), bar):
        for place, piece, loud in strokes:
            beats = (start + place) * 60 / bpm  # seconds, were the tempo steady
            curve = drift / seconds  # of the beat's number over time: t (1 - drift / 2) + t² curve / 2
            even = 1 - drift / 2
            time = (-even + np.sqrt(even**2 + 2 * curve * beats)) / curve if drift else beats
            at = round((time + 0.1 + rng.normal(0, 0.003)) * rate)
            length = max(0, min(len(sounds[piece]), len(wave) - at))
            wave[at : at + length] += loud * (1 + 0.1 * rng.standard_normal()) * sounds[piece][:length]
    return (0.3 * wave[None]).astype(np.float32)


def tempo_of(wave: npt.NDArray[np.floating], rate: int = 22_050) -> Tempo:
    meter = TempoMeter(rate)
    meter.add(wave.astype(np.float32))
    return meter.tempo()


def readings(tempo: Tempo) -> list[float]:
    return [bpm for bpm in (tempo.bpm, tempo.octave) if bpm is not None]


@pytest.mark.parametrize("bpm", [60, 66, 73, 88, 97.3, 110, 120, 133, 141.5, 156, 174, 187, 200])
@pytest.mark.parametrize("pattern", ["metronome", "eighths", "four to the floor"])
def test_the_tempo_of_plain_patterns_is_right_over_the_whole_range(pattern: str, bpm: float) -> None:
    assert tempo_of(play(pattern, bpm)).bpm == pytest.approx(bpm, rel=0.003)


@pytest.mark.parametrize("bpm", [62, 91, 118, 149, 178, 198])
@pytest.mark.parametrize("pattern", [*PATTERNS])
def test_the_tempo_of_every_pattern_is_the_first_or_the_second_reading(pattern: str, bpm: float) -> None:
    found = readings(tempo_of(play(pattern, bpm)))
    assert any(reading == pytest.approx(bpm, rel=0.005) for reading in found), found


@settings(max_examples=15, deadline=None)
@given(pattern=st.sampled_from(sorted(PATTERNS)), bpm=st.floats(60, 200))
def test_any_tempo_of_any_pattern_is_among_the_readings(pattern: str, bpm: float) -> None:
    found = readings(tempo_of(play(pattern, bpm)))
    assert any(reading == pytest.approx(bpm, rel=0.005) for reading in found), found


def test_a_long_steady_song_is_measured_to_a_hundredth_of_a_beat() -> None:
    assert tempo_of(play("eighths", 123.46, seconds=90)).bpm == pytest.approx(123.46, abs=0.02)


@pytest.mark.parametrize("drift", [0.05, 0.15])
def test_a_drifting_tempo_is_given_by_its_median(drift: float) -> None:
    assert tempo_of(play("eighths", 110, seconds=60, drift=drift)).bpm == pytest.approx(110, rel=0.015)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_every_sample_rate_gives_the_same_tempo(rate: int) -> None:
    assert tempo_of(play("eighths", 107, rate=rate), rate).bpm == pytest.approx(107, rel=0.003)


@pytest.mark.parametrize("gain", [0.001, 1.0, 30.0])
def test_loudness_does_not_matter(gain: float) -> None:
    tempo = tempo_of(play("eighths", 96) * gain)
    assert tempo.bpm == pytest.approx(96, rel=0.003)
    assert tempo.confidence > 0.7


def test_sound_in_opposite_phase_is_not_lost() -> None:
    wave = play("eighths", 130)
    assert tempo_of(np.concatenate([wave, -wave])).bpm == pytest.approx(130, rel=0.003)


def test_a_break_without_drums_does_not_change_the_tempo() -> None:
    wave = play("eighths", 104, seconds=60)
    wave[:, 20 * 22_050 : 35 * 22_050] = 0
    assert tempo_of(wave).bpm == pytest.approx(104, rel=0.003)


def test_the_other_reading_of_a_pulse_is_a_simple_ratio_of_the_first() -> None:
    tempo = tempo_of(play("eighths", 120))
    assert tempo.bpm is not None
    assert tempo.octave is not None
    assert min(abs(tempo.octave / tempo.bpm - ratio) for ratio in (1 / 2, 2, 2 / 3, 3 / 2)) < 0.02
    assert 0 < tempo.octave_strength <= 1


def nothing(kind: str, rate: int = 22_050) -> npt.NDArray[np.float64]:
    rng = np.random.default_rng(5)
    time = np.arange(20 * rate) / rate
    kinds = {
        "silence": np.zeros_like(time),
        "white noise": 0.1 * rng.standard_normal(len(time)),
        "dither": 1e-5 * rng.standard_normal(len(time)),
        "brown noise": 0.001 * np.cumsum(rng.standard_normal(len(time))),
        "drone": 0.3 * np.sin(2 * np.pi * 110 * time),
        "swell": 0.3 * np.sin(2 * np.pi * 110 * time) * np.sin(2 * np.pi * 0.07 * time),
        "offset": np.full_like(time, 0.5),
        "one click": np.where(time == 3, 1.0, 0.0),
    }
    return kinds[kind][None]


@pytest.mark.parametrize(
    "kind", ["silence", "white noise", "dither", "brown noise", "drone", "swell", "offset", "one click"]
)
def test_there_is_no_tempo_where_there_is_no_pulse(kind: str) -> None:
    assert tempo_of(nothing(kind)) == Tempo(bpm=None, confidence=0.0, octave=None, octave_strength=0.0)


@pytest.mark.parametrize("seconds", [0, 0.01, 0.5, 3.9])
def test_there_is_no_tempo_in_less_than_four_seconds(seconds: float) -> None:
    assert tempo_of(play("eighths", 120, seconds=seconds)).bpm is None
    assert TempoMeter(44_100).tempo().bpm is None


def test_six_seconds_suffice() -> None:
    assert tempo_of(play("eighths", 120, seconds=6)).bpm == pytest.approx(120, rel=0.01)


@settings(max_examples=10, deadline=None)
@given(sizes=st.lists(st.integers(0, 60_000), min_size=1, max_size=6))
def test_the_result_does_not_depend_on_the_blocks(sizes: list[int]) -> None:
    wave = play("sixteenths", 101, seconds=12)
    meter, start = TempoMeter(22_050), 0
    for size in sizes:
        meter.add(wave[:, start : start + size])
        meter.tempo()  # asking in between changes nothing
        start += size
    meter.add(wave[:, start:])
    assert meter.tempo() == tempo_of(wave)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_refused(bad: float) -> None:
    wave = play("eighths", 120, seconds=1)
    wave[0, 500] = bad
    with pytest.raises(ValueError, match="finite"):
        tempo_of(wave)


def test_a_change_of_channels_is_refused() -> None:
    meter = TempoMeter(22_050)
    meter.add(np.zeros((2, 10), dtype=np.float32))
    for shape in ((1, 10), (0, 10), (10,)):
        with pytest.raises(ValueError, match="expected"):
            meter.add(np.zeros(shape, dtype=np.float32))


@pytest.mark.parametrize("rate", [0, 3_999, 384_001])
def test_an_impossible_sample_rate_is_refused(rate: int) -> None:
    with pytest.raises(ValueError, match="rates go from"):
        TempoMeter(rate)
