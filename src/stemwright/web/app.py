"""The app: routes, push, errors, limits, logs and metrics around a studio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import socketio
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from starlette.middleware.cors import CORSMiddleware

from stemwright import __version__
from stemwright.web import jobs, ops, problems, push, songs
from stemwright.web.common import State, WebConfig
from stemwright.web.feed import Feed
from stemwright.web.reception import Gate, Reception, SmallerJson
from stemwright.web.schemas import SongChange

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from stemwright.studio.studio import Studio

_ABOUT: Final = """Takes songs apart: a recording goes in; stems, loudness, waveforms, tempo and key come out.

Errors are `application/problem+json` with a stable `code`. Times are UTC. Progress is pushed as Server-Sent Events
(`/api/v1/jobs/{id}/events`), by WebSocket (`/api/v1/jobs/{id}/ws`; `/api/v1/ws` for all jobs) and by Socket.IO
(`/socket.io`, event `subscribe` with `{"job_id": …}`, answered by `job` events)."""


_EXPOSED: Final = ["Location", "ETag", "Content-Range", "Retry-After", "Stemwright-Gain-dB", "X-Request-ID"]


def create_app(studio: Studio, config: WebConfig) -> FastAPI:
    """The API as an ASGI app; `asgi` puts Socket.IO and the middleware around it."""
    app = FastAPI(
        title="Stemwright",
        version=__version__,
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        license_info={"name": "MIT"},
    )
    app.state.stemwright = State(studio=studio, feed=Feed(studio), config=config)
    app.state.metrics = ops.Metrics()
    problems.install(app)
    for router in (jobs.router, songs.router, push.router, ops.router):
        app.include_router(router)
    app.add_api_route("/", _front, response_class=HTMLResponse, include_in_schema=False)
    _document(app)
    return app


def asgi(app: FastAPI) -> ASGIApp:
    """The whole server: Socket.IO beside the API, and around both what looks after each request."""
    state: State = app.state.stemwright
    origins = list(state.config.cors_origins)
    server = push.socket_io(state.feed, any_origin=bool(origins))
    whole: ASGIApp = Gate(socketio.ASGIApp(server, other_asgi_app=SmallerJson(app)), state.config)
    if origins:
        whole = CORSMiddleware(
            whole,
            allow_origins=origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=_EXPOSED,
        )
    return Reception(whole, app.state.metrics)


def _document(app: FastAPI) -> None:
    """Let the schema know what routes read by hand, JSON bodies, and what handlers answer, problems."""
    make = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schemas = make()["components"]["schemas"]
            for model in (jobs.JobRequest, SongChange, problems.Problem):
                schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
                schemas |= schema.pop("$defs", {}) | {model.__name__: schema}
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]


async def _front() -> str:
    """What a browser sees until the player is there."""
    return _FRONT


_FRONT: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Stemwright</title>
<body><h1>Stemwright</h1><p>The studio is running. Its API is described by <a href="/openapi.json">openapi.json</a>;
your songs are at <a href="/api/v1/songs">/api/v1/songs</a>, your jobs at <a href="/api/v1/jobs">/api/v1/jobs</a>.</p>
<p>Take a song apart: <code>curl -F file=@song.mp3 http://127.0.0.1:8000/api/v1/jobs</code></p></body></html>"""
