from __future__ import annotations

import subprocess
import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
import pytest

from drums.hits import ROCK, pairs, pattern, rendered
from needs import needs
from sounds import sound, write_wav
from stemwright.audio.decode import open_audio
from stemwright.audio.ffmpeg import find_ffmpeg
from stemwright.drums.frames import DrumNetwork
from stemwright.drums.transcribe import Transcriber

if TYPE_CHECKING:
    from pathlib import Path

    from sounds import Samples
    from stemwright.drums.chart import Chart

NETWORK = DrumNetwork()


def chart_of(drums: Samples, *, rate: int = 44_100, block: int = 65_536, bpm: float | None = None) -> Chart:
    transcriber = Transcriber(rate, channels=len(drums), network=NETWORK)
    for start in range(0, drums.shape[1], block):
        transcriber.add(drums[:, start : start + block])
    return transcriber.finish(bpm=bpm)


def events(chart: Chart) -> list[tuple[float, int]]:
    return [(hit.time, hit.lane) for hit in chart.hits]


@pytest.mark.parametrize("bpm", [70, 104, 150])
def test_a_rock_beat_is_heard_on_the_right_lanes_at_the_right_time(bpm: float) -> None:
    wanted = pattern(bars=3, bpm=bpm, start=0.25)
    chart = chart_of(rendered(wanted, seconds=wanted[-1][0] + 1, seed=int(bpm)), bpm=bpm)
    given = events(chart)
    found = pairs(wanted, given)
    assert len(found) / len(wanted) > 0.9
    assert len(found) / len(given) > 0.8
    late = [heard[0] - played[0] for played, heard in found]
    assert abs(np.median(late)) < 0.005
    assert np.quantile(np.abs(late), 0.9) < 0.012
    assert chart.beats is not None
    assert chart.beats.bpm == pytest.approx(bpm, rel=0.01)


@pytest.mark.parametrize("rate", [22_050, 48_000, 96_000])
def test_time_does_not_depend_on_the_sample_rate(rate: int) -> None:
    wanted = pattern(bars=2, bpm=100, start=0.3, lanes={lane: ROCK[lane] for lane in (0, 1)})
    found = pairs(wanted, events(chart_of(rendered(wanted, seconds=6, rate=rate), rate=rate)))
    assert len(found) / len(wanted) > 0.9
    assert abs(np.median([heard[0] - played[0] for played, heard in found])) < 0.005


def test_a_hit_on_the_first_sample_is_heard_there() -> None:
    given = events(chart_of(rendered([(0.0, 0), (0.5, 1)], seconds=1.5)))
    assert len(pairs([(0.0, 0), (0.5, 1)], given, within=0.012)) == 2


@pytest.mark.parametrize("ending", ["flac", "mp3", "m4a"])
def test_time_zero_is_the_first_sample_whatever_the_file(ending: str, tmp_path: Path) -> None:
    wanted = pattern(bars=3, bpm=110, start=0.2)
    wav = write_wav(tmp_path / "drums.wav", rendered(wanted, seconds=8))
    coded = tmp_path / f"drums.{ending}"
    subprocess.run([find_ffmpeg(), "-v", "error", "-i", str(wav), str(coded)], check=True)
    with open_audio(coded) as stream:
        transcriber = Transcriber(stream.info.sample_rate, channels=1, network=NETWORK)
        for block in stream:
            transcriber.add(block)
    found = pairs(wanted, events(transcriber.finish()))
    assert len(found) / len(wanted) > 0.95
    assert abs(np.median([heard[0] - played[0] for played, heard in found])) < 0.005


def test_onsets_do_not_depend_on_how_the_sound_was_cut() -> None:
    drums = rendered(pattern(bars=8, bpm=120, start=0.1), seconds=17)
    whole = chart_of(drums, block=10**9)
    assert len(whole.hits) > 50
    for block in (1000, 44_100, 300_001):
        assert chart_of(drums, block=block).hits == whole.hits


def test_two_sides_in_opposite_phase_are_heard_as_one_side_is() -> None:
    drums = rendered(pattern(bars=2, bpm=120, start=0.1), seconds=5)
    assert len(pairs(events(chart_of(drums)), events(chart_of(np.concatenate([drums, -drums]))))) > 20


@pytest.mark.parametrize("level", [0.01, 0.1, 0.5])
def test_there_is_almost_nothing_to_hear_in_noise_tones_and_silence(level: float) -> None:
    silence = np.zeros((1, 10 * 44_100), np.float32)
    swell = np.minimum(1, np.arange(10 * 44_100) / 44_100).astype(np.float32)  # what begins at once is a hit
    assert not chart_of(silence).hits
    assert len(chart_of(level / 0.1 * swell * sound("noise", seconds=10, channels=1)).hits) <= 3
    assert len(chart_of(level / 0.3 * swell * sound("sine", seconds=10, channels=1)).hits) <= 3


def test_plucked_strings_are_no_drums() -> None:
    at = np.arange(44_100) / 44_100
    out = np.zeros(21 * 44_100)
    for n, octaves in enumerate(np.random.default_rng(0).choice([0, 0.25, 0.5, 0.75, 1, 1.25], 80)):
        hertz = 110 * 2**octaves
        note = sum(np.sin(2 * np.pi * k * hertz * at) * np.exp(-at * (3 + 2 * k)) / k for k in range(1, 9))
        out[n * 11_025 :][:44_100] += 0.15 * note * np.minimum(at / 0.004, 1)
    assert len(chart_of(out[None].astype(np.float32)).hits) <= 2


@needs("espeak-ng")
def test_speech_is_no_drums(tmp_path: Path) -> None:
    text = (
        "Peter Piper picked a peck of pickled peppers; please take the ticket back to the desk, and keep a copy. " * 2
    )
    subprocess.run(["espeak-ng", "-v", "en", "-w", str(tmp_path / "speech.wav"), text], check=True)
    with open_audio(tmp_path / "speech.wav") as stream:
        transcriber = Transcriber(stream.info.sample_rate, channels=1, network=NETWORK)
        for block in stream:
            transcriber.add(block)
    chart = transcriber.finish()
    assert chart.duration > 8
    assert len(chart.hits) <= 2


def test_nothing_at_all_is_an_empty_chart() -> None:
    chart = chart_of(np.zeros((2, 0), np.float32))
    assert (chart.duration, chart.hits, chart.beats) == (0.0, (), None)


def test_memory_does_not_grow_with_the_recording() -> None:
    def peak(seconds: int) -> int:
        transcriber = Transcriber(44_100, channels=1, network=NETWORK)
        block = np.zeros((1, 44_100), np.float32)
        tracemalloc.start()
        for _ in range(seconds):
            transcriber.add(block)
        transcriber.finish()
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(2)
    assert peak(80) < 1.1 * peak(30)
