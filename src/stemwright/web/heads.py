"""HEAD for whatever has a GET: the same answer without its body (RFC 9110, 9.3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stemwright.web.roots import path_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Heads:
    """Asks with GET where nothing answers HEAD, and ends the answer after its headers.

    Routes that have a HEAD of their own, as those of large files, keep it. Socket.IO has none: its GET opens sessions.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; a HEAD that was refused as a GET."""
        if scope["type"] != "http" or scope["method"] != "HEAD" or "/socket.io" in path_of(scope):
            await self._app(scope, receive, send)
            return
        refused = False

        async def unless_refused(message: Message) -> None:
            nonlocal refused
            refused = refused or message.get("status") == 405
            if not refused:
                await send(message)

        # ranges are of GET alone: HEAD tells of the whole
        headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
        await self._ask({**scope, "headers": headers}, scope, receive, unless_refused)
        if refused:
            await self._ask({**scope, "headers": headers, "method": "GET"}, scope, receive, _without_body(send))

    async def _ask(self, inner: Scope, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask with a scope of its own, which routing changes, and note the route for the log."""
        try:
            await self._app(inner, receive, send)
        finally:
            scope.update({name: inner[name] for name in ("route", "path_params") if name in inner})


def _without_body(send: Send) -> Send:
    """Sends the headers and the end; servers then say that the client is gone, which ends a stream."""

    async def headers_only(message: Message) -> None:
        if message["type"] == "http.response.start":
            await send(message)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return headers_only
