"""`stemwright transcribe` as a user meets it."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import mido
import pytest

from cli.command import STEMWRIGHT, lines, run
from drums.hits import CRASHED, pattern, rendered
from needs import require
from processes import killed_at_rename
from sounds import sound, write_wav

PART = pattern(bars=6, bpm=110, start=0.2, lanes={lane: CRASHED[lane] for lane in (0, 1, 2)})


BEATLESS = pattern(bars=1, bpm=110, start=0.2, lanes={0: CRASHED[0]})


@pytest.fixture
def drums(tmp_path: Path) -> Path:
    return write_wav(tmp_path / "drums.wav", rendered(PART, seconds=14))


@pytest.fixture
def beatless(tmp_path: Path) -> Path:
    """Another recording of the same name, whose chart has no tempo."""
    (tmp_path / "other").mkdir()
    return write_wav(tmp_path / "other" / "drums.wav", rendered(BEATLESS, seconds=3))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


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


@pytest.mark.parametrize(("rate", "codes"), [(16_000, ["narrow_band"]), (22_050, [])])
def test_recording_without_the_band_of_cymbals_says_so(rate: int, codes: list[str], tmp_path: Path) -> None:
    narrow = write_wav(tmp_path / "narrow.wav", rendered(PART, seconds=14)[..., ::2], rate)
    [said] = lines(run("transcribe", narrow, "--drums-only", "-o", tmp_path / "out", "--json"))
    assert [one["code"] for one in said["warnings"]] == codes


def test_the_drums_of_a_song_are_separated_first_and_nothing_else_is_left(drums: Path, tmp_path: Path) -> None:
    mixed = rendered(PART, seconds=14) + 0.2 * sound("sine", seconds=14, channels=1)
    song = write_wav(tmp_path / "a song.wav", mixed)
    done = run("transcribe", song, "-o", tmp_path / "out")
    assert [line.rsplit("/", 1)[1] for line in done.stdout.splitlines()][:2] == ["drums.json", "drums.mid"]
    assert "hits" in done.stderr
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
    require("fonts-dejavu-core")
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


@pytest.mark.parametrize("there", [False, True])
def test_a_file_that_cannot_be_written_leaves_what_was_there(
    drums: Path, beatless: Path, tmp_path: Path, there: bool
) -> None:
    if there:
        run("transcribe", drums, "--drums-only", "-o", tmp_path / "out")
    before = contents(tmp_path / "out")
    done = subprocess.run(
        [*STEMWRIGHT, "transcribe", beatless, "--drums-only", "-o", tmp_path / "out", "--force", "--json"],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000)),  # chart and MIDI, no picture
    )
    assert lines(done)[0]["error"]["code"] == "output_failed"
    assert contents(tmp_path / "out") == before
    assert (tmp_path / "out").exists() == there


@pytest.mark.parametrize("point", [0, 1, 2])
def test_run_killed_between_two_files_is_brought_to_its_end_by_the_next(
    drums: Path, beatless: Path, tmp_path: Path, point: int
) -> None:
    run("transcribe", drums, "--drums-only", "-o", tmp_path / "out")
    run("transcribe", beatless, "--drums-only", "-o", tmp_path / "whole")
    code = f"""{killed_at_rename(point)}
from stemwright.cli.main import app
app({["transcribe", str(beatless), "--drums-only", "-o", str(tmp_path / "out"), "--force"]})
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    run("transcribe", beatless, "--drums-only", "-o", tmp_path / "out", code=1)  # it is there now
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["drums"]


def test_force_takes_away_what_only_the_earlier_chart_had_and_nobody_elses_files(
    drums: Path, beatless: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out" / "drums"
    wanted = ("transcribe", beatless, "--drums-only", "-o", tmp_path / "out", "--force")
    folder.mkdir(parents=True)
    for name in ("drums-quantised.mid", "drums.png"):
        (folder / name).write_text("mine")
    for _ in range(2):  # with no chart there, and with one that has neither
        run(*wanted)
        assert {(folder / name).read_text() for name in ("drums-quantised.mid", "drums.png")} == {"mine"}
    run("transcribe", drums, "--drums-only", "-o", tmp_path / "out", "--force")
    run(*wanted)
    assert sorted(path.name for path in folder.iterdir()) == ["drums.json", "drums.mid", "drums.png", "drums.svg"]


def test_force_takes_away_a_png_of_the_earlier_chart(drums: Path, beatless: Path, tmp_path: Path) -> None:
    pytest.importorskip("resvg_py", reason="needs the extra `picture`")
    require("fonts-dejavu-core")
    run("transcribe", drums, "--drums-only", "-o", tmp_path / "out", "--png")
    run("transcribe", beatless, "--drums-only", "-o", tmp_path / "out", "--force")
    assert sorted(contents(tmp_path / "out" / "drums")) == ["drums.json", "drums.mid", "drums.svg"]


def test_the_song_itself_is_never_overwritten(drums: Path, tmp_path: Path) -> None:
    song = tmp_path / "drums" / "drums.svg"
    song.parent.mkdir()
    song.write_bytes(drums.read_bytes())
    for force in ((), ("--force",)):
        done = run("transcribe", song, "--drums-only", "-o", tmp_path, *force, "--json", code=1)
        assert "the song itself" in lines(done)[0]["error"]["message"]
    assert contents(song.parent) == {"drums.svg": drums.read_bytes()}


def test_place_that_cannot_be_written_is_refused_before_any_work(tmp_path: Path) -> None:
    silent = write_wav(tmp_path / "drums.wav", rendered([], seconds=1)[:, :0])  # refused as soon as it is heard
    (tmp_path / "file").touch()
    places = {tmp_path / "file": "output_exists", tmp_path / ("x" * 300): "output_failed"}
    for place, code in {**places, Path("/proc"): "output_failed"}.items():
        for how in ((), ("--drums-only",)):
            [said] = lines(run("transcribe", silent, *how, "-o", place, "--json", code=1))
            assert said["error"]["code"] == code
    [said] = lines(run("transcribe", silent, "--drums-only", "-o", tmp_path / "out", "--json", code=1))
    assert said["error"]["code"] == "empty"


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
@pytest.mark.parametrize("mode", [0o400, 0o500])
def test_folder_without_permission_is_refused_before_any_work(tmp_path: Path, mode: int) -> None:
    silent = write_wav(tmp_path / "drums.wav", rendered([], seconds=1)[:, :0])
    for place in (tmp_path / "out", tmp_path / "deep" / "drums"):  # the output folder, and the song's in it
        place.mkdir(parents=True)
        place.chmod(mode)
        output = place if place.name == "out" else place.parent
        [said] = lines(run("transcribe", silent, "--drums-only", "-o", output, "--json", code=1))
        place.chmod(0o700)
        assert said["error"]["code"] == "output_failed"
