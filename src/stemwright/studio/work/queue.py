"""The queue as its clients see it: work is enqueued in the transaction that makes its rows."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple, TypedDict

from sqlalchemy import inspect, select

from stemwright.strategies.plan import digest_of
from stemwright.studio.store.database import NeedsMigrationError, translated
from stemwright.studio.store.tables import Job, Run

if TYPE_CHECKING:
    from collections.abc import Collection

    from dbos import DBOSClient, EnqueueOptions
    from sqlalchemy.orm import Session

    from stemwright.studio.config import JobsConfig
    from stemwright.studio.store.database import Database

APPLICATION: Final = "stemwright"
VERSION: Final = "2"  # of the workflows; raised when running ones could not go on with new code
CALLBACKS: Final = "callbacks"
_EPOCH: Final = 1_767_225_600  # 2026-01-01; ranks are seconds since, and have 31 bits
_FORGOTTEN: Final = 500  # workflows at once
_CLASSES: Final = {"high": 0, "normal": 1, "low": 2}


class Work(NamedTuple):
    """Something that DBOS holds as under way."""

    id: str
    queue: str
    owner: str  # the process that took it


class Message(TypedDict):
    """A message in the form that a door's client understands."""

    url: str
    body: str  # JSON, sent as it is
    attempts: int  # tries at most


def prepare_jobs(db: Database) -> None:
    """Make or renew the tables of DBOS."""
    from dbos import run_dbos_database_migrations

    run_dbos_database_migrations(system_database_url=db.url)


def has_jobs(db: Database) -> bool:
    """Whether there are tables of DBOS, told without loading it."""
    with db.engine.connect() as connection:
        schema = None if connection.dialect.name == "sqlite" else "dbos"
        return bool(inspect(connection).has_table("dbos_migrations", schema=schema))


def rank_of(priority: str, *, at: float, ageing: float) -> int:
    """Where a job stands, lower first: a class is worth `ageing` seconds of waiting; in it, first come first served.

    >>> rank_of("high", at=1_800_000_000, ageing=1800) < rank_of("normal", at=1_800_000_000, ageing=1800)
    True
    """
    return max(1, int(at - _EPOCH + _CLASSES[priority] * ageing))


