"""`stemwright transcribe` as a user meets it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import mido
import pytest

from cli.command import lines, run
from drums.hits import CRASHED, pattern, rendered
from sounds import sound, write_wav

if TYPE_CHECKING:
    from pathlib import Path

PART = pattern(bars=6, bpm=110, start=0.2, lanes={lane: CRASHED[lane] for lane in (0, 1, 2)})


@pytest.fixture
def drums(tmp_path: Path) -> Path:
    return write_wav(tmp_path / "drums.wav", rendered(PART, seconds=14))


def test_drums_become_a_chart_and_midi_files(drums: Path, tmp_path: Path) -> None:
    [said] = lines(run("transcribe", drums, "--drums-only", "-o", tmp_path / "out", "--json"))
    assert (said["status"], said["warnings"]) == ("done", [])
    assert said["bpm"] == pytest.approx(110, rel=0.01)
    folder = tmp_path / "out" / "drums"
    assert sorted(path.name for path in folder.iterdir()) == [
        "drums-quantised.mid",
        "drums.json",
        "drums.mid",
        "drums.svg",
    ]
    chart = json.loads((folder / "drums.json").read_text())
    assert len(chart["onsets"]) == said["onsets"] > 0.8 * len(PART)
    assert {"time", "lane", "type", "velocity", "confidence", "note"} == chart["onsets"][0].keys()
    assert mido.MidiFile(folder / "drums.mid").length == pytest.approx(chart["duration"], abs=0.01)


def test_the_drums_of_a_song_are_separated_first_and_nothing_else_is_left(drums: Path, tmp_path: Path) -> None:
    mixed = rendered(PART, seconds=14) + 0.2 * sound("sine", seconds=14, channels=1)
    song = write_wav(tmp_path / "a song.wav", mixed)
    done = run("transcribe", song, "-o", tmp_path / "out")
    assert [line.rsplit("/", 1)[1] for line in done.stdout.splitlines()][:2] == ["drums.json", "drums.mid"]
    assert "strokes" in done.stderr
    assert done.stderr.count("(draft)") == 1  # of the separator
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a song"}


def test_a_chart_that_is_there_is_kept_unless_forced(drums: Path, tmp_path: Path) -> None:
    run("transcribe", drums, "--drums-only", "-o", tmp_path)
    before = (tmp_path / "drums" / "drums.json").read_bytes()
    done = run("transcribe", drums, "--drums-only", "-o", tmp_path, code=1)
    assert "--force" in done.stderr
    run("transcribe", drums, "--drums-only", "-o", tmp_path, "--force")
    assert (tmp_path / "drums" / "drums.json").read_bytes() == before


def test_picture_as_png_is_drawn_where_asked_for_and_nobodys_file_is_overwritten(drums: Path, tmp_path: Path) -> None:
    pytest.importorskip("resvg_py", reason="needs the extra `picture`")
    own = tmp_path / "out" / "drums" / "drums.png"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    run("transcribe", drums, "--drums-only", "-o", tmp_path / "out", code=1)
    assert own.read_text() == "mine"
    [said] = lines(run("transcribe", drums, "--drums-only", "-o", tmp_path / "out", "--png", "--force", "--json"))
    assert said["files"]["picture_png"] == str(own)
    assert own.read_bytes().startswith(b"\x89PNG")


def test_what_is_no_recording_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    done = run("transcribe", tmp_path / "text.wav", "-o", tmp_path / "out", "--json", code=1)
    assert lines(done)[0]["error"]["code"] == "not_audio"
    assert not (tmp_path / "out").exists()
    done = run("transcribe", tmp_path / "none.wav", "-o", tmp_path / "out", code=1)
    assert "(not_found)" in done.stderr
