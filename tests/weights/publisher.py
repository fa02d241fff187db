"""A publisher of weights on this machine: ranges, tags, redirects, and everything that can go wrong."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import TracebackType


@dataclass
class Publisher:
    """Serves `files` by path; the fields say what else it does."""

    files: dict[str, bytes] = field(default_factory=dict)
    cut_after: int | None = None  # bytes of a body after which the connection ends, once a `cuts`
    cuts: int = 0
    errors: list[int] = field(default_factory=list)  # statuses of the next answers
    redirects: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    length: bool = True  # whether Content-Length is told
    tag: str = '"one"'
    hold: threading.Event | None = None  # waited for after the first piece of a body …
    holds: str = ""  # … whose path ends so
    asked: list[tuple[str, str | None]] = field(default_factory=list)  # (path, Range) of each request

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.hold:
            self.hold.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    owner: Publisher

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.owner.asked.append((self.path, None))
        self.send_response(200)
        self.end_headers()

    def do_GET(self) -> None:
        owner = self.owner
        wanted = self.headers.get("Range")
        owner.asked.append((self.path, wanted))
        if owner.errors:
            self.send_error(owner.errors.pop(0))
            return
        if self.path in owner.redirects:
            self.send_response(302)
            self.send_header("Location", owner.redirects[self.path])
            self.end_headers()
            return
        path = self.path.removeprefix("http://weights.test") if self.path.startswith("http") else self.path
        if path not in owner.files:
            self.send_error(404)
            return
        self._send(owner.files[path], wanted)

    def _send(self, body: bytes, wanted: str | None) -> None:
        owner, begin = self.owner, 0
        if wanted and owner.ranges and self.headers.get("If-Range") in {None, owner.tag}:
            begin = int(wanted.removeprefix("bytes=").rstrip("-"))
            if begin >= len(body):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        if owner.length:
            self.send_header("Content-Length", str(len(body) - begin))
        self.send_header("ETag", owner.tag)
        self.send_header("Content-Type", "text/html" if body.startswith(b"<!DOCTYPE") else "application/octet-stream")
        self.end_headers()
        rest = body[begin:]
        if owner.cuts and owner.cut_after is not None:
            owner.cuts -= 1
            rest = rest[: owner.cut_after]
        hold = owner.hold if self.path.endswith(owner.holds) else None
        half = len(rest) // 2 if hold else len(rest)
        self.wfile.write(rest[:half])
        self.wfile.flush()
        if hold:
            hold.wait(60)
            self.wfile.write(rest[half:])
        self.close_connection = True
