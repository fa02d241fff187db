"""Source 000's own test: MIDI patterns, played by FluidSynth with a drum soundfont, come back out of the sound."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import mido
import numpy as np
import pytest

from drums.hits import pairs, pattern
from needs import FONT, require
from sounds import read
from stemwright.drums.frames import DrumNetwork
from stemwright.drums.lanes import note_of
from stemwright.drums.transcribe import Transcriber

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from drums.hits import Event

EIGHTHS = tuple(range(0, 16, 2))
BACKBEAT = (4, 12)
Lanes = dict[int, tuple[int, ...]]
PARTS: Mapping[str, tuple[float, Lanes]] = {  # BPM, and of each lane the sixteenths of a bar
    "rock": (108, {0: (0, 8, 10), 1: BACKBEAT, 2: EIGHTHS}),
    "ride": (120, {0: (0, 6, 8), 1: BACKBEAT, 7: (0, 4, 8, 12)}),
    "four to the floor": (126, {0: (0, 4, 8, 12), 1: BACKBEAT, 2: (2, 6, 10, 14)}),
    "sixteenths": (92, {0: (0, 7, 10), 1: BACKBEAT, 2: tuple(range(16))}),
    "crashes": (100, {0: (0, 8), 1: BACKBEAT, 2: (2, 4, 6, 10, 12, 14), 6: (0,)}),
    "double kick": (140, {0: tuple(range(16)), 1: BACKBEAT, 7: (0, 4, 8, 12)}),
    "toms": (110, {1: (0, 2), 3: (4, 6), 4: (8, 10), 5: (12, 14)}),
    "tom groove": (96, {0: (0, 8), 1: BACKBEAT, 3: (2, 10), 5: (6, 14)}),
    "half time": (84, {0: (0, 3), 1: (8,), 2: EIGHTHS}),
    "bossa": (132, {0: (0, 6, 8, 14), 1: (3, 10), 2: EIGHTHS}),
}


def played(wanted: Sequence[Event], folder: Path) -> Path:
    """Events through FluidSynth, which adds its own reverb: a WAV file at 44.1 kHz."""
    file = mido.MidiFile(ticks_per_beat=1000)
    track = mido.MidiTrack()
    file.tracks.append(track)
    now = 0
    for index, (time, lane) in enumerate(wanted):  # 120 BPM: 2000 ticks a second
        tick = round(2000 * time)
        velocity = (110, 96, 104, 90)[index % 4]
        track.append(mido.Message("note_on", channel=9, note=note_of(lane), velocity=velocity, time=tick - now))
        now = tick
    file.save(folder / "part.mid")
    wav = folder / "part.wav"
    command = ["fluidsynth", "-niq", "-r", "44100", "-g", "0.5", "-F", str(wav), str(FONT), str(folder / "part.mid")]
    subprocess.run(command, check=True, capture_output=True)
    return wav


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[list[Event], list[Event]]]:
    """Of each part what was played and what the product hears."""
    require("fluidsynth", "fluid-soundfont-gm")
    network = DrumNetwork()
    out = {}
    for name, (bpm, lanes) in PARTS.items():
        wanted = pattern(bars=4, bpm=bpm, start=0.5, lanes=lanes)
        transcriber = Transcriber(44_100, channels=2, network=network)
        transcriber.add(read(played(wanted, tmp_path_factory.mktemp("part")), channels=2))
        out[name] = (wanted, [(hit.time, hit.lane) for hit in transcriber.finish().hits])
    return out


@pytest.mark.parametrize("name", PARTS)
def test_each_hit_that_fluidsynth_plays_is_found_within_25_ms_on_its_lane(
    name: str, heard: dict[str, tuple[list[Event], list[Event]]]
) -> None:
    wanted, given = heard[name]
    found = pairs(wanted, given, within=0.025)
    assert {*wanted} - {event for event, _ in found} == set()
    assert abs(np.median([late[0] - event[0] for event, late in found])) < 0.005


def test_of_a_hundred_hits_that_are_heard_98_were_played(heard: dict[str, tuple[list[Event], list[Event]]]) -> None:
    right = sum(len(pairs(wanted, given, within=0.025)) for wanted, given in heard.values())
    assert right / sum(len(given) for _, given in heard.values()) >= 0.98
