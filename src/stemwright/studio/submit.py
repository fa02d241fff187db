"""Submitting: an upload or a song of the library becomes a job, which may be ready at once."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm.exc import StaleDataError

from stemwright import failpoints
from stemwright.audio.sniff import sniff
from stemwright.errors import ConflictError, InputError, JobNotFoundError, OptionError, UnknownModelError
from stemwright.strategies.find import is_strategy
from stemwright.strategies.plan import digest_of
from stemwright.studio.options import JobOptions, RunOptions
from stemwright.studio.snapshot import snapshot_of
from stemwright.studio.store.database import now_of
from stemwright.studio.store.tables import LIVE, Job, Run, Separation, Song, new_id
from stemwright.studio.uploads import Recording, arrived, source_of, take, tidy
from stemwright.studio.work.holding import hold_song
from stemwright.studio.work.runs import is_measured, lock_run, show, title_of
from stemwright.studio.work.worker import separation_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy.orm import Session

    from stemwright.studio.snapshot import JobSnapshot
    from stemwright.studio.studio import Studio

_TRIES: Final = 5  # of a transaction that others are in the way of


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload(Recording):
    """A file that came in, in a private folder: it is moved or removed by who takes it."""

    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """What a client asks for, beside the song."""

    options: JobOptions
    callback_url: str | None = None
    idempotency_key: str | None = None


def submit_upload(
    studio: Studio, upload: Upload, request: JobRequest, *, owner: str, sniffed: bool = True
) -> tuple[JobSnapshot, bool]:
    """Take an uploaded song in; the job, and whether it is a new one. The upload's file is gone afterwards.

    If not `sniffed`, files that are not audio are accepted and fail as jobs. Raises `NotAudioError` and its like by the
    first bytes of the file, `DiskFullError`, `ConflictError`, and what `choice.check` raises; then nothing is left.
    """
    try:
        if earlier := _repeated(studio, request, f"upload {upload.digest}", owner=owner):
            return earlier, False
        studio.require_room()
        _check(studio, request.options)
        if sniffed:
            check_kind(upload)
        return _submit_stored(studio, upload, request, owner=owner)
    finally:
        upload.path.unlink(missing_ok=True)


def _submit_stored(studio: Studio, upload: Upload, request: JobRequest, *, owner: str) -> tuple[JobSnapshot, bool]:
    """Store an upload and submit it; where the song has its recording already, the fresh object goes."""
    key = f"{owner}/uploads/{new_id()}"  # its own, so that deleting a song cannot take another's recording along
    studio.store.put_file(upload.path, key)
    failpoints.reached("uploaded")
    try:
        what = f"upload {upload.digest}"
        track = request.options.track
        return _submit(
            studio,
            request,
            what,
            owner=owner,
            song=lambda session: _song(session, upload, key, track=track, owner=owner),
        )
    finally:
        with studio.db.session() as session:
            used = session.scalar(select(Song.id).where(Song.owner == owner, Song.upload_key == key))
        if not used:
            studio.store.delete([key])


def submit_announced(studio: Studio, upload_id: str, request: JobRequest, *, owner: str) -> tuple[JobSnapshot, bool]:
    """A job for a file that was sent after `uploads.open_upload`; the job, and whether it is a new one.

    The song takes the file over; where it has its recording already, the file goes. Raises `JobNotFoundError`, also
    for an upload that was submitted before; `UploadIncompleteError`, `NotAudioError` and its like, `DiskFullError`, and
    what `choice.check` raises.
    """
    what = f"announced {upload_id}"
    if earlier := _repeated(studio, request, what, owner=owner):
        return earlier, False
    studio.require_room()
    _check(studio, request.options)
    try:
        file = arrived(studio, upload_id, owner=owner)

        def song(session: Session) -> Song:
            take(session, upload_id, owner=owner)
            return _song(session, file, file.key, track=request.options.track, owner=owner)

        submitted = _submit(studio, request, what, owner=owner, song=song)
    except JobNotFoundError:
        if earlier := _repeated(studio, request, what, owner=owner):  # the same request was quicker
            return earlier, False
        raise
    tidy(studio, file.key)
    return submitted


def _check(studio: Studio, options: JobOptions) -> None:
    """Refuse what cannot work. Raises as `choice.check`."""
    named = options.named(studio.config.model)
    if options.model and is_strategy(options.model, repo=studio.config.repo):
        raise UnknownModelError(f"{options.model} is a strategy: give it as `strategy`")
    if not (options.separate or options.model or options.strategy):
        return  # nothing is asked of the model that others get
    studio.workers.check(named, settings=options.settings, transcribe=options.transcribe)


def check_kind(upload: Upload) -> None:
    """Refuse a file that is not audio by its first bytes. Raises `NotAudioError` and its like."""
    try:
        sniff(upload.path)
    except InputError as error:
        raise type(error)(error.message.replace(upload.path.name, upload.name)) from error


def submit_song(studio: Studio, song_id: str, request: JobRequest, *, owner: str) -> tuple[JobSnapshot, bool]:
    """A job for a song of the library; the job, and whether it is a new one.

    Raises `JobNotFoundError`, `ConflictError` for imported stems, `OptionError` for another track than the song's,
    `DiskFullError`, and what `choice.check` raises.
    """

    def find(session: Session) -> Song:
        hold_song(session, song_id, used=True)
        song = session.get(Song, song_id)
        if song is None or song.owner != owner:
            raise JobNotFoundError("there is no such song")
        if song.upload_key is None:
            why = "this song came as stems" if song.kind == "stems" else "the recording was not kept; upload it again"
            raise ConflictError(f"{why}: there is no recording to separate")
        if request.options.track not in {None, song.track}:
            raise OptionError("another track is another song: upload the recording again, with that `track`")
        return song

    what = f"song {song_id}"
    if earlier := _repeated(studio, request, what, owner=owner):
        return earlier, False
    studio.require_room()
    _check(studio, request.options)
    return _submit(studio, request, what, owner=owner, song=find)


def _submit(
    studio: Studio, request: JobRequest, what: str, *, owner: str, song: Callable[[Session], Song]
) -> tuple[JobSnapshot, bool]:
    """Song, run and job in one transaction; again when somebody made the same at the same moment."""
    studio.queue.warm()  # before the transaction: it may have tables to make
    for _ in range(_TRIES):
        try:
            with studio.db.session() as session:
                job = _job(session, studio, request, what, song=song(session), owner=owner)
                snapshot = snapshot_of(session, job, slots=studio.workers.slots())
                failpoints.reached("row")
                return snapshot, True
        except (IntegrityError, StaleDataError) as error:
            last = error
        if earlier := _repeated(studio, request, what, owner=owner):
            return earlier, False
    raise last  # others are not to blame each time: it is a fault of ours, and is told as one


def _song(session: Session, upload: Recording, key: str, *, track: int | None, owner: str) -> Song:
    """The song of an upload: a new row, or that of an earlier upload of the same bytes and track."""
    source = source_of(upload.digest, track)
    song = session.scalar(select(Song).where(Song.owner == owner, Song.source_digest == source))
    if song is None:
        title = title_of(upload.name)
        song = Song(
            id=new_id(),
            owner=owner,
            title=title,
            search=title.lower(),
            file_name=upload.name,
            source_digest=source,
            track=track,
            size_bytes=upload.size_bytes,
            upload_key=key,
        )
        session.add(song)
        session.flush()
    song.upload_key, song.used_at = song.upload_key or key, now_of(session)
    return song


def _job(session: Session, studio: Studio, request: JobRequest, what: str, *, song: Song, owner: str) -> Job:
    options = run_options(request.options, studio=studio)
    run, cached = _run(session, studio, request, options, song=song, owner=owner)
    job = Job(
        id=new_id(),
        owner=owner,
        song_id=song.id,
        run_id=run.id,
        options=request.options,
        callback_url=request.callback_url,
        idempotency_key=request.idempotency_key,
        request_digest=_request_digest(request, what),
        cached=cached,
    )
    session.add(job)
    session.flush()
    if cached:
        studio.queue.deliver(session, job, "job.succeeded")
    return job


def run_options(options: JobOptions, *, studio: Studio) -> RunOptions:
    """What a run needs to know of a job's options."""
    named = options.named(studio.config.model)
    return RunOptions.of(options, model=named, resolved=studio.workers.resolve(named))


