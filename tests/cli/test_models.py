"""`stemwright models`, and `--offline` and models of one's own in `separate`, as processes."""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml

from cli.command import lines, run
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
