"""A worker of a fleet, on its own: `stemwright worker`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from stemwright.app.executor import run
from stemwright.app.process import keep_private, prepare_failpoints
from stemwright.app.weights import use_weights
from stemwright.app.wiring import check_clock, database, jobs_config, open_store, role_of
from stemwright.disk import make_private
from stemwright.errors import OptionError
from stemwright.studio.work.liveness import fresh_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from stemwright.app.settings import Settings
    from stemwright.studio.store.database import Database


class NoSharedDatabaseError(OptionError):
    """A worker on its own needs a database that it shares with the studio."""

    code = "no_shared_database"


def work(settings: Settings) -> None:
    """Take runs from the queue `worker.queue` until SIGTERM, Ctrl-C, or `worker.idle` seconds without any.

    Raises `NoSharedDatabaseError`, `NeedsMigrationError`, `DatabaseUnavailableError`, `StorageUnavailableError`,
    `WrongClockError`, and `SetupError` where a GPU is wanted and there is none.
    """
    if settings.database.url is None:
        raise NoSharedDatabaseError(
            "a worker shares a PostgreSQL with the studio: set database.url (DATABASE_URL); on one machine "
            "`stemwright serve` works alone, with jobs.cpu_slots"
        )
    keep_private()
    prepare_failpoints("worker")
    make_private(settings.data)
    db = database(settings)
    try:
        db.verify()
        check_clock(db, settings)
        open_store(settings).ping()
    finally:
        db.close()
    use_weights(settings)  # before it is asked which models there are
    config = jobs_config(settings)
    role = role_of(settings, config, queue=settings.worker.queue, name=fresh_id(), child=False)
    if settings.worker.port:
        watched = partial(_watch, settings.host, settings.worker.port, db, role.id)
        role = replace(role, watched=watched)
    run(settings, config, role)


def _watch(host: str, port: int, db: Database, name: str, is_well: Callable[[], bool]) -> None:
    """Answer at the worker's port. Raises `SetupError` when it cannot be had."""
    from stemwright.app.worker_port import open_port

    open_port(host, port, db, name=name, is_well=is_well)
