"""Files that would take a YAML reader for ever: refused at once, at every entrance, by a message and a code."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as some

from cli.command import run
from stemwright.app.settings import SettingsError, load_settings
from stemwright.bounded_yaml import LIMITS, Limits, YamlError, load
from stemwright.doors.stemset.config import ConfigFileError
from stemwright.doors.stemset.load import load_stemset

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AT_ONCE = 5.0  # seconds, generous


def bomb(*, levels: int = 8, width: int = 9) -> str:
    """As it was found: aliases of aliases, 9 to the power of 8 texts in 500 bytes."""
    rows = ["a0: &a0 [" + ", ".join(["lol"] * width) + "]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels + 1)]
    return "\n".join(rows)


def merges(*, levels: int = 8, width: int = 9) -> str:
    """Sibling: the same by merge keys, which PyYAML itself unfolds."""
    rows = ["a0: &a0 {" + ", ".join(f"k{n}: 1" for n in range(width)) + "}"]
    rows += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * width)}]}}" for n in range(1, levels + 1)]
    return "\n".join(rows)


BOMBS = {
    "aliases": (bomb(), "aliases"),
    "merge keys": (merges(), "aliases"),
    "aliases of keys": ("a: &a [1, 2]\n" + "".join(f"? [{'*a, ' * 500}{n}]\n: 1\n" for n in range(40)), "aliases"),
    "many aliases": ("a: &a 1\nb: [" + "*a, " * 2000 + "]", "aliases"),
    "circle": ("a: &a [*a]", "circle"),
    "wide circle": ("a: &a {b: &b {c: *a}}", "circle"),
    "deep": ("[" * 5000, "deeply"),
    "deep blocks": ("\n".join(" " * n + "a:" for n in range(300)), "deeply"),
    "wide": ("[" + "1," * 60_000 + "]", "too large"),
    "large": ("a: " + "x" * (LIMITS.size_bytes + 1), "more than"),
    "date": ("a: 2001-99-99", "no sense"),
    "digits": ("a: " + "9" * 5000, "no sense"),
    "tag": ("a: !!python/object/apply:os.system [id]", "not YAML"),
    "two": ("a: 1\n---\nb: 1", "not YAML"),
}


@pytest.fixture(params=BOMBS)
def hostile(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """A text, a word of why it is refused, and a limit of time for that."""
    began = time.process_time()
    yield BOMBS[request.param]
    assert time.process_time() - began < AT_ONCE


def test_reader_refuses_what_would_take_for_ever(hostile: tuple[str, str]) -> None:
    text, words = hostile
    with pytest.raises(YamlError, match=words):
        load(text.encode())


def test_settings_in_the_current_folder_are_refused_and_named(
    hostile: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, words = hostile
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stemwright.yaml").write_text(text)
    with pytest.raises(SettingsError, match=rf"stemwright\.yaml.*{words}"):
        load_settings()


def test_stemset_s_file_in_the_current_folder_is_refused_and_named(hostile: tuple[str, str], tmp_path: Path) -> None:
    text, words = hostile
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ConfigFileError, match=rf"config\.yaml.*{words}") as caught:
        load_stemset(tmp_path / "config.yaml", environ=os.environ)
    assert caught.value.code == "bad_config"


def test_commands_end_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stemwright.yaml").write_text(bomb())
    began = time.monotonic()
    done = run("separate", tmp_path / "song.wav", "--json", code=2, cwd=tmp_path)
    assert '"bad_settings"' in done.stdout or "aliases" in done.stderr
    assert "Traceback" not in done.stderr
    assert time.monotonic() - began < 4 * AT_ONCE


@pytest.mark.parametrize("name", ["stemwright.yaml", "config.yaml", ".env"])
def test_pipe_in_the_place_of_a_file_does_not_hold_a_command_up(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sibling: what is read from the current folder is a regular file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("profiles: []")
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises((SettingsError, ConfigFileError), match="not a regular file"):
        load_settings() if name == "stemwright.yaml" else load_stemset(tmp_path / "config.yaml", environ=os.environ)


def test_variables_of_a_dotenv_file_that_double_each_other_are_refused(tmp_path: Path) -> None:
    """Sibling: 40 lines that each hold the one before twice come to a terabyte."""
    (tmp_path / "config.yaml").write_text("profiles: []")
    rows = ["A0=lollol"] + [f"A{n}=${{A{n - 1}}}${{A{n - 1}}}" for n in range(1, 41)]
    (tmp_path / ".env").write_text("\n".join(rows))
    with pytest.raises(ConfigFileError, match=r"\.env: more than"):
        load_stemset(tmp_path / "config.yaml", environ=os.environ)


def test_long_variable_used_often_is_refused(tmp_path: Path) -> None:
    """Sibling: 20,000 references to a variable of 100,000 characters come to 2 GB."""
    (tmp_path / "config.yaml").write_text("profiles: ['" + "${LONG}" * 20_000 + "']")
    (tmp_path / ".env").write_text("LONG=" + "x" * 100_000)
    with pytest.raises(ConfigFileError, match=r"config\.yaml: more than"):
        load_stemset(tmp_path / "config.yaml", environ=os.environ)


def test_variables_of_a_dotenv_file_name_one_another_as_before(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("media: ${PLACE}\nprofiles: ${NONE:-}")
    (tmp_path / ".env").write_text("BASE='/srv'\nPLACE=${BASE}/media:${OTHER:-x}\nEMPTY\n")
    with pytest.raises(ConfigFileError) as caught:
        load_stemset(tmp_path / "config.yaml", environ=os.environ)
    assert "variables that are not set" not in caught.value.message


def test_ordinary_aliases_and_merge_keys_are_read_as_before() -> None:
    text = "a: &a {x: 1, y: [1, 2]}\nb: {<<: *a, x: 2}\nc: [*a, *a]"
    one = {"x": 1, "y": [1, 2]}
    assert load(text.encode()) == {"a": one, "b": {"x": 2, "y": [1, 2]}, "c": [one, one]}
    assert load(b"") is None


def test_limits_are_counted_exactly() -> None:
    text = b"a: &a [1, 2]\nb: [*a, *a]"  # two lists of two, each repeated: 1 + 2 keys, 3, 1 + 3 + 3
    for nodes in range(5, 20):
        try:
            load(text, limits=Limits(nodes=nodes))
        except YamlError:
            continue
        break
    assert nodes == 14
    with pytest.raises(YamlError):
        load(text, limits=Limits(aliases=1))
    with pytest.raises(YamlError):
        load(text, limits=Limits(depth=1))
    load(text, limits=Limits(aliases=2, depth=2))


@given(some.binary(max_size=300))
def test_any_bytes_are_values_or_a_message(data: bytes) -> None:
    try:
        load(data)
    except YamlError as error:
        assert str(error)  # noqa: PT017
