"""`stemwright separate` as a user meets it."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.command import STEMWRIGHT, lines, run
from films import film, tone
from needs import require
from sounds import level_db, read, sound, write_wav
from tiny_demucs import make_repo

if TYPE_CHECKING:
    from collections.abc import Sequence


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write_wav(tmp_path / "song.wav", sound("song", seconds=1.0))


def test_one_song_gives_four_stems_a_receipt_and_their_paths_on_standard_output(song: Path, tmp_path: Path) -> None:
    done = run("separate", song, "-o", tmp_path / "out", "--model", "sketch")
    paths = [Path(line) for line in done.stdout.splitlines()]
    assert [path.name for path in paths] == ["vocals.flac", "drums.flac", "bass.flac", "other.flac"]
    assert tree(tmp_path / "out") == sorted(["song/receipt.json", *(f"song/{path.name}" for path in paths)])
    mix = read(song, channels=2)
    total = sum(read(path, channels=2) for path in paths)
    assert level_db(total - mix, mix) < -60
    [line] = done.stderr.splitlines()  # piped: no bars
    assert "draft" in line


def test_json_is_one_object_a_song(song: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF")
    done = run("separate", song, broken, "-o", tmp_path / "out", "-m", "sketch", "--json", "--stems", "drums", code=1)
    first, second = lines(done)
    assert (first["status"], first["song"]) == ("done", str(song))
    assert list(first["files"]) == ["drums"]
    assert first["receipt"]["model"]["draft"] is True
    assert (second["status"], second["error"]["code"]) == ("failed", "not_audio")
    again = lines(run("separate", song, "-o", tmp_path / "out", "-m", "sketch", "--json", "--stems", "drums"))
    assert again[0]["status"] == "skipped"
    assert again[0]["receipt"] == first["receipt"]


def test_folder_keeps_its_tree_goes_on_after_a_failure_and_ends_with_a_table(tmp_path: Path) -> None:
    album = tmp_path / "album"
    (album / "disc 2").mkdir(parents=True)
    write_wav(album / "a.wav", sound("noise", seconds=0.3))
    write_wav(album / "disc 2" / "a.wav", sound("noise", seconds=0.3, seed=2))
    (album / "page.mp3").write_bytes(b"<html>not found</html>")
    (album / "cover.jpg").write_bytes(b"\xff\xd8\xff\xe0 no song")
    (album / ".hidden.wav").write_bytes(b"")
    done = run("separate", album, "-o", album / "stems", "-m", "sketch", "-f", "wav", code=1)
    assert "song" in done.stderr
    assert "2 done, 0 done before, 1 failed" in done.stderr
    assert "(not_audio)" in done.stderr
    assert "1 other file was passed over (no sound in it, or unfinished): cover.jpg" in done.stderr
    names = {Path(name).parent for name in tree(album / "stems")}
    assert names == {Path("a"), Path("disc 2/a")}
    again = run("separate", album, "-o", album / "stems", "-m", "sketch", "-f", "wav", code=1)
    assert "0 done, 2 done before, 1 failed" in again.stderr  # stems are not taken for songs


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--model", "htdemics"], "unknown_model"),
        (["--model", "quick"], "quick is a strategy: use --strategy quick"),
        (["--format", "doc"], "bad_option"),
        (["--stems", "trumpet", "--model", "sketch"], "unknown_stem"),
        (["--overlap", "1.5"], "bad_option"),
        (["--bitrate", "fast", "--format", "mp3"], "bad_option"),
        (["--bitrate", "128"], "bad_option"),
        (["--name-template", "../{stem}.{ext}"], "bad_option"),
        (["--name-template", "{song}.{ext}"], "bad_option"),
        (["--name-template", "{stem.__class__}"], "bad_option"),
        (["--sample-rate", "100"], "bad_option"),
        (["--format", "mp4"], "stem.mp4-alac"),
        (["--stems", "vocal", "--model", "sketch"], "did you mean vocals?"),
    ],
)
def test_options_that_cannot_be_used_are_refused_before_any_work(
    song: Path, tmp_path: Path, arguments: list[str], code: str
) -> None:
    done = run("separate", song, "-o", tmp_path / "out", *arguments, code=2)
    assert code in done.stderr
    assert not (tmp_path / "out").exists()


def test_device_that_is_absent_is_an_error(song: Path, tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    repo = make_repo(tmp_path / "repo", name="tiny", samplerate=8000)
    for model in (["-m", "tiny", "--repo", repo], ["-m", "sketch"]):
        done = run("separate", song, *model, "--device", "cuda", "-o", tmp_path / "out", "--json", code=1)
        assert lines(done)[0]["error"]["code"] == "device_unavailable"
    assert not (tmp_path / "out").exists()


def test_model_without_weights_is_an_error_that_says_what_to_do(song: Path, tmp_path: Path) -> None:
    write_wav(tmp_path / "z.wav", sound("song", seconds=1.0))
    done = run("separate", tmp_path, "-m", "htdemucs", "-o", tmp_path / "out", "--json", code=1)
    [failure] = lines(done)  # the second song would fail in the same way
    assert failure["error"]["code"] == "model_unavailable"
    assert "not tried" in done.stderr
    assert not (tmp_path / "out").exists()


def test_demucs_weights_from_a_folder(song: Path, tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo", name="tiny", samplerate=8000)
    [result] = lines(
        run(
            "separate",
            song,
            "-m",
            "tiny",
            "--repo",
            repo,
            "--shifts",
            "2",
            "--overlap",
            "0.5",
            "--segment",
            "0.8",
            "-o",
            tmp_path / "out",
            "--json",
            "--no-exact",
            "--sample-rate",
            "22050",
            "-f",
            "wav24",
        )
    )
    settings = result["receipt"]["settings"]
    assert (settings["shifts"], settings["overlap"], settings["segment"]) == (2, 0.5, 0.8)
    assert (settings["exact"], settings["sample_rate"]) == (False, 22_050)


def test_limits_come_from_the_option_and_from_the_environment(
    song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run("separate", song, "-m", "sketch", "-o", tmp_path / "out", "--json", "--max-duration", "0.5", code=1)
    assert lines(done)[0]["error"]["code"] == "too_long"
    monkeypatch.setenv("STEMWRIGHT_MAX_BYTES", "1000")
    done = run("separate", song, "-m", "sketch", "-o", tmp_path / "out", "--json", code=1)
    assert lines(done)[0]["error"]["code"] == "too_large"
    monkeypatch.setenv("STEMWRIGHT_MAX_BYTES", "many")
    assert "STEMWRIGHT_MAX_BYTES" in run("separate", song, "-o", tmp_path / "out", code=2).stderr


def _started(song: Path, out: Path, *, before: Sequence[str] = ()) -> subprocess.Popen[bytes]:
    """A run that is in the midst of separating."""
    process = subprocess.Popen(
        [*before, *STEMWRIGHT, "separate", str(song), "-m", "sketch", "-o", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size for path in out.glob(".stemwright-*/*.f32")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_interrupted_run_leaves_nothing_half_written(tmp_path: Path, number: signal.Signals, code: int) -> None:
    song = write_wav(tmp_path / "long.wav", sound("noise", seconds=240))  # a busy machine is late with the signal
    with _started(song, tmp_path / "out") as process:
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == code
    assert b"Traceback" not in errors
    assert not (tmp_path / "out").exists()
    assert "ffmpeg" not in _children_named(tmp_path)


def test_nohup_goes_on_without_its_terminal(tmp_path: Path) -> None:
    song = write_wav(tmp_path / "song.wav", sound("noise", seconds=40))
    with _started(song, tmp_path / "out", before=["nohup"]) as process:
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=60)
    assert process.returncode == 0


@pytest.mark.parametrize("arguments", [["models"], ["config"], ["separate", "--json"]])
def test_output_that_cannot_be_written_is_said_in_a_line(song: Path, tmp_path: Path, arguments: list[str]) -> None:
    more = [song, "-o", tmp_path / "out", "-m", "sketch"] if arguments[0] == "separate" else []
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*STEMWRIGHT, *arguments, *map(str, more)], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 1
    assert done.stderr.decode().splitlines()[-1] == (
        "error (output_failed): the output cannot be written: No space left on device"
    )
    assert b"Traceback" not in done.stderr


def test_reader_that_has_ended_is_no_error(song: Path, tmp_path: Path) -> None:
    command = [*STEMWRIGHT, "separate", str(song), "-o", str(tmp_path / "out"), "-m", "sketch"]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr
    assert (tmp_path / "out" / "song" / "receipt.json").exists()


def test_killed_run_is_swept_by_the_next_and_its_song_is_done_then(tmp_path: Path) -> None:
    song = write_wav(tmp_path / "long.wav", sound("noise", seconds=40))
    with _started(song, tmp_path / "out") as process:
        process.kill()
        process.communicate()
    assert [path.name for path in (tmp_path / "out").iterdir()] != []
    [result] = lines(run("separate", song, "-m", "sketch", "-o", tmp_path / "out", "--json"))
    assert result["status"] == "done"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["long"]


def _children_named(folder: Path) -> str:
    require("ps")
    listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return "\n".join(line for line in listing.splitlines() if str(folder) in line)


def test_terminal_sees_a_bar_with_percent_and_a_summary(tmp_path: Path) -> None:
    song = write_wav(tmp_path / "long.wav", sound("noise", seconds=30))
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*STEMWRIGHT, "separate", str(song), "-m", "sketch", "-o", str(tmp_path / "out")],
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "120"},
    )
    os.close(theirs)
    seen = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            seen += os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
    os.close(ours)
    assert process.wait() == 0
    text = seen.decode()
    assert "separating" in text
    assert "%" in text
    assert "sketch (a draft) on cpu" in text
    assert "LUFS" in text


def test_names_that_are_no_text_and_names_that_steer_terminals_do_no_harm(tmp_path: Path) -> None:
    names = [b"caf\xe9.wav", b"red \x1b[31m.wav", b"[bold]x.wav", b"new\nline.wav"]
    for number, name in enumerate(names):
        write_wav(tmp_path / "plain.wav", sound("noise", seconds=0.1, seed=number)).rename(tmp_path / os.fsdecode(name))
    done = subprocess.run(
        [*STEMWRIGHT, "separate", tmp_path, "-o", tmp_path / "out", "-m", "sketch", "--json"],
        capture_output=True,
        check=False,
        env=os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    )
    assert done.returncode == 0, done.stderr
    assert b"\x1b" not in done.stdout + done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted(os.fsencode(Path(result["song"]).name) for result in results) == sorted(names)
    assert len({result["files"]["vocals"] for result in results}) == 4


def test_folder_without_songs_is_an_error_and_a_text_called_mp3_is_one_too(tmp_path: Path) -> None:
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / "notes.txt").write_text("no song")
    done = run("separate", tmp_path / "album", "-o", tmp_path / "out", "--json", code=1)
    assert lines(done)[0]["error"]["code"] == "no_songs"
    (tmp_path / "album" / "bad.mp3").write_text("no song")
    done = run("separate", tmp_path / "album", "-o", tmp_path / "out", "-m", "sketch", "--json", code=1)
    assert lines(done)[0]["error"]["code"] == "not_audio"


def test_stems_beside_the_songs_are_not_taken_for_songs(song: Path, tmp_path: Path) -> None:
    run("separate", tmp_path, "-o", tmp_path, "-m", "sketch", "-f", "wav")
    again = lines(run("separate", tmp_path, "-o", tmp_path, "-m", "sketch", "-f", "wav", "--json"))
    assert [(result["song"], result["status"]) for result in again] == [(str(song), "skipped")]


def test_shifts_that_a_model_has_no_use_for_are_refused(song: Path, tmp_path: Path) -> None:
    done = run("separate", song, "-o", tmp_path / "out", "-m", "sketch", "--shifts", "2", code=1)
    assert "gains nothing by shifts" in done.stderr


def test_strategy_from_a_file_takes_the_place_of_a_model(
    song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMWRIGHT_STRATEGY_CACHE", "0")
    (tmp_path / "mine.yaml").write_text(
        "_: sketch\nvocals: voice\nnot_vocals: {_: sketch, drums: beat, residual: rest}\n"
    )
    output: list[str | Path] = ["-o", tmp_path / "out", "-f", "wav32f", "--json"]
    arguments: list[str | Path] = ["separate", song, "--strategy", tmp_path / "mine.yaml", *output]
    [result] = lines(run(*arguments))
    assert [*result["files"]] == ["voice", "beat", "rest"]
    assert [node["paths"] for node in result["receipt"]["nodes"]] == [[""], ["not_vocals"]]
    assert lines(run(*arguments))[0]["status"] == "skipped"


def test_strategy_that_cannot_be_used_is_refused_before_any_song_is_read(song: Path, tmp_path: Path) -> None:
    for wrong, code in {"nosuch": "unknown_strategy", "none.yaml": "bad_strategy"}.items():
        done = run("separate", song, "--strategy", wrong, "-o", tmp_path / "out", "--json", code=2)
        assert lines(done)[0]["error"]["code"] == code
    run("separate", song, "--strategy", "fast", "--model", "sketch", "-o", tmp_path / "out", code=2)


def test_strategy_whose_weights_are_missing_offline_says_which_and_what_to_do(
    song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    done = run("separate", song, "--strategy", "karaoke", "--offline", "-o", tmp_path / "out", "--json", code=1)
    [failure] = lines(done)
    assert failure["error"]["code"] == "model_unavailable"
    assert "htdemucs_ft" in failure["error"]["message"]
    done = run("separate", song, "--strategy", "best", "--offline", "-o", tmp_path / "out", "--json", code=1)
    [failure] = lines(done)
    for name in ("htdemucs_ft", "hdemucs_mmi"):  # all of them at once, each with the command
        assert re.search(rf"stemwright models pull (\S+ )*{name}\b", failure["error"]["message"])
    assert not (tmp_path / "out").exists()


def test_track_of_a_film_is_chosen_by_its_number(tmp_path: Path) -> None:
    song = film(tmp_path / "song.mkv", sounds=[tone(1), tone(2)])
    common = ("separate", song, "-m", "sketch", "--json")
    [first] = lines(run(*common, "-o", tmp_path / "out"))
    assert first["receipt"]["input"]["track"] == 1
    assert any(
        warning["code"] == "tracks" and "--track" in warning["message"] for warning in first["receipt"]["warnings"]
    )
    [second] = lines(run(*common, "--track", "2", "-o", tmp_path / "second"))
    assert (second["status"], second["receipt"]["input"]["track"]) == ("done", 2)
    [third] = lines(run(*common, "--track", "3", "-o", tmp_path / "third", code=1))
    assert third["error"]["code"] == "no_such_track"
    assert "it has 2 tracks" in third["error"]["message"]
    run(*common, "--track", "0", code=2)
