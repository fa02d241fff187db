from __future__ import annotations

import io
import json

import mido
import numpy as np
import pytest

from drums.hits import CRASHED, pattern
from stemwright.drums.beats import Beats, find_beats
from stemwright.drums.chart import Chart, hits_of
from stemwright.drums.lanes import LANES, lane_of
from stemwright.drums.midi import TICKS, midi_bytes
from stemwright.drums.onsets import Onset


def chart(*, bpm: float | None, start: float = 0.37, late: float = 0.0, bars: int = 8) -> Chart:
    """A rock beat; each hit `late` seconds off at random."""
    rng = np.random.default_rng(3)
    part = pattern(bars=bars, bpm=bpm or 97, start=start, lanes=CRASHED)
    events = [(max(0.0, time + late * rng.uniform(-1, 1)), lane) for time, lane in part]
    found = [Onset(time, lane, velocity=0.3 + 0.08 * lane, confidence=0.9) for time, lane in events]
    found += [Onset(start + 1.03, lane, velocity=1.0, confidence=0.5) for lane in range(3, 8)]
    found.append(Onset(start + 1.3, 2, velocity=0.5, confidence=0.5, kind="open"))
    return Chart(duration=bars * 4 * 60 / (bpm or 97) + 2, hits=hits_of(found), beats=find_beats(found, bpm=bpm))


def read(made: Chart, *, quantise: bool = False) -> mido.MidiFile:
    return mido.MidiFile(file=io.BytesIO(midi_bytes(made, quantise=quantise)))


def played(file: mido.MidiFile) -> list[tuple[float, int, int]]:
    """Seconds, note and velocity of each hit, as a player would play them."""
    now, out = 0.0, []
    for message in file:
        now += message.time
        if message.type == "note_on" and message.velocity:
            assert message.channel == 9
            out.append((now, message.note, message.velocity))
    return out


@pytest.mark.parametrize("bpm", [None, 83.0, 171.3])
@pytest.mark.parametrize("start", [0.0, 0.1, 3.3])
def test_midi_and_json_agree_and_zero_is_the_first_sample(bpm: float | None, start: float) -> None:
    made = chart(bpm=bpm, start=start, late=0.01)
    onsets = json.loads(made.dumps())["onsets"]
    heard = sorted(played(read(made)))
    assert len(heard) == len(onsets)
    for time, note, velocity in heard:
        near = [one for one in onsets if one["note"] == note and abs(one["time"] - time) < 0.001]
        assert [one["velocity"] for one in near] == [velocity]
        assert lane_of(note) == near[0]["lane"]
        assert LANES[near[0]["lane"]].type == near[0]["type"]


def test_file_is_of_type_1_with_a_track_of_tempi_and_one_of_drums() -> None:
    file = read(chart(bpm=100))
    assert (file.type, len(file.tracks), file.ticks_per_beat) == (1, 2, TICKS)
    assert not [message for message in file.tracks[0] if not message.is_meta]
    assert file.tracks[1].name == "Drums"
    assert all(track[-1].type == "end_of_track" for track in file.tracks)


def test_every_hit_ends_before_the_next_on_its_note() -> None:
    sounding = set()
    for message in read(chart(bpm=180)):
        if message.type == "note_on":
            assert message.note not in sounding
            sounding.add(message.note)
        elif message.type == "note_off":
            sounding.remove(message.note)
    assert not sounding


def test_tempo_and_bars_are_those_of_the_beats() -> None:
    made = chart(bpm=90)
    file = read(made)
    assert made.beats is not None
    tempi = [message.tempo for message in file.tracks[0] if message.type == "set_tempo"]
    assert 60e6 / tempi[-1] == pytest.approx(90, rel=0.002)
    signatures = [message for message in file.tracks[0] if message.type == "time_signature"]
    assert signatures[-1].numerator == 4
    bars = sum(message.time for message in file.tracks[0][: 1 + file.tracks[0].index(signatures[-1])])
    kicks = [tick for tick, note in ticks(file) if note == 36]
    off = [(tick - bars) / TICKS / 4 for tick in kicks]
    assert min(abs(value - round(value)) for value in off) < 0.01  # kicks begin bars


