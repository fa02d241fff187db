"""The whole conversation: curl's way, `socket.io-client` in Node, and our page in a browser."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest

from doors.npm import installed
from needs import needs
from player.browser import launched
from server import WAIT, Server, running
from sounds import read, sound, write_wav
from stemwright.doors import demucs_web
from stemwright.doors.demucs_web.words import job_id_of

if TYPE_CHECKING:
    from collections.abc import Iterator

RATE, SECONDS = 44_100, 3.0
MOST = 2_000_000  # bytes of an upload
CLIENT = Path(__file__).parent / "client"
STATIC = Path(demucs_web.__file__).parent / "static"
STEMS = {"vocals", "drums", "bass", "other"}
NODE = needs("node", "npm")
BROWSER = needs("chromium")
Event = tuple[str, dict[str, Any]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    environment = {"STEMWRIGHT_DOORS": "demucs-web=0", "STEMWRIGHT_UPLOAD_MAX_BYTES": str(MOST)}
    with running(tmp_path_factory.mktemp("demucs-web") / "data", **environment) as server:
        yield server


@pytest.fixture(scope="module", params=["port", "path"])
def door(request: pytest.FixtureRequest, server: Server) -> str:
    """Where the door is, with a slash at the end: a port of its own, or below the studio's."""
    return f"{server.doors['demucs-web']}/" if request.param == "port" else f"{server.url}/doors/demucs-web/"


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_wav(tmp_path_factory.mktemp("songs") / "test.wav", sound("song", seconds=SECONDS), RATE, bits=16)


def fresh(folder: Path, seed: int, *, seconds: float = 1.0) -> Path:
    return write_wav(folder / f"{seed}.wav", sound("song", seconds=seconds, seed=seed), RATE, bits=16)


def upload(door: str, song: Path, **fields: str) -> httpx.Response:
    with song.open("rb") as file:
        return httpx.post(f"{door}api/upload", files={"audio_file": (song.name, file)}, data=fields, timeout=WAIT)


def ended(door: str, job_id: str) -> dict[str, Any]:
    while (status := httpx.get(f"{door}api/status/{job_id}").raise_for_status().json())["status"] in {
        "queued",
        "processing",
    }:
        time.sleep(0.05)
    return dict(status)


def node(door: str, *arguments: str) -> list[Event]:
    """What happened to the client in Node."""
    modules = installed(CLIENT) / "node_modules"
    done = subprocess.run(
        ["node", str(CLIENT / "client.mjs"), door, *arguments],
        capture_output=True,
        text=True,
        timeout=WAIT,
        env={**os.environ, "CLIENT_MODULES": str(modules)},
        check=False,
    )
    assert not done.stderr, done.stderr
    return [(line["event"], line["data"]) for line in map(json.loads, done.stdout.splitlines())]


def of(events: list[Event], name: str) -> list[dict[str, Any]]:
    return [data for event, data in events if event == name]


# ---- HTTP ------------------------------------------------------------------------------------------------------------


def test_curl_uploads_polls_and_downloads_as_often_as_it_likes(door: str, song: Path, tmp_path: Path) -> None:
    answer = upload(door, song, format="wav")
    assert answer.status_code == 200
    job = answer.json()
    assert job.keys() == {"job_id", "status", "created_at", "model"}
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", job["job_id"])
    assert job["model"] == "sketch"  # named by nobody, and htdemucs_ft is not here
    status = ended(door, job["job_id"])
    assert (status["job_id"], status["status"], status["progress"]) == (job["job_id"], "completed", 100)
    assert status["created_at"] == job["created_at"] <= status["started_at"] <= status["completed_at"]
    assert status["estimated_completion"] is None
    for _ in range(2):
        got = httpx.get(f"{door}api/download/{job['job_id']}", headers={"Accept-Encoding": "gzip"})
        assert (got.status_code, got.headers["content-type"]) == (200, "application/zip")
        assert got.headers["content-disposition"] == f'attachment; filename="stems_{job["job_id"]}.zip"'
        assert int(got.headers["content-length"]) == len(got.content)
        with zipfile.ZipFile(io.BytesIO(got.content)) as archive:
            assert archive.testzip() is None
            assert {*archive.namelist()} == {f"{stem}.wav" for stem in STEMS}
            archive.extractall(tmp_path)
    mix = sum(read(tmp_path / f"{stem}.wav", channels=2) for stem in STEMS)
    assert np.abs(mix - read(song, channels=2)).max() < 1e-3


