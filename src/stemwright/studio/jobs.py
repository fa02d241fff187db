"""Jobs: look up, list, cancel; the queue; callbacks that were sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field
from sqlalchemy import ColumnElement, func, or_, select

from stemwright.errors import ConflictError, JobNotFoundError
from stemwright.records import Moment, Record
from stemwright.studio.options import Priority
from stemwright.studio.snapshot import snapshot_of, snapshots_of
from stemwright.studio.store.tables import LIVE, Delivery, Job, Run, Song
from stemwright.studio.work.runs import lock_run, waiting_jobs

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from stemwright.studio.snapshot import JobSnapshot
    from stemwright.studio.store.database import Database
    from stemwright.studio.studio import Studio
    from stemwright.types import Seconds


def _mine(session: Session, job_id: str, *, owner: str) -> Job:
    job = session.get(Job, job_id)
    if job is None or job.owner != owner:
        raise JobNotFoundError("there is no such job")
    return job


def get_job(studio: Studio, job_id: str, *, owner: str) -> JobSnapshot:
    """One job. Raises `JobNotFoundError`."""
    with studio.db.session() as session:
        return snapshot_of(session, _mine(session, job_id, owner=owner), slots=studio.workers.slots())


def get_jobs(studio: Studio, job_ids: set[str]) -> dict[str, JobSnapshot]:
    """Those of these jobs that exist, by id; the caller has checked that the client may see them."""
    if not job_ids:
        return {}
    with studio.db.session() as session:
        jobs = list(session.scalars(select(Job).where(Job.id.in_(job_ids))))
        return {snapshot.id: snapshot for snapshot in snapshots_of(session, jobs, slots=studio.workers.slots())}


def list_jobs(
    studio: Studio, *, owner: str, status: str | None, song_id: str | None, limit: int, offset: int
) -> tuple[list[JobSnapshot], int]:
    """Jobs, newest first, and how many there are in all."""
    query = select(Job).join(Run, Run.id == Job.run_id).where(Job.owner == owner)
    if status == "cancelled":
        query = query.where(Job.cancelled_at.is_not(None) | (Run.status == "cancelled"))
    elif status:
        query = query.where(Job.cancelled_at.is_(None), Run.status == status)
    if song_id:
        query = query.where(Job.song_id == song_id)
    with studio.db.session() as session:
        total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
        jobs = list(session.scalars(query.order_by(Job.created_at.desc(), Job.id.desc()).limit(limit).offset(offset)))
        return snapshots_of(session, jobs, slots=studio.workers.slots()), total


def cancel_job(studio: Studio, job_id: str, *, owner: str) -> JobSnapshot:
    """Cancel a job; its run goes on if someone else waits for it. Cancelled twice is cancelled.

    Raises `JobNotFoundError`, and `ConflictError` for a job that has ended otherwise.
    """
    studio.queue.warm()  # before the transaction: it may have tables to make
    with studio.db.session() as session:
        job = _mine(session, job_id, owner=owner)
        lock_run(session, job.run_id)  # from here on nobody can end it otherwise
        session.refresh(job)
        run = session.get_one(Run, job.run_id, populate_existing=True)
        alone = False
        if not job.cancelled_at and run.status != "cancelled":
            if run.status not in LIVE:
                raise ConflictError(f"the job has ended: it {run.status}")
            now = job.cancelled_at = studio.db.now()
            studio.queue.deliver(session, job, "job.cancelled")
            session.flush()
            alone = waiting_jobs(session, run.id) == 0
            if alone:
                run.status, run.finished_at, run.updated_at = "cancelled", now, now
                run.worker = run.worker or studio.name
        snapshot = snapshot_of(session, job, slots=studio.workers.slots())
    if alone:
        studio.queue.cancel(run.id)
    return snapshot


class QueueCounts(Record):
    """One queue."""

    slots: int
    running: int
    queued: dict[Priority, int] = Field(description="By priority.")


class QueueState(Record):
    """The queues."""

    queues: dict[str, QueueCounts]
    oldest_queued_at: Moment | None


def queue_state(studio: Studio) -> QueueState:
    """What is running and waiting, by queue and priority."""
    with studio.db.session() as session:
        live = select(Run.queue, Run.priority, Run.status, func.count()).where(Run.status.in_(LIVE))
        rows = session.execute(live.group_by(Run.queue, Run.priority, Run.status)).all()
        oldest = session.scalar(select(func.min(Run.created_at)).where(Run.status == "queued"))
    counts = {(row[0], row[1], row[2]): row[3] for row in rows}
    slots = {name: count for name, count in studio.workers.slots().items() if count or studio.shared}
    queues = {
        name: QueueCounts(
            slots=slots.get(name, 0),
            running=sum(counts.get((name, priority, "running"), 0) for priority in Priority),
            queued={priority: counts.get((name, priority, "queued"), 0) for priority in Priority},
        )
        for name in [*slots, *sorted({name for name, _, _ in counts} - slots.keys())]
    }
    return QueueState(queues=queues, oldest_queued_at=oldest)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedRun:
    """A run that ended: by which model, how, after how many seconds of waiting and of work."""

    model: str
    status: str
    waited: Seconds
    worked: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What those who run the server want to know of some time."""

    ended: tuple[EndedRun, ...]
    cached: int  # jobs whose stems were there
    songs: int  # of the library, now


