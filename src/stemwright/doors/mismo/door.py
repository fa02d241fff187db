"""The door: the routes of both of Mismo's servers, the audio engine's socket, and what runs beside them."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING, Any, Final

import structlog
from fastapi import WebSocket  # noqa: TC002  (FastAPI reads signatures)
from starlette.responses import JSONResponse
from starlette.websockets import WebSocketDisconnect, WebSocketState

from stemwright.doors.door import Door
from stemwright.doors.mismo import folder, routes
from stemwright.doors.mismo.config import DOOR, config_of
from stemwright.doors.mismo.dispatcher import Dispatcher
from stemwright.doors.mismo.engines import Engines
from stemwright.doors.mismo.requests import Requests
from stemwright.studio.alone import run_alone
from stemwright.studio.pool import run_in_pool
from stemwright.studio.studio import LOCAL
from stemwright.web import problems
from stemwright.web.common import add_routes, new_app
from stemwright.words import without_secrets

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request
    from websockets.asyncio.client import ClientConnection

    from stemwright.doors.mismo.config import Config
    from stemwright.doors.mismo.settings import Settings
    from stemwright.web.common import State

_AGAIN: Final = (1.0, 2.0, 5.0, 10.0, 30.0)  # seconds before the audio engine is called again
_LIMIT: Final = 65_536  # bytes of a message
_PONG: Final = 20.0  # seconds that an answer to a ping may take
log = structlog.get_logger("stemwright.doors.mismo")


def create(state: State, settings: Settings, home: Path) -> Door:
    """Open the door."""
    config = config_of(settings, state.studio.config, home=home)
    engines = Engines(state.studio.name)
    dispatcher = Dispatcher(state.studio, config, engines)
    requests = Requests(state.studio, config, dispatcher)
    engines.look, engines.promise = requests.look, requests.for_engine
    engines.joined = lambda: dispatcher.wake(everything=True)
    app = new_app(openapi_url=None)
    app.state.stemwright, app.state.mismo = state, requests
    problems.install(app, answer=_error)
    add_routes(app, routes.router)

    async def socket(connection: WebSocket) -> None:
        await _serve(connection, engines, config)

    for path in ("/ws", "/"):
        app.add_api_websocket_route(path, socket)

    async def alone() -> None:
        async with asyncio.TaskGroup() as beside:
            beside.create_task(dispatcher.lead())
            beside.create_task(_look_round(requests))
            if config.engine_url:
                beside.create_task(_call(config.engine_url, engines, config))

    async def run() -> None:
        async with asyncio.TaskGroup() as beside:
            beside.create_task(dispatcher.run())
            beside.create_task(run_alone(state.studio, DOOR, alone))

    return Door(app=app, run=run)


def _error(request: Request, status: int, *, code: str, detail: str, **more: Any) -> JSONResponse:
    """An error in the form of the server whose path was asked; the single fields are in `detail` already."""
    path = request.url.path.removeprefix(request.scope.get("root_path", ""))
    if path.startswith("/api/"):
        content = {"success": False, "error": detail, "code": code}
    else:
        content = {"detail": detail, "code": code}
    return JSONResponse(content, status_code=status, headers=more.get("headers"))


async def _serve(connection: WebSocket, engines: Engines, config: Config) -> None:
    """An audio engine that has called us."""
    await connection.accept()
    alive = asyncio.create_task(_note_alive(connection, config))
    try:
        async with engines.connected(connection.send_text) as engine:
            while True:
                message = await connection.receive()
                if message["type"] == "websocket.disconnect":
                    return
                await engines.hear(engine, message.get("text") or message.get("bytes") or b"")
    except (WebSocketDisconnect, RuntimeError):  # it hung up while it was being answered
        if connection.application_state is WebSocketState.CONNECTED:
            log.info("the audio engine hung up amid an answer")
    finally:
        alive.cancel()


async def _note_alive(connection: WebSocket, config: Config) -> None:
    """Say now and then that an engine is there; uvicorn pings it, and hangs up when no answer comes."""
    while connection.client_state is WebSocketState.CONNECTED:
        log.info("[WS-KEEPALIVE] the audio engine is connected", role="server")
        await asyncio.sleep(config.keepalive)


async def _call(url: str, engines: Engines, config: Config) -> None:
    """Call the audio engine, and again whenever the connection is lost, at longer and longer intervals."""
    from websockets.asyncio.client import connect
    from websockets.exceptions import WebSocketException

    tries, shown = 0, without_secrets(url)
    while True:
        try:
            async with connect(
                url, proxy=None, ping_interval=None, max_size=_LIMIT, compression=None, close_timeout=2
            ) as connection:
                tries = 0
                log.info("connected to the audio engine", url=shown)
                alive = asyncio.create_task(_ping(connection, config))
                try:
                    async with engines.connected(connection.send) as engine:
                        async for message in connection:
                            await engines.hear(engine, message)
                finally:
                    alive.cancel()
            log.info("the audio engine hung up", url=shown)
        except (OSError, TimeoutError, WebSocketException) as error:
            log.warning(
                "no connection to the audio engine",
                url=shown,
                error=without_secrets(f"{type(error).__name__}: {error}")[:200],
            )
        pause = _AGAIN[min(tries, len(_AGAIN) - 1)] * random.uniform(0.75, 1.25)  # noqa: S311  # nosec B311  (no secret: so that not all try at once)
        tries += 1
        await asyncio.sleep(pause)


async def _ping(connection: ClientConnection, config: Config) -> None:
    """Ask the engine now and then whether it is there; hang up when it does not answer."""
    from websockets.exceptions import ConnectionClosed

    with contextlib.suppress(ConnectionClosed):
        while True:
            try:
                async with asyncio.timeout(_PONG):
                    seconds = await (await connection.ping())
            except TimeoutError:
                log.warning("[WS-KEEPALIVE] the audio engine does not answer", role="client")
                await connection.close()
                return
            log.info("[WS-KEEPALIVE] the audio engine answers", role="client", ms=round(1000 * seconds, 1))
            await asyncio.sleep(config.keepalive)


async def _look_round(requests: Requests) -> None:
    """Look through the library's folders now and then, and sweep away what has expired."""
    config, studio = requests.config, requests.studio
    scanned = 0.0
    clock = asyncio.get_running_loop().time
    while True:
        if config.roots and (not scanned or (config.scan and clock() - scanned >= config.scan)):
            scanned = clock()
            try:
                found = await requests.scan()
                log.info("looked through the library", **found)
            except Exception:
                log.exception("the library could not be looked through")
        try:
            await run_in_pool(folder.sweep, studio, config, owner=LOCAL)
        except Exception:
            log.exception("the folders of jobs could not be swept")
        await asyncio.sleep(min(studio.config.sweep_seconds, config.scan or studio.config.sweep_seconds))
