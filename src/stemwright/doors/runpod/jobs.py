"""Jobs of the web app: each is one of the studio, with a note of what was ordered, and results once it is done."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import structlog
from pydantic import ValidationError

from stemwright.doors.runpod.contract import Results, SeparationConfig, SeparationJob, model_of, stems_of
from stemwright.engine.process.messages import Transcode
from stemwright.errors import JobNotFoundError, StemwrightError, writing
from stemwright.records import Fault, Record
from stemwright.studio import jobs, outbox
from stemwright.studio.files import receipt, stem_file
from stemwright.studio.making import LONG, working_folder
from stemwright.studio.options import AudioFormat, JobOptions
from stemwright.studio.pool import run_in_pool
from stemwright.studio.snapshot import shown
from stemwright.studio.submit import JobRequest, submit_upload
from stemwright.web.problems import reason_of

if TYPE_CHECKING:
    from pathlib import Path

    from stemwright.doors.runpod.config import Config
    from stemwright.doors.runpod.results import ResultStore
    from stemwright.studio.snapshot import JobSnapshot
    from stemwright.studio.studio import Studio
    from stemwright.studio.submit import Upload

DOOR: Final = "runpod"
_AT_MOST: Final = 99.0  # percent, until the results are where their links lead
log = structlog.get_logger("stemwright.doors.runpod")


class Note(Record):
    """What the door knows of a job, as the outbox keeps it."""

    config: SeparationConfig
    stems: dict[str, str]  # what the model calls each stem that is wanted
    files: dict[str, str] | None = None  # once the results are in the object store
    model: str | None = None
    draft: bool | None = None
    error: Fault | None = None

    @property
    def open(self) -> bool:
        """Whether something is still to be done."""
        return self.files is None and self.error is None


class Jobs:
    """What the routes do; the outbox holds a note of each job."""

    def __init__(self, studio: Studio, store: ResultStore, config: Config) -> None:
        self._studio, self._store, self._config = studio, store, config
        self._publishing: dict[str, asyncio.Task[None]] = {}

    async def submit(self, upload: Upload, config: SeparationConfig, *, owner: str, base: str) -> SeparationJob:
        """The job of a recording. Raises what `submit_upload` and `stems_of` raise."""
        model = model_of(config, self._config.models)
        try:
            stems = stems_of(config, model, repo=self._studio.config.repo)
            options = JobOptions(
                model=model,
                stems=tuple(dict.fromkeys(stems.values())),
                format=AudioFormat.flac if config.quality.bits else AudioFormat(config.quality.output_format),
                sample_rate=config.quality.sample_rate,
                analysis=False,
                max_duration=self._config.max_duration,
            )
            job, _ = await asyncio.to_thread(
                submit_upload, self._studio, upload, JobRequest(options=options), owner=owner
            )
        finally:
            upload.path.unlink(missing_ok=True)
        await asyncio.to_thread(self._write, job.id, Note(config=config, stems=stems), owner=owner)
        return await self.look(job.id, owner=owner, base=base)

    async def look(self, job_id: str, *, owner: str, base: str) -> SeparationJob:
        """A job as the web app knows it. Raises `JobNotFoundError`, `StorageUnavailableError`."""
        note = await self._note(job_id, owner=owner)
        if note.open:
            note = await self._further(job_id, note, owner=owner)
        if note.error:
            failed = SeparationJob(id=job_id, status="failed", config=note.config, progress=0.0)
            return failed.model_copy(update={"error": note.error.message, "code": note.error.code})
        if note.files:
            links = {name: self._store.link(f"{job_id}/{file}", base=base) for name, file in note.files.items()}
            results = Results(stems=links, model=note.model or "", draft=bool(note.draft))
            return SeparationJob(id=job_id, status="completed", config=note.config, progress=100, results=results)
        snapshot = await asyncio.to_thread(jobs.get_job, self._studio, job_id, owner=owner)
        return SeparationJob(
            id=job_id,
            status="queued" if snapshot.status == "queued" else "processing",
            config=note.config,
            progress=min(snapshot.progress, _AT_MOST),
            estimated_time_remaining=snapshot.eta_seconds,
        )

    async def cancel(self, job_id: str, *, owner: str, base: str) -> SeparationJob:
        """Cancel a job. Raises `JobNotFoundError`, and `ConflictError` for one that has ended otherwise."""
        await self._note(job_id, owner=owner)
        await asyncio.to_thread(jobs.cancel_job, self._studio, job_id, owner=owner)
        return await self.look(job_id, owner=owner, base=base)

    def sweep(self, *, older_than: float) -> int:
        """Delete the results and notes that were written before a time (seconds since the epoch); how many results."""
        outbox.forget(self._studio, door=DOOR, before=older_than)
        return self._store.sweep(older_than=older_than)

    def adopt(self) -> None:
        """Move the notes and results of earlier editions to where they are now: the outbox and the store.

        Raises `OutputError`, `DiskFullError`, `StorageUnavailableError`.
        """
        for job_id, content, written_at in self._store.old_notes():
            try:
                found = _OldNote.model_validate_json(content)
            except ValidationError:
                log.warning("a note about a job cannot be read", job_id=job_id)
                continue
            error = Fault(code=found.error.code, message=found.error.error) if found.error else None
            note = Note(**found.model_dump(exclude={"owner", "error"}), error=error)
            self._write(job_id, note, owner=found.owner, at=written_at)
            self._store.forget_note(job_id)
        if moved := self._store.adopt():
            log.info("results of an earlier edition were moved into the store", files=moved)

    def _write(self, job_id: str, note: Note, *, owner: str, at: float | None = None) -> None:
        """Keep a note until it is swept; it is not open, for nobody is told anything before he asks."""
        outbox.note(self._studio, door=DOOR, name=job_id, facts=note, owner=owner, open=False, at=at)

    async def _note(self, job_id: str, *, owner: str) -> Note:
        entry = await asyncio.to_thread(outbox.latest, self._studio, door=DOOR, name=job_id[:128], owner=owner)
        return Note.model_validate(entry.facts)

    async def _further(self, job_id: str, note: Note, *, owner: str) -> Note:
        """The note of a job that was not done yet, as it is now."""
        snapshot = await asyncio.to_thread(jobs.get_job, self._studio, job_id, owner=owner)
        if snapshot.ended and snapshot.status != "succeeded":
            code = snapshot.error.code if snapshot.error else "cancelled"
            return await self._failed(job_id, note, code=code, message=reason_of(snapshot), owner=owner)
        if snapshot.status == "succeeded":
            if job_id not in self._publishing:
                task = asyncio.create_task(self._publish(job_id, note, snapshot, owner=owner))
                self._publishing[job_id] = task
                task.add_done_callback(lambda _: self._publishing.pop(job_id, None))
            with contextlib.suppress(TimeoutError):  # it is often a matter of milliseconds
                await asyncio.wait_for(asyncio.shield(self._publishing[job_id]), 1.0)
        return await self._note(job_id, owner=owner)

    async def _publish(self, job_id: str, note: Note, snapshot: JobSnapshot, *, owner: str) -> None:
        """Put the stems into the object store, then write that down."""
        try:
            with writing():
                made = await self._put(job_id, note, snapshot, owner=owner)
        except StemwrightError as error:
            log.warning("results could not be stored", job_id=job_id, code=error.code, reason=error.message)
            if not error.retryable:
                text = shown(error.code, error.message)
                await self._failed(job_id, note, code=error.code, message=text, owner=owner)
        except Exception:
            log.exception("results could not be stored", job_id=job_id)
            await self._failed(job_id, note, code="internal", message=shown("internal", ""), owner=owner)
        else:
            await asyncio.to_thread(self._write, job_id, made, owner=owner)

    async def _put(self, job_id: str, note: Note, snapshot: JobSnapshot, *, owner: str) -> Note:
        quality, studio, result, song = note.config.quality, self._studio, snapshot.result, snapshot.song_id
        if result is None or song is None:
            raise JobNotFoundError("the stems are no longer here; send the recording again")
        ending, bits = quality.output_format, quality.bits
        with working_folder(studio) as folder:
            here: dict[str, Path] = {}
            for name, stem in note.stems.items():
                token = "flac" if bits else ending
                served = await stem_file(studio, song, stem, token, owner=owner, separation=result.separation)
                here[name] = folder / f"{name}.{token}"
                await run_in_pool(_copy, studio, served.object_key, here[name])
            if bits:
                files = {path: path.with_suffix(f".{ending}") for path in here.values()}
                made = await asyncio.to_thread(receipt, studio, song, owner=owner, separation=result.separation)
                limit = studio.config.timeout(made.input.duration)
                async with studio.encoders.engine(LONG) as engine:
                    await engine.call(Transcode(files=files, format=ending, bitrate=bits), timeout=limit)
                here = {name: files[path] for name, path in here.items()}
            for name, path in here.items():
                await run_in_pool(self._store.put_file, path, f"{job_id}/{name}.{ending}")
        files_of = {name: f"{name}.{ending}" for name in note.stems}
        return note.model_copy(update={"files": files_of, "model": result.model, "draft": result.draft})

    async def _failed(self, job_id: str, note: Note, *, code: str, message: str, owner: str) -> Note:
        note = note.model_copy(update={"error": Fault(code=code, message=message)})
        await asyncio.to_thread(self._write, job_id, note, owner=owner)
        return note


class _OldFault(Record):
    error: str
    code: str


class _OldNote(Record):
    config: SeparationConfig
    owner: str
    stems: dict[str, str]
    files: dict[str, str] | None = None
    model: str | None = None
    draft: bool | None = None
    error: _OldFault | None = None


def _copy(studio: Studio, key: str, path: Path) -> None:
    """An object as a file of its own: what is put elsewhere shares no bytes with the studio's."""
    with path.open("wb") as file:
        for piece in studio.store.pieces(key):
            file.write(piece)
