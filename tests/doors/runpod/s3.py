"""An S3 server for tests: moto, as a process of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

WAIT = 120.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port: int = one.getsockname()[1]
        return port


@contextmanager
def bucket(name: str) -> Iterator[str]:
    """The address of a server that has an empty bucket."""
    pytest.importorskip("moto", reason="the S3 server for tests, moto[s3], is not installed")
    pytest.importorskip("flask_cors", reason="flask-cors, which moto's server needs, is not installed")
    address = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-P", "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + WAIT
        while True:
            try:
                httpx.put(f"{address}/{name}", timeout=WAIT).raise_for_status()
            except httpx.TransportError:
                assert process.poll() is None, "moto did not start"
                assert time.monotonic() < end
                time.sleep(0.2)
            else:
                break
        yield address
    finally:
        process.kill()
        process.wait()
