"""The audio engines: what they ask over a WebSocket, and the news that are pushed to them."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import structlog
from pydantic_core import from_json

from stemwright.doors.mismo import messages
from stemwright.doors.mismo.messages import Refusal
from stemwright.errors import StemwrightError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from stemwright.doors.mismo.messages import RequestId, StemsNews, TrackInfo
    from stemwright.studio.outbox import Entry
    from stemwright.studio.tracks import TrackView

_TIMEOUT: Final = 5.0  # seconds that an engine may take to accept a message
_REMEMBERED: Final = 1000  # engines that left
_MOST: Final = 64  # requests of one engine whose jobs are not placed yet
_TEXT: Final = 200  # characters of an id
log = structlog.get_logger("stemwright.doors.mismo")


class ConnectedEngine:
    """One connection."""

    def __init__(self, send: Callable[[str], Awaitable[None]], *, process: str) -> None:
        """`process` is the name of ours that it is connected to."""
        self._send, self._alone = send, asyncio.Lock()
        self.name = f"{process}/{secrets.token_hex(8)}"
        self.opened, self.closed = time.monotonic(), 0.0
        self.placing: set[asyncio.Task[None]] = set()

    async def tell(self, message: TrackInfo | Refusal | StemsNews) -> bool:
        """Send a message; whether the connection took it."""
        if self.closed:
            return False
        try:
            async with asyncio.timeout(_TIMEOUT), self._alone:
                await self._send(message.text())
        except Exception as error:  # noqa: BLE001  (of either library, for a connection that is gone)
            log.info("the audio engine did not take a message", error=type(error).__name__)
            return False
        return True


class Engines:
    """All connections.

    `look` finds a track and may raise `StemwrightError`; `promise` has its stems made; `joined` is told when an engine
    has come, for whom news may wait.
    """

    def __init__(self, process: str) -> None:
        """`process` is this process's name among all that share the studio."""
        self._process = process
        self._open: dict[str, ConnectedEngine] = {}
        self._left: OrderedDict[str, float] = OrderedDict()  # when engines left
        self.look: Callable[[str], Awaitable[TrackView]]
        self.promise: Callable[[TrackView, RequestId, str], Awaitable[Entry]]
        self.joined: Callable[[], None]

    @contextlib.asynccontextmanager
    async def connected(self, send: Callable[[str], Awaitable[None]]) -> AsyncIterator[ConnectedEngine]:
        """An engine, for as long as it is connected."""
        engine = ConnectedEngine(send, process=self._process)
        self._open[engine.name] = engine
        self.joined()
        try:
            yield engine
        finally:
            engine.closed = time.monotonic()
            del self._open[engine.name]
            self._left[engine.name] = engine.closed
            while len(self._left) > _REMEMBERED:
                self._left.popitem(last=False)

    def process_of(self, asker: str) -> str | None:
        """The process that an engine was connected to, if it was another one than this."""
        process = asker.rpartition("/")[0]
        return process if process != self._process else None

    async def push(self, asker: str, message: StemsNews) -> bool:
        """Tell the engine that asked; one that has come since that one left; whether anybody took it."""
        if asker in self._open:
            return await self._open[asker].tell(message)
        since = self._left.get(asker, 0.0)
        for engine in [*self._open.values()]:
            if engine.opened >= since and await engine.tell(message):
                return True
        return False

    async def hear(self, engine: ConnectedEngine, text: str | bytes) -> None:
        """Answer a message of an engine."""
        try:
            asked = from_json(text)
        except ValueError:
            asked = None
        if not isinstance(asked, dict):
            await engine.tell(Refusal(error=messages.fault_of("malformed", "send a JSON object as text")))
            return
        track_id, request_id = asked.get("trackId"), asked.get("requestId")
        request_id = request_id if isinstance(request_id, str | int) and len(str(request_id)) <= _TEXT else None
        if asked.get("command") != "getTrackInfo":
            error = messages.fault_of("unknown_command", "the one command is getTrackInfo")
            await engine.tell(Refusal(error=error, requestId=request_id))
            return
        if not isinstance(track_id, str) or not 0 < len(track_id) <= _TEXT:
            error = messages.fault_of("invalid", "trackId is missing, or no text")
            await engine.tell(Refusal(error=error, requestId=request_id))
            return
        try:
            track = await self.look(track_id)
        except StemwrightError as error:
            await engine.tell(Refusal(error=messages.said(error), trackId=track_id, requestId=request_id))
            return
        await engine.tell(messages.track_info(track, request_id=request_id))
        if asked.get("stems") is True:
            task = asyncio.create_task(self._promise(engine, track, request_id))
            engine.placing.add(task)
            task.add_done_callback(engine.placing.discard)
            if len(engine.placing) >= _MOST:  # it has to wait with its next message
                await asyncio.wait(engine.placing, return_when=asyncio.FIRST_COMPLETED)

    async def _promise(self, engine: ConnectedEngine, track: TrackView, request_id: RequestId) -> None:
        try:
            await self.promise(track, request_id, engine.name)
        except StemwrightError as error:
            fault = messages.said(error)
        except Exception:
            log.exception("a job could not be made for the audio engine", track=track.id)
            fault = messages.fault_of("internal", "")
        else:
            return
        await engine.tell(messages.stems_failed(fault, track_id=track.id, request_id=request_id))
