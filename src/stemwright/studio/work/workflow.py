"""The durable workflows, as DBOS runs them in an executor."""

from __future__ import annotations

import asyncio
import logging
import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from sqlalchemy import func, select

from stemwright import failpoints
from stemwright.engine.choice import DRAFT, QUICK
from stemwright.errors import StemwrightError, resource_error
from stemwright.studio.snapshot import snapshot_of
from stemwright.studio.store.tables import Delivery, Job
from stemwright.studio.work.queue import APPLICATION, CALLBACKS, VERSION
from stemwright.studio.work.runs import Saved, retry_on_db_error, separates
from stemwright.studio.work.webhooks import Sender, backoff
from stemwright.studio.work.worker import LOCAL_NAME, JobWorker, is_final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from stemwright.studio.store.database import Database
    from stemwright.studio.work.config import JobsConfig
    from stemwright.studio.work.queue import Letter, Queue

    Step: TypeAlias = Callable[..., Awaitable[dict[str, Any]]]

log = logging.getLogger("stemwright.jobs")
_RECOVERIES: Final = 50  # DBOS's own limit, above ours, which leaves rows that say what happened
_FINDS: Final = 3  # times that stems which were found may be deleted before they are published


def start_executor(worker: JobWorker, db: Database, config: JobsConfig, *, executor_id: str) -> None:
    """Register the workflows and begin to take work from the queues."""
    from dbos import DBOS

    DBOS(
        config={
            "name": APPLICATION,
            "system_database_url": db.url,
            "executor_id": executor_id,
            "application_version": VERSION,
            "log_level": "ERROR",
            "use_listen_notify": False,
        }
    )
    _register_separate(worker)
    _register_deliver(db, worker.runs.queue, config)
    slots = {name: count for name, count in config.slots.items() if count}
    DBOS.listen_queues([*slots, CALLBACKS])
    DBOS.launch()
    logger = logging.getLogger("dbos")
    logger.handlers.clear()  # ours will do
    logger.propagate = True
    logger.addFilter(_is_news)
    for name, count in slots.items():
        DBOS.register_queue(name, worker_concurrency=count, polling_interval_sec=0.3, on_conflict="always_update")
    DBOS.register_queue(CALLBACKS, worker_concurrency=32, polling_interval_sec=0.5, on_conflict="always_update")


def _is_news(record: logging.LogRecord) -> bool:
    """Whether DBOS has something to say: that a cancelled workflow was cancelled is no error."""
    fault = record.exc_info[1] if record.exc_info else None
    return type(fault).__name__ not in {"DBOSAwaitedWorkflowCancelledError", "DBOSWorkflowCancelledError"}


def _register_separate(worker: JobWorker) -> None:
    """What a recovered workflow decides must follow from its steps alone: they are told apart by their number."""
    from dbos import DBOS

    @DBOS.step(name="hash", preemptible=True)
    async def hash_(run_id: str, song: dict[str, Any]) -> dict[str, Any]:
        return await _answer(worker.hash(run_id, song), song)

    @DBOS.step(name="preview", preemptible=True)
    async def preview(run_id: str, song: dict[str, Any]) -> dict[str, Any]:
        return await _answer(worker.make(run_id, song, preview=True), song)

    @DBOS.step(name="make", preemptible=True)
    async def make(run_id: str, song: dict[str, Any]) -> dict[str, Any]:
        return await _answer(worker.make(run_id, song), song)

    @DBOS.workflow(name="separate", max_recovery_attempts=_RECOVERIES)
    async def separate(run_id: str) -> None:
        song = await asyncio.to_thread(worker.begin, run_id)
        if song is None:
            return
        try:
            await _carry_out(worker, run_id, song, hash_=hash_, preview=preview, make=make)
        finally:
            worker.active.discard(run_id)
            await asyncio.to_thread(_tidy, worker, run_id, song["owner"])


async def _carry_out(
    worker: JobWorker, run_id: str, song: dict[str, Any], *, hash_: Step, preview: Step, make: Step
) -> None:
    """All the steps of a run, up to its end."""
    facts = await hash_(run_id, song)
    if "error" in facts:
        await _fail(worker, run_id, facts)
        return
    song = song | facts
    if not separates(song["options"]):
        await asyncio.to_thread(retry_on_db_error, worker.runs.finish, run_id)
        return
    if song["options"]["preview"] and song["model"] not in {DRAFT, QUICK}:
        draft = await preview(run_id, song)
        if "error" in draft:  # a draft that fails does not hold the fine ones up
            log.warning("preview failed", extra={"run_id": run_id, "error": draft["error"]})
        else:
            await asyncio.to_thread(retry_on_db_error, worker.runs.save, run_id, draft, preview=True)
    for _ in range(_FINDS):
        made = await make(run_id, song)
        if "error" in made:
            await _fail(worker, run_id, made)
            return
        failpoints.reached("saving")
        saved = await asyncio.to_thread(retry_on_db_error, worker.runs.save, run_id, made)
        failpoints.reached("saved")
        if saved is not Saved.gone:
            return
    await _fail(worker, run_id, {"error": "internal", "message": "the stems went away each time", "final": False})


