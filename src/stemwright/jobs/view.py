"""A job as its clients see it: in answers, events and callbacks alike."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sqlalchemy import select

from stemwright.jobs.runs import speed_of
from stemwright.library.tables import LIVE, Job, Run, Separation, Song

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from stemwright.types import Seconds

STEMS_END = ".flac"  # files of a separation that are stems


def view_of(session: Session, job: Job, *, ahead: Ahead | None = None) -> dict[str, Any]:
    """One job; see `views_of`."""
    return views_of(session, [job], ahead=ahead)[0]


def views_of(session: Session, jobs: list[Job], *, ahead: Ahead | None = None) -> list[dict[str, Any]]:
    """Jobs as plain facts for JSON, with their place in the queue."""
    runs = {run.id: run for run in session.scalars(select(Run).where(Run.id.in_({job.run_id for job in jobs})))}
    ids = {part for run in runs.values() for part in (run.separation_id, run.preview_id) if part}
    made = {row.id: row for row in session.scalars(select(Separation).where(Separation.id.in_(ids)))} if ids else {}
    if ahead is None and any(run.status in LIVE for run in runs.values()):
        ahead = Ahead.of(session)
    failed = [job.id for job in jobs if job.song_id and runs[job.run_id].status == "failed"]
    songs = {job.id: job.song_id for job in jobs}
    if failed:  # a failure may take the song along, between the reading of the job and that of the run
        songs |= {row[0]: row[1] for row in session.execute(select(Job.id, Job.song_id).where(Job.id.in_(failed)))}
    return [_view(job, songs[job.id], runs[job.run_id], made, ahead) for job in jobs]


def _view(job: Job, song_id: str | None, run: Run, made: dict[str, Separation], ahead: Ahead | None) -> dict[str, Any]:
    status = "cancelled" if job.cancelled_at else run.status
    waiting = ahead if status == "queued" else None
    finished = job.cancelled_at or run.finished_at
    final, draft = made.get(run.separation_id or ""), made.get(run.preview_id or "")
    eta = None
    if status == "running" and run.eta:
        eta = round(max(0.0, run.eta - time.time()), 1)
    elif waiting:
        eta = waiting.seconds(run.id)
    return {
        "id": job.id,
        "song_id": song_id,
        "status": status,
        "stage": "cancelled" if job.cancelled_at else run.stage,
        "progress": run.progress if status != "cancelled" or run.progress < 100 else 0.0,
        "position": waiting.position(run.id) if waiting else None,
        "eta_seconds": eta,
        "priority": run.priority,
        "options": job.options,
        "cached": job.cached,
        "attempts": run.attempts,
        "created_at": iso(job.created_at),
        "started_at": iso(run.started_at),
        "finished_at": iso(max(finished, job.created_at)) if finished else None,
        "error": {"code": run.error_code, "message": run.error_message or ""}
        if status == "failed" and run.error_code
        else None,
        "preview": _links(song_id, draft) if draft and status != "succeeded" else None,
        "result": _links(song_id, final) if final and status == "succeeded" else None,
        "links": {
            "self": f"/api/v1/jobs/{job.id}",
            "song": f"/api/v1/songs/{song_id}" if song_id else None,
            "events": f"/api/v1/jobs/{job.id}/events",
        },
    }


def _links(song_id: str | None, separation: Separation) -> dict[str, Any] | None:
    """Where the stems of a separation are."""
    if song_id is None:
        return None
    base, which = f"/api/v1/songs/{song_id}", f"?separation={separation.id}"
    names = [stem["name"] for stem in separation.receipt["stems"]]
    return {
        "separation": separation.id,
        "model": separation.model,
        "draft": separation.draft,
        "stems": {name: f"{base}/stems/{quote(name)}.flac{which}" for name in names},
        "peaks": {name: f"{base}/peaks/{quote(name)}.dat{which}" for name in names},
        "zip": f"{base}/stems.zip{which}",
        "receipt": f"{base}/receipt{which}",
        "mix": f"{base}/mix.flac{which}",
    }


@dataclass(slots=True)
class Ahead:
    """What is queued and running: places and waiting times."""

    slots: dict[str, int] = field(default_factory=dict)
    _place: dict[str, int] = field(default_factory=dict)
    _seconds: dict[str, Seconds | None] = field(default_factory=dict)

    @classmethod
    def of(cls, session: Session, *, slots: dict[str, int] | None = None) -> Ahead:
        """The present state of all queues."""
        ahead = cls(slots=slots or {})
        rows = session.execute(
            select(Run.id, Run.queue, Run.status, Run.eta, Run.options, Song.duration)
            .outerjoin(Song, Song.id == Run.song_id)
            .where(Run.status.in_(LIVE))
            .order_by(Run.rank, Run.created_at, Run.id)
        ).all()
        speeds = {model: speed_of(session, model) for model in {row.options["resolved"] for row in rows}}
        now, waited, places = time.time(), dict[str, float | None](), dict[str, int]()
        for row in rows:
            if row.status == "running":
                left = max(0.0, row.eta - now) if row.eta else None
                waited[row.queue] = _plus(waited.get(row.queue, 0.0), left)
        for row in rows:
            if row.status != "queued":
                continue
            speed = speeds[row.options["resolved"]]
            own = speed * row.duration + 1.0 if speed and row.duration else None
            places[row.queue] = places.get(row.queue, 0) + 1
            ahead._place[row.id] = places[row.queue]
            waited[row.queue] = _plus(waited.get(row.queue, 0.0), own)
            total = waited[row.queue]
            ahead._seconds[row.id] = None if total is None else round(total / max(1, ahead.slots.get(row.queue, 1)), 1)
        return ahead

    def position(self, run_id: str) -> int | None:
        """How many go first, and itself: 1 is next."""
        return self._place.get(run_id)

    def seconds(self, run_id: str) -> Seconds | None:
        """When it will be ready, from the measured speeds of this machine; None where something ahead is not known."""
        return self._seconds.get(run_id)


def _plus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def iso(at: float | None) -> str | None:
    """A time as RFC 3339, in UTC."""
    return (
        None
        if at is None
        else datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )
