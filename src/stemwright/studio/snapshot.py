"""A job as its clients see it: in answers, events and callbacks alike."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple, TypeAlias, cast

from pydantic import Field, PlainSerializer
from sqlalchemy import Float, bindparam, case, func, select

from stemwright.engine.receipt import DrumsRecord
from stemwright.records import Fault, JsonObject, Moment, Record
from stemwright.studio.options import JobOptions, Priority
from stemwright.studio.store.database import now_of
from stemwright.studio.store.tables import FINAL, LIVE, Job, Run, Separation, Song
from stemwright.studio.work.runs import speed_of
from stemwright.types import StemName

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Select
    from sqlalchemy.orm import Session

    from stemwright.types import Seconds

Status: TypeAlias = Literal["queued", "running", "succeeded", "failed", "cancelled"]
_LISTENING = 0.1  # seconds, about, that tempo, key and loudness take for a second of song
_OURS: Final = "something went wrong on our side; the log says what"
_UNTOLD: Final = {  # errors whose messages hold what a process said last, or where a server is
    "internal": _OURS,
    "engine_crashed": _OURS,
    "out_of_memory": "the memory of the server did not suffice",
    "database_unavailable": "the database does not answer; try again",
}


def _asked(options: JobOptions) -> JsonObject:
    return options.model_dump(mode="json", exclude_defaults=True)


AskedOptions: TypeAlias = Annotated[JobOptions, PlainSerializer(_asked, return_type=JsonObject, when_used="json")]
_FOLDERS: Final = re.compile(r"(?<![\w.:/])/(?:[^/\s:]+/)*(?=[^/\s])")  # of a path on a disk; of a URL none


def shown(code: str, message: str) -> str:
    """What of an error clients are told: its message without the server's folders; nothing of the inside of a process.

    >>> shown("disk_full", "/srv/data/work/vocals.flac: the disk is full"), shown("internal", "KeyError: 'x'")
    ('vocals.flac: the disk is full', 'something went wrong on our side; the log says what')
    """
    return _UNTOLD.get(code) or _FOLDERS.sub("", message)


class MadeStems(Record):
    """The stems of a separation, in short."""

    separation: str
    model: str
    draft: bool = Field(description="Made by a quick model; a finer one would give better stems.")
    stems: tuple[StemName, ...]
    drums: DrumsRecord | None


class JobState(Record):
    """A job as its clients see it, but for its stems."""

    id: str
    song_id: str | None = Field(description="Null when the song was deleted, or its upload was no song.")
    status: Status
    stage: str = Field(
        description="queued, hashing, preview, downloading, reading, separating, encoding, transcribing, saving, done"
        " or cancelled."
    )
    progress: float = Field(ge=0, le=100, description="Percent.")
    position: int | None = Field(description="In the queue; 1 is next.")
    eta_seconds: float | None = Field(description="By the measured speed of this machine; null while nothing is known.")
    priority: Priority
    options: AskedOptions = Field(description="What was asked for; what is not named is at its default.")
    cached: bool = Field(description="The stems had been made before.")
    attempts: int
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    error: Fault | None


class JobSnapshot(JobState):
    """A job at one moment."""

    preview: MadeStems | None = Field(description="Draft stems, until the fine ones are there.")
    result: MadeStems | None

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in FINAL


def snapshot_of(session: Session, job: Job, *, slots: Mapping[str, int]) -> JobSnapshot:
    """One job; see `snapshots_of`."""
    return snapshots_of(session, [job], slots=slots)[0]


def snapshots_of(session: Session, jobs: list[Job], *, slots: Mapping[str, int]) -> list[JobSnapshot]:
    """Jobs with their place in the queue; `slots` is how many runs of each work at once."""
    runs = {run.id: run for run in session.scalars(select(Run).where(Run.id.in_({job.run_id for job in jobs})))}
    ids = {part for run in runs.values() for part in (run.separation_id, run.preview_id) if part}
    made = {row.id: row for row in session.scalars(select(Separation).where(Separation.id.in_(ids)))} if ids else {}
    waits = _waits(session, [run.id for run in runs.values() if run.status == "queued"], slots=slots)
    failed = [job.id for job in jobs if job.song_id and runs[job.run_id].status == "failed"]
    songs = {job.id: job.song_id for job in jobs}
    if failed:  # a failure may take the song along, between the reading of the job and that of the run
        songs |= {row[0]: row[1] for row in session.execute(select(Job.id, Job.song_id).where(Job.id.in_(failed)))}
    now = now_of(session)
    return [_snapshot(job, songs[job.id], runs[job.run_id], made, waits.get(job.run_id), now=now) for job in jobs]


def _snapshot(
    job: Job, song_id: str | None, run: Run, made: dict[str, Separation], wait: Wait | None, *, now: float
) -> JobSnapshot:
    status = "cancelled" if job.cancelled_at else run.status
    wait = wait if status == "queued" else None
    finished = job.cancelled_at or run.finished_at
    final, draft = made.get(run.separation_id or ""), made.get(run.preview_id or "")
    eta = None
    if status == "running" and run.eta:
        eta = round(max(0.0, run.eta - now), 1)
    elif wait:
        eta = wait.seconds
    failed = status == "failed" and run.error_code
    return JobSnapshot(
        id=job.id,
        song_id=song_id,
        status=cast("Status", status),
        stage="cancelled" if job.cancelled_at else run.stage,
        progress=run.progress if status != "cancelled" or run.progress < 100 else 0.0,
        position=wait.position if wait else None,
        eta_seconds=eta,
        priority=Priority(run.priority),
        options=job.options,
        cached=job.cached,
        attempts=run.attempts,
        created_at=job.created_at,
        started_at=run.started_at,
        finished_at=max(finished, job.created_at) if finished else None,
        error=Fault(code=failed, message=shown(failed, run.error_message or "")) if failed else None,
        preview=_stems(song_id, draft) if draft and status != "succeeded" else None,
        result=_stems(song_id, final) if final and status == "succeeded" else None,
    )


def _stems(song_id: str | None, made: Separation) -> MadeStems | None:
    """The stems of a separation; None when their song has gone."""
    if song_id is None:
        return None
    return MadeStems(
        separation=made.id,
        model=made.model,
        draft=made.draft,
        stems=tuple(stem.name for stem in made.receipt.stems),
        drums=made.receipt.drums,
    )


class Wait(NamedTuple):
    """A run's place in its queue, 1 is next, and when it will be ready; None where something ahead is not known."""

    position: int
    seconds: Seconds | None


