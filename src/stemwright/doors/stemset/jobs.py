"""Uploads: each becomes a job of the studio or of a remote worker, and when that is done a recording in `media`."""

from __future__ import annotations

import asyncio
import contextlib
import math
import shutil
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import structlog
from pydantic import Field

from stemwright.disk import make_as_open_as, read_json, remove_mine
from stemwright.doors.stemset import media as library
from stemwright.doors.stemset.answers import RemoteJob
from stemwright.doors.stemset.media import Media, Source
from stemwright.doors.stemset.worker import RemoteWorker
from stemwright.engine.process.messages import Transcode
from stemwright.errors import (
    BusyError,
    DatabaseUnavailableError,
    JobNotFoundError,
    StemwrightError,
    WorkerError,
    writing,
)
from stemwright.records import Record
from stemwright.studio import files, jobs, outbox
from stemwright.studio.making import LONG
from stemwright.studio.options import JobOptions, Priority
from stemwright.studio.pool import run_in_pool
from stemwright.studio.snapshot import JobSnapshot, shown
from stemwright.studio.submit import JobRequest, check_kind, submit_upload
from stemwright.web.problems import reason_of
from stemwright.words import plain

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from stemwright.doors.stemset.config import DoorConfig, Profile, Stemset
    from stemwright.doors.stemset.media import Recording
    from stemwright.engine.receipt import Receipt
    from stemwright.engine.stored import Promise
    from stemwright.studio.outbox import Entry
    from stemwright.studio.studio import Studio
    from stemwright.studio.submit import Upload
    from stemwright.types import Seconds

    Encode: TypeAlias = Callable[[Transcode, Seconds], Awaitable[None]]

DOOR: Final = "stemset"
_PARTIAL: Final = ".partial-"
_EVERY: Final = 1.0  # seconds between two looks at what is under way
_SWEEP: Final = 3600.0  # seconds between two looks for notes that are old
_KEEP: Final = 30 * 86_400.0  # seconds that notes about jobs which have ended are kept
log = structlog.get_logger("stemwright.doors.stemset")


class Note(Record):
    """What the door knows of an upload, as the outbox keeps it."""

    job_id: str
    profile_name: str
    output_name: str
    filename: str
    status: Literal["processing", "complete", "error"] = "processing"
    stems: tuple[str, ...] | None = None
    error: str | None = None
    file_hash: str
    strategy: str
    worker_job: str | None = None  # of a remote worker
    created_at: float = Field(default_factory=time.time)

    def ended(self, there: Recording) -> Note:
        """The same, done: this is its recording."""
        stems = tuple(there.facts.stems)
        return self.model_copy(update={"status": "complete", "output_name": there.name, "stems": stems, "error": None})

    def failed(self, message: str) -> Note:
        """The same, come to nothing."""
        return self.model_copy(update={"status": "error", "error": message})


