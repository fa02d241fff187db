"""Folders that hold whole results only."""

from __future__ import annotations

import signal
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest

from stemwright.engine.output import staging
from stemwright.errors import OutputExistsError

if TYPE_CHECKING:
    from pathlib import Path


def test_staging_folder_goes_whatever_happens_and_so_do_folders_made_for_it(tmp_path: Path) -> None:
    root = tmp_path / "a" / "b"
    with pytest.raises(KeyboardInterrupt), staging(root) as stage:
        stage.new_file("x").write_bytes(b"half")
        raise KeyboardInterrupt
    assert not (tmp_path / "a").exists()


def test_what_a_dead_process_left_is_swept_and_what_is_alive_or_not_ours_is_not(tmp_path: Path) -> None:
    for name in ("dead", "notes"):
        (tmp_path / f".stemwright-{name}").mkdir()
        (tmp_path / f".stemwright-{name}" / "vocals.f32").write_bytes(b"half")
    (tmp_path / ".stemwright-dead" / "staging").touch()
    with staging(tmp_path) as first:
        assert not (tmp_path / ".stemwright-dead").exists()
        assert (tmp_path / ".stemwright-notes" / "vocals.f32").exists()
        with staging(tmp_path):
            assert first.folder.exists()


def test_ctrl_c_waits_until_all_is_published(tmp_path: Path) -> None:
    receipt, stem = PurePosixPath("song/receipt.json"), PurePosixPath("song/vocals.wav")
    with pytest.raises(KeyboardInterrupt), staging(tmp_path) as stage:
        for name in ("r", "v"):
            stage.new_file(name).write_text(name)
        stage.publish(
            {receipt: stage.new_file("r"), stem: stage.new_file("v")},
            receipt=receipt,
            check=lambda: signal.raise_signal(signal.SIGINT),
        )
    assert (tmp_path / receipt).read_text() == "r"
    assert (tmp_path / stem).read_text() == "v"


def test_stale_files_go_with_the_old_receipt_and_nothing_else_does(tmp_path: Path) -> None:
    for name in ("receipt.json", "old.mid", "mine.mid"):
        (tmp_path / name).write_text("old")
    receipt, gone = PurePosixPath("receipt.json"), PurePosixPath("old.mid")
    with staging(tmp_path) as stage:
        stage.new_file("r").write_text("new")
        stage.publish({receipt: stage.new_file("r")}, receipt=receipt, check=lambda: None, stale=[gone])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.mid", "receipt.json"]


def test_check_that_refuses_leaves_everything_as_it_was(tmp_path: Path) -> None:
    receipt = PurePosixPath("receipt.json")
    (tmp_path / receipt).write_text("old")

    def refuse() -> None:
        raise OutputExistsError("somebody was quicker")

    with pytest.raises(OutputExistsError), staging(tmp_path) as stage:
        stage.new_file("r").write_text("new")
        stage.publish({receipt: stage.new_file("r")}, receipt=receipt, check=refuse)
    assert (tmp_path / receipt).read_text() == "old"
