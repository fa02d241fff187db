"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from stemwright import disk
from stemwright.disk import draft_of, write_whole

if TYPE_CHECKING:
    from pathlib import Path


def test_file_replaces_the_one_before_and_leaves_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "note.json"
    for content in (b"first", b"second, longer", b"3"):
        write_whole(path, content)
        assert path.read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == ["note.json"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_reader_sees_the_old_file_until_the_new_one_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, synced = tmp_path / "note", []

    def watch(what: Path | int) -> None:
        assert isinstance(what, os.PathLike)
        synced.append((path.read_bytes(), what.read_bytes()))

    path.write_bytes(b"old")
    monkeypatch.setattr(disk, "sync", watch)
    write_whole(path, b"new")
    assert synced == [(b"old", b"new")]
    assert path.read_bytes() == b"new"


def test_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), draft_of(path) as draft:
        draft.write_bytes(b"half")
        raise ZeroDivisionError
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]


def test_two_writers_at_once_write_drafts_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "note"
    with draft_of(path) as first, draft_of(path) as second:
        assert first != second
        first.write_bytes(b"1")
        second.write_bytes(b"2")
    assert path.read_bytes() == b"1"  # the outer one ends last
    assert [file.name for file in tmp_path.iterdir()] == ["note"]


def test_link_in_the_place_of_the_file_is_replaced_and_not_followed(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_bytes(b"theirs")
    (tmp_path / "note").symlink_to(theirs)
    write_whole(tmp_path / "note", b"ours", mode=0o644)
    assert theirs.read_bytes() == b"theirs"
    assert not (tmp_path / "note").is_symlink()
    assert (tmp_path / "note").read_bytes() == b"ours"
