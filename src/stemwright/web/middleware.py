"""Around every request: its id, headers, log and metrics; who may come in, and how often."""

from __future__ import annotations

import ipaddress
import re
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import unquote, urlsplit

import structlog
from starlette.middleware.gzip import GZipMiddleware

from stemwright.errors import DatabaseUnavailableError
from stemwright.studio.studio import LOCAL
from stemwright.web.limits import Buckets, Proxies
from stemwright.web.problems import problem
from stemwright.web.proxied import SENT_HOST
from stemwright.web.roots import path_of
from stemwright.words import has_controls, plain

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from stemwright.web.common import WebConfig
    from stemwright.web.ops import Metrics

    CountUploads: TypeAlias = Callable[[str, int], Awaitable[float]]

log = structlog.get_logger("stemwright.web")
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_FILES: Final = ("/stems", "/peaks/", "/mix.", "/notes/", ".mp4", "/events", "/socket.io", "/doors/")
_FREE: Final = ("/health", "/livez", "/readyz", "/metrics", "/socket.io")  # of the rate limit
_PORTS: Final = {"http": 80, "https": 443}
_DOOR: Final = re.compile(r"^/doors/[^/]+")
_HARMLESS: Final = {"GET", "HEAD", "OPTIONS"}
_METHODS: Final = _HARMLESS | {"POST", "PUT", "PATCH", "DELETE"}  # as labels; others are `other`
_STARTS: Final = {"http.response.start", "websocket.http.response.start"}


class SmallerJson:
    """Compresses what is text; files are sent as they are, for their ranges and tags."""

    def __init__(self, app: ASGIApp) -> None:
        self._app, self._small = app, GZipMiddleware(app, minimum_size=1000, compresslevel=5)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and what is text back in small."""
        plain = scope["type"] != "http" or any(part in path_of(scope) for part in _FILES)
        await (self._app if plain else self._small)(scope, receive, send)


class Gate:
    """Refuses clients that ask too often, foreign pages that change or listen, and addresses that no path can hold."""

    def __init__(self, app: ASGIApp, config: WebConfig, *, count_uploads: CountUploads | None = None) -> None:
        """`count_uploads` counts those of a client for all replicas and says how long it has to wait, in seconds."""
        self._app, self._count_uploads = app, count_uploads
        self._origins = {*config.cors_origins}
        self._hosts, self._any_address = config.hosts, config.any_address
        self._proxies = Proxies(config.trusted_proxies)
        self._requests, self._uploads = Buckets(config.rate_per_minute), Buckets(config.uploads_per_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or turn it away."""
        response = await self._refusal(scope) if scope["type"] in {"http", "websocket"} else None
        await (response or self._app)(scope, receive, send)

    async def _refusal(self, scope: Scope) -> Response | None:
        if wait := await self._wait(scope):
            again = {"Retry-After": str(int(wait) + 1)}
            return problem(429, code="too_many_requests", detail="too many requests", headers=again)
        hosts = _hosts(scope)
        if not all(map(self._is_ours, map(_name_of, hosts))):
            return problem(421, code="unknown_host", detail="the server is not called so; see the setting http.hosts")
        if origin := self._foreign_origin(scope):
            return problem(403, code="foreign_origin", detail=_refused(origin, hosts))
        if has_controls(scope["path"]) or has_controls(unquote(scope["query_string"].decode("latin-1"), "utf-8")):
            return problem(400, code="malformed", detail="the address holds control characters")
        return None

    def _is_ours(self, host: str) -> bool:
        """Whether the server may be called so: names point wherever their owners like, addresses do not."""
        return self._hosts is None or host in self._hosts or (self._any_address and _is_address(host))

    async def _wait(self, scope: Scope) -> float:
        """Seconds until this client may ask."""
        path = _DOOR.sub("", path_of(scope))
        if path.startswith(_FREE):
            return 0.0
        client = f"{LOCAL} {self._proxies.client(scope)}"
        wait = self._requests.take(client)
        if not wait and scope.get("method") == "POST":
            wait = self._uploads.take(client)
            if not wait and self._count_uploads and self._uploads.per_minute:
                with suppress(DatabaseUnavailableError):  # the request itself will say so
                    wait = await self._count_uploads(client, self._uploads.per_minute)
        return wait

    def _foreign_origin(self, scope: Scope) -> str:
        """The origin of a page that nobody listed, where its browser asks for it and not just to read; else nothing.

        What it may read is for the browser to decide (CORS), but that does not hold for WebSockets, simple POSTs and
        Socket.IO, whose GET opens a session. Without a Host that fits, a browser is believed that says that the page is
        ours, if the page's host is one of `http.hosts`: one that points a name of its own here says so, too.
        """
        harmless = scope["type"] == "http" and scope["method"] in _HARMLESS
        if harmless and "/socket.io" not in path_of(scope):
            return ""
        headers = {name: value.decode("latin-1").lower() for name, value in scope["headers"]}
        origin = headers.get(b"origin")
        if origin is None or {origin, "*"} & self._origins or _same(origin, headers.get(b"host", "")):
            return ""
        same = headers.get(b"sec-fetch-site") in {"same-origin", "none"}
        return "" if same and self._is_ours(_name_of(origin.partition("://")[2])) else origin or "null"


