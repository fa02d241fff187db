"""`stemwright separate --drums`: the chart of the drum stem beside the stems."""

from __future__ import annotations

import json
from pathlib import Path

import mido
import pytest

from cli.command import lines, run
from drums.hits import CRASHED, pattern, rendered
from sounds import sound, write_wav
from stemwright.audio.decode import open_audio
from stemwright.drums.transcribe import Transcriber

CHART = ["drums.json", "drums.mid", "drums-quantised.mid", "drums.svg"]


@pytest.fixture
def song(tmp_path: Path) -> Path:
    part = pattern(bars=4, bpm=110, start=0.2, lanes={lane: CRASHED[lane] for lane in (0, 1, 2)})
    return write_wav(tmp_path / "song.wav", rendered(part, seconds=10) + 0.1 * sound("sine", seconds=10, channels=1))


def test_chart_of_the_drum_stem_comes_with_the_stems_and_is_in_the_receipt(song: Path, tmp_path: Path) -> None:
    wanted = ("separate", song, "-o", tmp_path / "out", "-m", "sketch", "-f", "wav32f", "--drums", "--json")
    [said] = lines(run(*wanted))
    receipt = said["receipt"]
    assert [Path(path).name for path in said["drums"].values()] == CHART
    assert {f"song/{name}" for name in CHART} <= {*receipt["files"]}
    chart = json.loads(Path(said["drums"]["chart"]).read_text())
    assert len(chart["onsets"]) == receipt["drums"]["onsets"] > 40
    assert receipt["drums"]["bpm"] == chart["bpm"] == pytest.approx(110, rel=0.01)
    assert [mido.MidiFile(said["drums"][part]).type for part in ("midi", "midi_quantised")] == [1, 1]
    assert lines(run(*wanted))[0]["status"] == "skipped"
    Path(said["drums"]["midi"]).unlink()
    assert lines(run(*wanted))[0]["status"] == "done"  # a receipt that is not whole


def test_chart_that_was_changed_or_is_broken_is_not_taken_for_whole_nor_overwritten(song: Path, tmp_path: Path) -> None:
    wanted = ("separate", song, "-o", tmp_path / "out", "-m", "sketch", "--drums", "--json")
    [said] = lines(run(*wanted))
    for part, content in (("midi", b"MThd"), ("chart", b"{}")):
        path = Path(said["drums"][part])
        before = path.read_bytes()
        path.write_bytes(content)
        for options in ((), ("--overlap", "0.1")):
            [failed] = lines(run(*wanted, *options, code=1))
            assert failed["error"]["code"] == "output_exists"
            assert "has been changed" in failed["error"]["message"]
        assert path.read_bytes() == content
        path.write_bytes(before)
    assert lines(run(*wanted))[0]["status"] == "skipped"


def test_chart_without_a_tempo_takes_the_quantised_file_of_an_earlier_chart_away(song: Path, tmp_path: Path) -> None:
    wanted = ("separate", song, "-o", tmp_path / "out", "-m", "sketch", "--drums", "--json", "--force")
    quantised = Path(lines(run(*wanted))[0]["drums"]["midi_quantised"])
    write_wav(song, sound("sine", seconds=2, channels=1))
    [said] = lines(run(*wanted))
    assert not quantised.exists()
    assert "song/drums-quantised.mid" not in {*said["receipt"]["files"], *said["receipt"]["kept"]}
    quantised.write_bytes(b"mine")
    run(*wanted)
    assert quantised.read_bytes() == b"mine"


def test_time_zero_of_the_chart_is_that_of_the_stem(song: Path, tmp_path: Path) -> None:
    [said] = lines(run("separate", song, "-o", tmp_path, "-m", "sketch", "-f", "wav32f", "--drums", "--json"))
    with open_audio(Path(said["files"]["drums"])) as stream:
        transcriber = Transcriber(stream.info.sample_rate, channels=stream.info.channels)
        for block in stream:
            transcriber.add(block)
    alone = transcriber.finish().as_json()
    assert json.loads(Path(said["drums"]["chart"]).read_text())["onsets"] == alone["onsets"]


def test_names_follow_the_template_and_paths_are_printed(song: Path, tmp_path: Path) -> None:
    template = "{song} by {model} - {stem}.{ext}"
    done = run("separate", song, "-o", tmp_path / "out", "-m", "sketch", "--drums", "--name-template", template)
    printed = [Path(line).name for line in done.stdout.splitlines()]
    assert [f"song by sketch - {name}" for name in CHART] == printed[-4:]
    assert all((tmp_path / "out" / name).exists() for name in printed)


def test_chart_without_the_drum_stem_is_refused_before_any_work(song: Path, tmp_path: Path) -> None:
    wanted = ("separate", song, "-o", tmp_path / "out", "-m", "sketch", "--stems", "vocals,no_drums", "--drums")
    done = run(*wanted, code=2)
    assert "no_drum_stem" in done.stderr
    assert "vocals, no_drums" in done.stderr
    assert not (tmp_path / "out").exists()
