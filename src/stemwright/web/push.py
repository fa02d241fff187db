"""Progress pushed: Server-Sent Events, WebSocket and Socket.IO, all from the feed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from typing import TYPE_CHECKING, Any, Final

import socketio
from fastapi import APIRouter, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse

from stemwright.errors import ConflictError, StemwrightError
from stemwright.studio import jobs
from stemwright.studio.studio import LOCAL
from stemwright.web.common import Id, Owner, Responses, TheStudio, problems, state_of
from stemwright.web.links import job_json
from stemwright.web.problems import body_of
from stemwright.web.roots import root_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from stemwright.records import JsonObject
    from stemwright.studio.snapshot import JobSnapshot
    from stemwright.web.feed import Feed, Snapshots

router = APIRouter(prefix="/api/v1", tags=["events"])
_EVENTS: Final[Responses] = {
    200: {
        "description": "Events `job`: a job as `GET /jobs/{id}` gives it; `problem` should it be deleted meanwhile.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}
_DONE: Final[Responses] = {
    204: {"description": "To a browser that comes again with the `Last-Event-ID` of a job's end: there is no more."}
}
_KEEP_ALIVE: Final = 15.0  # seconds of silence after which a comment is sent, so that proxies do not hang up
_END: Final = "end"  # id of the event that is a job's last
_MOST: Final = 200  # jobs that one Socket.IO client follows at once


@router.get("/jobs/{job_id}/events", response_class=Response, responses={**problems(404), **_EVENTS, **_DONE})
async def job_events(request: Request, job_id: Id, studio: TheStudio, owner: Owner) -> Response:
    """The states of a job as Server-Sent Events: the present one first, up to its end."""
    job = await asyncio.to_thread(jobs.get_job, studio, job_id, owner=owner)
    if request.headers.get("last-event-id") == _END and job.ended:
        return Response(status_code=204)
    return _stream(state_of(request).feed.job(job_id, owner=owner), ends=True, root=root_of(request.scope))


@router.get("/events", response_class=Response, responses={**problems(), **_EVENTS})
async def all_events(request: Request, owner: Owner) -> Response:
    """The states of all your jobs as Server-Sent Events, without end."""
    return _stream(state_of(request).feed.all(owner=owner), ends=False, root=root_of(request.scope))


def _stream(listening: AbstractAsyncContextManager[Snapshots], *, ends: bool, root: str) -> Response:
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_lines(listening, ends=ends, root=root), media_type="text/event-stream", headers=headers)


async def _lines(listening: AbstractAsyncContextManager[Snapshots], *, ends: bool, root: str) -> AsyncIterator[str]:
    yield "retry: 2000\n\n"
    try:
        async with listening as snapshots:
            while True:
                try:
                    async with asyncio.timeout(_KEEP_ALIVE):
                        snapshot = await snapshots.next()
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                if snapshot is None:
                    return
                last = f"id: {_END}\n" if ends and snapshot.ended else ""
                yield f"event: job\n{last}data: {json.dumps(job_json(snapshot, root=root))}\n\n"
    except StemwrightError as error:
        yield f"event: problem\nid: {_END}\ndata: {json.dumps(body_of(error))}\n\n"


@router.websocket("/jobs/{job_id}/ws")
async def job_socket(socket: WebSocket, job_id: str) -> None:
    """The states of a job, the present one first, up to its end; then the server closes."""
    await push(socket, socket.app.state.stemwright.feed.job(job_id, owner=LOCAL))


@router.websocket("/ws")
async def all_socket(socket: WebSocket) -> None:
    """The states of all your jobs, without end."""
    await push(socket, socket.app.state.stemwright.feed.all(owner=LOCAL))


def _as_it_is(root: str) -> Callable[[JobSnapshot], Awaitable[list[JsonObject]]]:
    async def translate(snapshot: JobSnapshot) -> list[JsonObject]:
        return [job_json(snapshot, root=root)]

    return translate


async def push(
    socket: WebSocket,
    listening: AbstractAsyncContextManager[Snapshots],
    *,
    translate: Callable[[JobSnapshot], Awaitable[list[JsonObject]]] | None = None,
    problem: Callable[[StemwrightError], JsonObject] = body_of,
) -> None:
    """Send all states to a WebSocket, then close it; for what is not there a problem, and the close code 4404.

    `translate` makes messages of a state, which is sent as the API gives it where there is none; `problem` makes one
    of an error.
    """
    translate = translate or _as_it_is(root_of(socket.scope))
    await socket.accept()
    sending = asyncio.create_task(_send(socket, listening, translate=translate, problem=problem))
    tasks = [sending, asyncio.create_task(_hear(socket))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _send(
    socket: WebSocket,
    listening: AbstractAsyncContextManager[Snapshots],
    *,
    translate: Callable[[JobSnapshot], Awaitable[list[JsonObject]]],
    problem: Callable[[StemwrightError], JsonObject],
) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # the client has hung up
        try:
            async with listening as snapshots:
                while (snapshot := await snapshots.next()) is not None:
                    for message in await translate(snapshot):
                        await socket.send_json(message)
                code = 1012 if snapshots.closed else 1000  # "service restart": come again
        except StemwrightError as error:
            await socket.send_json(problem(error))
            code = 4000 + error.status
        await socket.close(code)


async def _hear(socket: WebSocket) -> None:
    """Wait until the client hangs up; what it says does not matter."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


