"""What becomes of a run, as rows: it begins, goes on, and ends in exactly one way."""

from __future__ import annotations

import logging
import random
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from sqlalchemy import CursorResult, bindparam, select, update
from sqlalchemy.exc import IntegrityError

from stemwright.engine.drum_names import STEM, no_stem
from stemwright.errors import DatabaseUnavailableError, NoDrumStemError, TooLongError
from stemwright.studio.store.tables import LIVE, File, Job, Run, Separation, Song
from stemwright.studio.work.holding import hold_song, song_of
from stemwright.studio.work.publishing import separation_of
from stemwright.studio.work.steps import Lease, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sqlalchemy.orm import Session

    from stemwright.engine.song_facts import SongFacts
    from stemwright.studio.store.database import Database
    from stemwright.studio.work.queue import Queue
    from stemwright.studio.work.steps import Made


P = ParamSpec("P")
T = TypeVar("T")
_PAUSES: Final = (0.2, 1.0, 3.0, 10.0)  # seconds between tries while the database is away; the last one again and again
_CONFLICTS: Final = 2  # with others who write the same
_BATCH: Final = 500  # names in one query
log = logging.getLogger("stemwright.jobs")


class Saved(StrEnum):
    """What became of stems that were to be published."""

    published = "published"
    ended = "ended"  # the run is no longer running: cancelled, or saved by another process
    gone = "gone"  # the separation that was found has been deleted meanwhile


