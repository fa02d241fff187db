"""Jobs: look up, list, cancel; the queue; callbacks that were sent."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, func, select

from stemwright.engine import choice
from stemwright.errors import ConflictError, JobNotFoundError
from stemwright.separators import catalogue
from stemwright.strategies import draw, find
from stemwright.studio.snapshot import iso, snapshot_of, snapshots_of
from stemwright.studio.store.tables import LIVE, Delivery, Job, Run
from stemwright.studio.work.runs import lock_run, speed_of, waiting_jobs

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from stemwright.studio.studio import Studio


def _mine(session: Session, job_id: str, *, owner: str) -> Job:
    job = session.get(Job, job_id)
    if job is None or job.owner != owner:
        raise JobNotFoundError("there is no such job")
    return job


def get_job(studio: Studio, job_id: str, *, owner: str) -> dict[str, Any]:
    """One job. Raises `JobNotFoundError`."""
    with studio.db.session() as session:
        return snapshot_of(session, _mine(session, job_id, owner=owner), slots=studio.config.slots)


def get_jobs(studio: Studio, job_ids: set[str]) -> dict[str, dict[str, Any]]:
    """Those of these jobs that exist, by id; the caller has checked that the client may see them."""
    if not job_ids:
        return {}
    with studio.db.session() as session:
        jobs = list(session.scalars(select(Job).where(Job.id.in_(job_ids))))
        return {snapshot["id"]: snapshot for snapshot in snapshots_of(session, jobs, slots=studio.config.slots)}


def list_jobs(
    studio: Studio, *, owner: str, status: str | None, song_id: str | None, limit: int, offset: int
) -> tuple[list[dict[str, Any]], int]:
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
        return snapshots_of(session, jobs, slots=studio.config.slots), total


def cancel_job(studio: Studio, job_id: str, *, owner: str) -> dict[str, Any]:
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
            job.cancelled_at = time.time()
            studio.queue.deliver(session, job, "job.cancelled")
            session.flush()
            alone = waiting_jobs(session, run.id) == 0
            if alone:
                run.status, run.finished_at, run.updated_at = "cancelled", time.time(), time.time()
        snapshot = snapshot_of(session, job, slots=studio.config.slots)
    if alone:
        studio.queue.cancel(run.id)
    return snapshot


def queue_state(studio: Studio) -> dict[str, Any]:
    """What is running and waiting, by queue and priority."""
    with studio.db.session() as session:
        counts = select(Run.queue, Run.priority, Run.status, func.count()).where(Run.status.in_(LIVE))
        rows = session.execute(counts.group_by(Run.queue, Run.priority, Run.status)).all()
        oldest = session.scalar(select(func.min(Run.created_at)).where(Run.status == "queued"))
    queues: dict[str, Any] = {
        name: {"slots": slots, "running": 0, "queued": dict.fromkeys(("high", "normal", "low"), 0)}
        for name, slots in studio.config.slots.items()
        if slots
    }
    for name, priority, status, count in rows:
        queue = queues.setdefault(
            name, {"slots": 0, "running": 0, "queued": dict.fromkeys(("high", "normal", "low"), 0)}
        )
        if status == "running":
            queue["running"] += count
        else:
            queue["queued"][priority] += count
    return {"queues": queues, "oldest_queued_at": iso(oldest)}


def list_deliveries(studio: Studio, job_id: str, *, owner: str) -> list[dict[str, Any]]:
    """Every try to call a job's URL, oldest first. Raises `JobNotFoundError`."""
    with studio.db.session() as session:
        _mine(session, job_id, owner=owner)
        tries = session.scalars(select(Delivery).where(Delivery.job_id == job_id).order_by(Delivery.at, Delivery.id))
        return [
            {
                "message_id": one.message_id,
                "event": one.event,
                "attempt": one.attempt,
                "at": iso(one.at),
                "delivered": one.delivered,
                "status": one.status,
                "error": one.error,
                "elapsed_seconds": round(one.elapsed, 3),
            }
            for one in tries
        ]


def list_models(studio: Studio) -> dict[str, Any]:
    """Every model, those that matter first at the top, whether it is here, and its measured speed."""
    repo = studio.config.repo
    with studio.db.session() as session:
        items = [
            {
                "name": info.name,
                "family": info.family,
                "summary": info.summary,
                "stems": list(info.stems),
                "licence": info.licence,
                "draft": info.draft,
                "sdr": info.sdr,
                "download_bytes": info.download_bytes,
                "publishers": [{"name": each.name, "licence": each.licence} for each in info.publishers],
                "statements": [{"text": said.text, "source": said.source} for said in info.statements],
                "availability": family.availability(info.name, repo=repo),
                "seconds_per_second": speed_of(session, info.name),
            }
            for family, info in catalogue.list_models()
        ]
    return {"items": items, "default": choice.resolve(studio.config.model, repo=repo)}


def list_strategies(studio: Studio) -> list[dict[str, Any]]:
    """Every strategy: what it gives, what it would download, and its measured speed. Raises `StrategyError`."""
    repo = studio.config.repo
    with studio.db.session() as session:
        return [
            draw.as_json(strategy, repo=repo) | {"seconds_per_second": speed_of(session, strategy.name)}
            for strategy in find.list_strategies(repo)
        ]


def live_jobs(studio: Studio, owner: str, *, since: float | None = None) -> dict[str, dict[str, Any]]:
    """An owner's jobs that are queued or running, by id, oldest first; `since` adds those that ended after a time."""
    wanted: ColumnElement[bool] = Run.status.in_(LIVE)
    if since is not None:
        wanted |= Run.id.in_(select(Run.id).where(Run.updated_at >= since))
    live = select(Job).join(Run, Run.id == Job.run_id).where(Job.owner == owner, Job.cancelled_at.is_(None), wanted)
    with studio.db.session() as session:
        jobs = list(session.scalars(live.order_by(Job.created_at.desc()).limit(500)))[::-1]
        return {snapshot["id"]: snapshot for snapshot in snapshots_of(session, jobs, slots=studio.config.slots)}
