"""A real database, queue and object store for tests of jobs, and rows and files to put there."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from receipts import receipt
from stemwright.audio.decode import DecodeLimits
from stemwright.studio.config import JobsConfig
from stemwright.studio.options import JobOptions, RunOptions
from stemwright.studio.store.database import Database
from stemwright.studio.store.objects import ObjectStore, Storage
from stemwright.studio.store.tables import File, Job, Run, Separation, Song, new_id
from stemwright.studio.work.queue import Queue, prepare_jobs
from stemwright.studio.work.runs import Runs
from stemwright.studio.work.steps import Lease

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKER = "a-worker"
CHILD = (sys.executable, "-S", str(Path(__file__).parents[2] / "engine" / "process" / "child_for_tests.py"))


def options(**changes: Any) -> RunOptions:
    """What a run needs to know of a job."""
    return RunOptions.model_validate({"model": "sketch", "resolved": "sketch", "analysis": False} | changes)


@dataclass(frozen=True)
class Desk:
    """What an executor works with."""

    db: Database
    store: ObjectStore
    queue: Queue
    runs: Runs
    config: JobsConfig

    def song(self, name: str = "a", *, used: float = 0.0, **changes: Any) -> str:
        """A song with its recording, last used so many seconds ago."""
        key = f"local/uploads/{name}"
        self.put(key, b"x" * 100)
        song = Song(
            id=new_id(),
            owner="local",
            title=name,
            search=name,
            file_name=f"{name}.wav",
            source_digest=name,
            size_bytes=100,
            upload_key=key,
            used_at=time.time() - used,
        )
        for column, value in changes.items():
            setattr(song, column, value)
        self.add(song)
        return song.id

    def separation(self, *songs: str, key: str = "k", pcm: str = "p" * 64, size: int = 1000) -> str:
        """Two files of stems that songs of equal samples share."""
        made = Separation(id=new_id(), owner="local", key=key, pcm_digest=pcm, model="sketch", draft=True)
        made.receipt, made.duration, made.elapsed = receipt(), 2.0, 1.0
        self.add(made)
        for name in ("vocals.flac", "vocals.mp3"):
            at = f"local/separations/{made.id}/{name}"
            self.put(at, b"y" * size)
            self.add(File(owner="local", separation_id=made.id, name=name, object_key=at, size_bytes=size, digest="d"))
        with self.db.session() as session:
            for song in songs:
                row = session.get_one(Song, song)
                row.separation_id, row.pcm_digest = made.id, pcm
        return made.id

    def run(self, song_id: str | None, *, status: str = "queued", job: bool = True, **changes: Any) -> str:
        """A run and a job that waits for it; one that is queued is known to DBOS too."""
        priority = changes.get("priority", "normal")
        run = Run(owner="local", song_id=song_id, key=new_id(), options=options(), queue="cpu", priority=priority)
        run.id, run.rank, run.status = new_id(), self.queue.rank(priority), status
        for column, value in changes.items():
            setattr(run, column, value)
        with self.db.session() as session:
            session.add(run)
            session.flush()
            if status == "queued":
                self.queue.submit(session, run)
            if job:
                session.add(
                    Job(owner="local", song_id=song_id, run_id=run.id, options=JobOptions(), request_digest="r")
                )
        return run.id

    def lease(self, run_id: str) -> Lease:
        """The lease of a run as it is; one that is queued is running from here on."""
        with self.db.session() as session:
            run = session.get_one(Run, run_id)
            run.worker = run.worker or WORKER
            run.status = "running" if run.status == "queued" else run.status
            return Lease(run_id=run.id, worker=run.worker, number=run.lease)

    def put(self, key: str, content: bytes = b"z", *, age: float = 0.0) -> None:
        """An object that was stored so many seconds ago."""
        self.store.put(key, content)
        assert self.store.folder
        then = time.time() - age
        os.utime(self.store.folder / key, (then, then))

    def add(self, *rows: Any) -> None:
        with self.db.session() as session:
            session.add_all(rows)

    def rows(self, table: type[Any]) -> list[Any]:
        with self.db.session() as session:
            return list(session.scalars(select(table)))

    def get(self, run_id: str) -> Run:
        with self.db.session() as session:
            return session.get_one(Run, run_id)

    def keys(self) -> set[str]:
        """Of all objects."""
        return {stored.key for stored in self.store.list()}


def opened(folder: Path, url: str | None = None, **changes: Any) -> Iterator[Desk]:
    """A desk in an empty folder, over the database of that URL, else one in the folder; for fixtures."""
    db = Database(url or f"sqlite:///{folder}/studio.db")
    db.migrate()
    prepare_jobs(db)
    work = folder / "work"
    work.mkdir()
    plain: dict[str, Any] = {"work": work, "engine_command": CHILD, "limits": DecodeLimits(), "model": "sketch"}
    config = JobsConfig(**(plain | {"timeout_min": 60.0} | changes))
    queue = Queue(db, config)
    yield Desk(db, ObjectStore(Storage(url=f"file://{folder}/objects")), queue, Runs(db, queue), config)
    queue.close()
    db.close()
