"""Source 000's own test: a MIDI pattern, played by FluidSynth with a drum soundfont, comes back out of the sound."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import mido
import numpy as np
import pytest

from drums.hits import pairs, pattern
from sounds import read
from stemwright.drums.lanes import note_of
from stemwright.drums.transcribe import Transcriber

FONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
PARTS = {
    "rock": {0: (0, 8, 10), 1: (4, 12), 2: tuple(range(0, 16, 2))},
    "ride": {0: (0, 6, 8), 1: (4, 12), 7: tuple(range(0, 16, 4))},
    "four to the floor": {0: (0, 4, 8, 12), 1: (4, 12), 2: (2, 6, 10, 14)},
}


@pytest.mark.skipif(not (FONT.exists() and shutil.which("fluidsynth")), reason="needs fluidsynth, fluid-soundfont-gm")
@pytest.mark.parametrize("name", PARTS)
def test_what_fluidsynth_plays_from_midi_is_found_again(name: str, tmp_path: Path) -> None:
    wanted = pattern(bars=4, bpm=108, start=0.5, lanes=PARTS[name])
    file = mido.MidiFile(ticks_per_beat=1000)
    track = mido.MidiTrack()
    file.tracks.append(track)
    now = 0
    for time, lane in wanted:  # 120 BPM: 2000 ticks a second
        tick = round(2000 * time)
        track.append(mido.Message("note_on", channel=9, note=note_of(lane), velocity=100, time=tick - now))
        now = tick
    file.save(tmp_path / "part.mid")
    wav = tmp_path / "part.wav"
    command = ["fluidsynth", "-niq", "-r", "44100", "-g", "0.5", "-F", str(wav), str(FONT), str(tmp_path / "part.mid")]
    subprocess.run(command, check=True, capture_output=True)
    transcriber = Transcriber(44_100, channels=2)
    transcriber.add(read(wav, channels=2))
    given = [(stroke.time, stroke.lane) for stroke in transcriber.finish().strokes]
    found = pairs(wanted, given)
    assert len(found) / len(wanted) >= 0.95
    assert len(found) / len(given) >= 0.8
    assert abs(np.median([heard[0] - played[0] for played, heard in found])) < 0.005
