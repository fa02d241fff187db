"""The executor: the process that takes runs from the queue, and cleans up beside."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

from sqlalchemy import select

from stemwright.engine.process.pool import EnginePool
from stemwright.studio.store.tables import LIVE, Run
from stemwright.studio.work.queue import Queue
from stemwright.studio.work.retention import sweep
from stemwright.studio.work.runs import Runs
from stemwright.studio.work.worker import JobWorker
from stemwright.studio.work.workflow import start_executor

if TYPE_CHECKING:
    from pathlib import Path

    from stemwright.studio.config import JobsConfig
    from stemwright.studio.store.database import Database
    from stemwright.studio.store.objects import ObjectStore
    from stemwright.studio.work.workflow import BodyOf

_SILENT: Final = 60.0  # seconds without a sign of a run after which DBOS is asked about it
_LEAVING: Final = 3.0  # seconds that handing back may take
_THOROUGH: Final = 60  # sweeps, of which one looks for orphans too
log = logging.getLogger("stemwright.executor")


def run_executor(db: Database, store: ObjectStore, config: JobsConfig, *, executor_id: str, body_of: BodyOf) -> None:
    """Work until told to stop (SIGTERM), or until the parent's end of standard input is closed."""
    queue = Queue(db, config)
    pool = EnginePool(
        config.engine_command,
        max_rss=config.engine_max_rss,
        max_calls=config.engine_max_jobs,
        temp=config.temp,
        environment=config.engine_environment,
    )
    worker = JobWorker(Runs(db, queue), store, config, pool)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C goes to all; the parent tells
    threading.Thread(target=_watch_parent, args=(stopping,), daemon=True).start()
    for folder in filter(None, (config.work, config.temp)):
        _empty(folder)
    start_executor(worker, db, config, executor_id=executor_id, body_of=body_of)
    log.info("executor ready")
    threading.Thread(target=_clean, args=(db, store, config, queue), daemon=True).start()
    stopping.wait()
    back = threading.Thread(target=worker.leave, daemon=True)
    back.start()
    back.join(_LEAVING)
    log.info("executor stops")
    sys.stdout.flush()
    os._exit(0)  # engines see the end of their input and end too


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


def _clean(db: Database, store: ObjectStore, config: JobsConfig, queue: Queue) -> None:
    """Clean up now and then, for ever."""
    runs, count = Runs(db, queue), 0
    while True:
        time.sleep(config.sweep_seconds if config.sweep_seconds > 0 else _SILENT)
        try:
            reconcile(db, runs, queue)
            gone = sweep(db, store, config, thorough=count % _THOROUGH == 0)
            forgotten = queue.forget(before=time.time() - config.forget_jobs_seconds)
        except Exception:
            log.exception("sweep failed")
            continue
        count += 1
        if gone or forgotten:
            log.info("swept", extra={**gone, "workflows": forgotten})


def reconcile(db: Database, runs: Runs, queue: Queue) -> int:
    """End the rows of runs that DBOS has given up without our code being asked; how many.

    The other way round, work of DBOS whose row has ended: it ends by itself, at its first look at the row.
    """
    old = time.time() - _SILENT
    with db.session() as session:
        silent = list(session.scalars(select(Run.id).where(Run.status.in_(LIVE), Run.updated_at < old).limit(500)))
    statuses = queue.statuses(silent) if silent else {}
    lost = [run_id for run_id in silent if statuses.get(run_id) not in {"ENQUEUED", "PENDING", "DELAYED"}]
    return sum(runs.give_up(run_id, unchanged_since=old) for run_id in lost)
