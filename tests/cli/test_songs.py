"""Which songs are found, and where their files go: each to a place of its own, the same each time."""

from __future__ import annotations

import subprocess
import wave
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.command import lines, run
from sounds import sound, write_wav
from stemwright.audio.ffmpeg import find_ffmpeg
from stemwright.cli.songs import find_songs
from stemwright.engine.naming import folded, safe_name

if TYPE_CHECKING:
    from collections.abc import Sequence

LONG = "Die sehr lange Überschrift einer Sinfonie in vier Sätzen, mit Chor und Orgel, op. 97, aufgenommen im Saal, " * 2


def silent(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(800))
    return path


def places(paths: Sequence[Path], out: Path) -> list[str]:
    """The folders of stems below `out` with the usual template, in the order of the songs."""
    found = find_songs(paths, out)
    folders = [task.root / safe_name(task.name or task.song.stem) for task in found.tasks]
    assert len({folded(str(folder)) for folder in folders}) == len(folders)
    return [str(folder.relative_to(out)) for folder in folders]


def test_one_folder_keeps_its_tree_and_several_their_names(tmp_path: Path) -> None:
    for album in ("Album A", "Album B"):
        silent(tmp_path / album / "CD 1" / "01 Intro.wav")
    a, b = tmp_path / "Album A", tmp_path / "Album B"
    assert places([a], tmp_path / "out") == ["CD 1/01 Intro"]
    assert places([a, b], tmp_path / "out") == ["Album A/CD 1/01 Intro", "Album B/CD 1/01 Intro"]
    assert places([b, a], tmp_path / "out") == ["Album B/CD 1/01 Intro", "Album A/CD 1/01 Intro"]
    assert places([a / "CD 1", b / "CD 1"], tmp_path / "out") == ["Album A/CD 1/01 Intro", "Album B/CD 1/01 Intro"]


def test_current_folder_has_a_name_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silent(tmp_path / "here" / "a.wav")
    silent(tmp_path / "there" / "a.wav")
    monkeypatch.chdir(tmp_path / "here")
    assert places([Path(), Path("../there")], tmp_path / "out") == ["here/a", "there/a"]


@pytest.mark.parametrize(
    ("songs", "expected"),
    [
        (["a/song.wav", "b/song.wav"], ["a/song", "b/song"]),
        (["x/a/song.wav", "y/a/song.wav"], ["x/a/song", "y/a/song"]),
        (["a/Song.wav", "b/song.wav"], ["a/Song", "b/song"]),
        (["Song.wav", "Song.flac"], ["Song.wav", "Song.flac"]),
        (["a/s.wav", "a/s.flac", "b/s.wav"], ["a/s.wav", "a/s.flac", "b/s"]),
        (["gru\u0308n.wav", "gr\u00fcn.flac"], ["gru\u0308n.wav", "gr\u00fcn.flac"]),
        (["a/song.wav", "b/other.wav"], ["song", "other"]),
    ],
)
def test_songs_of_one_name_are_told_apart(tmp_path: Path, songs: list[str], expected: list[str]) -> None:
    paths = [silent(tmp_path / song) for song in songs]
    assert places(paths, tmp_path / "out") == expected
    assert places(paths[::-1], tmp_path / "out") == expected[::-1]


def test_names_that_only_unsafe_characters_tell_apart_stay_apart(tmp_path: Path) -> None:
    first, second = places([silent(tmp_path / "why?.wav"), silent(tmp_path / "why*.wav")], tmp_path / "out")
    assert first.startswith("why_.wav~")
    assert second.startswith("why_.wav~")


def test_song_that_is_named_twice_or_through_a_link_is_done_once(tmp_path: Path) -> None:
    song = silent(tmp_path / "album" / "a.wav")
    (tmp_path / "link.wav").symlink_to(song)
    (tmp_path / "album" / "again.wav").symlink_to(song)
    assert places([song, song, tmp_path / "link.wav"], tmp_path / "out") == ["a"]
    assert len(places([tmp_path / "album"], tmp_path / "out")) == 1


