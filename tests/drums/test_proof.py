"""Charts as other software finds them: MIDI readers, a synthesizer beside the recording, decoders of lossy files."""

from __future__ import annotations

import io
import subprocess
from typing import TYPE_CHECKING

import mido
import numpy as np
import pytest

from drums.hits import CRASHED, Event, pattern, rendered
from needs import FONT, needs
from sounds import read, write_wav
from stemwright.audio.decode import open_audio
from stemwright.audio.ffmpeg import find_ffmpeg
from stemwright.drums.features import HOP, RATE
from stemwright.drums.lanes import note_of
from stemwright.drums.midi import midi_bytes
from stemwright.drums.transcribe import Transcriber

if TYPE_CHECKING:
    from pathlib import Path

    from sounds import Samples
    from stemwright.drums.chart import Chart

PART = pattern(bars=6, bpm=112, start=0.31, lanes={lane: CRASHED[lane] for lane in (0, 1, 2)})
DRIFTING = [(time + 0.25 * np.sin(time / 3), lane) for time, lane in PART]


def chart_of(path: Path) -> Chart:
    with open_audio(path) as stream:
        transcriber = Transcriber(stream.info.sample_rate, channels=stream.info.channels)
        for block in stream:
            transcriber.add(block)
    return transcriber.finish()


@pytest.mark.parametrize("quantise", [False, True], ids=["played", "quantised"])
def test_pretty_midi_and_mido_read_the_same_hits(quantise: bool, tmp_path: Path) -> None:
    pretty_midi = pytest.importorskip("pretty_midi", reason="needs pretty_midi, of the extra `dev`")
    chart = chart_of(write_wav(tmp_path / "drums.wav", rendered(PART, seconds=14)))
    assert chart.beats is not None
    data = midi_bytes(chart, quantise=quantise)
    theirs = pretty_midi.PrettyMIDI(io.BytesIO(data))
    [drums] = theirs.instruments
    assert drums.is_drum
    now, played = 0.0, []
    for message in mido.MidiFile(file=io.BytesIO(data)):
        now += message.time
        if message.type == "note_on":
            assert message.channel == 9
            played.append((now, message.note, message.velocity))
    read_back = sorted((note.start, note.pitch, note.velocity) for note in drums.notes)
    assert np.allclose(sorted(played), read_back, atol=0.0005)
    wanted = sorted((hit.time, hit.note, hit.velocity) for hit in chart.hits)
    assert sorted(note for _, note, _ in played) == sorted(note for _, note, _ in wanted)
    if not quantise:
        assert np.allclose([one[0] for one in sorted(played)], [one[0] for one in wanted], atol=0.001)
    assert theirs.get_tempo_changes()[1][-1] == pytest.approx(chart.beats.bpm, rel=0.002)


def play(midi: bytes, folder: Path) -> Samples:
    """What FluidSynth makes of a MIDI file, `[2, T]`."""
    (folder / "part.mid").write_bytes(midi)
    wav = folder / "played.wav"
    command = ["fluidsynth", "-niq", "-r", "44100", "-g", "0.5", "-R", "0", "-C", "0"]
    subprocess.run([*command, "-F", str(wav), str(FONT), str(folder / "part.mid")], check=True, capture_output=True)
    return read(wav, channels=2)


def as_midi(events: list[Event]) -> bytes:
    """Events as MIDI at 120 BPM, written by mido."""
    file, now = mido.MidiFile(ticks_per_beat=1000), 0
    track = mido.MidiTrack()
    file.tracks.append(track)
    for time, lane in events:
        tick = round(2000 * time)
        track.append(mido.Message("note_on", channel=9, note=note_of(lane), velocity=100, time=tick - now))
        now = tick
    out = io.BytesIO()
    file.save(file=out)
    return out.getvalue()


def lag(one: Samples, other: Samples) -> float:
    """Seconds by which the onsets of one sound come after those of the other."""
    length = min(one.shape[1], other.shape[1]) // 44 * 44
    envelopes = []
    for sound in (one, other):
        level = np.log1p(1000 * np.square(sound[:, :length]).mean(axis=0).reshape(-1, 44).mean(axis=1))
        growth = np.maximum(0, np.diff(level, prepend=0))
        envelopes.append(growth - growth.mean())
    products = np.correlate(envelopes[0], envelopes[1][100:-100], mode="valid")
    return float(np.argmax(products) - 100) * 44 / 44_100


@needs("fluidsynth", "fluid-soundfont-gm")
@pytest.mark.parametrize("events", [PART, DRIFTING], ids=["steady", "drifting"])
def test_fluidsynth_plays_the_chart_in_time_with_the_recording(events: list[Event], tmp_path: Path) -> None:
    stem = play(as_midi(events), tmp_path)
    chart = chart_of(write_wav(tmp_path / "stem.wav", stem))
    assert len(chart.hits) > 0.8 * len(events)
    again = play(midi_bytes(chart), tmp_path)
    assert abs(lag(again, stem)) < 0.005
    parts = [slice(start, start + 4 * RATE) for start in (0, 4 * RATE, 8 * RATE)]
    assert max(abs(lag(again[:, part], stem[:, part])) for part in parts) < 0.005  # all the way


@pytest.mark.parametrize("coding", ["mp3", "m4a", "opus"])
def test_a_lossy_file_has_its_hits_where_the_original_has_them(coding: str, tmp_path: Path) -> None:
    wav = write_wav(tmp_path / "drums.wav", rendered(PART, seconds=14))
    coded = tmp_path / f"drums.{coding}"
    subprocess.run([find_ffmpeg(), "-v", "error", "-i", str(wav), "-b:a", "192k", str(coded)], check=True)
    exact, lossy = chart_of(wav), chart_of(coded)
    shifts = []
    for hit in exact.hits:
        same = [other.time - hit.time for other in lossy.hits if other.lane == hit.lane]
        nearest = min(same, key=abs, default=1.0)
        if abs(nearest) < 0.025:
            shifts.append(nearest)
    assert len(shifts) > 0.9 * len(exact.hits)
    assert abs(np.median(shifts)) < 0.002
    assert np.quantile(np.abs(shifts), 0.95) < HOP / RATE
