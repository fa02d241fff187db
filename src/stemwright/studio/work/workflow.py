"""The durable workflows, as DBOS runs them in an executor."""

from __future__ import annotations

import asyncio
import logging
import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypedDict, TypeVar

from sqlalchemy import func, select

from stemwright import failpoints
from stemwright.engine.choice import QUICK
from stemwright.errors import CancelledError, StemwrightError, StorageUnavailableError, resource_error
from stemwright.records import Record
from stemwright.separators.catalogue import DRAFT
from stemwright.studio.snapshot import snapshot_of
from stemwright.studio.store.tables import Delivery, Job
from stemwright.studio.work.queue import APPLICATION, CALLBACKS, VERSION
from stemwright.studio.work.run_files import LOCAL_NAME
from stemwright.studio.work.runs import Saved, retry_on_db_error
from stemwright.studio.work.steps import Hashed, Made, Outcome, StepFault, Task
from stemwright.studio.work.webhooks import Sender, backoff
from stemwright.studio.work.worker import JobWorker, is_final
from stemwright.studio.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from dbos import DBOSConfig

    from stemwright.records import JsonObject
    from stemwright.studio.config import JobsConfig
    from stemwright.studio.snapshot import JobSnapshot
    from stemwright.studio.store.database import Database
    from stemwright.studio.work.queue import Message, Queue
    from stemwright.studio.work.webhooks import Outcome as Sent

    Step: TypeAlias = Callable[..., Awaitable[str]]
    BodyOf: TypeAlias = Callable[[JobSnapshot], JsonObject]

T = TypeVar("T", bound=Record)
log = logging.getLogger("stemwright.jobs")
_RECOVERIES: Final = 50  # DBOS's own limit, above ours, which leaves rows that say what happened
_POLL: Final = 0.3  # seconds between two looks of a worker into its queue
_LOOKS: Final = 500.0  # a second, by all workers of a queue together: the more there are, the more rarely each looks
_FINDS: Final = 3  # times that stems which were found may be deleted before they are published


def start_executor(
    worker: JobWorker, db: Database, jobs: JobsConfig, *, slots: Mapping[str, int], callbacks: bool, body_of: BodyOf
) -> None:
    """Register the workflows and begin to take work: runs from the queues of `slots`, so many of each at once.

    `callbacks`: it sends them too; `body_of` is what they say of a job.
    """
    from dbos import DBOS

    config: DBOSConfig = {
        "name": APPLICATION,
        "executor_id": worker.name,
        "application_version": VERSION,
        "log_level": "ERROR",
        "use_listen_notify": False,
        "run_migrations": not db.shared,
    }
    if db.shared:
        config["system_database_engine"] = db.engine
    else:  # connections of its own: ours hold SQLite's write lock from their first statement on
        config["system_database_url"] = db.url
    DBOS(config=config)
    if not db.shared:  # in a fleet whoever takes over from the dead sees to it
        worker.runs.queue.restart_older()
    _register_separate(worker)
    _register_deliver(db, worker.runs.queue, jobs, body_of)
    slots = {name: count for name, count in slots.items() if count}
    DBOS.listen_queues([*slots, *([CALLBACKS] if callbacks else [])])
    DBOS.launch()
    logger = logging.getLogger("dbos")
    logger.handlers.clear()  # ours will do
    logger.propagate = True
    logger.addFilter(_is_news)
    live = Workers(db, jobs).offers().live if db.shared and slots else {}
    for name, count in slots.items():  # all workers of a queue read at each look what the newest of them sets
        pause = max(_POLL, live.get(name, 0) / _LOOKS)
        DBOS.register_queue(name, worker_concurrency=count, polling_interval_sec=pause, on_conflict="always_update")
    if callbacks:
        DBOS.register_queue(CALLBACKS, worker_concurrency=32, polling_interval_sec=0.5, on_conflict="always_update")


def _is_news(record: logging.LogRecord) -> bool:
    """Whether DBOS has something to say: that a cancelled workflow was cancelled is no error."""
    fault = record.exc_info[1] if record.exc_info else None
    return type(fault).__name__ not in {"DBOSAwaitedWorkflowCancelledError", "DBOSWorkflowCancelledError"}


