"""The studio: what every use case needs, in one place."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stemwright.errors import DiskFullError
from stemwright.studio.work.worker import LOCAL_WORKER

if TYPE_CHECKING:
    from pathlib import Path

    from stemwright.engine.process.pool import EnginePool
    from stemwright.studio.config import JobsConfig
    from stemwright.studio.store.database import Database
    from stemwright.studio.store.objects import ObjectStore
    from stemwright.studio.work.queue import Queue
    from stemwright.studio.workers import Workers

LOCAL = "local"  # the one owner, until there is sign-in


@dataclass(frozen=True, slots=True, kw_only=True)
class Studio:
    """Database, objects, queue and settings; `encoders` make files on demand."""

    db: Database
    store: ObjectStore
    queue: Queue
    workers: Workers
    config: JobsConfig
    encoders: EnginePool
    upload_max_bytes: int
    incoming: Path  # uploads in the making
    idempotency_seconds: float = 86400.0
    name: str = LOCAL_WORKER  # of this process and of its executors, in the rows of runs that they ended

    @property
    def shared(self) -> bool:
        """Whether processes on other machines have the same studio."""
        return self.db.shared

    def now(self) -> float:
        """The time in seconds since the epoch, by the clock that all rows go by."""
        return self.db.now()

    def require_room(self, size_bytes: int = 0) -> None:
        """Raise `DiskFullError` when the disk is so full that nothing, or nothing so large, may be accepted."""
        free = shutil.disk_usage(self.incoming).free - size_bytes
        if free < self.config.disk_reserve:
            raise DiskFullError(
                f"the disk would have {max(0, free) / 1e9:.1f} GB left, and {self.config.disk_reserve / 1e9:.1f} GB "
                "are kept free; songs are accepted again when there is room"
            )