def _run(
    session: Session, studio: Studio, request: JobRequest, options: RunOptions, *, song: Song, owner: str
) -> tuple[Run, bool]:
    """The run that makes what is wanted: one that ended with it, one that is under way, or a new one."""
    key = digest_of([song.source_digest, options.model_dump(mode="json")])
    if song.duration and song.duration > (options.max_duration or math.inf):
        pass  # the run will fail, and say so
    elif not options.separate:
        if song.analysis and is_measured(song):
            return _new_run(session, studio, request, options, song=song, key=key, ready=True), True
    elif song.pcm_digest:
        made = separation_key(song.pcm_digest, options, model=options.resolved, config=studio.config)
        there = session.scalar(select(Separation).where(Separation.owner == owner, Separation.key == made))
        charted = not options.transcribe or (there and there.receipt.drums)
        if there and charted and (not options.analysis or song.analysis):
            there.used_at = now_of(session)
            old = session.get(Separation, song.separation_id) if song.separation_id else None
            show(song, there, old=old)
            return _new_run(session, studio, request, options, song=song, key=key, ready=True, found=there), True
    live = session.scalar(select(Run).where(Run.owner == owner, Run.key == key, Run.status.in_(LIVE)))
    if live and lock_run(session, live.id):  # it cannot end before this transaction does
        _hasten(session, studio, live, request.options.priority.value)
        return live, False
    return _new_run(session, studio, request, options, song=song, key=key), False


