"""What others left in an output folder: journals that no run of ours wrote, links, pipes. None of it steers a run."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from cli.command import lines, run
from engine.trees.test_intermediates import MIX, fetch, stored
from processes import killed_at_rename
from sounds import sound, write_wav
from stemwright import disk
from stemwright.disk import ForeignLinkError
from stemwright.engine.output import earlier_receipt, staging, sweep
from stemwright.engine.trees.intermediates import Intermediates

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user, which only root can")
RECEIPT, STEM = PurePosixPath("song/receipt.json"), PurePosixPath("song/vocals.wav")


def plant(out: Path, entries: object, *, name: str = ".stemwright-evil") -> Path:
    """A staging folder as an attacker, or an archive, would bring it along."""
    folder = out / name
    folder.mkdir(parents=True)
    (folder / "staging").touch()
    for file in ("payload", "payload2"):
        (folder / file).write_text("theirs")
    (folder / "journal.json").write_text(json.dumps(entries))
    return folder


def killed(out: Path) -> Path:
    """The staging folder of a run that was killed before its first move."""
    code = f"""{killed_at_rename(0)}
from pathlib import Path, PurePosixPath
from stemwright.engine.output import staging
receipt, stem = PurePosixPath({str(RECEIPT)!r}), PurePosixPath({str(STEM)!r})
with staging(Path({str(out)!r})) as stage:
    for name in ("r", "v"):
        stage.new_file(name).write_text("ours")
    files = {{receipt: stage.new_file("r"), stem: stage.new_file("v")}}
    stage.publish(files, receipt=receipt, check=lambda: None)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    [folder] = out.glob(".stemwright-*")
    return folder


