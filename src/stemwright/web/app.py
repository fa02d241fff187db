"""The app: routes, push, errors, limits, logs and metrics around a studio."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

from starlette.middleware.cors import CORSMiddleware

from stemwright import __version__
from stemwright.studio import allowances
from stemwright.web import jobs, mixes, ops, page, problems, push, songs, transfers
from stemwright.web.common import State, WebConfig, add_routes, new_app
from stemwright.web.feed import Feed
from stemwright.web.heads import Heads
from stemwright.web.health import Health
from stemwright.web.middleware import Gate, RequestLog, SmallerJson
from stemwright.web.proxied import Proxied
from stemwright.web.roots import path_of
from stemwright.web.schemas import SongChange

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    import socketio
    from fastapi import FastAPI
    from starlette.types import ASGIApp, Receive, Scope, Send

    from stemwright.records import JsonObject
    from stemwright.studio.store.database import Database
    from stemwright.studio.studio import Studio

_ABOUT: Final = """Takes songs apart: a recording goes in; stems, loudness, waveforms, tempo and key come out.

Errors are `application/problem+json` with a stable `code`. Times are UTC. Progress is pushed as Server-Sent Events
(`/api/v1/jobs/{id}/events`), by WebSocket (`/api/v1/jobs/{id}/ws`; `/api/v1/ws` for all jobs) and by Socket.IO
(`/socket.io`, event `subscribe` with `{"job_id": …}`, answered by `job` events)."""


_EXPOSED: Final = ["Location", "ETag", "Content-Range", "Retry-After", "Stemwright-Gain-dB", "X-Request-ID"]


def api() -> FastAPI:
    """The routes of the API and their description, without a studio behind them."""
    app = new_app(
        title="Stemwright",
        version=__version__,
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        license_info={"name": "MIT"},
    )
    problems.install(app)
    add_routes(app, jobs.router, transfers.router, songs.router, mixes.router, push.router, ops.router)
    _document(app)
    return app


def create_app(studio: Studio, config: WebConfig) -> FastAPI:
    """The API as an ASGI app; `asgi` puts Socket.IO and the middleware around it."""
    app = api()
    app.state.stemwright = State(studio=studio, feed=Feed(studio), health=Health(studio), config=config)
    app.state.metrics = ops.Metrics()
    page.install(app, bucket=studio.store.origin if config.link_seconds else None, uploads=studio.store.upload_origin)
    return app


def asgi(
    app: FastAPI, *, beside: Callable[[ASGIApp], ASGIApp] | None = None, door_ports: Collection[int] = ()
) -> ASGIApp:
    """The whole server: Socket.IO beside the API, and around both what looks after each request.

    `beside` may put more next to the API, which is then looked after alike; at `door_ports` it answers alone.
    """
    state: State = app.state.stemwright
    origins = list(state.config.cors_origins)
    inner = _with_socket_io(push.socket_io(state.feed), SmallerJson(app))
    db = state.studio.db
    counted = partial(_count_uploads, db) if db.shared else None
    whole: ASGIApp = Gate(Heads(beside(inner) if beside else inner), state.config, count_uploads=counted)
    if origins:
        whole = CORSMiddleware(
            whole,
            allow_origins=origins,
            allow_methods=["*"],
            allow_headers=["*"],
            allow_credentials=True,  # Stemset's player asks with them; browsers want that said
            expose_headers=_EXPOSED,
        )
    whole = RequestLog(whole, app.state.metrics, origins=origins)
    return Proxied(whole, state.config, door_ports=door_ports)


async def _count_uploads(db: Database, client: str, per_minute: int) -> float:
    return await asyncio.to_thread(allowances.take, db, client, per_minute=per_minute)


def _with_socket_io(server: socketio.AsyncServer, app: ASGIApp) -> ASGIApp:
    """Socket.IO at its path below the sub-path, which its own app does not look at, and an app at all others."""

    async def either(scope: Scope, receive: Receive, send: Send) -> None:
        ours = f"{path_of(scope)}/".startswith("/socket.io/")
        await (server.handle_request if ours else app)(scope, receive, send)

    return either


def _document(app: FastAPI) -> None:
    """Let the schema know what routes read by hand, JSON bodies, and what handlers answer, problems."""
    make = app.openapi

    def openapi() -> JsonObject:
        if app.openapi_schema is None:
            schemas = make()["components"]["schemas"]
            for schema in schemas.values():
                schema.pop("additionalProperties", None)  # answers may get more fields
            for model in (jobs.SongJobRequest, transfers.UploadRequest, SongChange, problems.Problem):
                schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
                schemas |= schema.pop("$defs", {}) | {model.__name__: schema}
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]