def _register_separate(worker: JobWorker) -> None:
    """What a recovered workflow decides must follow from its steps alone: they are told apart by their number.

    Steps take and give JSON, which DBOS keeps.
    """
    from dbos import DBOS

    @DBOS.step(name="hash", preemptible=True)
    async def hash_(task: str) -> str:
        wanted = Task.model_validate_json(task)
        return await _outcome(worker, worker.hash(wanted), wanted)

    @DBOS.step(name="preview", preemptible=True)
    async def preview(task: str, song: str) -> str:
        wanted = Task.model_validate_json(task)
        return await _outcome(worker, worker.make(wanted, Hashed.model_validate_json(song), preview=True), wanted)

    @DBOS.step(name="make", preemptible=True)
    async def make(task: str, song: str) -> str:
        wanted = Task.model_validate_json(task)
        return await _outcome(worker, worker.make(wanted, Hashed.model_validate_json(song)), wanted)

    @DBOS.workflow(name="separate", max_recovery_attempts=_RECOVERIES)
    async def separate(run_id: str) -> None:
        task = await asyncio.to_thread(worker.begin, run_id)
        if task is None:
            return
        try:
            await _carry_out(worker, task, hash_=hash_, preview=preview, make=make)
        finally:
            await asyncio.to_thread(_tidy, worker, task)
            await worker.ended(task)


async def _carry_out(worker: JobWorker, task: Task, *, hash_: Step, preview: Step, make: Step) -> None:
    """All the steps of a run, up to its end."""
    given, run_id = task.model_dump_json(), task.lease.run_id
    song, fault = _read(await hash_(given), Outcome[Hashed])
    if song is None:
        await _fail(worker, task, fault)
        return
    if not task.options.separate:
        await asyncio.to_thread(retry_on_db_error, worker.runs.finish, task.lease)
        return
    hashed = song.model_dump_json()
    if task.options.preview and song.model not in {DRAFT, QUICK}:
        draft, fault = _read(await preview(given, hashed), Outcome[Made])
        if draft is None:  # a draft that fails does not hold the fine ones up
            log.warning("preview failed", extra={"run_id": run_id, "error": fault.code})
        else:
            await asyncio.to_thread(retry_on_db_error, worker.runs.save, task.lease, draft, preview=True)
    for _ in range(_FINDS):
        made, fault = _read(await make(given, hashed), Outcome[Made])
        if made is None:
            await _fail(worker, task, fault)
            return
        failpoints.reached("saving")
        saved = await asyncio.to_thread(retry_on_db_error, worker.runs.save, task.lease, made)
        failpoints.reached("saved")
        if saved is not Saved.gone:
            return
    await _fail(worker, task, StepFault(code="internal", message="the stems went away each time", final=False))


def _tidy(worker: JobWorker, task: Task) -> None:
    """What is left over is of no importance to the run, and the next sweep finds it too."""
    try:
        worker.files.tidy(task)
    except Exception:
        log.exception("could not tidy up", extra={"run_id": task.lease.run_id})


async def _outcome(worker: JobWorker, work: Awaitable[Record], task: Task) -> str:
    """What a step gives, or its fault, as JSON."""
    try:
        return Outcome[Any](value=await work).model_dump_json()
    except StemwrightError as error:
        message = error.message.replace(f"{LOCAL_NAME}: ", f"{task.file_name}: ", 1)
        fault = StepFault(code=error.code, message=message, final=is_final(error))
    except Exception as error:  # the edge of a job
        log.exception("a step failed")
        if ours := resource_error(error):
            fault = StepFault(code=ours.code, message=ours.message, final=is_final(ours))
        else:
            fault = StepFault(code="internal", message=f"{type(error).__name__}: {error}", final=False)
    await worker.ashore(task)
    return Outcome[Any](fault=fault).model_dump_json()


def _read(given: str, kind: type[Outcome[T]]) -> tuple[T | None, StepFault]:
    """What a step gave: its value, or None and its fault."""
    outcome = kind.model_validate_json(given)
    return outcome.value, outcome.fault or StepFault(code="internal", message="", final=False)


