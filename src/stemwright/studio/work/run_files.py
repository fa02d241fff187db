"""The objects of a run: its recording comes from the store, what was made goes there, whatever the store is up to."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from stemwright import failpoints
from stemwright.disk import sha256_of
from stemwright.errors import CancelledError, NotFoundError, StorageUnavailableError
from stemwright.studio.work.runs import retry_on_db_error
from stemwright.studio.work.steps import StoredFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stemwright.studio.store.objects import ObjectStore
    from stemwright.studio.work.runs import Runs
    from stemwright.studio.work.steps import Task

T = TypeVar("T")
log = logging.getLogger("stemwright.jobs")
LOCAL_NAME: Final = "song"  # of the recording in a private folder
_PATIENCE: Final = 600.0  # seconds that the store may be away
_PAUSE: Final = 5.0  # seconds between two tries, at most


class RunFiles:
    """What a worker fetches and stores for its runs."""

    def __init__(self, runs: Runs, store: ObjectStore) -> None:
        self._runs, self._store = runs, store
        self.gave_up = threading.Event()  # set when the store was away for ten minutes

    async def fetch_song(self, task: Task, folder: Path) -> Path:
        """The recording as a local file. Raises `NotFoundError`, and as `fetch`."""
        if not task.upload_key:
            raise NotFoundError("the recording is no longer here; upload it again")
        path = folder / LOCAL_NAME
        await self.fetch(task, task.upload_key, path)
        return path

    async def fetch(self, task: Task, key: str, path: Path) -> None:
        """Write an object to a local file. Raises `NotFoundError`, `DiskFullError`, `OutputError`, `CancelledError`."""
        await self._patiently(task, partial(self._store.fetch, key, path), threading.Event())

    async def keep(self, task: Task, folder: Path, name: str) -> tuple[StoredFile, ...]:
        """Store all files of a folder under a name below their run; their rows. Raises as `fetch`."""
        failpoints.reached("storing")
        stopped = threading.Event()
        place = f"{task.owner}/separations/{task.lease.run_id}/{name}"
        files = await self._patiently(task, partial(self._keep, place, folder, stopped), stopped)
        failpoints.reached("stored")
        return tuple(files)

    def _keep(self, place: str, folder: Path, stopped: threading.Event) -> list[StoredFile]:
        """Store all files of a folder below `place`; their rows. `stopped` ends it early."""
        files = []
        for path in sorted(folder.iterdir()):
            if stopped.is_set():
                break
            key = f"{place}/{path.name}"
            size = self._store.put_file(path, key)
            files.append(StoredFile(name=path.name, object_key=key, size_bytes=size, digest=sha256_of(path)))
        return files

    async def _patiently(self, task: Task, what: Callable[[], T], stopped: threading.Event) -> T:
        """Do something in a thread, again while the store is away.

        Raises `CancelledError` when the run ends meanwhile. After ten minutes the process is to end, and to hand its
        runs back: another one may reach the store.
        """
        pause, since = 0.5, time.monotonic()
        while True:
            try:
                return await _to_its_end(what, stopped)
            except StorageUnavailableError as error:
                waited = time.monotonic() - since
                log.warning(
                    "the object store is away: the work waits",
                    extra={"run_id": task.lease.run_id, "seconds": round(waited), "error": error.message},
                )
                if waited > _PATIENCE:
                    self.gave_up.set()
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  # nosec B311  (no secret: so that not all try at once)
            pause = min(2 * pause, _PAUSE)
            if not await asyncio.to_thread(retry_on_db_error, self._runs.holds, task.lease):
                raise CancelledError("the job was cancelled")

    def tidy(self, task: Task) -> None:
        """Once a run has ended, delete what it stored and did not publish: earlier attempts, work in vain.

        Files that a row names stay, also rows of others.
        """
        if self._runs.is_live(task.lease.run_id):
            return
        stored = [one.key for one in self._store.list(f"{task.owner}/separations/{task.lease.run_id}")]
        self._store.delete(self._runs.unknown(stored))

    def forget(self, key: str | None) -> None:
        """Delete an upload, unless somebody sent the same bytes again meanwhile."""
        if key:
            self._store.delete(self._runs.unknown([key]))


async def _to_its_end(what: Callable[[], T], stopped: threading.Event) -> T:
    """Do something in a thread. When cancelled, set `stopped` and wait: a thread left alone would go on writing."""
    work = asyncio.ensure_future(asyncio.to_thread(what))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        stopped.set()
        await asyncio.wait({work})
        work.exception()
        raise
