"""What the tests of the page share: a studio that comes back at its own address, and a page that is watched."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from server import WAIT, Server

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

# The page opens the fine stems of this strategy in the place of the draft's, which the same model makes.
STRATEGIES = (
    "strategies:\n  again:\n    _: sketch\n    vocals: vocals\n    drums: drums\n    bass: bass\n    other: other\n"
)


class Studio(Server):
    """A server at a port of its own, whose processes stop where a test says so."""

    def __init__(self, folder: Path) -> None:
        self.points, repo = folder / "points", folder / "repo"
        self.points.mkdir()
        repo.mkdir()
        (repo / "strategies.yaml").write_text(STRATEGIES)
        super().__init__(folder / "data", STEMWRIGHT_STOP_AT=str(self.points), STEMWRIGHT_MODEL_REPO=str(repo))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]

    def start(self, **environment: str) -> Studio:
        """Start it where it was before, and wait until it answers."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-P", "-m", "stemwright", "serve", "--port", str(self.port)]
        with self.log.open("a") as log:
            everything = {**self._environment, **environment}
            process = subprocess.Popen(
                command, stdout=log, stderr=log, text=True, env=everything, start_new_session=True
            )
        self.process = process
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = httpx.Client(base_url=self.url, timeout=WAIT)
        end = time.monotonic() + WAIT
        while True:
            try:
                self.http.get("/livez").raise_for_status()
            except httpx.HTTPError:
                assert time.monotonic() < end, self.log.read_text()[-3000:]
                assert process.poll() is None, self.log.read_text()[-3000:]
                time.sleep(0.1)
            else:
                return self

    def arm(self, point: str) -> None:
        """Let the next process that reaches a point stop there."""
        (self.points / point).write_bytes(b"")

    def release(self, point: str) -> None:
        """Let it go on."""
        (self.points / point).unlink()


class Watch:
    """What a page does that it must not: requests to other hosts, breaches of its policy, errors."""

    def __init__(self, page: Page, url: str) -> None:
        self.elsewhere: list[str] = []
        self.faults: list[str] = []
        self._host = urlsplit(url).netloc
        page.on("request", lambda request: self._request(request.url))
        page.on("console", lambda message: self._said(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.faults.append(str(error)))

    def _request(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"blob", "data"} and parts.netloc != self._host:
            self.elsewhere.append(url)

    def _said(self, text: str) -> None:
        if "Content Security Policy" in text:
            self.faults.append(text)

    def check(self) -> None:
        assert not self.elsewhere, self.elsewhere
        assert not self.faults, self.faults