def tree(folder: Path) -> dict[Path, object]:
    """All below a folder: files' bytes, links' targets."""
    return {
        path: path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def check_left_alone(out: Path, *words: str) -> None:
    """The next run leaves a staging folder alone, says so, and changes nothing else."""
    before = tree(out.parent)
    [notice] = sweep(out)
    assert notice.code == "left_alone"
    assert all(word in notice.message for word in words), notice.message
    assert tree(out.parent) == before


def test_journal_that_was_planted_moves_and_deletes_nothing(tmp_path: Path) -> None:
    """The attack as it was found: names that lead out of the output folder, up and from the root."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("delete-me", "bashrc"):
        (home / name).write_text("mine")
    absolute = tmp_path / "absolute"
    absolute.write_text("mine")
    entries = [["../home/delete-me", None], ["../home/bashrc", "payload"], [str(absolute), "payload2"]]
    folder = plant(tmp_path / "out", entries)
    check_left_alone(tmp_path / "out", str(folder), "not written by a run in this folder")
    assert (home / "delete-me").read_text() == (home / "bashrc").read_text() == absolute.read_text() == "mine"


@pytest.mark.parametrize("command", ["separate", "transcribe"])
def test_commands_leave_a_planted_journal_alone_and_say_so(command: str, tmp_path: Path) -> None:
    (tmp_path / "bashrc").write_text("mine")
    song = write_wav(tmp_path / "song.wav", sound("song", seconds=2))
    folder = plant(tmp_path / "stems", [["../bashrc", "payload"]], name=".stemwright-abc")
    model = ["--model", "sketch"] if command == "separate" else ["--drums-only"]
    done = run(command, song, *model, "-o", tmp_path / "stems")
    assert "left_alone" in done.stderr
    assert ".stemwright-abc" in done.stderr.replace("\n", "")
    assert (tmp_path / "bashrc").read_text() == "mine"
    assert (folder / "payload").read_text() == "theirs"
    assert (tmp_path / "stems" / "song").is_dir()


def test_a_run_s_own_folder_out_of_an_archive_is_not_believed(tmp_path: Path) -> None:
    """Sibling: a journal that a run of ours did write, packed and unpacked elsewhere; all its names are plain."""
    dead = killed(tmp_path / "first" / "out")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(dead, "stems/.stemwright-abc")
    packed.seek(0)
    (tmp_path / "second" / "stems" / "song").mkdir(parents=True)
    (tmp_path / "second" / "stems" / STEM).write_text("mine")
    with tarfile.open(fileobj=packed) as archive:
        archive.extractall(tmp_path / "second", filter="fully_trusted")
    check_left_alone(tmp_path / "second" / "stems", "not written by a run in this folder")
    assert (tmp_path / "second" / "stems" / STEM).read_text() == "mine"


def test_a_run_that_was_killed_is_still_finished_also_where_its_folder_was_renamed(tmp_path: Path) -> None:
    dead = killed(tmp_path / "out")
    assert sweep(tmp_path / "out") == ()
    assert (tmp_path / "out" / STEM).read_text() == (tmp_path / "out" / RECEIPT).read_text() == "ours"
    assert not dead.exists()


@pytest.mark.parametrize("mode", [0o770, 0o777])
def test_journal_in_a_folder_that_others_can_write_is_not_believed(mode: int, tmp_path: Path) -> None:
    killed(tmp_path / "out").chmod(mode)
    check_left_alone(tmp_path / "out", "others may have written")


@as_root
@pytest.mark.parametrize("name", [".", "journal.json"])
def test_journal_of_another_user_is_not_believed(name: str, tmp_path: Path) -> None:
    os.chown(killed(tmp_path / "out") / name, NOBODY, NOBODY)
    check_left_alone(tmp_path / "out", "others may have written")


@pytest.mark.parametrize(
    ("moves", "words"),
    [
        ({"stale": ["../x"], "staged": []}, "elsewhere"),
        ({"stale": ["a/../../x"], "staged": []}, "elsewhere"),
        ({"stale": ["/x"], "staged": []}, "elsewhere"),
        ({"stale": [""], "staged": []}, "elsewhere"),
        ({"stale": [7], "staged": []}, "not a file"),
        ({"stale": ["a\0b"], "staged": []}, "not a file"),
        ({"stale": [], "staged": [["x", "../payload"]]}, "elsewhere"),
        ({"stale": [], "staged": [["../x", "payload"]]}, "elsewhere"),
        ({"stale": [], "staged": [["x"]]}, "no run writes"),
        ({"stale": [], "staged": ["xy"]}, "no run writes"),
        ({"stale": {}, "staged": []}, "not written by a run"),
    ],
)
def test_names_that_lead_elsewhere_are_refused_even_with_the_right_mark(
    moves: dict[str, object], words: str, tmp_path: Path
) -> None:
    dead = killed(tmp_path / "out")
    said = json.loads((dead / "journal.json").read_text())
    (dead / "journal.json").write_text(json.dumps(said | moves))
    check_left_alone(tmp_path / "out", words)


@pytest.mark.parametrize("kind", ["pipe", "link", "deep", "large"])
def test_journal_that_is_no_small_file_of_ours_does_not_stop_a_run(kind: str, tmp_path: Path) -> None:
    dead = killed(tmp_path / "out")
    file = dead / "journal.json"
    text = file.read_text()
    file.unlink()
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "link":
        (tmp_path / "journal").write_text(text)
        file.symlink_to(tmp_path / "journal")
    else:
        file.write_text("[" * 200_000 if kind == "deep" else " " * (disk.SMALL + 1))
    notices = sweep(tmp_path / "out")
    assert [notice.code for notice in notices] == ([] if kind == "deep" else ["left_alone"])
    assert not (tmp_path / "out" / STEM).exists()


def test_recovery_follows_no_link_on_the_way_to_a_place(tmp_path: Path) -> None:
    killed(tmp_path / "out")
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / STEM.name).write_text("mine")
    (tmp_path / "out" / "song").rmdir()
    (tmp_path / "out" / "song").symlink_to(victim)
    check_left_alone(tmp_path / "out", "song", "is a link")
    assert (victim / STEM.name).read_text() == "mine"


@as_root
@pytest.mark.parametrize("command", ["separate", "transcribe"])
@pytest.mark.parametrize("place", ["out", "out/song"])
def test_link_of_another_user_is_not_followed(place: str, command: str, tmp_path: Path) -> None:
    """`out/song -> victim`, and `out -> victim` itself, laid by somebody else who may write there."""
    song = write_wav(tmp_path / "song.wav", sound("song", seconds=2))
    victim = tmp_path / "victim"
    victim.mkdir()
    link = tmp_path / place
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(victim)
    os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
    options = ["--model", "sketch"] if command == "separate" else ["--drums-only"]
    done = run(command, song, *options, "-o", tmp_path / "out", "--json", code=1)
    [said] = lines(done)
    assert said["error"]["code"] == "output_failed"
    assert "link of another user" in said["error"]["message"]
    assert list(victim.iterdir()) == []


@as_root
def test_link_above_the_output_folder_is_followed_unless_anybody_could_have_laid_it(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    (tmp_path / "disk").mkdir()
    theirs.mkdir()
    (theirs / "link").symlink_to(tmp_path / "disk")
    os.chown(theirs, NOBODY, NOBODY)
    os.chown(theirs / "link", NOBODY, NOBODY, follow_symlinks=False)
    with staging(theirs / "link" / "out") as stage:
        assert stage.folder.is_dir()
    theirs.chmod(0o777)
    with pytest.raises(ForeignLinkError), staging(theirs / "link" / "out"):
        pass
    assert list((tmp_path / "disk").iterdir()) == []


def test_own_links_are_followed_as_before(tmp_path: Path) -> None:
    """A folder of the user's on another disk."""
    (tmp_path / "big").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "song").symlink_to(Path("..", "big"))
    (tmp_path / "link").symlink_to("out")
    with staging(tmp_path / "link") as stage:
        for name in ("r", "v"):
            stage.new_file(name).write_text(name)
        files = {RECEIPT: stage.new_file("r"), STEM: stage.new_file("v")}
        stage.publish(files, receipt=RECEIPT, check=lambda: None)
    assert {path.name: path.read_text() for path in (tmp_path / "big").iterdir()} == {
        "receipt.json": "r",
        "vocals.wav": "v",
    }