class Queue:
    """Enqueues and cancels. DBOS is loaded when it is first needed, or by `warm`."""

    def __init__(self, db: Database, config: JobsConfig) -> None:
        self._db, self._config = db, config
        self._lock = threading.Lock()

    @cached_property
    def _made(self) -> DBOSClient:
        from dbos import DBOSClient
        from dbos._error import DBOSInitializationError

        with translated():
            client = DBOSClient(
                system_database_engine=self._db.engine,
                application_name=APPLICATION,
                retry_connection_errors=not self._db.shared,  # whoever asks is told, and asks again
            )
        try:
            client._sys_db.verify_migrations()
        except DBOSInitializationError as error:
            if self._db.shared:
                raise NeedsMigrationError(
                    "the tables of the queue are of another edition: stemwright migrate"
                ) from error
            prepare_jobs(self._db)
        return client

    @property
    def _client(self) -> DBOSClient:
        with self._lock:
            return self._made

    def warm(self) -> None:
        """Load what the first request would wait for."""
        _ = self._client

    def submit(self, session: Session, run: Run) -> None:
        """Enqueue a run in the transaction that makes its row."""
        self._enqueue(session, "separate", queue=run.queue, id=run.id, priority=run.rank, args=(run.id,))

    def tell(self, session: Session, run: Run, event: str) -> None:
        """Enqueue a callback for each job that waits for a run and wants one."""
        jobs = select(Job).where(Job.run_id == run.id, Job.callback_url.is_not(None), Job.cancelled_at.is_(None))
        for job in session.scalars(jobs):
            self.deliver(session, job, event)

    def deliver(self, session: Session, job: Job, event: str) -> None:
        """Enqueue one callback, where the job wants them."""
        if job.callback_url:
            number = message_id(job, event)
            self._enqueue(
                session, "deliver", queue=CALLBACKS, id=f"{number}-1", priority=None, args=(job.id, event, number, 1)
            )

    def send(self, session: Session, job_id: str, event: str, *, id: str, message: Message) -> None:  # noqa: A002
        """Enqueue a message of a door about a job, in the transaction that notes it as sent."""
        self._enqueue(
            session,
            "deliver",
            queue=CALLBACKS,
            id=f"{id}-1",
            priority=None,
            args=(job_id, event, id, 1, {**message}),
        )

    def deliver_again(
        self,
        job_id: str,
        event: str,
        id: str,  # noqa: A002
        *,
        attempt: int,
        seconds: float,
        message: Message | None = None,
    ) -> None:
        """Enqueue a further try of a callback, for later; delayed deliveries occupy no slot."""
        options = self._options("deliver", queue=CALLBACKS, id=f"{id}-{attempt}")
        args = (job_id, event, id, attempt, message)
        self._client.enqueue(options | {"delay_seconds": seconds}, *args)

    def hasten(self, session: Session, run: Run, *, rank: int) -> None:
        """Let a queued run go earlier, for someone with a higher priority waits for it too."""
        from dbos._schemas.system_database import SystemSchema

        table = SystemSchema.workflow_status
        schema = "dbos" if self._db.engine.dialect.name == "postgresql" else None
        session.execute(
            table.update().where(table.c.workflow_uuid == run.id).values(priority=rank),
            execution_options={"schema_translate_map": {table.schema: schema}},
        )

    def _enqueue(
        self,
        session: Session,
        workflow: str,
        *,
        queue: str,
        id: str,  # noqa: A002
        priority: int | None,
        args: tuple[object, ...],
    ) -> None:
        options = self._options(workflow, queue=queue, id=id)
        if priority is not None:
            options["priority"] = priority
        session.flush()
        self._client.enqueue_in_transaction(session, options, *args)

    @staticmethod
    def _options(workflow: str, *, queue: str, id: str) -> EnqueueOptions:  # noqa: A002
        return {
            "workflow_name": workflow,
            "queue_name": queue,
            "workflow_id": id,
            "app_version": VERSION,
            "application_name": APPLICATION,
        }

    def restart_older(self, *, beside: Collection[str] = ()) -> None:
        """Let work of earlier versions begin again from its start, as this version.

        That of versions which live processes `beside` this one have is theirs.
        """
        from dbos._schemas.system_database import SystemSchema

        table, steps = SystemSchema.workflow_status, SystemSchema.operation_outputs
        schema = "dbos" if self._db.engine.dialect.name == "postgresql" else None
        live = table.c.status.in_(["ENQUEUED", "PENDING", "DELAYED"])
        left = table.c.application_version.not_in([VERSION, *beside])
        older = select(table.c.workflow_uuid, table.c.application_version).where(live, left)
        _ = self._client
        there = {"schema_translate_map": {table.schema: schema}}
        with self._db.session() as session:
            found = session.execute(older, execution_options=there)
            ids = [row[0] for row in found if _number(row[1]) < int(VERSION)]
            if ids:
                anew = table.update().where(table.c.workflow_uuid.in_(ids)).values(application_version=VERSION)
                session.execute(steps.delete().where(steps.c.workflow_uuid.in_(ids)), execution_options=there)
                session.execute(anew, execution_options=there)

    def cancel(self, run_id: str) -> None:
        """Cancel a run that is queued or running; what has ended stays so. Raises `DatabaseUnavailableError`."""
        with translated():
            self._client.cancel_workflow(run_id)

    def work_of_others(self, *, than: Collection[str]) -> list[Work]:
        """Work that is under way, by its rows, in processes other than these."""
        with translated():
            found = self._client.list_workflows(
                status="PENDING", application_name=APPLICATION, load_input=False, load_output=False
            )
        return [
            Work(id=one.workflow_id, queue=one.queue_name, owner=one.executor_id)
            for one in found
            if one.queue_name and one.executor_id and one.executor_id not in than
        ]

    def requeue(self, ids: list[str], *, queue: str) -> None:
        """Let work of processes that are gone be taken again from its queue."""
        with translated():
            self._client.resume_workflows(ids, queue_name=queue)

    def rank(self, priority: str) -> int:
        """The rank of a job that comes now."""
        return rank_of(priority, at=self._db.now(), ageing=self._config.ageing)

    def statuses(self, run_ids: list[str]) -> dict[str, str]:
        """What DBOS holds of runs: the status of each that it knows."""
        with translated():
            found = self._client.list_workflows(workflow_ids=run_ids, load_input=False, load_output=False)
        return {one.workflow_id: one.status for one in found}

    def forget(self, *, before: float) -> int:
        """Delete what DBOS keeps of work that ended before a time (seconds since the epoch); how much it was."""
        old = self._client.list_workflows(
            status=["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"],
            completed_before=datetime.fromtimestamp(before, UTC).isoformat(),
            application_name=APPLICATION,
            limit=_FORGOTTEN,
            load_input=False,
            load_output=False,
        )
        if old:
            self._client.delete_workflows([one.workflow_id for one in old])
        return len(old)

    def close(self) -> None:
        """Let go of the database."""
        if "_made" in vars(self):
            self._made.destroy()


def _number(version: str | None) -> int:
    return int(version) if version and version.isdecimal() else 0


def message_id(job: Job, event: str) -> str:
    """The id of a callback: the same for each try to send it, short enough for its column, another after a retry.

    A job that was cancelled, came back to a run that others wait for, and was cancelled again, says so twice.
    """
    return f"msg_{digest_of([job.id, job.run_id, event, job.cancelled_at])[:40]}"
