"""What a newcomer does first, by real HTTP against a real server."""

from __future__ import annotations

import io
import json
import subprocess
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from needs import require
from sounds import level_db, read, sound, write_wav
from web.answers import problem_of

if TYPE_CHECKING:
    from pathlib import Path

    from server import Server


def curl(*args: str) -> str:
    require("curl")
    return subprocess.run(["curl", "-sS", "--fail-with-body", *args], check=True, capture_output=True, text=True).stdout


def events_of(server: Server, url: str) -> list[dict[str, Any]]:
    """All events of a job until the server ends the stream."""
    with server.http.stream("GET", url) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in answer.iter_lines() if line.startswith("data:")]
    return [json.loads(line.removeprefix("data:")) for line in lines]


def test_from_upload_to_stems_zip_mix_and_deletion(server: Server, tmp_path: Path) -> None:
    before = server.objects()
    samples = sound("song", seconds=2, seed=7)
    path = write_wav(tmp_path / "My first song.wav", samples, bits=16)

    job = json.loads(
        curl("-F", f"file=@{path}", "-F", "analysis=false", "-F", "model=sketch", f"{server.url}/api/v1/jobs")
    )
    assert job["status"] == "queued"
    events = events_of(server, job["links"]["events"])
    progress = [event["progress"] for event in events]
    assert progress == sorted(progress)
    assert events[-1]["status"] == "succeeded", events[-1]
    assert progress[-1] == 100
    assert events[-1] == server.job(job["id"])

    result, song = events[-1]["result"], events[-1]["links"]["song"]
    total = np.zeros_like(samples)
    for name, url in result["stems"].items():
        stem = tmp_path / f"{name}.flac"
        curl("-o", str(stem), f"{server.url}{url}")
        total += read(stem, channels=2)
    assert level_db(total - samples, samples) < -60

    answer = server.http.get(result["zip"])
    assert len(answer.content) == int(answer.headers["content-length"])
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert {*archive.namelist()} == {*(f"{name}.flac" for name in result["stems"]), "receipt.json"}
        assert json.loads(archive.read("receipt.json"))["model"]["name"] == "sketch"
    assert server.http.get(result["receipt"]).json()["model"]["name"] == "sketch"
    for url in (result["mix"], *result["peaks"].values()):
        assert len(server.http.get(url).raise_for_status().content) > 100

    listed = server.http.get("/api/v1/songs", params={"search": "first"}).json()
    assert [one["title"] for one in listed["items"]] == ["My first song"]
    assert server.http.delete(song).status_code == 204
    for url in (song, result["zip"], result["mix"], result["receipt"], *result["stems"].values()):
        problem_of(server.http.get(url), 404, "not_found")
    problem_of(server.http.delete(song), 404, "not_found")
    assert server.job(job["id"])["song_id"] is None
    assert server.objects() == before