def test_two_movements_with_long_names_are_both_done(tmp_path: Path) -> None:
    album = tmp_path / "album"
    album.mkdir()
    for number in (1, 2):
        write_wav(album / f"{LONG[:100]}{LONG[:110]}{number}. Satz.wav", sound("noise", seconds=0.3, seed=number))
    done = lines(run("separate", album, "-o", tmp_path / "out", "-m", "sketch", "--json"))
    assert [one["status"] for one in done] == ["done", "done"]


def test_two_albums_with_a_track_of_one_name_are_both_done_and_known_again(tmp_path: Path) -> None:
    for number, album in enumerate(("Album A", "Album B")):
        (tmp_path / album).mkdir()
        write_wav(tmp_path / album / "01 Intro.wav", sound("noise", seconds=0.3, seed=number))
    arguments: list[str | Path] = [
        "separate",
        tmp_path / "Album A",
        tmp_path / "Album B",
        "-o",
        tmp_path / "out",
        "-m",
        "sketch",
        "--json",
    ]
    first = lines(run(*arguments))
    assert [one["status"] for one in first] == ["done", "done"]
    assert [one["status"] for one in lines(run(*arguments))] == ["skipped", "skipped"]
    assert (tmp_path / "out" / "Album B" / "01 Intro" / "vocals.flac").exists()


def test_files_of_a_folder_that_are_no_recordings_are_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    song = write_wav(folder_of(folder) / "song.wav", sound("noise", seconds=0.3))
    (folder / "unfinished.wav.part").write_bytes(song.read_bytes())
    (folder / "empty.mp3").write_bytes(b"")
    (folder / "notes.mid").write_bytes(b"MThd\0\0\0\6\0\1\0\1\1\xe0MTrk\0\0\0\4\0\xff\x2f\0")
    (folder / "song.lrc").write_text("[00:01.00]la la")
    (folder / "mute.avi").write_bytes(b"RIFF\0\1\0\0AVI LIST\0\1\0\0hdrlavih" + bytes(300) + b"vids")
    done = run("separate", folder, "-o", tmp_path / "out", "-m", "sketch")
    assert "5 other files were passed over (no sound in them, or unfinished)" in done.stderr
    for name in ("unfinished.wav.part", "empty.mp3", "notes.mid", "song.lrc", "mute.avi"):
        if name != "unfinished.wav.part":
            run("separate", folder / name, "-o", tmp_path / "one", "-m", "sketch", code=1)
    (folder / "sounds.avi").write_bytes(b"RIFF\0\1\0\0AVI LIST\0\1\0\0hdrlavih" + bytes(300) + b"auds")
    assert "AVI is not supported" in run("separate", folder, "-o", tmp_path / "out", "-m", "sketch", code=1).stderr


def test_film_without_sound_in_a_folder_is_passed_over_and_named_it_is_an_error(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "folder")
    write_wav(folder / "song.wav", sound("noise", seconds=0.3))
    film = mute_film(folder / "mute.mp4")
    assert (
        "passed over (no sound in it, or unfinished): mute.mp4"
        in run("separate", folder, "-o", tmp_path / "out", "-m", "sketch").stderr
    )
    assert "no_audio" in run("separate", film, "-o", tmp_path / "out", "-m", "sketch", code=1).stderr


@pytest.mark.parametrize("template", ["{song}/{stem}.{ext}", "{song} - {stem}.{ext}", "{stem}/{song}.{ext}"])
def test_files_of_ours_are_known_whatever_they_are_called(tmp_path: Path, template: str) -> None:
    folder = folder_of(tmp_path / "music")
    song = write_wav(folder / "song.wav", sound("song", seconds=1))
    run(
        "separate", song, "-o", folder, "-m", "sketch", "-f", "wav", "--name-template", template, "--drums", "--picture"
    )
    run("transcribe", song, "-o", folder / "charts", "--drums-only")
    assert [task.song.name for task in find_songs([folder], tmp_path / "out").tasks] == ["song.wav"]


def folder_of(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def mute_film(path: Path) -> Path:
    """A film of a few black pictures, without sound."""
    command: list[str | Path] = [find_ffmpeg(), "-v", "error", "-f", "lavfi", "-i", "color=black:s=64x64:d=0.2", path]
    subprocess.run(command, check=True)
    return path