@pytest.mark.parametrize("start", [0.0, 0.004, 0.01, 0.05, 0.2, 0.37, 0.5, 3.3])
def test_what_leads_up_to_the_first_beat_is_at_about_the_songs_tempo_and_beats_lie_on_the_grid(start: float) -> None:
    made = chart(bpm=110, start=start)
    file = read(made)
    assert made.beats is not None
    now, tempi, places = 0, [], {}
    for message in file.tracks[0]:
        now += message.time
        if message.type == "set_tempo":
            tempi.append(60e6 / message.tempo)
        elif message.type == "time_signature":
            places[now] = message.numerator * 4 * TICKS // message.denominator
    assert all(55 <= bpm <= 220.1 for bpm in tempi)
    first = max(places, default=0)  # where bars begin, after what leads up to them
    assert [*places.values()] == ([first] if first else []) + [places[first]]
    for beat, time in enumerate(made.beats.times[1:], 1):
        kick = [tick for tick, note in ticks(file) if note == 36 and abs(_seconds(file, tick) - time) < 0.02]
        assert all((tick - first) % TICKS in {0, 1, TICKS - 1} for tick in kick), beat


def _seconds(file: mido.MidiFile, place: int) -> float:
    now, seconds, tempo = 0, 0.0, 500_000
    for message in file.tracks[0]:
        step = min(message.time, place - now)
        now, seconds = now + step, seconds + step * tempo / 1e6 / TICKS
        if now < place and message.type == "set_tempo":
            tempo = message.tempo
    return seconds + (place - now) * tempo / 1e6 / TICKS


@pytest.mark.parametrize("start", [0.4, 0.45, 0.5, 2.0])
def test_quantised_hits_before_the_first_beat_are_where_the_songs_sixteenths_are(start: float) -> None:
    part = pattern(bars=8, bpm=110, start=start, lanes=CRASHED)
    pickup = [start - 15 / 110 * number for number in (1, 2)]
    found = [Onset(time, lane, velocity=0.5, confidence=0.9) for time, lane in [*((time, 1) for time in pickup), *part]]
    made = Chart(duration=20.0, hits=hits_of(found), beats=Beats(
        tuple(start + 60 / 110 * beat for beat in range(32)), steady=True, beats_in_bar=4, first_bar=0
    ))  # fmt: skip
    heard = sorted(time for time, note, _ in played(read(made, quantise=True)) if note == 38)
    assert heard[:2] == pytest.approx(sorted(pickup), abs=0.01)


def test_tempo_that_changes_after_the_end_is_kept() -> None:
    beats = Beats((0.2, 0.7, 1.3, 1.7, 2.4, 2.8, 3.6, 4.0), steady=False)
    file = read(Chart(duration=2.0, hits=(), beats=beats))
    assert len([message for message in file.tracks[0] if message.type == "set_tempo"]) == 8


def ticks(file: mido.MidiFile) -> list[tuple[int, int]]:
    now, out = 0, []
    for message in file.tracks[1]:
        now += message.time
        if message.type == "note_on":
            out.append((now, message.note))
    return out


def test_quantised_hits_lie_on_sixteenths_and_unquantised_ones_where_they_were() -> None:
    made = chart(bpm=100, late=0.02)
    straight = [tick for tick, note in ticks(read(made, quantise=True)) if note == 36]
    assert all((tick - straight[0]) % (TICKS // 4) == 0 for tick in straight)
    loose = [tick for tick, note in ticks(read(made)) if note == 36]
    assert any((tick - straight[0]) % (TICKS // 4) for tick in loose)
    shifts = [abs(a - b) / TICKS * 0.6 for a, b in zip(straight, loose, strict=True)]
    assert max(shifts) < 0.04


def test_without_a_tempo_the_file_says_so_and_an_empty_chart_is_a_file() -> None:
    made = Chart(duration=3.0, hits=())
    assert "no tempo" in next(message.text for message in read(made).tracks[0] if message.type == "text")
    assert not played(read(made))
    assert read(made).length == pytest.approx(3.0, abs=0.001)


def test_articulations_have_notes_of_their_own() -> None:
    assert 46 in {note for _, note, _ in played(read(chart(bpm=100)))}
