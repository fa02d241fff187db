"""The executor: the process that takes runs from queues, sends callbacks, and cleans up beside."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from sqlalchemy import select

from stemwright.engine.process.pool import EnginePool
from stemwright.errors import DatabaseUnavailableError
from stemwright.studio.store.tables import LIVE, Run
from stemwright.studio.work.liveness import Liveness, Member
from stemwright.studio.work.locks import Locks
from stemwright.studio.work.queue import Queue
from stemwright.studio.work.retention import sweep
from stemwright.studio.work.runs import Runs
from stemwright.studio.work.waker import Waker
from stemwright.studio.work.worker import LOCAL_WORKER, JobWorker
from stemwright.studio.work.workflow import start_executor
from stemwright.studio.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from stemwright.studio.config import JobsConfig
    from stemwright.studio.store.database import Database
    from stemwright.studio.store.objects import ObjectStore
    from stemwright.studio.work.workflow import BodyOf
    from stemwright.types import Seconds

_SILENT: Final = 60.0  # seconds without a sign of a run after which DBOS is asked about it
_YOUNG: Final = 60.0  # seconds of a folder's life in which its lock may be in the making
_LEAVING: Final = 10.0  # seconds that handing back may take
_THOROUGH: Final = 60  # sweeps, of which one looks for orphans too
_SWEEPING: Final = 3600.0  # seconds that one process may take for a sweep before another one begins it too
log = logging.getLogger("stemwright.executor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What an executor does, and under which name."""

    id: str = LOCAL_WORKER
    slots: Mapping[str, int]  # queues that it takes runs from, and how many of each at once
    keeps: bool = True  # it sends callbacks and sweeps
    member: Member | None = None  # what it says of itself to others; none where it has its database to itself
    idle: Seconds | None = None  # after so long without work it ends
    watched: Callable[[Callable[[], bool]], None] | None = None  # is given what says whether it is well, once it works
    child: bool = True  # its parent's end of standard input is closed when it is to end


def run_executor(db: Database, store: ObjectStore, config: JobsConfig, role: Role, *, body_of: BodyOf) -> None:
    """Work until told to stop (SIGTERM), or until nobody needs it; then leave the process."""
    queue = Queue(db, config)
    scratch = _Scratch(config, role)
    config = scratch.config
    pool = EnginePool(
        config.engine_command,
        max_rss=config.engine_max_rss,
        max_calls=config.engine_max_jobs,
        temp=config.temp,
        environment=config.engine_environment,
    )
    runs = Runs(db, queue)
    worker = JobWorker(runs, store, config, pool, name=role.id)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    # A terminal's Ctrl-C goes to all; the parent tells its children.
    signal.signal(signal.SIGINT, signal.SIG_IGN if role.child else lambda *_: stopping.set())
    if role.child:
        threading.Thread(target=_watch_parent, args=(stopping,), daemon=True).start()
    liveness = None
    if role.member:
        liveness = Liveness(db, runs, role.member, beat=config.beat, dead=config.dead, fence=worker.fence)
        liveness.join()
    start_executor(worker, db, config, slots=role.slots, callbacks=role.keeps, body_of=body_of)
    if role.watched:
        role.watched(lambda: not worker.fenced)
    log.info("executor ready", extra={"id": role.id})
    if role.keeps:
        threading.Thread(target=_clean, args=(db, store, config, queue, role.id), daemon=True).start()
        Waker(db, config, Workers(db, config), name=role.id).start()
    while not stopping.wait(1.0):
        if role.idle is not None and worker.idle_seconds > role.idle:
            log.info("there was nothing to do", extra={"seconds": role.idle})
            break
        if worker.files.gave_up.is_set():
            break
    back = threading.Thread(target=_leave, args=(worker, liveness), daemon=True)
    back.start()
    back.join(_LEAVING)
    scratch.remove()
    log.info("executor stops")
    sys.stdout.flush()
    os._exit(1 if worker.files.gave_up.is_set() else 0)  # engines see the end of their input and end too


def _leave(worker: JobWorker, liveness: Liveness | None) -> None:
    """Hand back what is under way; say so last, as others take it from then on."""
    try:
        worker.leave()
        worker.stop_engines()
        if liveness:
            liveness.leave()
    except DatabaseUnavailableError as error:  # others find out by our silence
        log.warning("could not say that this process leaves", extra={"error": error.message})


class _Scratch:
    """The private folders of this executor, in which a predecessor that was killed has left nothing.

    One of a fleet has a folder of its own, with a lock: others on this machine see that it lives.
    """

    def __init__(self, config: JobsConfig, role: Role) -> None:
        self._folder = config.work.with_name("workers") / role.id if role.member else None
        if self._folder is None:
            self.config = config
            for folder in filter(None, (config.work, config.temp)):
                _empty(folder)
            return
        for other in self._folder.parent.glob("*"):
            if not _is_locked(other / "lock"):
                shutil.rmtree(other, ignore_errors=True)
        work, temp = self._folder / "runs", self._folder / "temp"
        self._folder.mkdir(mode=0o700, parents=True)
        self._handle = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        work.mkdir(mode=0o700)
        self.config = replace(config, work=work, temp=temp)

    def remove(self) -> None:
        """Remove the folder of one of a fleet."""
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)


def _is_locked(path: Path) -> bool:
    """Whether a process holds a lock file; one that is being made this moment counts too."""
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        with suppress(FileNotFoundError):
            return time.time() - path.parent.stat().st_mtime < _YOUNG
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _watch_parent(stopping: threading.Event) -> None:
    """When the parent is gone, stop: another takes over what was running."""
    while sys.stdin.buffer.read(1):
        pass
    stopping.set()


def _empty(folder: Path) -> None:
    """Remove what a predecessor left that was killed; the folder is this executor's own."""
    for path in folder.glob("*"):
        shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True)


def _clean(db: Database, store: ObjectStore, config: JobsConfig, queue: Queue, name: str) -> None:
    """Clean up now and then, for ever, as long as no other process does."""
    runs, locks, count = Runs(db, queue), Locks(db, name), 0
    while True:
        time.sleep(config.sweep_seconds if config.sweep_seconds > 0 else _SILENT)
        try:
            if not locks.take("sweep", seconds=_SWEEPING):
                continue
            reconcile(db, runs, queue, by=name)
            gone = sweep(db, store, config, thorough=count % _THOROUGH == 0)
            forgotten = queue.forget(before=db.now() - config.forget_jobs_seconds)
            locks.release("sweep")
        except Exception:
            log.exception("sweep failed")
            continue
        count += 1
        if gone or forgotten:
            log.info("swept", extra={**gone, "workflows": forgotten})


def reconcile(db: Database, runs: Runs, queue: Queue, *, by: str) -> int:
    """End the rows of runs that DBOS has given up without our code being asked; how many. `by` names this process.

    The other way round, work of DBOS whose row has ended: it ends by itself, at its first look at the row.
    """
    old = db.now() - _SILENT
    with db.session() as session:
        silent = list(session.scalars(select(Run.id).where(Run.status.in_(LIVE), Run.updated_at < old).limit(500)))
    statuses = queue.statuses(silent) if silent else {}
    lost = [run_id for run_id in silent if statuses.get(run_id) not in {"ENQUEUED", "PENDING", "DELAYED"}]
    return sum(runs.give_up(run_id, unchanged_since=old, by=by) for run_id in lost)