def retry_on_db_error(what: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call something that may be called twice, again for as long as the database is locked or away.

    Where others were quicker to write the same it is called again at once, twice: a conflict that stays is a fault.
    """
    conflicts = failures = 0
    while True:
        try:
            return what(*args, **kwargs)
        except IntegrityError:
            conflicts += 1
            if conflicts > _CONFLICTS:
                raise
        except DatabaseUnavailableError as error:
            log.warning("the database could not do that, trying again", extra={"error": error.message})
            pause = _PAUSES[min(failures, len(_PAUSES) - 1)]
            failures += 1
            time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  # nosec B311  (no secret: so that not all try at once)


def lock_run(
    session: Session, run_id: str, *, statuses: Sequence[str] = LIVE, lease: Lease | None = None
) -> Run | None:
    """A run, if it is in one of these states, which stays so until the transaction ends: all others wait.

    With a `lease` only if that is the run's.

    SQLite knows no `FOR UPDATE`, and begins a transaction only with its first write: hence a write that changes
    nothing, before anything is read.
    """
    mine = update(Run).where(Run.id == run_id, Run.status.in_(statuses)).values(rank=Run.rank)
    if lease is not None:
        mine = mine.where(Run.worker == lease.worker, Run.lease == lease.number)
    held = session.execute(mine, execution_options={"synchronize_session": False})
    if not count_of(held):
        return None
    return session.get(Run, run_id, populate_existing=True)


def count_of(result: object) -> int:
    """How many rows a statement changed."""
    return result.rowcount if isinstance(result, CursorResult) else 0


def is_measured(song: Song) -> bool:
    """Whether the loudness of a song is known without its stems."""
    return song.analysis is not None and song.analysis.loudness is not None


def show(song: Song, separation: Separation, *, old: Separation | None) -> None:
    """Let a song have these stems; a draft never replaces fine ones (`old`)."""
    if not (separation.draft and old and not old.draft):
        song.separation_id = separation.id


def title_of(file_name: str) -> str:
    """What a song is called before anybody knows better."""
    return file_name.rsplit(".", 1)[0].strip() or "untitled"


def _requeued(now: float) -> Mapping[str, object]:
    """What a run that nobody works on any more has in its row."""
    return {"status": "queued", "stage": "queued", "progress": 0.0, "eta": None, "worker": None, "updated_at": now}


class Runs:
    """The transactions of an executor. Each may be repeated."""

    def __init__(self, db: Database, queue: Queue) -> None:
        self._db, self.queue = db, queue

    def begin(self, run_id: str, *, attempts: int, worker: str) -> Task | None:
        """Start one more attempt by a process: the run and its song, or None when there is nothing left to do."""
        with self._db.session() as session:
            run = lock_run(session, run_id)
            if run is None:
                return None
            song = session.get(Song, run.song_id) if run.song_id else None
            run.worker = worker
            if song is None:
                self._end(session, run, "failed", error=("not_found", "the song was deleted"))
                return None
            if run.attempts >= attempts:
                text = f"it was tried {run.attempts} times, and each time the process ended"
                self._end(session, run, "failed", error=("engine_crashed", text))
                return None
            first = run.started_at is None
            run.attempts, run.lease = run.attempts + 1, run.lease + 1
            now = self._db.now()
            run.status, run.started_at, run.updated_at = "running", run.started_at or now, now
            if first:
                self.queue.tell(session, run, "job.started")
            return Task(
                lease=Lease(run_id=run.id, worker=worker, number=run.lease),
                owner=run.owner,
                options=run.options,
                song_id=song.id,
                title=song.title,
                upload_key=song.upload_key,
                file_name=song.file_name,
                track=song.track,
                pcm_digest=song.pcm_digest,
                duration=song.duration,
                analysed=song.analysis is not None,
                measured=is_measured(song),
            )

    def hand_back(self, leases: Iterable[Lease]) -> None:
        """Put the runs of a process that ends back into the queue: that was no attempt of theirs."""
        with self._db.session() as session:
            for lease in leases:
                if run := lock_run(session, lease.run_id, statuses=("running",), lease=lease):
                    back = update(Run).where(Run.id == run.id).values(**_requeued(self._db.now()))
                    session.execute(back.values(attempts=Run.attempts - 1))

    def take_from(self, workers: Iterable[str]) -> list[str]:
        """Put the runs of processes that died back into the queue, and end their leases; which runs."""
        with self._db.session() as session:
            mine = select(Run.id).where(Run.worker.in_([*workers]), Run.status == "running").with_for_update()
            ids = list(session.scalars(mine))
            session.execute(update(Run).where(Run.id.in_(ids)).values(**_requeued(self._db.now())))
            return ids

    def count_attempt(self, lease: Lease, *, most: int) -> bool:
        """Count one attempt more, if there may be one and the lease still holds."""
        with self._db.session() as session:
            run = lock_run(session, lease.run_id, statuses=("running",), lease=lease)
            if run is None or run.attempts >= most:
                return False
            run.attempts += 1
            return True

    def progress(self, lease: Lease, *, stage: str, percent: float, remaining: float | None) -> bool:
        """Note how far a run is, `remaining` in seconds; False when the work is in vain."""
        now = self._db.now()
        eta = None if remaining is None else now + remaining
        mine = update(Run).where(
            Run.id == lease.run_id, Run.status == "running", Run.worker == lease.worker, Run.lease == lease.number
        )
        with self._db.session() as session:
            noted = mine.values(stage=stage, progress=round(percent, 1), eta=eta, updated_at=now)
            return count_of(session.execute(noted)) > 0

    def holds(self, lease: Lease) -> bool:
        """Whether a lease still holds."""
        with self._db.session() as session:
            mine = Run.id == lease.run_id, Run.status == "running", Run.worker == lease.worker
            return session.scalar(select(Run.id).where(*mine, Run.lease == lease.number)) is not None

    def is_adrift(self, lease: Lease) -> bool:
        """Whether a run was taken from this lease, and is not in its queue again yet."""
        with self._db.session() as session:
            mine = Run.id == lease.run_id, Run.status == "queued", Run.lease == lease.number
            if session.scalar(select(Run.id).where(*mine)) is None:
                return False
        return self.queue.statuses([lease.run_id]).get(lease.run_id) == "PENDING"

    def is_live(self, run_id: str) -> bool:
        """Whether a run is queued or running."""
        with self._db.session() as session:
            return session.scalar(select(Run.status).where(Run.id == run_id)) in LIVE

    def unknown(self, keys: Sequence[str]) -> list[str]:
        """Those of some objects that no row names."""
        known: set[str] = set()
        with self._db.session() as session:
            for at in range(0, len(keys), _BATCH):
                some = keys[at : at + _BATCH]
                known |= {*session.scalars(select(File.object_key).where(File.object_key.in_(some)))}
                known |= {*session.scalars(select(Song.upload_key).where(Song.upload_key.in_(some)))}
        return [key for key in keys if key not in known]

    def describe_song(self, song_id: str, facts: SongFacts) -> None:
        """Write down what the first reading of a song found; what somebody called it meanwhile stays."""
        with self._db.session() as session:
            hold_song(session, song_id, used=True)
            song = session.get(Song, song_id)
            if song is None:
                return
            if song.pcm_digest is None:
                song.title = facts.title if facts.title and song.title == title_of(song.file_name) else song.title
                song.artist = song.artist or facts.artist
                song.search = f"{song.title} {song.artist}".lower()
            song.pcm_digest, song.duration = facts.pcm_digest, facts.duration
            song.sample_rate, song.channels = facts.sample_rate, facts.channels
            song.analysis = facts.analysis or song.analysis

    def find(self, owner: str, key: str) -> str | None:
        """The separation of that key."""
        with self._db.session() as session:
            return session.scalar(select(Separation.id).where(Separation.owner == owner, Separation.key == key))

    def uncharted(self, separation_id: str) -> str | None:
        """The object of the drum stem of a separation that has no chart yet. Raises `NoDrumStemError`."""
        with self._db.session() as session:
            found = session.get(Separation, separation_id)
            if found is None or found.receipt.drums:
                return None
            drums = select(File.object_key).where(File.separation_id == found.id, File.name == f"{STEM}.flac")
            if (key := session.scalar(drums)) is None:
                raise NoDrumStemError(no_stem([stem.name for stem in found.receipt.stems]))
            return key

    def model_speed(self, model: str) -> float | None:
        """Seconds of work for a second of song, the median of the last separations by a model."""
        with self._db.session() as session:
            return speed_of(session, model)

    def save(self, lease: Lease, made: Made, *, preview: bool = False) -> Saved:
        """Publish stems and, unless they are a preview, end the run.

        `made` is what `JobWorker.make` stored; it has `found` where the separation has been there before.
        """
        with self._db.session() as session:
            hold_song(session, song_of(lease.run_id))
            run = lock_run(session, lease.run_id, statuses=("running",), lease=lease)
            if run is None:
                return Saved.ended
            separation = separation_of(session, run.owner, made, now=self._db.now())
            if separation is None:
                return Saved.gone
            song = session.get(Song, run.song_id) if run.song_id else None
            old = session.get(Separation, song.separation_id) if song and song.separation_id else None
            if song:
                show(song, separation, old=old)
                song.used_at = self._db.now()
            if preview:
                run.preview_id, run.updated_at = separation.id, self._db.now()
                self.queue.tell(session, run, "job.preview_ready")
            else:
                run.separation_id = separation.id
                self._end(session, run, "succeeded")
            return Saved.published

    def finish(self, lease: Lease) -> None:
        """End a run that was to make no stems."""
        with self._db.session() as session:
            if run := lock_run(session, lease.run_id, statuses=("running",), lease=lease):
                self._end(session, run, "succeeded")

    def fail(self, lease: Lease, *, code: str, message: str, forget_upload: bool) -> str | None:
        """End a run as failed; the key of the upload that nobody needs any more, where there is one."""
        with self._db.session() as session:
            hold_song(session, song_of(lease.run_id))
            run = lock_run(session, lease.run_id, statuses=("running",), lease=lease)
            if run is None:
                return None
            song = session.get(Song, run.song_id) if run.song_id else None
            self._end(session, run, "failed", error=(code, message))
            if song is None or not forget_upload or song.separation_id:
                return None
            if code == TooLongError.code and song.pcm_digest:
                return None  # too long for this job's client; it was in the library before
            if session.scalar(select(Run.id).where(Run.song_id == song.id, Run.status.in_(LIVE), Run.id != run.id)):
                return None  # who asked with other options is to hear the same reason; the last run forgets it
            key = song.upload_key
            session.flush()
            session.delete(song)
            return key

    def give_up(self, run_id: str, *, unchanged_since: float, by: str) -> bool:
        """End a run that nobody works on, unless it moved after that time; whether it did. `by` names this process."""
        with self._db.session() as session:
            run = lock_run(session, run_id)
            if run is None or run.updated_at >= unchanged_since:
                return False
            run.worker = run.worker or by
            self._end(session, run, "failed", error=("engine_crashed", "the work was given up"))
            return True

    def _end(self, session: Session, run: Run, status: str, *, error: tuple[str, str] | None = None) -> None:
        now = self._db.now()
        run.status, run.finished_at, run.updated_at, run.eta = status, now, now, None
        run.stage = "done" if status == "succeeded" else run.stage
        run.progress = 100.0 if status == "succeeded" else run.progress
        if error:
            run.error_code, run.error_message = error
        self.queue.tell(session, run, f"job.{status}")


_MADE = Separation.__table__.c
_SPEEDS = (
    select(_MADE.elapsed / _MADE.duration)
    .where(_MADE.model == bindparam("model"), _MADE.elapsed > 0, _MADE.duration > 0)
    .order_by(_MADE.created_at.desc())
    .limit(15)
)


def speed_of(session: Session, model: str) -> float | None:
    """Seconds of work for a second of song, the median of the last separations by a model."""
    speeds = sorted(map(float, session.connection().scalars(_SPEEDS, {"model": model})))
    return speeds[len(speeds) // 2] if speeds else None


def waiting_jobs(session: Session, run_id: str) -> int:
    """How many clients wait for a run."""
    return len(session.scalars(select(Job.id).where(Job.run_id == run_id, Job.cancelled_at.is_(None))).all())
