"""What clients see where a proxy stands before the studio: the sub-path, the scheme, the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from starlette.responses import RedirectResponse

from stemwright.web.limits import Proxies
from stemwright.web.roots import parse_root

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import ASGIApp, Receive, Scope, Send

    from stemwright.web.common import WebConfig

SENT_HOST: Final = "stemwright.sent_host"  # the Host header as it came, in a scope whose Host is X-Forwarded-Host
_SECURE: Final = {"http": False, "https": True, "ws": False, "wss": True}


class Proxied:
    """Puts into a request's scope what the client sees, by the settings and by what trusted proxies say.

    The sub-path may be in the path or not: some proxies cut it off, others pass it on. Doors at ports of their own
    are not below the sub-path of the settings.
    """

    def __init__(self, app: ASGIApp, config: WebConfig, *, door_ports: Collection[int] = ()) -> None:
        self._app, self._root = app, config.root_path
        self._proxies, self._door_ports = Proxies(config.trusted_proxies), frozenset(door_ports)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on as its client sees it."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        scope = self._seen(scope)
        root = scope["root_path"]
        if root and scope["path"] == root and scope["type"] == "http":  # what the page names is relative to the slash
            query = scope["query_string"].decode("latin-1")
            away = f"{quote(root)}/?{query}" if query else f"{quote(root)}/"
            await RedirectResponse(away)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _seen(self, scope: Scope) -> Scope:
        root = "" if (scope.get("server") or ("", 0))[1] in self._door_ports else self._root
        changed: dict[str, object] = {}
        if self._proxies.sent(scope):
            root = _valid_root(_said(scope, b"x-forwarded-prefix")) or root
            secure = _SECURE.get(_first(_said(scope, b"x-forwarded-proto")).lower())
            if secure is not None:
                plain = "http" if scope["type"] == "http" else "ws"
                changed["scheme"] = f"{plain}s" if secure else plain
            changed |= _with_host(scope, _said(scope, b"x-forwarded-host"))
        path = scope["path"]
        whole = path if path == root or path.startswith(f"{root}/") else f"{root}{path}"
        return {**scope, **changed, "root_path": root, "path": whole}


def _with_host(scope: Scope, said: str) -> dict[str, object]:
    """The headers with the host that a proxy was asked for; the Host that came is kept, as both are checked."""
    if not said:
        return {}
    sent = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    others = [(name, value) for name, value in scope["headers"] if name != b"host"]
    named = [part.strip() for part in said.split(",")]
    return {"headers": [(b"host", named[0].encode("latin-1")), *others], SENT_HOST: (*sent, *named[1:])}


def _said(scope: Scope, header: bytes) -> str:
    return ",".join(value.decode("latin-1") for name, value in scope["headers"] if name == header)


def _first(said: str) -> str:
    """What the proxy nearest to the client said: each adds at the end."""
    return said.partition(",")[0].strip()


def _valid_root(said: str) -> str:
    """The sub-path in a header; none where it is not one."""
    try:
        return parse_root(_first(said).rstrip("/"))
    except ValueError:
        return ""
