"""Progress as it is pushed: the present state first, each second one, and the end for everybody."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
import socketio
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from sounds import sound, write_wav
from web.answers import Prepared, faults, problem_of

if TYPE_CHECKING:
    from pathlib import Path

    from server import Server

WAIT = 120.0
View = dict[str, Any]


def socket_url(server: Server, path: str) -> str:
    return server.url.replace("http", "ws", 1) + path


def submit(server: Server, folder: Path, *, seconds: float, seed: int) -> View:
    path = write_wav(folder / f"{seed}.wav", sound("song", seconds=seconds, seed=seed), bits=16)
    return server.submit(path, model="sketch", analysis="false")


async def over_socket(server: Server, job: View, *, within: float = WAIT) -> list[tuple[float, View]]:
    """All states of a job until the server closes, and when they came; `within` seconds."""
    views = []
    async with asyncio.timeout(within), connect(socket_url(server, f"{job['links']['self']}/ws")) as socket:
        with contextlib.suppress(ConnectionClosed):
            while True:
                views.append((time.monotonic(), json.loads(await socket.recv())))
        assert socket.close_code == 1000
    return views


async def over_socket_io(server: Server, job: View | None, *, until: str) -> list[tuple[float, View]]:
    """All states that are told until that job has ended."""
    views, done = [], asyncio.Event()
    async with asyncio.timeout(WAIT), socketio.AsyncSimpleClient() as client:
        await client.connect(server.url, transports=["websocket"])
        await client.emit("subscribe", {"job_id": job["id"]} if job else {})
        while not done.is_set():
            event, view = await client.receive()
            assert event == "job"
            views.append((time.monotonic(), view))
            if view["id"] == until and view["status"] == "succeeded":
                done.set()
    return views


def over_events(server: Server, job: View) -> list[tuple[float, View]]:
    with server.http.stream("GET", job["links"]["events"]) as answer:
        return [(time.monotonic(), json.loads(line[5:])) for line in answer.iter_lines() if line.startswith("data:")]


def test_every_way_tells_the_present_state_each_second_and_the_end(server: Server, tmp_path: Path) -> None:
    async def listen() -> list[list[tuple[float, View]]]:
        job = await asyncio.to_thread(submit, server, tmp_path, seconds=45, seed=21)
        ways = [
            over_socket(server, job),
            asyncio.to_thread(over_events, server, job),
            over_socket_io(server, job, until=job["id"]),
        ]
        everything = over_socket_io(server, None, until=job["id"])
        heard = await asyncio.gather(*ways, everything)
        return [[(at, view) for at, view in one if view["id"] == job["id"]] for one in heard]

    for heard in asyncio.run(listen()):
        views = [view for _, view in heard]
        assert views[0]["status"] in {"queued", "running"}
        assert views[-1]["status"] == "succeeded"
        assert views[-1]["progress"] == 100
        assert views[-1]["result"]["stems"]
        assert "running" in {view["status"] for view in views}
        progress = [view["progress"] for view in views]
        assert progress == sorted(progress)
        seconds = heard[-1][0] - heard[0][0]
        assert len(heard) >= 0.7 * seconds  # at least one a second; the machine of tests is shared


def test_who_comes_late_is_told_the_end_at_once_however_often(prepared: Prepared) -> None:
    server, job = prepared.server, prepared.server.job(prepared.job["id"])

    async def listen() -> None:
        for _ in range(3):
            assert [view for _, view in await over_socket(server, job)] == [job]
            assert (await over_socket_io(server, job, until=job["id"]))[0][1] == job

    asyncio.run(listen())
    for _ in range(3):
        assert [view for _, view in over_events(server, job)] == [job]


def test_browser_that_comes_again_after_the_end_is_told_to_stay_away(prepared: Prepared) -> None:
    http, url = prepared.server.http, prepared.job["links"]["events"]
    first = http.get(url)
    assert "\nid: end\n" in first.text
    assert first.text.startswith("retry: ")
    assert http.get(url, headers={"Last-Event-ID": "end"}).status_code == 204


def test_subscribing_again_tells_the_present_state_again(prepared: Prepared) -> None:
    async def listen() -> None:
        async with asyncio.timeout(WAIT), socketio.AsyncSimpleClient() as client:
            await client.connect(prepared.server.url, transports=["websocket"])
            for _ in range(3):
                await client.emit("subscribe", {"job_id": prepared.job["id"]})
                assert (await client.receive())[1]["id"] == prepared.job["id"]

    asyncio.run(listen())


def test_job_that_is_not_there_is_a_problem_everywhere(server: Server) -> None:
    problem_of(server.http.get("/api/v1/jobs/nothing/events"), 404, "not_found")

    async def listen() -> None:
        async with asyncio.timeout(WAIT), connect(socket_url(server, "/api/v1/jobs/nothing/ws")) as socket:
            assert json.loads(await socket.recv())["code"] == "not_found"
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            assert socket.close_code == 4404
        async with asyncio.timeout(WAIT), socketio.AsyncSimpleClient() as client:
            await client.connect(server.url, transports=["websocket"])
            await client.emit("subscribe", {"job_id": "nothing"})
            event, data = await client.receive()
            assert (event, data["code"], data["job_id"]) == ("problem", "not_found", "nothing")

    asyncio.run(listen())


@pytest.mark.parametrize("data", [{"job_id": ["x"]}, {"job_id": {"a": 1}}, {"job_id": 5}, {"job_id": "x" * 5000}])
def test_nonsense_over_socket_io_is_a_problem(server: Server, data: Any) -> None:
    async def listen() -> None:
        async with asyncio.timeout(WAIT), socketio.AsyncSimpleClient() as client:
            await client.connect(server.url, transports=["websocket"])
            await client.emit("subscribe", data)
            assert (await client.receive())[0] == "problem"

    asyncio.run(listen())


def test_what_a_client_says_over_its_socket_does_not_matter(prepared: Prepared) -> None:
    async def listen() -> None:
        async with asyncio.timeout(WAIT), connect(socket_url(prepared.server, "/api/v1/ws")) as socket:
            for said in ("text", b"bytes", "x" * 60_000):
                await socket.send(said)
            pong = await socket.ping()
            await pong

    asyncio.run(listen())
    assert not faults(prepared.server)


def test_pages_of_other_origins_may_not_listen(prepared: Prepared) -> None:
    async def listen(origin: str) -> int:
        try:
            async with (
                asyncio.timeout(WAIT),
                connect(socket_url(prepared.server, "/api/v1/ws"), additional_headers={"Origin": origin}),
            ):
                return 101
        except InvalidStatus as error:
            return error.response.status_code

    assert asyncio.run(listen("https://evil.example")) == 403
    assert asyncio.run(listen(prepared.server.url)) == 101


def test_all_of_two_hundred_clients_are_told_the_end(server: Server, tmp_path: Path) -> None:
    async def listen() -> None:
        jobs = [await asyncio.to_thread(submit, server, tmp_path, seconds=2, seed=30 + n) for n in range(4)]
        heard = await asyncio.gather(*(over_socket(server, jobs[n % 4], within=4 * WAIT) for n in range(200)))
        for number, views in enumerate(heard):
            assert views[-1][1]["id"] == jobs[number % 4]["id"]
            assert views[-1][1]["status"] == "succeeded"

    asyncio.run(listen())


def test_short_jobs_are_told_to_who_follows_all(prepared: Prepared) -> None:
    """A job whose stems are there ends before anybody can look."""
    server = prepared.server

    async def listen() -> None:
        async with asyncio.timeout(WAIT), connect(socket_url(server, "/api/v1/ws")) as socket:
            body = {"song_id": prepared.job["song_id"], "model": "sketch", "analysis": False}
            job = (await asyncio.to_thread(server.http.post, "/api/v1/jobs", json=body)).json()
            assert job["cached"]
            while (view := json.loads(await socket.recv()))["id"] != job["id"]:
                pass
            assert view["status"] == "succeeded"

    asyncio.run(listen())


def test_nothing_went_wrong_on_the_servers_side(server: Server) -> None:
    assert not faults(server)