def figures(db: Database, name: str, *, since: float, until: float) -> Figures:
    """What a process and its executors ended from one time to another, in seconds since the epoch.

    Each run is of one process, so that the figures of a fleet can be added up.
    """
    mine = or_(Run.worker == name, Run.worker.startswith(f"{name}.", autoescape=True))
    with db.session() as session:
        runs = session.scalars(select(Run).where(Run.finished_at > since, Run.finished_at <= until, mine)).all()
        cached = select(func.count()).select_from(Job).join(Run, Run.id == Job.run_id).where(Job.cached, mine)
        return Figures(
            ended=tuple(map(_ended, runs)),
            cached=session.scalar(cached.where(Job.created_at > since, Job.created_at <= until)) or 0,
            songs=session.scalar(select(func.count(Song.id))) or 0,
        )


def _ended(run: Run) -> EndedRun:
    finished = run.finished_at or run.created_at
    started = run.started_at or finished
    return EndedRun(
        model=run.options.resolved,
        status=run.status,
        waited=max(0.0, started - run.created_at),
        worked=max(0.0, finished - started),
    )


class DeliveryRecord(Record):
    """One try to call a job's URL."""

    message_id: str
    event: str
    attempt: int
    at: Moment
    delivered: bool
    status: int | None
    error: str | None
    elapsed_seconds: float


def list_deliveries(studio: Studio, job_id: str, *, owner: str) -> list[DeliveryRecord]:
    """Every try to call a job's URL, oldest first. Raises `JobNotFoundError`."""
    with studio.db.session() as session:
        _mine(session, job_id, owner=owner)
        tries = session.scalars(select(Delivery).where(Delivery.job_id == job_id).order_by(Delivery.at, Delivery.id))
        return [
            DeliveryRecord(
                message_id=one.message_id,
                event=one.event,
                attempt=one.attempt,
                at=one.at,
                delivered=one.delivered,
                status=one.status,
                error=one.error,
                elapsed_seconds=round(one.elapsed, 3),
            )
            for one in tries
        ]


def live_jobs(studio: Studio, owner: str, *, since: float | None = None) -> dict[str, JobSnapshot]:
    """An owner's jobs that are queued or running, by id, oldest first; `since` adds those that ended after a time."""
    wanted: ColumnElement[bool] = Run.status.in_(LIVE)
    if since is not None:
        wanted |= Run.id.in_(select(Run.id).where(Run.updated_at >= since))
    live = select(Job).join(Run, Run.id == Job.run_id).where(Job.owner == owner, Job.cancelled_at.is_(None), wanted)
    with studio.db.session() as session:
        jobs = list(session.scalars(live.order_by(Job.created_at.desc()).limit(500)))[::-1]
        return {snapshot.id: snapshot for snapshot in snapshots_of(session, jobs, slots=studio.workers.slots())}
