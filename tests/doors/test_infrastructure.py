"""Ports, mounts and what runs beside doors: the same for every door."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from structlog.testing import capture_logs

from cli.command import run
from doors.crowd import NAMES
from server import running
from stemwright.app import doors
from stemwright.app.doors import ByPort, run_beside
from stemwright.doors.door import Door
from stemwright.engine.process.pool import EngineCrashedError
from stemwright.web import problems
from stemwright.web.common import WebConfig, new_app
from stemwright.web.middleware import Gate

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import Receive, Scope, Send


class Recorder:
    """An ASGI app that notes the paths that come to it."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.paths.append(scope["path"])


def ask(app: Any, path: str, *, method: str = "GET", port: int = 8000, kind: str = "http") -> int:
    """The status of an answer; 0 where the app gave none."""
    statuses = [0]

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {
        "type": kind,
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [],
        "client": ("1.2.3.4", 5),
        "server": ("127.0.0.1", port),
    }
    asyncio.run(app(scope, None, send))
    return statuses[-1]


def test_every_door_is_served_under_its_name_and_alone_on_its_port(tmp_path: Path) -> None:
    wanted = ",".join(f"{name}=0" for name in NAMES)
    with running(tmp_path / "data", STEMWRIGHT_DOORS=wanted) as server:
        assert [*server.doors] == [*NAMES]
        for name, url in server.doors.items():
            with contextlib.ExitStack() as stack:
                own = stack.enter_context(httpx.Client(base_url=url))
                assert own.get("/api/v1/jobs").status_code == 404  # the studio's API is not behind a door …
                assert own.get(f"/doors/{name}/health").status_code == 404
                assert own.get("/%00").status_code == 400
                assert own.get("/health").headers["x-request-id"]  # … but what looks after requests is before it
            inside = server.http.get(f"/doors/{name}/health").json()
            assert inside == httpx.get(f"{url}/health").json()
            assert httpx.head(f"{url}/health").status_code == 200
            led = server.http.get(f"/doors/{name}")  # a page's links begin at the slash
            assert (led.status_code, led.headers["location"]) == (307, f"/doors/{name}/")
        assert server.http.get("/doors/cellar/").status_code == 404
        assert server.http.get("/doors/drumalong/../../health").status_code == 200
        metrics = server.http.get("/metrics").text
        assert 'route="/health"' in metrics
        assert "/doors/" not in metrics.replace("/doors/{", "")  # labels are routes


@pytest.mark.parametrize("wrong", ["cellar=8000", "drumalong", "drumalong=", "drumalong=65536", "drumalong=x", "=1"])
def test_wrong_door_on_the_command_line_is_said(wrong: str, tmp_path: Path) -> None:
    done = run("serve", "--data", tmp_path, "--port", "0", "--door", wrong, code=2)
    assert "--door" in done.stderr
    assert not (tmp_path / "studio.db").exists()


def test_port_of_a_door_that_is_taken_is_said_before_anything_begins(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = run("serve", "--data", tmp_path, "--port", "0", "--door", f"drumalong={port}", code=1)
    assert f"127.0.0.1:{port} cannot be listened on" in done.stderr
    assert not (tmp_path / "studio.db").exists()


def test_requests_go_by_the_port_that_they_came_to() -> None:
    main, door = Recorder(), Recorder()
    app = ByPort(main, {9000: door})
    for port, kind in ((8000, "http"), (9000, "http"), (9000, "websocket"), (9001, "http")):
        ask(app, f"/{port}/{kind}", port=port, kind=kind)
    assert main.paths == ["/8000/http", "/9001/http"]
    assert door.paths == ["/9000/http", "/9000/websocket"]


def test_limits_count_a_door_s_requests_as_the_studio_s() -> None:
    app = Gate(Recorder(), WebConfig(rate_per_minute=4, uploads_per_minute=1))
    for path in ("/doors/drumalong/health", "/doors/demucs-web/socket.io/", "/health"):
        assert {ask(app, path, method=method) for method in ("GET", "POST") for _ in range(5)} == {0}  # are free
    assert ask(app, "/doors/drumalong/api/v1/process", method="POST") == 0
    assert ask(app, "/jobs", method="POST") == 429
    assert ask(app, "/api/v1/songs") == 0
    assert [ask(app, "/doors/mismo/api") for _ in range(2)] == [0, 429]


def test_what_a_process_said_last_is_for_the_log_alone() -> None:
    """Of an engine that dies while a file is encoded for an answer, too."""
    app = new_app()
    problems.install(app)

    @app.get("/drums.wav")
    def crash() -> None:
        raise EngineCrashedError("the engine process ended with 1: KeyError: '/srv/secret'")

    async def asked() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://door") as http:
            return await http.get("/drums.wav")

    with capture_logs() as logs:
        answer = asyncio.run(asked())
    assert (answer.status_code, answer.json()["code"]) == (500, "engine_crashed")
    assert "secret" not in answer.text
    assert "secret" in str(logs)


def test_what_runs_beside_a_door_starts_again_when_it_fails_and_ends_with_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doors, "_AGAIN", 0.01)
    calls: list[str] = []

    async def fails() -> None:
        calls.append("fails")
        raise OSError("the other side has gone")

    async def stays() -> None:
        calls.append("stays")
        try:
            await asyncio.sleep(60)
        finally:
            calls.append("ended")

    async def served() -> None:
        both = {"a": Door(app=Recorder(), run=fails), "b": Door(app=Recorder(), run=stays), "c": Door(app=Recorder())}
        beside = asyncio.create_task(run_beside(both))
        while calls.count("fails") < 3:
            await asyncio.sleep(0.01)
        beside.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await beside

    asyncio.run(asyncio.wait_for(served(), 10))
    assert calls.count("stays") == calls.count("ended") == 1
