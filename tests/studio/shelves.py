"""A studio whose queue nobody works on, and a folder of the operator's own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from stemwright.audio.decode import DecodeLimits
from stemwright.engine.process.pool import EnginePool
from stemwright.studio.config import JobsConfig
from stemwright.studio.store.database import Database
from stemwright.studio.store.objects import ObjectStore, Storage
from stemwright.studio.studio import Studio
from stemwright.studio.work.queue import Queue, prepare_jobs
from stemwright.studio.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from studio.work.desks import Desk


def over(desk: Desk, incoming: Path) -> Studio:
    """A studio over a desk's database, store and queue, that takes and encodes nothing."""
    return Studio(
        db=desk.db,
        store=desk.store,
        queue=desk.queue,
        workers=Workers(desk.db, desk.config),
        config=desk.config,
        encoders=EnginePool(("false",), max_rss=1, max_calls=1),
        upload_max_bytes=1,
        incoming=incoming,
    )


@contextmanager
def idle(folder: Path, url: str | None = None) -> Iterator[Studio]:
    """The studio over the database of that URL, else one in its folder, for the time of a block."""
    incoming = folder / "incoming"
    incoming.mkdir()
    db = Database(url or f"sqlite:///{folder}/studio.db")
    db.migrate()
    prepare_jobs(db)
    config = JobsConfig(
        work=folder / "work",
        engine_command=("false",),
        limits=DecodeLimits(size_bytes=1_000_000),
        model="sketch",
        disk_reserve=0,
    )
    queue = Queue(db, config)
    yield Studio(
        db=db,
        store=ObjectStore(Storage(url=f"file://{folder / 'objects'}")),
        queue=queue,
        workers=Workers(db, config),
        config=config,
        encoders=EnginePool(config.engine_command, max_rss=1, max_calls=1),
        upload_max_bytes=1000,
        incoming=incoming,
    )
    queue.close()
    db.close()