class Uploads:
    """The jobs of the door; the outbox holds a note of each that says what it is for."""

    def __init__(self, studio: Studio, config: DoorConfig, stemset: Stemset, *, owner: str) -> None:
        self._studio, self._config, self._stemset, self._owner = studio, config, stemset, owner
        self._media = Media(stemset.media)
        self._asked: dict[str, float] = {}  # when a remote job is to be looked at again
        self._settling: dict[str, asyncio.Lock] = {}

    async def submit(self, profile: Profile, upload: Upload, *, callback_base: str) -> Note:
        """The job of an upload; one that was processed before is complete at once.

        Raises what `submit_upload` raises, `WorkerError`, `WorkerRefusedError`, `OptionError` for a strategy that
        jobs do not know.
        """
        source = Source(digest=upload.digest, file_name=upload.name, strategy=profile.strategy)
        note = Note(
            job_id=uuid.uuid4().hex,
            profile_name=profile.name,
            output_name=library.output_name(source),
            filename=upload.name,
            file_hash=upload.digest,
            strategy=profile.strategy,
        )
        there = await asyncio.to_thread(self._media.of_digest, profile.name, upload.digest)
        try:
            if there:
                note = note.ended(there)
            elif profile.remote:
                await asyncio.to_thread(check_kind, upload)
                base = self._config.public_url or callback_base
                worker_job = await self._hand_over(profile, upload, note.job_id, base)
                note = note.model_copy(update={"worker_job": worker_job})
            else:
                job_id = await asyncio.to_thread(self._submit, profile, upload)
                note = note.model_copy(update={"job_id": job_id})
        finally:
            upload.path.unlink(missing_ok=True)
        await asyncio.to_thread(self._write, note)
        return note

    def _submit(self, profile: Profile, upload: Upload) -> str:
        self._stemset.check_shared(profile)
        options = JobOptions(strategy=profile.strategy, analysis=False, priority=Priority.high)
        return submit_upload(self._studio, upload, JobRequest(options=options), owner=self._owner)[0].id

    async def _hand_over(self, profile: Profile, upload: Upload, job_id: str, base: str) -> str:
        url = f"{base}/api/jobs/{job_id}/complete" if self._config.worker_secret else None
        job = await self._worker().submit(upload.path, name=upload.name, strategy=profile.strategy, callback_url=url)
        return job.id

    def _worker(self) -> RemoteWorker:
        return RemoteWorker(self._stemset.worker_url or "", self._config.worker)

    async def look(self, job_id: str) -> Note:
        """A job as it is now. Raises `JobNotFoundError`."""
        note = await asyncio.to_thread(self._read, job_id)
        if note.status != "processing" or self._studio.shared:  # one process of all finishes them, in `run`
            return note
        with contextlib.suppress(TimeoutError):  # what is done is often done at once
            await asyncio.wait_for(asyncio.shield(asyncio.ensure_future(self.settle(job_id))), 1.0)
        return await asyncio.to_thread(self._read, job_id)

    def wake(self, job_id: str) -> None:
        """Look at a remote job at once: its worker says that there is something. Raises `JobNotFoundError`."""
        self._read(job_id)
        self._asked.pop(job_id, None)

    def under_way(self, profile: str) -> list[Note]:
        """The jobs of a profile that have not ended well, newest first; of those for one recording the last."""
        notes = [
            Note.model_validate(one.facts) for one in outbox.all_entries(self._studio, door=DOOR, owner=self._owner)
        ]
        notes = [note for note in notes if note.profile_name == profile and note.status != "complete"]
        last = {note.output_name: note for note in sorted(notes, key=lambda note: note.created_at)}
        return sorted(last.values(), key=lambda note: note.created_at, reverse=True)

    async def run(self) -> None:
        """Finish what is done, whether anybody asks or not; forget what ended long ago."""
        await asyncio.to_thread(self._clean)
        running: set[asyncio.Task[None]] = set()
        swept = -math.inf
        while True:
            going: list[Entry] = []
            try:
                if time.monotonic() - swept >= _SWEEP:
                    await asyncio.to_thread(outbox.forget, self._studio, door=DOOR, before=self._studio.now() - _KEEP)
                    swept = time.monotonic()
                going = await asyncio.to_thread(outbox.open_entries, self._studio, door=DOOR)
            except DatabaseUnavailableError as error:  # to start over would clean away what is being made
                log.warning("uploads could not be looked at", code=error.code, error=error.message)
            for entry in going:
                if entry.name not in self._settling or not self._settling[entry.name].locked():
                    task = asyncio.create_task(self.settle(entry.name))
                    running.add(task)
                    task.add_done_callback(running.discard)
            await asyncio.sleep(_EVERY)

    async def settle(self, job_id: str) -> None:
        """See what became of a job: a recording in `media`, an error, or nothing yet."""
        processing = True
        async with self._settling.setdefault(job_id, asyncio.Lock()):
            try:
                note = await asyncio.to_thread(self._read, job_id)
                if note.status == "processing" and (news := await self._outcome(note)) != note:
                    note = news
                    await asyncio.to_thread(self._write, note)
                processing = note.status == "processing"
            except JobNotFoundError:
                processing = False
            except StemwrightError as error:
                log.warning("a job could not be finished yet", job_id=job_id, code=error.code, error=error.message)
            except Exception:
                log.exception("a job could not be finished", job_id=job_id)
        if not processing:
            self._settling.pop(job_id, None)

    def _clean(self) -> None:
        """Remove what a server that was killed left half made; move notes that lie in files into the outbox."""
        for profile in self._media.folder.glob("*"):
            if not profile.is_symlink():
                for folder in profile.glob(f"{_PARTIAL}*"):
                    remove_mine(folder)
        for path in self._config.state.glob("*.json"):
            try:
                note = Note.model_validate(read_json(path))
            except (OSError, ValueError):
                log.warning("a note about an upload cannot be read", file=str(path))
                continue
            self._write(note)
            path.unlink(missing_ok=True)

    async def _outcome(self, note: Note) -> Note:
        """A note as it is now. Raises what another try can mend."""
        try:
            job = await self._job(note)
            if job is None or job.status in {"queued", "running"}:
                return note
            if job.status != "succeeded":
                return note.failed(_reason(job))
            with writing():
                return await self._finish(note, job)
        except (WorkerError, BusyError, DatabaseUnavailableError):
            raise
        except StemwrightError as error:
            log.warning("a job could not be finished", job_id=note.job_id, code=error.code, reason=error.message)
            return note.failed(shown(error.code, error.message))
        except Exception:
            log.exception("a job could not be finished", job_id=note.job_id)
            return note.failed(shown("internal", ""))

    async def _job(self, note: Note) -> JobSnapshot | RemoteJob | None:
        """The job behind a note; None for a remote one that is not to be asked yet."""
        if note.worker_job is None:
            return await asyncio.to_thread(jobs.get_job, self._studio, note.job_id, owner=self._owner)
        now = time.monotonic()
        if now < self._asked.get(note.job_id, 0.0):
            return None
        waiting = self._config.ask_worker if self._config.worker_secret else _EVERY
        self._asked[note.job_id] = now + waiting
        return await self._worker().job(note.worker_job)

    async def _finish(self, note: Note, job: JobSnapshot | RemoteJob) -> Note:
        """Put the stems into `media`: everything in a hidden folder first, which then gets its name."""
        profile = self._stemset.profile(note.profile_name)
        source = Source(digest=note.file_hash, file_name=note.filename, strategy=note.strategy)
        if there := await asyncio.to_thread(self._media.of_digest, profile.name, source.digest):
            return note.ended(there)
        target = self._media.place(profile.name, source)
        if not target.parent.exists():
            target.parent.mkdir(parents=True)
            make_as_open_as(target.parent, self._media.folder)
        draft = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=target.parent))
        try:
            receipt, promises = await self._masters(job, draft)
            self._studio.require_room()
            receipt = await encoded(receipt, draft, profile, encode=self._encode, promises=promises)
            await run_in_pool(library.describe, draft, receipt, source)
            await asyncio.to_thread(give_name, draft, target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        stems = tuple(stem.name for stem in receipt.stems)
        return note.model_copy(update={"status": "complete", "stems": stems})

    async def _encode(self, request: Transcode, duration: Seconds) -> None:
        """Let an engine encode stems of so many seconds."""
        async with self._studio.encoders.engine(LONG) as engine:
            await engine.call(request, timeout=self._studio.config.timeout(duration))

    async def _masters(self, job: JobSnapshot | RemoteJob, folder: Path) -> tuple[Receipt, dict[str, Promise]]:
        """The stems as FLAC with their overviews in a folder; their receipt, and what those of a worker must be."""
        gone = "the stems are no longer here; upload the recording again"
        if isinstance(job, RemoteJob):
            if job.result is None:
                raise JobNotFoundError(gone)
            return await self._worker().fetch(job, folder, room=self._studio.require_room)
        if job.result is None or job.song_id is None:
            raise JobNotFoundError(gone)
        song, which, owner = job.song_id, job.result.separation, self._owner
        receipt = await asyncio.to_thread(files.receipt, self._studio, song, owner=owner, separation=which)
        for stem in receipt.stems:
            for name in (f"{stem.name}.flac", f"{stem.name}.peaks.dat"):
                served = await asyncio.to_thread(
                    files.stored_file, self._studio, song, name, owner=owner, separation=which
                )
                await run_in_pool(_copy, self._studio, served.object_key, folder / name)
        return receipt, {}

    def _write(self, note: Note) -> None:
        going = note.status == "processing"
        outbox.note(self._studio, door=DOOR, name=note.job_id, facts=note, owner=self._owner, open=going)

    def _read(self, job_id: str) -> Note:
        try:
            entry = outbox.latest(self._studio, door=DOOR, name=job_id[:128], owner=self._owner)
        except JobNotFoundError:
            raise JobNotFoundError(f"Job {job_id[:64]} not found") from None
        return Note.model_validate(entry.facts)


def _reason(job: JobSnapshot | RemoteJob) -> str:
    """Why a job came to nothing, for a person."""
    if isinstance(job, JobSnapshot):
        return reason_of(job)
    if job.error:
        return shown(job.error.code, plain(job.error.message))
    return "the job was cancelled"


async def encoded(
    receipt: Receipt,
    folder: Path,
    profile: Profile,
    *,
    encode: Encode,
    promises: Mapping[str, Promise] | None = None,
) -> Receipt:
    """The stems in a folder in the profile's format, with `receipt.json` about them; the FLAC that they were goes.

    Stems with `promises` were made by another machine: they are always encoded anew, so that nothing of its making is
    served. `encode` does a request about so many seconds of song; raises what it raises.
    """
    form, bits, promises = profile.output.codec, profile.output.bits, promises or {}
    if promises or form.name != "flac16":
        masters = {stem.name: folder / f"{stem.name}.master" for stem in receipt.stems}
        for name, master in masters.items():
            (folder / f"{name}.flac").replace(master)
        targets = {master: folder / f"{name}{form.extension}" for name, master in masters.items()}
        told = {masters[name]: promise for name, promise in promises.items()}
        request = Transcode(files=targets, format=form.name, bitrate=bits, promises=told)
        await encode(request, receipt.input.duration)
        for master in targets:
            master.unlink()
    stems = []
    for stem in receipt.stems:
        name = f"{stem.name}{form.extension}"
        stems.append(stem.model_copy(update={"file": name, "size_bytes": (folder / name).stat().st_size}))
    settings = receipt.settings.model_copy(update={"format": form.name, "bitrate": form.check_bitrate(bits)})
    listed = tuple(sorted([stem.file for stem in stems] + [f"{stem.name}.peaks.dat" for stem in stems]))
    done = receipt.model_copy(
        update={
            "stems": tuple(stems),
            "settings": settings,
            "files": (*listed, library.RECEIPT),
            "kept": (),
            "others": (),
        }
    )
    (folder / library.RECEIPT).write_text(f"{done.model_dump_json(indent=2)}\n", encoding="utf-8")
    return done


def give_name(draft: Path, target: Path) -> None:
    """Let a folder that is whole take the place of what stands there, for those who can read the folder around it."""
    make_as_open_as(draft, target.parent)
    if target.exists():
        old = draft.with_name(f"{draft.name}-old")
        target.replace(old)
        draft.replace(target)
        shutil.rmtree(old, ignore_errors=True)
    else:
        draft.replace(target)


def _copy(studio: Studio, key: str, path: Path) -> None:
    """A copy of an object: edits of it change nothing in the studio."""
    with path.open("wb") as file:
        for piece in studio.store.pieces(key):
            file.write(piece)
