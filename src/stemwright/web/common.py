"""What routes share: the studio, the owner, parameters, documented problems."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

from fastapi import Depends, FastAPI, Path, Query, Request

from stemwright.studio.studio import LOCAL, Studio
from stemwright.web.problems import MEDIA
from stemwright.web.roots import root_of

if TYPE_CHECKING:
    from fastapi import APIRouter

    from stemwright.web.feed import Feed
    from stemwright.web.health import Health


@dataclass(frozen=True, slots=True, kw_only=True)
class WebConfig:
    """What the web needs to know of the settings."""

    cors_origins: tuple[str, ...] = ()
    hosts: frozenset[str] | None = None  # names in the Host header; None is any
    any_address: bool = False  # any IP address in the Host header will do: no page has one as its name
    trusted_proxies: tuple[str, ...] = ()
    root_path: str = ""  # the sub-path that the studio is served below, such as `/stemwright`
    fleet_page: bool = False  # whether `/fleet` shows what goes on
    rate_per_minute: int = 600  # requests of one client; 0 is no limit
    uploads_per_minute: int = 60
    link_seconds: int | None = None  # that a link to the bucket is good for, where stems are read there
    executor: Any = field(default=None)  # who is asked whether the executor lives


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What lives as long as the app."""

    studio: Studio
    feed: Feed
    health: Health
    config: WebConfig


Responses: TypeAlias = dict[int | str, dict[str, Any]]  # OpenAPI's, as FastAPI takes them


def state_of(request: Request) -> State:
    """The state of the app that a request came to."""
    state: State = request.app.state.stemwright
    return state


async def _studio(request: Request) -> Studio:  # as a plain function it would be called in a thread, each time
    return state_of(request).studio


async def _owner() -> str:
    return LOCAL


async def _root(request: Request) -> str:
    return root_of(request.scope)


TheStudio = Annotated[Studio, Depends(_studio)]
Owner = Annotated[str, Depends(_owner)]
Root = Annotated[str, Depends(_root)]  # the sub-path that links begin with
Id = Annotated[str, Path(max_length=64, description="As it was given.")]
Separation = Annotated[
    str | None, Query(max_length=64, description="Which of the song's separations; the present one if left out.")
]
Limit = Annotated[int, Query(ge=1, le=200)]
Offset = Annotated[int, Query(ge=0, le=1_000_000_000)]


def new_app(**settings: Any) -> FastAPI:
    """An app that redirects nowhere, without FastAPI's own telemetry, which looks for exporters at each request."""
    return FastAPI(redirect_slashes=False, telemetry={"tracing": False, "metrics": False, "logs": False}, **settings)


def add_routes(app: FastAPI, *routers: APIRouter) -> None:
    """Add the routes of routers, flat: an included router counts all of its routes anew for each request (1 ms)."""
    for router in routers:
        app.router.routes.extend(router.routes)


def problems(*statuses: int) -> Responses:
    """The documentation of problems with these statuses, and of those that any request can meet."""
    content = {MEDIA: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    texts: Final = {
        400: "The request cannot be understood.",
        403: "The time for that is over.",
        404: "There is no such thing.",
        408: "The body stopped coming.",
        409: "The state of things does not allow that.",
        413: "Too large.",
        415: "Not audio, or of a kind that is not supported.",
        416: "The range lies outside the file.",
        422: "A field is wrong; `errors` names each.",
        429: "Too many requests; `Retry-After` says when to come again.",
        503: "Something that is needed is not here now.",
        504: "It took too long.",
        507: "The disk is full.",
    }
    return {status: {"description": texts[status], "content": content} for status in sorted({*statuses, 400, 422, 429})}
