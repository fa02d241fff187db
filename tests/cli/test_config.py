"""`stemwright config` as an operator meets it; and `separate`, which reads the same settings."""

from __future__ import annotations

import base64
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cli.command import lines, run
from sounds import sound, write_wav
from stemwright.app.settings import settings_model
from stemwright.cli.config import _text

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

SECRET = "whsec_" + base64.b64encode(bytes(32)).decode()


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("STEMWRIGHT_") or name in {"DATA_DIR", "DEMUCS_MODEL", "DEMUCS_DEVICE"}:
            monkeypatch.delenv(name)


def values(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    return {row["name"]: (row["value"], row["origin"]) for row in json.loads(done.stdout)}


def test_prints_what_is_in_force_as_yaml_with_origins_and_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stemwright.yaml").write_text("upload_max_bytes: 250MB\ncallbacks: {secret: '${HOOK}', allow: [a.b]}\n")
    monkeypatch.setenv("HOOK", SECRET)
    monkeypatch.setenv("STEMWRIGHT_LOG_LEVEL", "DEBUG")
    monkeypatch.setenv("DEMUCS_MODEL", "htdemucs_ft")
    done = run("config", cwd=tmp_path)
    assert SECRET not in done.stdout
    assert done.stderr == ""
    for line in (
        f"# file: {tmp_path / 'stemwright.yaml'}",
        "upload_max_bytes: 250 MB  # file",
        "port: 8000  # default",
        "  default: htdemucs_ft  # DEMUCS_MODEL",
        '  secret: "********"  # file',
        "  allow: [a.b]  # file",
        "  level: debug  # STEMWRIGHT_LOG_LEVEL",
    ):
        assert line in done.stdout.splitlines()


def test_what_it_prints_is_a_file_that_means_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = tmp_path / 'Bücher: "x" #1 𝄞'
    monkeypatch.setenv("STEMWRIGHT_DATA", str(odd))
    monkeypatch.setenv("STEMWRIGHT_HTTP_TRUSTED_PROXIES", "10.0.0.0/8,::1")
    monkeypatch.setenv("STEMWRIGHT_JOBS_TIMEOUT_FACTOR", "12.5")
    monkeypatch.setenv("STEMWRIGHT_JOBS_ENGINE_MAX_RSS", "5.5 GiB")
    text = run("config", cwd=tmp_path).stdout
    assert yaml.safe_load(text)["data"] == str(odd)
    before = values(run("config", "--json", cwd=tmp_path))
    (tmp_path / "again.yaml").write_text(text)
    for name in ("DATA", "HTTP_TRUSTED_PROXIES", "JOBS_TIMEOUT_FACTOR", "JOBS_ENGINE_MAX_RSS"):
        monkeypatch.delenv(f"STEMWRIGHT_{name}")
    after = values(run("config", "--config", "again.yaml", "--json", cwd=tmp_path))
    assert {name: value for name, (value, _) in after.items()} == {name: value for name, (value, _) in before.items()}


@given(st.text())
def test_any_text_is_yaml_for_itself(text: str) -> None:
    assert yaml.safe_load(f"a: [{_text(text)}, {_text(text)}]") == {"a": [text, text]}


def test_json_is_a_list_of_all_settings(tmp_path: Path) -> None:
    rows = json.loads(run("config", "--json", cwd=tmp_path).stdout)
    assert [row["name"] for row in rows] == [one.name for one in settings_model()().describe()]
    assert {"name": "port", "value": 8000, "origin": "default", "variable": "STEMWRIGHT_PORT"} in rows


def test_path_in_any_bytes_is_printed_in_any_locale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMWRIGHT_DATA", "/srv/\udcff\u00e9")
    for name, value in {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}.items():
        monkeypatch.setenv(name, value)
    assert 'data: "/srv/\\udcff' in run("config", cwd=tmp_path).stdout


def test_all_that_is_wrong_is_listed_a_line_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stemwright.yaml").write_text("prot: 1\nhost: ${A}\nmodel: {default: '${B}'}\n")
    monkeypatch.setenv("STEMWRIGHT_PORT", "high")
    done = run("config", cwd=tmp_path, code=2)
    assert done.stdout == ""
    first, second, third = done.stderr.splitlines()
    assert first.endswith("variables that are not set: A, B")
    assert second.endswith("prot: there is no such setting; did you mean port?")
    assert third.startswith("error (bad_settings): STEMWRIGHT_PORT: ")
    body = json.loads(run("config", "--json", cwd=tmp_path, code=2).stdout)
    assert (body["status"], body["error"]["code"], len(body["error"]["faults"])) == ("failed", "bad_settings", 3)


def test_named_file_must_exist(tmp_path: Path) -> None:
    assert "No such file" in run("config", "--config", "missing.yaml", cwd=tmp_path, code=2).stderr


def test_explains_itself() -> None:
    assert "--config" in run("config", "--help").stdout


def test_limits_of_separate_come_from_the_file_too(tmp_path: Path) -> None:
    song = write_wav(tmp_path / "song.wav", sound("noise", seconds=0.3))
    (tmp_path / "stemwright.yaml").write_text("max_bytes: 1kB\n")
    done = run("separate", song, "-m", "sketch", "-o", tmp_path / "out", "--json", cwd=tmp_path, code=1)
    assert lines(done)[0]["error"]["code"] == "too_large"


def test_help_loads_neither_pydantic_nor_yaml(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = "import sys, stemwright.cli.main; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path)
    assert not {"pydantic", "yaml", "stemwright.app.settings"} & {*loaded.stdout.split()}