def silent_server() -> socketio.AsyncServer:
    """A Socket.IO server without any events yet; which pages may come, `Gate` has decided."""
    return socketio.AsyncServer(
        async_mode="asgi",
        cors_allowed_origins=[],
        logger=logging.getLogger("socketio.server"),
        engineio_logger=logging.getLogger("engineio.server"),
        max_http_buffer_size=65_536,
    )


def socket_io(feed: Feed) -> socketio.AsyncServer:
    """A Socket.IO server: `subscribe {"job_id": …}` (or no job, for all of them) is answered by `job` events."""
    server = silent_server()
    followers = _Followers(server, feed)
    for name in ("connect", "subscribe", "unsubscribe", "disconnect"):
        server.on(name, getattr(followers, name))
    return server


class _Followers:
    """The Socket.IO clients, and which jobs each of them follows."""

    def __init__(self, server: socketio.AsyncServer, feed: Feed) -> None:
        self._server, self._feed = server, feed
        self._tasks: dict[str, dict[str | None, asyncio.Task[None]]] = {}
        self._roots: dict[str, str] = {}  # the sub-path that each client came below

    async def connect(self, sid: str, environ: Any, _auth: Any = None) -> None:
        self._tasks[sid] = {}
        self._roots[sid] = root_of(environ["asgi.scope"])

    async def subscribe(self, sid: str, data: Any = None) -> None:
        """Follow a job, or all of them; who does so already is told the present state again."""
        tasks = self._tasks.get(sid)
        if tasks is None:  # gone already
            return
        job_id = _job_id(data)
        if before := tasks.pop(job_id, None):
            before.cancel()
        if len(tasks) >= _MOST:
            error = ConflictError(f"one client follows at most {_MOST} jobs; subscribe without a job to follow all")
            await self._server.emit("problem", body_of(error) | {"job_id": job_id}, to=sid)
            return
        tasks[job_id] = task = asyncio.create_task(self._send(sid, job_id))
        task.add_done_callback(lambda done: tasks.get(job_id) is done and tasks.pop(job_id))

    async def unsubscribe(self, sid: str, data: Any = None) -> None:
        if task := self._tasks.get(sid, {}).pop(_job_id(data), None):
            task.cancel()

    async def disconnect(self, sid: str, *_: Any) -> None:
        self._roots.pop(sid, None)
        for task in [*self._tasks.pop(sid, {}).values()]:
            task.cancel()

    async def _send(self, sid: str, job_id: str | None) -> None:
        try:
            async with (
                self._feed.all(owner=LOCAL) if job_id is None else self._feed.job(job_id, owner=LOCAL) as snapshots
            ):
                while (snapshot := await snapshots.next()) is not None:
                    await self._server.emit("job", job_json(snapshot, root=self._roots.get(sid, "")), to=sid)
        except StemwrightError as error:
            await self._server.emit("problem", body_of(error) | {"job_id": job_id}, to=sid)


def _job_id(data: Any) -> str | None:
    """Which job a client means; None for all."""
    job_id = data.get("job_id") if isinstance(data, dict) else None
    return None if job_id is None else str(job_id)[:64]
