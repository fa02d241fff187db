"""What goes on in the whole studio, for those who run it: workers, queues, what runs where, what failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from pydantic import Field
from sqlalchemy import case, func, select

from stemwright.records import Moment, Record
from stemwright.studio.jobs import QueueState, queue_state
from stemwright.studio.snapshot import shown
from stemwright.studio.store.tables import Run, Song, Worker

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from stemwright.studio.studio import Studio

_WORKERS: Final = 500  # shown, at most
_RUNS: Final = 200
_FAILURES: Final = 20
_HOUR: Final = 3600.0
_GONE: Final = 86_400.0  # seconds for which processes are shown that left


class RunState(Record):
    """A run that is under way."""

    song_id: str | None
    title: str | None
    model: str
    stage: str
    progress: float = Field(description="Percent.")
    attempts: int
    seconds: float = Field(description="Since it was first begun.")
    worker: str | None = Field(description="The process that works on it.")


class WorkerState(Record):
    """A process of the fleet."""

    id: str
    host: str
    queue: str = Field(description="That it takes runs from; `keeper`: it takes none, sends callbacks and cleans up.")
    device: str
    release: str
    models: int = Field(description="How many it can run.")
    state: Literal["live", "silent", "left"] = Field(
        description="`silent`: nothing was heard of it for longer than `fleet.dead`; `left`: it ended, or was given up."
    )
    started_at: Moment
    silent_seconds: float = Field(description="Since it was last heard of.")


class Failure(Record):
    """A run that failed."""

    at: Moment
    title: str | None
    model: str
    code: str
    message: str
    worker: str | None


class FleetState(Record):
    """The whole studio at one moment."""

    database: Literal["sqlite", "postgresql"]
    storage: Literal["folder", "bucket"]
    queues: QueueState
    oldest_seconds: float | None = Field(description="How long the run waits that waits longest.")
    workers: tuple[WorkerState, ...] = Field(description="Those that live first; none where one process does it all.")
    runs: tuple[RunState, ...]
    ended_in_hour: dict[str, int] = Field(description="Runs that ended in the last hour, by how.")
    failures: tuple[Failure, ...] = Field(description="The last ones, newest first.")


def fleet_state(studio: Studio) -> FleetState:
    """What goes on now. Raises `DatabaseUnavailableError`."""
    now, queues = studio.db.now(), queue_state(studio)
    with studio.db.session() as session:
        ended = select(Run.status, func.count()).where(Run.finished_at > now - _HOUR).group_by(Run.status)
        return FleetState(
            database="postgresql" if studio.shared else "sqlite",
            storage="bucket" if studio.store.folder is None else "folder",
            queues=queues,
            oldest_seconds=None if queues.oldest_queued_at is None else max(0.0, now - queues.oldest_queued_at),
            workers=_workers(session, now=now, dead=studio.config.dead),
            runs=_runs(session, now=now),
            ended_in_hour={row[0]: row[1] for row in session.execute(ended)},
            failures=_failures(session),
        )


def _workers(session: Session, *, now: float, dead: float) -> tuple[WorkerState, ...]:
    left = case((Worker.state == "live", 0), else_=1)
    recent = select(Worker).where(Worker.seen_at > now - _GONE).order_by(left, Worker.queue, Worker.started_at.desc())
    return tuple(
        WorkerState(
            id=row.id,
            host=row.host,
            queue=row.queue,
            device=row.device,
            release=row.release,
            models=len(row.models),
            state="left" if row.state != "live" else "silent" if now - row.seen_at > dead else "live",
            started_at=row.started_at,
            silent_seconds=round(max(0.0, now - row.seen_at), 1),
        )
        for row in session.scalars(recent.limit(_WORKERS))
    )


def _runs(session: Session, *, now: float) -> tuple[RunState, ...]:
    running = select(Run, Song.title).outerjoin(Song, Song.id == Run.song_id).where(Run.status == "running")
    return tuple(
        RunState(
            song_id=run.song_id,
            title=title,
            model=run.options.resolved,
            stage=run.stage,
            progress=run.progress,
            attempts=run.attempts,
            seconds=round(max(0.0, now - (run.started_at or now)), 1),
            worker=run.worker,
        )
        for run, title in session.execute(running.order_by(Run.started_at).limit(_RUNS))
    )


def _failures(session: Session) -> tuple[Failure, ...]:
    failed = select(Run, Song.title).outerjoin(Song, Song.id == Run.song_id).where(Run.status == "failed")
    return tuple(
        Failure(
            at=run.finished_at,
            title=title,
            model=run.options.resolved,
            code=run.error_code or "internal",
            message=shown(run.error_code or "internal", run.error_message or ""),
            worker=run.worker,
        )
        for run, title in session.execute(failed.order_by(Run.finished_at.desc()).limit(_FAILURES))
        if run.finished_at is not None
    )
