"""The audio engines: what they ask over a WebSocket, and the news that are pushed to them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

import structlog

from stemwright.doors.mismo import messages
from stemwright.errors import StemwrightError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from stemwright.studio.outbox import Placed
    from stemwright.studio.tracks import TrackView

_TIMEOUT: Final = 5.0  # seconds that an engine may take to accept a message
_REMEMBERED: Final = 1000  # engines that left
_MOST: Final = 64  # requests of one engine whose jobs are not placed yet
_TEXT: Final = 200  # characters of an id
log = structlog.get_logger("stemwright.doors.mismo")


class ConnectedEngine:
    """One connection."""

    def __init__(self, send: Callable[[str], Awaitable[None]]) -> None:
        self._send, self._alone = send, asyncio.Lock()
        self.name = secrets.token_hex(8)
        self.opened, self.closed = time.monotonic(), 0.0
        self.placing: set[asyncio.Task[None]] = set()

    async def tell(self, message: dict[str, Any]) -> bool:
        """Send a message; whether the connection took it."""
        if self.closed:
            return False
        try:
            async with asyncio.timeout(_TIMEOUT), self._alone:
                await self._send(json.dumps(message, allow_nan=False))
        except Exception as error:  # noqa: BLE001  (of either library, for a connection that is gone)
            log.info("the audio engine did not take a message", error=type(error).__name__)
            return False
        return True


class Engines:
    """All connections.

    `look` finds a track and may raise `StemwrightError`; `order` has its stems made; `joined` is told when an engine
    has come, for whom news may wait.
    """

    def __init__(self) -> None:
        self._open: dict[str, ConnectedEngine] = {}
        self._left: OrderedDict[str, float] = OrderedDict()  # when engines left
        self.look: Callable[[str], Awaitable[TrackView]]
        self.order: Callable[[TrackView, object, str], Awaitable[Placed]]
        self.joined: Callable[[], None]

    @contextlib.asynccontextmanager
    async def connected(self, send: Callable[[str], Awaitable[None]]) -> AsyncIterator[ConnectedEngine]:
        """An engine, for as long as it is connected."""
        engine = ConnectedEngine(send)
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

    async def push(self, order: Placed, message: dict[str, Any]) -> bool:
        """Tell the engine that asked; one that has come since that one left; whether anybody took it."""
        asker = order.facts["asker"]
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
            asked = json.loads(text)
        except (ValueError, RecursionError):
            asked = None
        if not isinstance(asked, dict):
            await engine.tell(messages.refusal(messages.error_of("malformed", "send a JSON object as text")))
            return
        track_id, request_id = asked.get("trackId"), asked.get("requestId")
        request_id = request_id if isinstance(request_id, str | int) and len(str(request_id)) <= _TEXT else None
        if asked.get("command") != "getTrackInfo":
            error = messages.error_of("unknown_command", "the one command is getTrackInfo")
            await engine.tell(messages.refusal(error, request_id=request_id))
            return
        if not isinstance(track_id, str) or not 0 < len(track_id) <= _TEXT:
            error = messages.error_of("invalid", "trackId is missing, or no text")
            await engine.tell(messages.refusal(error, request_id=request_id))
            return
        try:
            track = await self.look(track_id)
        except StemwrightError as error:
            refused = messages.refusal(messages.said(error), track_id=track_id, request_id=request_id)
            await engine.tell(refused)
            return
        await engine.tell(messages.track_info(track, request_id=request_id))
        if asked.get("stems") is True:
            task = asyncio.create_task(self._order(engine, track, request_id))
            engine.placing.add(task)
            task.add_done_callback(engine.placing.discard)
            if len(engine.placing) >= _MOST:  # it has to wait with its next message
                await asyncio.wait(engine.placing, return_when=asyncio.FIRST_COMPLETED)

    async def _order(self, engine: ConnectedEngine, track: TrackView, request_id: object) -> None:
        facts = {"track_id": track.id, "request_id": request_id}
        try:
            await self.order(track, request_id, engine.name)
        except StemwrightError as error:
            await engine.tell(messages.stems_news(facts, stems=None, error=messages.said(error)))
        except Exception:
            log.exception("a job could not be made for the audio engine", track=track.id)
            await engine.tell(messages.stems_news(facts, stems=None, error=messages.error_of("internal", "")))
