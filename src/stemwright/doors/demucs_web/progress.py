"""The Socket.IO namespace `/progress`: who subscribes to a job is told how far it is, and its end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from stemwright.doors.demucs_web.words import job_id_of, message_of, progress_of, status_of
from stemwright.errors import JobNotFoundError
from stemwright.records import JsonObject
from stemwright.studio.studio import LOCAL
from stemwright.web.push import silent_server

if TYPE_CHECKING:
    from collections.abc import Mapping

    import socketio

    from stemwright.studio.snapshot import JobSnapshot
    from stemwright.web.feed import Feed

PLACE: Final = "/progress"
_MOST: Final = 200  # jobs that one client follows at once


def socket_io(feed: Feed) -> socketio.AsyncServer:
    """The Socket.IO server."""
    server = silent_server()
    listeners = _Listeners(server, feed)
    for name in ("connect", "subscribe", "disconnect"):
        server.on(name, getattr(listeners, name), namespace=PLACE)
    return server


class _Listeners:
    """The clients, and which jobs each follows."""

    def __init__(self, server: socketio.AsyncServer, feed: Feed) -> None:
        self._server, self._feed = server, feed
        self._tasks: dict[str, dict[str, asyncio.Task[None]]] = {}
        self._roots: dict[str, str] = {}  # of the door, as each client found it

    async def connect(self, sid: str, environ: Mapping[str, Any], _auth: Any = None) -> None:
        self._tasks[sid] = {}
        self._roots[sid] = str(environ["asgi.scope"].get("root_path", "")).removesuffix("/socket.io")

    async def disconnect(self, sid: str, *_: Any) -> None:
        self._roots.pop(sid, None)
        for task in [*self._tasks.pop(sid, {}).values()]:
            task.cancel()

    async def subscribe(self, sid: str, data: Any = None) -> None:
        """Follow a job; who does so already is told the present state again."""
        tasks = self._tasks.get(sid)
        if tasks is None:  # gone already
            return
        uuid = str(data.get("job_id"))[:64] if isinstance(data, dict) else ""
        if before := tasks.pop(uuid, None):
            before.cancel()
        if len(tasks) >= _MOST:
            await self._fail(sid, uuid, f"follow at most {_MOST} jobs")
            return
        tasks[uuid] = task = asyncio.create_task(self._tell(sid, uuid))
        task.add_done_callback(lambda done: tasks.get(uuid) is done and tasks.pop(uuid))

    async def _tell(self, sid: str, uuid: str) -> None:
        try:
            async with self._feed.job(job_id_of(uuid), owner=LOCAL) as snapshots:
                while (job := await snapshots.next()) is not None:
                    for event, data in self._events(sid, uuid, job):
                        await self._server.emit(event, data, to=sid, namespace=PLACE)
        except JobNotFoundError:
            await self._fail(sid, uuid, "Job not found")

    def _events(self, sid: str, uuid: str, job: JobSnapshot) -> list[tuple[str, JsonObject]]:
        status, named = status_of(job), JsonObject(job_id=uuid)
        if status == "failed":
            return [("error", named | {"error_message": message_of(job)})]
        now = named | {"status": status, "progress": progress_of(job), "message": message_of(job)}
        if status != "completed":
            return [("progress", now)]
        url = f"{self._roots.get(sid, '')}/api/download/{uuid}"
        return [("progress", now), ("completed", named | {"download_url": url})]

    async def _fail(self, sid: str, uuid: str, message: str) -> None:
        data = {"job_id": uuid, "error_message": message}
        await self._server.emit("error", data, to=sid, namespace=PLACE)
