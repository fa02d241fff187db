"""What was promised is kept by the next server; what takes too long is ended."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from server import Server
from sounds import sound, write_wav
from studio.work.receivers import Receiver, listening

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """With a library of one song, and a hold on the executor; not started yet."""
    (tmp_path / "library").mkdir()
    (tmp_path / "stops").mkdir()
    write_wav(tmp_path / "library" / "song.wav", sound("song", seconds=1.0), bits=16)
    server = Server(
        tmp_path / "data",
        STEMWRIGHT_MISMO_LIBRARY=str(tmp_path / "library"),
        STEMWRIGHT_CALLBACKS_ALLOW="127.0.0.1",
        STEMWRIGHT_STOP_AT=str(tmp_path / "stops"),
    )
    yield server
    server.stop(signal.SIGKILL)


def submit(server: Server, receiver: Receiver) -> None:
    body = {
        "file_path": str(server.data.parent / "library" / "song.wav"),
        "track_hash": "song",
        "options": {"stems": True, "basic_features": True},
        "callback_url": receiver.url(),
    }
    assert server.http.post("/doors/mismo/jobs", json=body).status_code == 202


def bodies(receiver: Receiver, count: int) -> list[dict[str, Any]]:
    """The first callbacks that came."""
    end = time.monotonic() + 300
    while len(receiver.got) < count:
        assert time.monotonic() < end, receiver.got
        time.sleep(0.1)
    return [json.loads(body) for _, _, body in receiver.got]


def test_job_that_was_accepted_is_told_of_though_the_server_was_killed(server: Server) -> None:
    stop = server.data.parent / "stops" / "executor.storing"
    stop.touch()
    with listening(Receiver(status=200)) as receiver:
        submit(server.start(), receiver)
        while not stop.read_text():
            time.sleep(0.05)
        assert [body["stage"] for body in bodies(receiver, 1)] == ["basic_features"]
        server.stop(signal.SIGKILL)
        stop.unlink()
        server.start()
        told = bodies(receiver, 2)
        assert [(body["stage"], body["status"]) for body in told] == [
            ("basic_features", "completed"),
            ("stems", "completed"),
        ]
        time.sleep(2)
        assert len(receiver.got) == 2
        assert server.http.get("/doors/mismo/jobs/song").json()["status"] == "completed"


def test_job_that_runs_for_longer_than_the_document_allows_fails_as_timed_out(server: Server) -> None:
    write_wav(server.data.parent / "library" / "song.wav", sound("song", seconds=150.0), bits=16)
    with listening(Receiver(status=200)) as receiver:
        submit(server.start(ANALYSIS_TIMEOUT_MS="3000"), receiver)
        told = {body["stage"]: body for body in bodies(receiver, 2)}  # letters may overtake each other
    assert (told["stems"]["status"], told["stems"]["error"]["code"]) == ("failed", "timeout")
    job = server.http.get("/doors/mismo/jobs/song").json()
    assert (job["status"], job["error"]) == ("failed", told["stems"]["error"])