def test_settings_of_the_separation_are_fields_of_the_form(server: Server, song: Path) -> None:
    door = f"{server.doors['demucs-web']}/"
    job = upload(door, song, model="sketch", overlap="0.4", stems="bass").json()
    ended(door, job["job_id"])
    options = server.http.get(f"/api/v1/jobs/{job_id_of(job['job_id'])}").json()
    assert options["options"]["overlap"] == 0.4
    assert server.http.get(options["result"]["receipt"]).json()["settings"]["overlap"] == 0.4


def test_named_stem_comes_alone_and_as_mp3_unless_another_format_is_named(server: Server, song: Path) -> None:
    door = f"{server.doors['demucs-web']}/"
    job = upload(door, song, stems="vocals", model="sketch", format="").json()
    ended(door, job["job_id"])
    with zipfile.ZipFile(io.BytesIO(httpx.get(f"{door}api/download/{job['job_id']}").content)) as archive:
        assert archive.namelist() == ["vocals.mp3"]
        assert archive.read("vocals.mp3")[:3] == b"ID3"


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"format": "ogg"}, "mp3"),
        ({"stems": "banjo"}, "banjo"),
        ({"overlap": "2"}, "overlap"),
        ({"stems": "../etc"}, "stems"),
        ({"model": "nosuch"}, "nosuch"),
        ({"model": "../../secret.yaml"}, "model"),
    ],
)
def test_wrong_field_is_a_400_that_names_it(server: Server, song: Path, fields: dict[str, str], word: str) -> None:
    answer = upload(f"{server.doors['demucs-web']}/", song, **fields)
    assert answer.status_code == 400
    assert word in answer.json()["error"]
    assert answer.json().keys() == {"error", "code"}


def test_model_that_is_named_and_not_here_is_an_error(server: Server, song: Path) -> None:
    answer = upload(f"{server.doors['demucs-web']}/", song, model="htdemucs_ft")
    assert (answer.status_code, answer.json()["code"]) == (503, "model_unavailable")


def test_files_that_are_no_songs_are_400_and_large_ones_413(server: Server, door: str, tmp_path: Path) -> None:
    contents = {"song.mp3": b"la la la", "empty.wav": b"", "song.ogg": b"OggS" + bytes(100), "song.mid": b"MThd"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        answer = upload(door, tmp_path / name)
        assert answer.status_code == 400, name
        assert str(server.data) not in answer.text
    (tmp_path / "large.wav").write_bytes(b"RIFF" + bytes(MOST))
    large = upload(door, tmp_path / "large.wav")
    assert large.status_code == 413
    assert "upload_max_bytes" in large.json()["error"]
    assert httpx.post(f"{door}api/upload", files={"file": b"RIFF"}).status_code == 400
    assert httpx.post(f"{door}api/upload", json={"audio_file": "x"}).status_code == 400
    assert not [*(server.data / "incoming").iterdir()]


@pytest.mark.parametrize(
    "wrong", ["unknown", "x" * 300, "..%2f..%2fetc%2fpasswd", "00000000-0000-4000-a000-000000000000"]
)
def test_unknown_job_is_404(door: str, wrong: str) -> None:
    for what in ("status", "download"):
        answer = httpx.get(f"{door}api/{what}/{wrong}")
        assert answer.status_code == 404
        assert answer.json()["error"]


def test_job_that_is_not_done_has_nothing_to_download(server: Server, tmp_path: Path) -> None:
    door = f"{server.doors['demucs-web']}/"
    job_id = upload(door, fresh(tmp_path, 41, seconds=4.0)).json()["job_id"]
    answer = httpx.get(f"{door}api/download/{job_id}")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    ended(door, job_id)


def test_deleted_song_is_404_at_the_download(server: Server, tmp_path: Path) -> None:
    door = f"{server.doors['demucs-web']}/"
    job_id = upload(door, fresh(tmp_path, 42)).json()["job_id"]
    ended(door, job_id)
    [song] = [one for one in server.http.get("/api/v1/songs").json()["items"] if one["file_name"] == "42.wav"]
    assert server.http.delete(f"/api/v1/songs/{song['id']}").status_code == 204
    assert httpx.get(f"{door}api/download/{job_id}").status_code == 404


def test_static_files_are_ours_alone(door: str) -> None:
    for path, kind in (("", "text/html"), ("css/style.css", "text/css"), ("js/app.js", "text/javascript")):
        answer = httpx.get(f"{door}{path}")
        assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, kind)
    for path in ("..%2fdoor.py", "%2e%2e/door.py", "js/..%2f..%2f..%2fdoor.py", "PROTOCOL.md"):
        answer = httpx.get(f"{door}{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert httpx.get(f"{door}health").json()["status"] == "ok"


# ---- Socket.IO -------------------------------------------------------------------------------------------------------


@NODE
def test_node_client_is_told_progress_and_completion(door: str, tmp_path: Path) -> None:
    seed = 51 + len(door)  # another song for each way in
    events = node(door, "--file", str(fresh(tmp_path, seed, seconds=2.0)), "--stems", "drums")
    [answer] = of(events, "upload")
    told = of(events, "progress")
    percents = [data["progress"] for data in told]
    assert percents == sorted(percents)
    assert (percents[-1], told[-1]["status"]) == (100, "completed")
    for data in told:
        assert data.keys() == {"job_id", "status", "progress", "message"}
        assert data["job_id"] == answer["job_id"]
        assert data["status"] in {"queued", "processing", "completed"}
    [completed] = of(events, "completed")
    assert completed.keys() == {"job_id", "download_url"}
    [got] = of(events, "download")
    assert (got["status"], got["type"]) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(got["zip"]))) as archive:
        assert archive.namelist() == ["drums.mp3"]