def test_pipe_in_the_place_of_a_receipt_does_not_hold_a_run_up(tmp_path: Path) -> None:
    """Sibling: a receipt steers what is overwritten; a pipe from an archive would never end."""
    os.mkfifo(tmp_path / "receipt.json")
    assert earlier_receipt(tmp_path / "receipt.json") is None
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(1 << 40)  # costs nothing on the disk
    assert earlier_receipt(tmp_path / "large.json") is None


def test_staging_folder_that_was_replaced_meanwhile_gives_nothing_of_what_took_its_place(tmp_path: Path) -> None:
    """Sibling: others may rename in a folder that they can write; what is published is what was written here."""
    with staging(tmp_path) as stage:
        for name in ("r", "v"):
            stage.new_file(name).write_text("ours")
        files = {RECEIPT: stage.new_file("r"), STEM: stage.new_file("v")}

        def replaced() -> None:
            stage.folder.rename(tmp_path / "away")
            stage.folder.mkdir()
            for name in ("r", "v", "precious"):
                (stage.folder / name).write_text("theirs")

        stage.publish(files, receipt=RECEIPT, check=replaced)
    assert (tmp_path / STEM).read_text() == "ours"
    assert (stage.folder / "precious").read_text() == "theirs"


@as_root
@pytest.mark.parametrize("whose", ["another's", "everybody's"])
def test_sounds_kept_where_others_write_are_not_used(whose: str, tmp_path: Path) -> None:
    """Sibling: a cache that somebody planted."""
    kept = Intermediates(tmp_path / "cache", budget=1 << 20, worth=0)
    kept.keep("a", stored(tmp_path / "a"), took=1)
    assert np.array_equal(fetch(kept, "a", tmp_path / "copy"), MIX)
    if whose == "another's":
        os.chown(tmp_path / "cache", NOBODY, NOBODY)
    else:
        (tmp_path / "cache").chmod(0o777)
    before = tree(tmp_path / "cache")
    assert fetch(kept, "a", tmp_path / "copy") is None
    kept.keep("b", stored(tmp_path / "b"), took=1)
    assert tree(tmp_path / "cache") == before