def _waits(session: Session, run_ids: list[str], *, slots: Mapping[str, int]) -> dict[str, Wait]:
    """How these queued runs wait, by the measured speeds of this machine."""
    if not run_ids:
        return {}
    queue = session.connection()
    models = tuple(sorted(queue.scalars(_MODELS)))
    known = {name: speed for name in models if (speed := speed_of(session, name))}
    speeds = {f"speed_{at}": known.get(name) for at, name in enumerate(models)}
    return {
        row.id: Wait(row.position, None if row.unknown else round(row.seconds / max(1, slots.get(row.queue, 1)), 1))
        for row in queue.execute(_queue(models), {"ids": run_ids, "now": now_of(session), **speeds})
    }


_RUNS, _SONGS = Run.__table__.c, Song.__table__.c
_MODEL = _RUNS.options["resolved"].as_string()
_MODELS = select(_MODEL).where(_RUNS.status == "queued").distinct()


@functools.lru_cache  # to put it together takes longer than to execute it
def _queue(models: tuple[str, ...]) -> Select[Any]:
    """Place and seconds of the runs `ids`, at `now`, where `speed_0` and so on are those of the models."""
    now = bindparam("now", type_=Float)
    listened = _RUNS.options["separate"].as_boolean().is_(False), _SONGS.duration * _LISTENING + 1.0
    made = [
        (name == _MODEL, _SONGS.duration * bindparam(f"speed_{at}", type_=Float) + 1.0)
        for at, name in enumerate(models)
    ]
    own = case(listened, *made, else_=None)
    left = case((_RUNS.eta > now, _RUNS.eta - now), (_RUNS.eta.is_not(None), 0.0), else_=None)
    queued = case((_RUNS.status == "queued", 1), else_=0)
    seconds = case((queued == 1, own), else_=left)
    order = queued, _RUNS.rank, _RUNS.created_at, _RUNS.id
    rows = (
        select(
            _RUNS.id,
            _RUNS.queue,
            func.sum(queued).over(partition_by=_RUNS.queue, order_by=order).label("position"),
            func.sum(seconds).over(partition_by=_RUNS.queue, order_by=order).label("seconds"),
            (
                func.count().over(partition_by=_RUNS.queue, order_by=order)
                - func.count(seconds).over(partition_by=_RUNS.queue, order_by=order)
            ).label("unknown"),
        )
        .select_from(Run.__table__.outerjoin(Song.__table__, _SONGS.id == _RUNS.song_id))
        .where(_RUNS.status.in_(LIVE))
        .subquery()
    )
    return select(rows).where(rows.c.id.in_(bindparam("ids", expanding=True)))
