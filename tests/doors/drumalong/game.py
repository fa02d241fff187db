"""Drumalong's client as its document describes it: HTTP, and a WebSocket for progress."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING, Any, Self

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

if TYPE_CHECKING:
    from pathlib import Path

WAIT = 120.0
LANES = {  # the document's table
    0: ("kick", {36}),
    1: ("snare", {38, 40}),
    2: ("hi_hat", {42, 44, 46}),
    3: ("high_tom", {48, 50}),
    4: ("mid_tom", {45, 47}),
    5: ("floor_tom", {41, 43}),
    6: ("crash", {49, 52, 55, 57}),
    7: ("ride", {51, 53, 59}),
}
RANGES = {  # … and its percent ranges
    "hashing": (0, 10),
    "separating": (10, 70),
    "transcribing": (70, 90),
    "saving": (90, 100),
    "complete": (100, 100),
}


class Game:
    """One client of a door at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx.Client(base_url=url, timeout=WAIT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def process(self, path: Path, *, field: str = "file", name: str | None = None) -> httpx.Response:
        with path.open("rb") as file:
            return self.http.post("/api/v1/process", files={field: (name or path.name, file)})

    def status(self, job_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.http.get(f"/api/v1/status/{job_id}").raise_for_status().json()
        return answer

    def follow(self, socket_url: str, *, most: int = 1_000_000) -> list[dict[str, Any]]:
        """All messages until the server closes, or `most` of them."""
        messages: list[dict[str, Any]] = []
        with connect(socket_url) as socket, contextlib.suppress(ConnectionClosed):
            while len(messages) < most:
                messages.append(json.loads(socket.recv(timeout=WAIT)))
        return messages

    def poll(self, job_id: str) -> list[dict[str, Any]]:
        """All answers until the job has ended."""
        answers = [self.status(job_id)]
        end = time.monotonic() + WAIT
        while answers[-1]["status"] in {"pending", "processing"}:
            assert time.monotonic() < end
            time.sleep(0.1)
            answers.append(self.status(job_id))
        return answers


def stages(messages: list[dict[str, Any]]) -> list[str]:
    """The stages in their order, each run of equal ones once."""
    names = [message["stage"] for message in messages]
    return [name for at, name in enumerate(names) if at == 0 or names[at - 1] != name]
