"""Mismo's own programs, as Node processes that say what happens to them."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doors.npm import installed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CLIENT = Path(__file__).with_name("client")
PATIENCE = 300.0  # seconds, generous: the machine is shared


class Node:
    """One of the programs in `client/`."""

    def __init__(self, folder: Path, script: str, *arguments: str, **environment: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(CLIENT / script, folder)
        shutil.copy(CLIENT / "package.json", folder)
        if not (folder / "node_modules").exists():
            (folder / "node_modules").symlink_to(installed(CLIENT) / "node_modules")
        self._process = subprocess.Popen(
            ["node", script, *arguments],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        self.seen: list[dict[str, Any]] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._events.put(json.loads(line))

    def do(self, what: str, **facts: Any) -> None:
        """Tell it to do something."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"what": what, **facts}) + "\n")
        self._process.stdin.flush()

    def wait(self, event: str, matching: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """The next event of that name that matches; others are passed over, and kept in `seen`."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                found = self._events.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {event}; there were {self.seen[-10:]}") from None
            self.seen.append(found)
            if found["event"] == event and matching(found):
                return found

    def rest(self, seconds: float) -> list[dict[str, Any]]:
        """What else happens within some seconds."""
        time.sleep(seconds)
        found = []
        while not self._events.empty():
            found.append(self._events.get())
        self.seen += found
        return found

    def stop(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.terminate()
        self._process.wait(20)
        self._process.stdout.close()


@contextmanager
def node(folder: Path, script: str, *arguments: str, **environment: str) -> Iterator[Node]:
    """A program for the time of a block."""
    program = Node(folder, script, *arguments, **environment)
    try:
        yield program
    finally:
        program.stop()
