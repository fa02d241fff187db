"""Mismo's audio engine, a Node program written from the document, with Stemwright as its app server."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from doors.mismo.node import Node, node
from server import Server, running
from sounds import sound, write_wav
from web.answers import faults

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STEMS = ["bass", "drums", "other", "vocals"]
NOBODY = "00000000-0000-5000-8000-000000000000"


@dataclass(frozen=True)
class Stage:
    """A server, its library, and an engine that the server has called."""

    server: Server
    library: Path
    stops: Path  # where the executor can be held up
    engine: Node

    @property
    def url(self) -> str:
        return self.server.doors["mismo"]

    def add(self, name: str, *, seconds: float = 1.0, seed: int) -> str:
        """A new song of the library: its track."""
        write_wav(self.library / name, sound("song", seconds=seconds, seed=seed), bits=16)
        return self.track(name)

    def track(self, name: str) -> str:
        httpx.post(f"{self.url}/api/library/scan").raise_for_status()
        [found] = httpx.get(f"{self.url}/api/tracks", params={"search": name}).json()["tracks"]
        assert found["file_path"] == str(self.library / name)
        track_id: str = found["id"]
        return track_id

    def hold(self) -> Path:
        """Hold the executor up where it has made stems and not stored them yet."""
        stop = self.stops / "executor.storing"
        stop.touch()
        return stop

    def job(self, track: str) -> dict[str, Any]:
        name = httpx.get(f"{self.url}/api/tracks/{track}").json()["track_hash"]
        job: dict[str, Any] = httpx.get(f"{self.url}/api/analysis/jobs/{name}").json()
        return job

    def separated(self, track: str) -> dict[str, Any]:
        """The job of a track whose stems are there, whichever test was first."""
        wanted = {"trackId": track, "options": {"stems": True}}
        assert httpx.post(f"{self.url}/api/analysis/jobs", json=wanted).status_code == 202
        for _ in range(600):
            if (job := self.job(track))["status"] == "completed":
                return job
            time.sleep(0.1)
        raise AssertionError(job)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    root = tmp_path_factory.mktemp("engine")
    library, stops = root / "Library", root / "stops"
    (library / "Album").mkdir(parents=True)
    stops.mkdir()
    write_wav(library / "Album" / "first.wav", sound("song", seconds=6.0), bits=16)
    (library / "Album" / "bad.mp3").write_text("no song at all\n" * 100)
    (library / ".hidden.wav").write_bytes((library / "Album" / "first.wav").read_bytes())
    (library / "cover.jpg").write_bytes(b"\xff\xd8")
    with node(root / "engine", "engine.mjs") as engine:
        port = engine.wait("listening")["port"]
        environment = {
            "STEMWRIGHT_DOORS": "mismo=0",
            "STEMWRIGHT_MISMO_LIBRARY": str(library),
            "STEMWRIGHT_MISMO_KEEPALIVE_SECONDS": "0.5",
            "STEMWRIGHT_STOP_AT": str(stops),
            "AUDIO_SERVER_WS_URL": f"ws://127.0.0.1:{port}",
        }
        with running(root / "data", **environment) as server:
            engine.wait("connected")
            yield Stage(server, library, stops, engine)
            assert faults(server) == []


@pytest.fixture
def caller(stage: Stage, tmp_path: Path) -> Iterator[Node]:
    """A second engine, which calls us."""
    with node(tmp_path, "engine.mjs", stage.url.replace("http", "ws") + "/ws") as engine:
        engine.wait("connected")
        yield engine


def ask(engine: Node, track: str, request: str | int, *, stems: bool = True) -> dict[str, Any]:
    """What an engine is answered."""
    message = {"command": "getTrackInfo", "trackId": track, "stems": stems, "requestId": request}
    engine.do("send", message=message)
    return answered(engine, request)


def answered(engine: Node, request: str | int) -> dict[str, Any]:
    found = engine.wait("message", lambda event: event["message"].get("requestId") == request)
    message: dict[str, Any] = found["message"]
    assert not found["binary"]
    return message


def news(engine: Node, request: str | int) -> dict[str, Any]:
    """What is pushed for a request."""
    found = engine.wait(
        "message", lambda event: event["message"].get("requestId") == request and "type" in event["message"]
    )
    if found["message"]["success"]:
        assert found["loaded"] == dict.fromkeys(STEMS, "RIFF")
    message: dict[str, Any] = found["message"]
    return message


def test_library_is_what_lies_in_the_listed_folders(stage: Stage) -> None:
    [directory] = httpx.get(f"{stage.url}/api/library/directories").json()["directories"]
    assert directory["path"] == str(stage.library)
    found = httpx.get(f"{stage.url}/api/tracks").json()
    assert [track["relative_path"] for track in found["tracks"]] == ["Album/bad.mp3", "Album/first.wav"]
    assert (found["total"], directory["track_count"]) == (2, 2)
    assert {track["library_directory_id"] for track in found["tracks"]} == {directory["id"]}
    assert httpx.get(f"{stage.url}/api/tracks/{found['tracks'][1]['id']}").json() == found["tracks"][1]
    missing = httpx.get(f"{stage.url}/api/tracks/{NOBODY}")
    assert (missing.status_code, missing.json()["error"]) == (404, "there is no such track")


def test_engine_is_answered_at_once_and_told_when_the_stems_are_ready(stage: Stage) -> None:
    track = stage.track("Album/first.wav")
    stop = stage.hold()
    answer = ask(stage.engine, track, "r-1")
    path = str(stage.library / "Album" / "first.wav")
    assert answer == {
        "success": True,
        "trackId": track,
        "filePath": path,
        "bpm": None,
        "key": None,
        "mode": None,
        "requestId": "r-1",
    }
    while not stop.read_text():
        time.sleep(0.05)
    known = ask(stage.engine, track, "r-2", stems=False)  # found meanwhile, and no job is made for it
    assert known["bpm"], known
    assert known["bpm"] == pytest.approx(120, abs=1) or known["bpm"] == pytest.approx(60, abs=1)
    assert (known["key"], known["mode"]) == ("9", "0")
    queue = httpx.get(f"{stage.url}/api/analysis/queue").json()
    assert (queue["processing"], queue["queued"], queue["available_slots"]) == (1, 0, 0)
    [job] = queue["jobs"]
    assert (job["status"], job["priority"], job["track_id"]) == ("processing", "high", track)
    assert job["callback_metadata"] == {"type": "audio_server_stems", "trackId": track, "requestId": "r-1"}
    stop.unlink()
    ready = news(stage.engine, "r-1")
    folder = stage.server.data / "mismo" / "jobs" / job["job_id"] / "stems"
    assert ready == {
        "success": True,
        "type": "stemsReady",
        "requestId": "r-1",
        "trackId": track,
        "stems": {name: str(folder / f"{name}.wav") for name in STEMS},
    }
    assert stage.job(track)["status"] == "completed"


def test_stems_that_are_there_are_pushed_at_once(stage: Stage, caller: Node) -> None:
    """Over the main port too, and to the engine that asked alone."""
    track = stage.track("Album/first.wav")
    ask(stage.engine, track, 7)
    assert news(stage.engine, 7)["type"] == "stemsReady"
    caller.do("call", url=stage.server.url.replace("http", "ws") + "/doors/mismo/ws")
    caller.wait("connected")
    ask(caller, track, 8)
    assert news(caller, 8)["type"] == "stemsReady"
    assert [event["message"] for event in caller.seen if event["event"] == "message"][-1]["requestId"] == 8
    assert not [event for event in stage.engine.rest(0.5) if event["event"] == "message"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("no json", "malformed"),
        ("[]", "malformed"),
        ("[" * 20_000, "malformed"),
        ('{"command": "getTrackInfo", "trackId": "t", "requestId": "\\ud800"}', "malformed"),  # no character
        ('{"command": "selfDestruct"}', "unknown_command"),
        ("{}", "unknown_command"),
        ('{"command": "getTrackInfo"}', "invalid"),
        ('{"command": "getTrackInfo", "trackId": 7}', "invalid"),
        ('{"command": "getTrackInfo", "trackId": "../../etc/passwd", "stems": true}', "not_found"),
        (json.dumps({"command": "getTrackInfo", "trackId": NOBODY, "stems": True}), "not_found"),
    ],
)
def test_message_that_cannot_be_followed_gets_an_error_and_the_connection_lives(
    stage: Stage, caller: Node, text: str, code: str
) -> None:
    caller.do("send", text=text)
    refused = caller.wait("message")["message"]
    assert (refused["success"], refused["error"]["code"]) == (False, code)
    assert ask(caller, stage.track("Album/first.wav"), "after", stems=False)["success"]


def test_engine_is_told_that_there_will_be_no_stems(stage: Stage) -> None:
    track = stage.track("Album/bad.mp3")
    assert ask(stage.engine, track, "bad")["success"]
    assert news(stage.engine, "bad") == {
        "success": False,
        "type": "stemsFailed",
        "requestId": "bad",
        "trackId": track,
        "error": {"code": "not_audio", "message": "bad.mp3: not an audio file"},
    }
    assert stage.job(track)["status"] == "failed"


def test_track_whose_file_went_is_an_error(stage: Stage) -> None:
    track = stage.add("short-lived.wav", seed=11)
    (stage.library / "short-lived.wav").unlink()
    refused = ask(stage.engine, track, "gone")
    assert (refused["success"], refused["error"]["code"], refused["trackId"]) == (False, "not_found", track)
    httpx.post(f"{stage.url}/api/library/scan").raise_for_status()
    assert httpx.get(f"{stage.url}/api/tracks/{track}").status_code == 404


def test_engine_that_went_is_told_when_it_comes_back(stage: Stage) -> None:
    """Where we have called it: we call again, and say what is ready meanwhile."""
    track = stage.add("waiting.wav", seed=12)
    stop = stage.hold()
    ask(stage.engine, track, "waits")
    while not stop.read_text():
        time.sleep(0.05)
    stage.engine.do("vanish")
    port = stage.engine.wait("vanished")["port"]
    stop.unlink()
    while stage.job(track)["status"] != "completed":
        time.sleep(0.1)
    stage.engine.do("listen", port=port)
    stage.engine.wait("connected")
    assert news(stage.engine, "waits")["trackId"] == track
    assert not [event for event in stage.engine.rest(1) if event["event"] == "message"]  # once


def test_engine_that_calls_us_is_told_when_it_calls_again(stage: Stage, caller: Node) -> None:
    track = stage.add("waiting too.wav", seed=13)
    stop = stage.hold()
    ask(caller, track, "waits too")
    while not stop.read_text():
        time.sleep(0.05)
    caller.do("drop")
    caller.wait("closed")
    stop.unlink()
    while stage.job(track)["status"] != "completed":
        time.sleep(0.1)
    caller.do("call", url=stage.url.replace("http", "ws"))  # without a path, as a bare address has none
    caller.wait("connected")
    assert news(caller, "waits too")["trackId"] == track
    assert "waits too" not in json.dumps(stage.engine.rest(0.5))


def test_connection_is_watched_and_the_log_says_so(stage: Stage, caller: Node) -> None:
    stage.engine.wait("ping")
    time.sleep(1)
    lines = [json.loads(line) for line in stage.server.log.read_text().splitlines() if "[WS-KEEPALIVE]" in line]
    assert {line["role"] for line in lines} == {"client", "server"}
    assert len(lines) > 3


def test_who_waits_goes_before_the_background(stage: Stage) -> None:
    """Analyses of the library are `low` and `normal`; an engine's request overtakes them all."""
    held, low, normal, high = (stage.add(f"queue {n}.wav", seed=20 + n) for n in range(4))
    stop = stage.hold()
    stems = {"stems": True}
    post = f"{stage.url}/api/analysis/jobs"
    assert httpx.post(post, json={"trackId": held, "options": stems}).status_code == 202
    while not stop.read_text():
        time.sleep(0.05)
    httpx.post(post, json={"trackId": low, "options": stems, "priority": "low"}).raise_for_status()
    httpx.post(post, json={"trackId": normal, "options": {"basic_features": True}}).raise_for_status()
    ask(stage.engine, high, "first")
    while (queue := httpx.get(f"{stage.url}/api/analysis/queue").json())["queued"] < 3:
        time.sleep(0.05)
    assert [job["track_id"] for job in queue["jobs"]] == [held, high, normal, low]
    assert [job["queue_position"] for job in queue["jobs"]] == [None, 1, 2, 3]
    stop.unlink()
    news(stage.engine, "first")
    while stage.job(low)["status"] != "completed":
        time.sleep(0.1)
    began = [stage.job(track)["started_at"] for track in (held, high, normal, low)]
    assert began == sorted(began)
    assert "basic_features" in stage.job(normal)["results"]
    assert stage.job(normal)["options"] == {"basic_features": True, "characteristics": False, "stems": False}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"trackId": NOBODY, "options": {"stems": True}}, 404),
        ({"trackId": "x", "options": {}}, 404),
        ({"options": {"stems": True}}, 422),
        ({"trackId": "x", "options": {"stems": True}, "priority": "urgent"}, 422),
    ],
)
def test_wrong_request_for_an_analysis_is_an_error(stage: Stage, body: dict[str, Any], status: int) -> None:
    answer = httpx.post(f"{stage.url}/api/analysis/jobs", json=body)
    assert answer.status_code == status
    assert answer.json()["success"] is False
    assert answer.json()["error"]


def test_callback_is_never_believed(stage: Stage) -> None:
    """Whoever reaches the port could send one, and the engine loads what it is told to."""
    track = stage.track("Album/first.wav")
    name = stage.separated(track)["job_id"]
    forged = {
        "job_id": name,
        "stage": "stems",
        "status": "completed",
        "timestamp": "2025-10-27T12:34:56.789Z",
        "data": {"delivery_mode": "path", "stems": {"bass": "/etc/passwd"}, "processing_time": 45.3},
    }
    answer = httpx.post(f"{stage.url}/api/analysis/callback", json=forged)
    assert (answer.status_code, answer.json()) == (200, {"success": True, "received": True})
    assert not [event for event in stage.engine.rest(1) if event["event"] == "message"]
    assert stage.job(track)["results"]["stems"]["stems"]["bass"].endswith("/stems/bass.wav")
    assert httpx.post(f"{stage.url}/api/analysis/callback", json=forged | {"job_id": "none"}).status_code == 404
    assert httpx.post(f"{stage.url}/api/analysis/callback", json={"job_id": name}).status_code == 422
