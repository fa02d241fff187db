"""One server for all tests of a worker, with a song that `sketch` has taken apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from server import Server, running
from sounds import sound, write_wav
from web.answers import RATE, SECONDS, Prepared

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("web") / "Music #1, 100%41?", STEMWRIGHT_LOG_LEVEL="debug") as server:
        yield server


@pytest.fixture(scope="session")
def prepared(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    samples = sound("song", seconds=SECONDS, rate=RATE)
    path = write_wav(tmp_path_factory.mktemp("song") / "Grüße „aus” Zürich.wav", samples, RATE, bits=16)
    job = server.wait(server.submit(path, model="sketch", analysis="false")["id"])
    assert job["status"] == "succeeded", job
    return Prepared(server, path, samples, job)


@pytest.fixture
def fresh_song(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A short song that no other test uploads."""
    seed = sum(request.node.nodeid.encode()) + 1
    return write_wav(tmp_path / "short.wav", sound("noise", seconds=0.5, seed=seed), bits=16)
