"""Names that are safe, and folders that hold whole results only."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemwright.engine.output import NameTemplate, remove_stale, safe_name, staging
from stemwright.errors import OptionError, OutputError

if TYPE_CHECKING:
    from pathlib import Path


@given(st.text(st.characters(codec=None), max_size=400))
def test_any_text_becomes_one_part_of_a_path(text: str) -> None:
    name = safe_name(text)
    assert name == PurePosixPath(name).name
    assert name not in {"", ".", ".."}
    assert not name.startswith(".")
    assert len(name.encode()) <= 151
    assert not any(ord(character) < 32 for character in name)


@given(st.dictionaries(st.sampled_from(["song", "artist", "title", "album", "model"]), st.text()), st.text())
def test_no_tag_leads_out_of_the_folder(fields: dict[str, str], stem: str) -> None:
    path = NameTemplate("{artist}/{album}/{title} - {stem}.{ext}").path(fields, stem=stem, ext="wav")
    assert not path.is_absolute()
    assert ".." not in path.parts
    assert len(path.parts) == 3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{song}",
        "/{stem}",
        "../{stem}",
        "a/../{stem}",
        "{stem!r}",
        "{stem:>9}",
        "{stem.x}",
        "{stem[0]}",
        "{0}{stem}",
        "{stem",
        "{nobody}{stem}",
        "a\\{stem}",
    ],
)
def test_template_that_cannot_be_used_is_refused(text: str) -> None:
    with pytest.raises(OptionError):
        NameTemplate(text)


def test_staging_folder_goes_whatever_happens_and_so_do_folders_made_for_it(tmp_path: Path) -> None:
    root = tmp_path / "a" / "b"
    with pytest.raises(KeyboardInterrupt), staging(root) as stage:
        stage.new_file("x").write_bytes(b"half")
        raise KeyboardInterrupt
    assert not (tmp_path / "a").exists()


def test_what_a_dead_process_left_is_swept_and_what_a_live_one_uses_is_not(tmp_path: Path) -> None:
    (tmp_path / ".stemwright-dead").mkdir()
    (tmp_path / ".stemwright-dead" / "vocals.f32").write_bytes(b"half")
    with staging(tmp_path) as first:
        assert not (tmp_path / ".stemwright-dead").exists()
        with staging(tmp_path):
            assert first.folder.exists()


def test_publishing_puts_the_receipt_last_and_takes_the_old_one_away_first(tmp_path: Path) -> None:
    receipt, stem = PurePosixPath("song/receipt.json"), PurePosixPath("song/vocals.wav")
    with staging(tmp_path) as stage:
        for name in ("r", "v"):
            stage.new_file(name).write_text(name)
        stage.publish({receipt: stage.new_file("r"), stem: stage.new_file("v")}, receipt=receipt)
    assert (tmp_path / receipt).read_text() == "r"
    with pytest.raises(OutputError), staging(tmp_path) as stage:
        (tmp_path / "song" / "blocked").mkdir()
        (tmp_path / "song" / "blocked" / "x").write_text("")
        for name in ("r", "v"):
            stage.new_file(name).write_text(name)
        stage.publish(
            {receipt: stage.new_file("r"), PurePosixPath("song/blocked"): stage.new_file("v")}, receipt=receipt
        )
    assert not (tmp_path / receipt).exists()  # what it named is no longer whole


def test_a_forged_receipt_cannot_have_files_elsewhere_removed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    root = tmp_path / "out"
    root.mkdir()
    remove_stale(root, [str(victim), "../victim"], kept=set())
    assert victim.read_text() == "mine"