def _refused(origin: str, hosts: Sequence[str]) -> str:
    """Why a page may not ask, and what to set."""
    page, host = plain(origin)[:100], plain(hosts[0])[:100] if hosts else "no host"
    return (
        f"pages of other origins need the operator's permission (http.cors_origins): the page is at {page}, and the "
        f"request is for {host}; if {page} is this studio, its proxy has to pass the Host header on "
        "(nginx: proxy_set_header Host $http_host)"
    )


def _same(origin: str, host: str) -> bool:
    """Whether a page at an origin asks for the host that it came from; the usual port may be written or not."""
    try:
        page, asked = urlsplit(origin), urlsplit(f"//{host}")
        usual = _PORTS.get(page.scheme)
        return page.hostname is not None and (page.hostname, page.port or usual) == (
            asked.hostname,
            asked.port or usual,
        )
    except ValueError:  # no port, no address
        return False


def _hosts(scope: Scope) -> tuple[str, ...]:
    """What a request says that the server is called: Host, and what proxies put in its place; all of it is checked.

    There is nothing to check without a Host, as in HTTP/1.0: browsers, which foreign pages could use, always send one.
    """
    named = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    return (*named, *scope.get(SENT_HOST, ()))


def _name_of(host: str) -> str:
    """The name in a Host header, without a port."""
    try:
        return (urlsplit(f"//{host}").hostname or "") if host.isascii() else ""
    except ValueError:
        return ""


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class RequestLog:
    """Sees each request in and out: its id, headers, log and metrics."""

    def __init__(self, app: ASGIApp, metrics: Metrics, *, origins: Sequence[str] = ()) -> None:
        self._app, self._metrics, self._origins = app, metrics, {*origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and note what becomes of it."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500 if scope["type"] == "http" else 101
        request_id = _request_id(scope)
        headers = _HEADERS | self._resource_policy(scope)
        extra = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        extra.append((b"x-request-id", request_id.encode()))

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] in _STARTS:
                status = message["status"]
                own = [*message.get("headers", ())]
                named = {name.lower() for name, _ in own}
                varied = [(b"vary", b"Referer")] if self._origins else []
                message["headers"] = own + [one for one in extra if one[0] not in named] + varied
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, sent)
            finally:
                self._note(scope, status, time.perf_counter() - began)

    def _resource_policy(self, scope: Scope) -> dict[str, str]:
        """Lets plain `<audio>` and `<img>` of listed origins have files: browsers ask without Origin, with Referer."""
        if not self._origins:
            return {}
        referer = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"referer"), "")
        origin = "/".join(referer.split("/")[:3]).lower()
        listed = "*" in self._origins or origin in self._origins
        return {"Cross-Origin-Resource-Policy": "cross-origin"} if listed else {}

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope.get("method", "WEBSOCKET")
        method = method if method in _METHODS or scope["type"] == "websocket" else "other"
        route = getattr(scope.get("route"), "path", "other")
        self._metrics.requests.labels(method, route, str(status)).inc()
        self._metrics.seconds.labels(method, route).observe(seconds)
        level = log.warning if status >= 500 else log.debug if route in _FREE else log.info
        ids = {name: str(value)[:64] for name, value in scope.get("path_params", {}).items()}
        level("request", method=method, route=route, status=status, ms=round(seconds * 1000, 1), **ids)


def _request_id(scope: Scope) -> str:
    """The client's X-Request-ID where it is a sane one, else a fresh one."""
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    if 0 < len(given) <= 64 and given.replace(b"-", b"").replace(b"_", b"").isalnum():
        return str(given.decode("ascii"))
    return secrets.token_hex(8)
