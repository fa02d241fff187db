"""One PostgreSQL with a port for the tests of the fleet, and a fleet of its own for each test."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

import postgres
from fleet.fleet import Fleet
from sounds import sound, write_wav

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from s3 import S3


@pytest.fixture(scope="session")
def server() -> Iterator[postgres.Postgres]:
    """A PostgreSQL with a port, which tests may stop and start."""
    if sys.platform != "linux":
        pytest.skip("looks into /proc")
    postgres.require()
    made = postgres.Postgres(tcp=True)
    yield made
    made.remove()


@pytest.fixture
def fleet(tmp_path: Path, server: postgres.Postgres, s3: S3) -> Iterator[Fleet]:
    """A fleet without processes yet."""
    with Fleet.opened(tmp_path / "fleet", server, s3) as made:
        yield made


@pytest.fixture(scope="session")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few seconds of music."""
    return write_wav(tmp_path_factory.mktemp("songs") / "song.wav", sound("song", seconds=3.1))
