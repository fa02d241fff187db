"""Fresh databases for tests, of both kinds, with all tables or none."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import postgres
from stemwright.studio.store.database import Database, sqlite_url
from stemwright.studio.work.queue import prepare_jobs

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def fresh_url(kind: str, path: Path, *, tables: bool = True) -> Iterator[str]:
    """The URL of a fresh database, for the time of a block: `sqlite` in a file, or `postgres`."""
    if kind == "sqlite":
        if tables:
            path.write_bytes(_sqlite())
        yield sqlite_url(path)
        return
    postgres.require()
    with postgres.fresh_url(template() if tables else "template0") as url:
        yield url


@functools.cache
def _sqlite() -> bytes:
    """A file with all tables."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "prepared.db"
        _make_tables(sqlite_url(path))
        return path.read_bytes()


@functools.cache
def template() -> str:
    """A database of PostgreSQL with all tables."""
    server, name = postgres.shared(), "prepared"
    server.execute(f"CREATE DATABASE {name}")
    _make_tables(server.url(name))
    return name


def _make_tables(url: str) -> None:
    db = Database(url)
    db.migrate()
    prepare_jobs(db)
    db.close()
