"""Around every request: its id, headers, log and metrics; who may come in, and how often."""

from __future__ import annotations

import ipaddress
import re
import secrets
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

import structlog
from starlette.middleware.gzip import GZipMiddleware

from stemwright.studio.studio import LOCAL
from stemwright.web.limits import Buckets, Proxies
from stemwright.web.problems import problem
from stemwright.words import has_controls

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from stemwright.web.common import WebConfig
    from stemwright.web.ops import Metrics

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
        plain = scope["type"] != "http" or any(part in scope["path"] for part in _FILES)
        await (self._app if plain else self._small)(scope, receive, send)


class Gate:
    """Refuses clients that ask too often, foreign pages that change or listen, and addresses that no path can hold."""

    def __init__(self, app: ASGIApp, config: WebConfig) -> None:
        self._app = app
        self._origins = {*config.cors_origins}
        self._hosts, self._any_address = config.hosts, config.any_address
        self._proxies = Proxies(config.trusted_proxies)
        self._requests, self._uploads = Buckets(config.rate_per_minute), Buckets(config.uploads_per_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or turn it away."""
        response = self._refusal(scope) if scope["type"] in {"http", "websocket"} else None
        await (response or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        if wait := self._wait(scope):
            again = {"Retry-After": str(int(wait) + 1)}
            return problem(429, code="too_many_requests", detail="too many requests", headers=again)
        if not self._is_ours(_host_of(scope)):
            return problem(421, code="unknown_host", detail="the server is not called so; see the setting http.hosts")
        if self._is_foreign(scope):
            return problem(403, code="foreign_origin", detail="pages of other origins need the operator's permission")
        if has_controls(scope["path"]) or has_controls(unquote(scope["query_string"].decode("latin-1"), "utf-8")):
            return problem(400, code="malformed", detail="the address holds control characters")
        return None

    def _is_ours(self, host: str) -> bool:
        """Whether the server may be called so: names point wherever their owners like, addresses do not."""
        return self._hosts is None or host in self._hosts or (self._any_address and _is_address(host))

    def _wait(self, scope: Scope) -> float:
        """Seconds until this client may ask."""
        path = _DOOR.sub("", scope["path"])
        if path.startswith(_FREE):
            return 0.0
        client = f"{LOCAL} {self._proxies.client(scope)}"
        wait = self._requests.take(client)
        if not wait and scope.get("method") == "POST":
            wait = self._uploads.take(client)
        return wait

    def _is_foreign(self, scope: Scope) -> bool:
        """Whether a browser asks for a page of another origin that nobody listed, and not just to read.

        What it may read is for the browser to decide (CORS), but that does not hold for WebSockets and simple POSTs.
        """
        if scope["type"] == "http" and scope["method"] in _HARMLESS:
            return False
        headers = {name: value.decode("latin-1").lower() for name, value in scope["headers"]}
        origin = headers.get(b"origin")
        if origin is None or headers.get(b"sec-fetch-site") in {"same-origin", "none"}:
            return False
        return not {origin, "*"} & self._origins and urlsplit(origin).netloc != headers.get(b"host")


def _host_of(scope: Scope) -> str:
    """The name in the Host header, without a port."""
    host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
    return (urlsplit(f"//{host}").hostname or "") if host.isascii() else ""


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class RequestLog:
    """Sees each request in and out: its id, headers, log and metrics."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and note what becomes of it."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500 if scope["type"] == "http" else 101
        request_id = _request_id(scope)
        extra = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
        extra.append((b"x-request-id", request_id.encode()))

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] in _STARTS:
                status = message["status"]
                own = [*message.get("headers", ())]
                named = {name.lower() for name, _ in own}
                message["headers"] = own + [one for one in extra if one[0] not in named]
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, sent)
            finally:
                self._note(scope, status, time.perf_counter() - began)

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
