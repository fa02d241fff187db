"""The port of a worker: whether it lives, and what it did, for those who watch over many of them."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from stemwright.errors import DatabaseUnavailableError, SetupError
from stemwright.web.ops import RunMetrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from stemwright.studio.store.database import Database

_TIMEOUT: Final = 10.0  # seconds that a request may take to come


class _Handler(BaseHTTPRequestHandler):
    """Answers `/livez` and `/metrics`."""

    server: _Port
    timeout = _TIMEOUT

    def do_GET(self) -> None:
        status, kind, body = self.server.answer(self.path)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815  (the library's way)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing of each request."""


class _Port(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], db: Database, name: str, is_well: Callable[[], bool]) -> None:
        super().__init__(address, _Handler)
        self._db, self._name, self._is_well = db, name, is_well
        self._registry = CollectorRegistry()
        self._runs = RunMetrics(self._registry)
        self._looking = threading.Lock()

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Status, media type and body."""
        if path == "/livez":
            return (200, "text/plain", b"ok\n") if self._is_well() else (503, "text/plain", b"is cut off\n")
        if path != "/metrics":
            return 404, "text/plain", b"there are /livez and /metrics\n"
        try:
            with self._looking:
                self._runs.look(self._db, self._name)
        except DatabaseUnavailableError:
            return 503, "text/plain", b"the database is away\n"
        return 200, CONTENT_TYPE_LATEST, generate_latest(self._registry)


def open_port(host: str, port: int, db: Database, *, name: str, is_well: Callable[[], bool]) -> int:
    """Answer at a port from now on, beside whatever else goes on; the port, of 0 a free one.

    `name` is the worker's, `is_well` says whether it lives. Raises `SetupError` when the port cannot be had.
    """
    try:
        server = _Port((host, port), db, name, is_well)
    except OSError as error:
        raise SetupError(f"{host}:{port} cannot be listened on: {error.strerror}") from error
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return int(server.server_address[1])