async def _fail(worker: JobWorker, task: Task, fault: StepFault) -> None:
    if fault.code == CancelledError.code:  # it ended otherwise, or another process has it: no failure of its own
        return
    log.warning("a run failed", extra={"run_id": task.lease.run_id, "error": fault.code, "reason": fault.message})
    key = await asyncio.to_thread(
        retry_on_db_error,
        worker.runs.fail,
        task.lease,
        code=fault.code,
        message=fault.message,
        forget_upload=fault.final,
    )
    try:
        await asyncio.to_thread(worker.files.forget, key)
    except StorageUnavailableError as error:  # a sweep finds it
        log.warning("an upload stays for now", extra={"error": error.message})


class Try(TypedDict):
    """What came of one try to send, as DBOS keeps it."""

    retry: bool
    retry_after: float | None


def _register_deliver(db: Database, queue: Queue, config: JobsConfig, body_of: BodyOf) -> None:
    from dbos import DBOS

    sender = Sender(config.callback_secret, allow=config.callback_allow, timeout=config.callback_timeout)
    deliveries = Deliveries(db, sender, workers=Workers(db, config), body_of=body_of)

    @DBOS.step(name="send")
    async def send(job_id: str, event: str, message_id: str, message: Message | None) -> Try:
        return await deliveries.send(job_id, event=event, message_id=message_id, message=message)

    @DBOS.workflow(name="deliver", max_recovery_attempts=_RECOVERIES)
    async def deliver(job_id: str, event: str, message_id: str, attempt: int, message: Message | None = None) -> None:
        """One try; a further one is work of its own, so that receivers that do not answer hold up nobody.

        What is sent is the job as it is now, or a door's `message` as it was written.
        """
        failpoints.reached("callback")
        outcome = await send(job_id, event, message_id, message)
        if outcome["retry"] and attempt < (message["attempts"] if message else config.callback_attempts):
            pause = outcome["retry_after"] or backoff(attempt, random.random)
            await asyncio.to_thread(
                queue.deliver_again,
                job_id,
                event,
                message_id,
                attempt=attempt + 1,
                seconds=float(pause),
                message=message,
            )


class Deliveries:
    """Sends messages about jobs, once each, and writes each try down."""

    def __init__(self, db: Database, sender: Sender, *, workers: Workers, body_of: BodyOf) -> None:
        self._db, self._sender, self._workers, self._body_of = db, sender, workers, body_of

    async def send(self, job_id: str, *, event: str, message_id: str, message: Message | None) -> Try:
        """One try, written down."""
        there = await asyncio.to_thread(retry_on_db_error, self._look, job_id, message)
        if there is None:
            return {"retry": False, "retry_after": None}
        url, snapshot = there
        if message:
            outcome = await self._sender.post(message["url"], message_id=message_id, body=message["body"])
        else:
            payload = self._body_of(snapshot)
            outcome = await self._sender.send(
                url, message_id=message_id, event=event, payload=payload, at=datetime.now(UTC)
            )
        await asyncio.to_thread(retry_on_db_error, self._note, job_id, event, message_id, outcome)
        return {"retry": outcome.retry and not outcome.delivered, "retry_after": outcome.retry_after}

    def _look(self, job_id: str, message: Message | None) -> tuple[str, JobSnapshot] | None:
        with self._db.session() as session:
            job = session.get(Job, job_id)
            if job is None or not (message or job.callback_url):
                return None
            return job.callback_url or "", snapshot_of(session, job, slots=self._workers.slots())

    def _note(self, job_id: str, event: str, message_id: str, outcome: Sent) -> None:
        with self._db.session() as session:
            owner = session.scalar(select(Job.owner).where(Job.id == job_id))
            if owner is None:
                return
            tries = select(func.count()).where(Delivery.message_id == message_id)
            session.add(
                Delivery(
                    owner=owner,
                    job_id=job_id,
                    message_id=message_id,
                    event=event,
                    attempt=(session.scalar(tries) or 0) + 1,
                    delivered=outcome.delivered,
                    status=outcome.status,
                    error=outcome.error,
                    elapsed=outcome.elapsed,
                )
            )