def _hasten(session: Session, studio: Studio, live: Run, priority: str) -> None:
    """Let a run that is still queued go as early as the most urgent of those who wait for it."""
    rank = studio.queue.rank(priority)
    if live.status == "queued" and rank < live.rank:
        live.rank, live.priority = rank, priority
        session.flush()
        studio.queue.hasten(session, live, rank=rank)


def _new_run(
    session: Session,
    studio: Studio,
    request: JobRequest,
    options: RunOptions,
    *,
    song: Song,
    key: str,
    ready: bool = False,
    found: Separation | None = None,
) -> Run:
    priority, now = request.options.priority.value, now_of(session)
    run = Run(
        id=new_id(),
        owner=song.owner,
        song_id=song.id,
        key=key,
        options=options,
        queue=studio.workers.queue_for(options.resolved),
        priority=priority,
        rank=studio.queue.rank(priority),
    )
    if ready:
        run.status, run.stage, run.progress = "succeeded", "done", 100.0
        run.separation_id = found.id if found else None
        run.started_at = run.finished_at = now
        run.worker = studio.name
    session.add(run)
    session.flush()
    if not ready:
        studio.queue.submit(session, run)
    return run


def resubmit(studio: Studio, job_id: str, *, owner: str) -> JobSnapshot:
    """Try a job that failed or was cancelled once more, under the same id.

    Raises `JobNotFoundError`; `ConflictError` when it has not ended so, or the recording is gone.
    """
    studio.queue.warm()
    with _alone(), studio.db.session() as session:
        hold_song(session, select(Job.song_id).where(Job.id == job_id).scalar_subquery())
        job = session.get(Job, job_id, with_for_update=True)
        if job is None or job.owner != owner:
            raise JobNotFoundError("there is no such job")
        run = session.get_one(Run, job.run_id)
        if not job.cancelled_at and run.status not in {"failed", "cancelled"}:
            raise ConflictError(f"the job is {run.status}: only one that failed or was cancelled can be tried again")
        song = session.get(Song, job.song_id) if job.song_id else None
        if song is None or song.upload_key is None:
            raise ConflictError("the recording is no longer here; upload it again")
        studio.require_room()
        request = JobRequest(options=job.options, callback_url=job.callback_url)
        fresh, cached = _run(
            session, studio, request, run_options(request.options, studio=studio), song=song, owner=owner
        )
        job.run_id, job.cached, job.cancelled_at = fresh.id, cached, None
        session.flush()
        if cached:
            studio.queue.deliver(session, job, "job.succeeded")
        return snapshot_of(session, job, slots=studio.workers.slots())


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Two who want the same new run at once: one gets it. Raises `ConflictError` for the other."""
    try:
        yield
    except IntegrityError as error:
        raise ConflictError("somebody tries the same again at this very moment") from error


def _request_digest(request: JobRequest, what: str) -> str:
    return digest_of([what, request.options.model_dump(mode="json"), request.callback_url])


def _repeated(studio: Studio, request: JobRequest, what: str, *, owner: str) -> JobSnapshot | None:
    """The job of an earlier request with the same key. Raises `ConflictError` if it asked for another thing."""
    if request.idempotency_key is None:
        return None
    with studio.db.session() as session:
        mine = Job.owner == owner, Job.idempotency_key == request.idempotency_key
        job = session.scalar(select(Job).where(*mine))
        if job is None:
            return None
        if job.created_at < studio.db.now() - studio.idempotency_seconds:
            job.idempotency_key = None
            return None
        if job.request_digest != _request_digest(request, what):
            raise ConflictError("this Idempotency-Key was used for another request")
        return snapshot_of(session, job, slots=studio.workers.slots())