@NODE
@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_client_that_lost_its_connection_hears_the_end(server: Server, transport: str, tmp_path: Path) -> None:
    song = fresh(tmp_path, len(transport), seconds=2.0)
    events = node(f"{server.doors['demucs-web']}/", "--file", str(song), "--transport", transport, "--drop")
    assert [data["transport"] for data in of(events, "connect")] == [transport, transport]
    assert of(events, "download")[0]["status"] == 200


@NODE
def test_unknown_job_and_failed_job_are_error_events(server: Server, door: str, tmp_path: Path) -> None:
    [error] = of(node(door, "--job", "unknown"), "error")
    assert error == {"job_id": "unknown", "error_message": "Job not found"}
    broken = tmp_path / "broken.flac"
    broken.write_bytes(b"fLaC" + np.random.default_rng(len(door)).bytes(20_000))
    events = node(door, "--file", str(broken))
    [error] = of(events, "error")
    assert error.keys() == {"job_id", "error_message"}
    status = ended(door, error["job_id"])
    assert (status["status"], status["error_message"]) == ("failed", error["error_message"])
    assert str(server.data) not in json.dumps([events, status])


@NODE
def test_page_comes_with_the_published_client() -> None:
    published = (installed(CLIENT) / "node_modules/socket.io-client/dist/socket.io.min.js").read_text()
    ours = (STATIC / "js" / "socket.io.min.js").read_text()
    assert ours == re.sub(r"^//# sourceMappingURL.*\n?", "", published, flags=re.MULTILINE)


# ---- the page --------------------------------------------------------------------------------------------------------


@BROWSER
def test_page_in_a_browser_separates_a_song(server: Server, door: str, tmp_path: Path) -> None:
    hosts = set[str]()
    with launched() as browser:
        page = browser.new_page()
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
        page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
        page.goto(door)
        page.set_input_files("#audio-file", fresh(tmp_path, 61 + len(door), seconds=2.0))
        page.select_option("#format", "wav")
        page.click("button")
        page.wait_for_selector("#progress", state="visible")
        page.wait_for_selector("#result", state="visible", timeout=WAIT * 1000)
        assert page.text_content("#result-model") == "sketch"
        with page.expect_download() as download:
            page.click("#download-btn")
        assert re.fullmatch(r"stems_[0-9a-f-]{36}\.zip", download.value.suggested_filename)
        assert {*zipfile.ZipFile(download.value.path()).namelist()} == {f"{stem}.wav" for stem in STEMS}
        assert not faults
        (tmp_path / "song.wav").write_text("la la la")
        page.set_input_files("#audio-file", tmp_path / "song.wav")
        page.click("button")
        page.wait_for_selector("#error", state="visible")
        assert "not an audio file" in (page.text_content("#error") or "")
    assert hosts == {door.split("/")[2]}
