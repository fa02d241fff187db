"""Names that are safe: texts from outside as parts of a path, templates, and names that are one to some file system."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemwright.engine.naming import NameTemplate, folded, safe_name
from stemwright.errors import OptionError

LONG = "Die sehr lange Überschrift einer Sinfonie in vier Sätzen, mit Chor und Orgel, op. 97, aufgenommen im Saal, " * 2


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


def test_long_names_that_differ_at_their_ends_stay_apart() -> None:
    first, second = safe_name(f"{LONG}1. Satz"), safe_name(f"{LONG}2. Satz")
    assert first != second
    assert first[:100] == second[:100] == LONG[:100]
    assert max(len(name.encode()) for name in (first, second)) <= 150
    assert safe_name(f"{LONG}1. Satz") == first
    template = NameTemplate("{artist}/{title}/{stem}.{ext}")
    assert template.path({"title": LONG + "a"}, stem="x", ext="wav") != template.path(
        {"title": LONG + "b"}, stem="x", ext="wav"
    )


@pytest.mark.parametrize("name", ["CON", "con.flac", "Aux", "COM1", "lpt9.wav", "nul"])
def test_names_that_windows_keeps_for_itself_are_changed(name: str) -> None:
    assert safe_name(name) == f"_{name}"


def test_names_that_a_file_system_takes_for_one_are_folded_to_one() -> None:
    assert folded("Caf\u00e9") == folded("CAFE\u0301")
    assert folded("stra\u00dfe") == folded("STRASSE")
    assert folded("a") != folded("b")