def _tidy(worker: JobWorker, run_id: str, owner: str) -> None:
    """What is left over is of no importance to the run, and the next sweep finds it too."""
    try:
        worker.tidy(run_id, owner)
    except Exception:
        log.exception("could not tidy up", extra={"run_id": run_id})


async def _answer(work: Awaitable[dict[str, Any]], song: dict[str, Any]) -> dict[str, Any]:
    """What a step gives, an error as plain facts: DBOS keeps it, and may read it in another process."""
    try:
        return await work
    except StemwrightError as error:
        message = error.message.replace(f"{LOCAL_NAME}: ", f"{song['file_name']}: ", 1)
        return {"error": error.code, "message": message, "final": is_final(error)}
    except Exception as error:  # the edge of a job
        log.exception("a step failed")
        if ours := resource_error(error):
            return {"error": ours.code, "message": ours.message, "final": is_final(ours)}
        return {"error": "internal", "message": f"{type(error).__name__}: {error}", "final": False}


async def _fail(worker: JobWorker, run_id: str, fault: dict[str, Any]) -> None:
    log.warning("a run failed", extra={"run_id": run_id, "error": fault["error"], "reason": fault["message"]})
    key = await asyncio.to_thread(
        retry_on_db_error,
        worker.runs.fail,
        run_id,
        code=fault["error"],
        message=fault["message"],
        forget_upload=fault["final"],
    )
    await asyncio.to_thread(worker.forget, key)


def _register_deliver(db: Database, queue: Queue, config: JobsConfig) -> None:
    from dbos import DBOS

    sender = Sender(config.callback_secret, allow=config.callback_allow, timeout=config.callback_timeout)

    @DBOS.step(name="send")
    async def send(job_id: str, event: str, message_id: str, letter: Letter | None) -> dict[str, Any]:
        return await _send(db, sender, job_id, event=event, message_id=message_id, letter=letter, slots=config.slots)

    @DBOS.workflow(name="deliver", max_recovery_attempts=_RECOVERIES)
    async def deliver(job_id: str, event: str, message_id: str, attempt: int, letter: Letter | None = None) -> None:
        """One try; a further one is work of its own, so that receivers that do not answer hold up nobody.

        What is sent is the job as it is now, or a door's `letter` as it was written.
        """
        failpoints.reached("callback")
        outcome = await send(job_id, event, message_id, letter)
        if outcome["retry"] and attempt < (letter["attempts"] if letter else config.callback_attempts):
            pause = outcome["retry_after"] or backoff(attempt, random.random)
            further = attempt + 1
            await asyncio.to_thread(
                queue.deliver_again,
                job_id,
                event,
                message_id,
                attempt=further,
                seconds=float(pause),
                letter=letter,
            )


async def _send(
    db: Database,
    sender: Sender,
    job_id: str,
    *,
    event: str,
    message_id: str,
    letter: Letter | None,
    slots: Mapping[str, int],
) -> dict[str, Any]:
    """One try, written down."""

    def look() -> tuple[str | None, str, dict[str, Any]] | None:
        with db.session() as session:
            job = session.get(Job, job_id)
            wanted = job and (letter or job.callback_url)
            return (job.callback_url, job.owner, snapshot_of(session, job, slots=slots)) if job and wanted else None

    there = await asyncio.to_thread(retry_on_db_error, look)
    if there is None:
        return {"retry": False, "retry_after": None}
    url, owner, payload = there
    if letter:
        outcome = await sender.post(letter["url"], message_id=message_id, body=letter["body"])
    else:
        outcome = await sender.send(
            url or "", message_id=message_id, event=event, payload=payload, at=datetime.now(UTC)
        )

    def note() -> None:
        with db.session() as session:
            if session.scalar(select(Job.id).where(Job.id == job_id)) is None:
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

    await asyncio.to_thread(retry_on_db_error, note)
    return {"retry": outcome.retry and not outcome.delivered, "retry_after": outcome.retry_after}
