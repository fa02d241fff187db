"""Uploads: each becomes a job of the studio or of a remote worker, and when that is done a recording in `media`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog
from sqlalchemy.exc import DBAPIError

from stemwright.disk import make_as_open_as, read_json, remove_mine
from stemwright.doors.stemset import media as library
from stemwright.doors.stemset.answers import RemoteJob
from stemwright.doors.stemset.media import Media, Source
from stemwright.doors.stemset.worker import RemoteWorker
from stemwright.engine.receipt import Receipt
from stemwright.errors import BusyError, JobNotFoundError, StemwrightError, WorkerError, writing
from stemwright.studio import files, jobs
from stemwright.studio.encoding import encode
from stemwright.studio.making import LONG
from stemwright.studio.options import JobOptions, Priority
from stemwright.studio.pool import run_in_pool
from stemwright.studio.snapshot import shown
from stemwright.studio.submit import JobRequest, check_kind, submit_upload
from stemwright.web.problems import reason_of
from stemwright.words import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stemwright.doors.stemset.config import DoorConfig, Profile, Stemset
    from stemwright.engine.stored import Promise
    from stemwright.studio.studio import Studio
    from stemwright.studio.submit import Upload

    Note = dict[str, Any]

_ID: Final = re.compile(r"[0-9a-z\-]{1,64}")
_PARTIAL: Final = ".partial-"
_EVERY: Final = 1.0  # seconds between two looks at what is under way
_KEEP: Final = 30 * 86_400.0  # seconds that notes about jobs which have ended are kept
log = structlog.get_logger("stemwright.doors.stemset")


class Uploads:
    """The jobs of the door. A note `JOB.json` in the state folder says of each what it is for."""

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
        note: Note = {
            "job_id": uuid.uuid4().hex,
            "profile_name": profile.name,
            "output_name": library.output_name(source),
            "filename": upload.name,
            "status": "processing",
            "stems": None,
            "error": None,
            "file_hash": upload.digest,
            "strategy": profile.strategy,
            "worker_job": None,
        }
        there = await asyncio.to_thread(self._media.of_digest, profile.name, upload.digest)
        try:
            if there:
                note |= {"status": "complete", "output_name": there.name, "stems": list(there.facts["stems"])}
            elif profile.remote:
                await asyncio.to_thread(check_kind, upload)
                base = self._config.public_url or callback_base
                note["worker_job"] = await self._hand_over(profile, upload, note["job_id"], base)
            else:
                note["job_id"] = await asyncio.to_thread(self._submit, profile, upload)
        finally:
            upload.path.unlink(missing_ok=True)
        await asyncio.to_thread(self._write, note)
        return note

    def _submit(self, profile: Profile, upload: Upload) -> str:
        self._stemset.check_shared(profile)
        options = JobOptions(strategy=profile.strategy, analysis=False, priority=Priority.high)
        job, _ = submit_upload(self._studio, upload, JobRequest(options=options), owner=self._owner)
        return str(job["id"])

    async def _hand_over(self, profile: Profile, upload: Upload, job_id: str, base: str) -> str:
        url = f"{base}/api/jobs/{job_id}/complete" if self._config.worker_secret else None
        job = await self._worker().submit(upload.path, name=upload.name, strategy=profile.strategy, callback_url=url)
        return job.id

    def _worker(self) -> RemoteWorker:
        return RemoteWorker(self._stemset.worker_url or "", self._config.worker)

    async def look(self, job_id: str) -> Note:
        """A job as it is now. Raises `JobNotFoundError`."""
        note = await asyncio.to_thread(self._read, job_id)
        if note["status"] != "processing":
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
        notes = [note for note in self._notes() if note["profile_name"] == profile and note["status"] != "complete"]
        notes.sort(key=lambda note: note["created_at"])
        last = {note["output_name"]: note for note in notes}
        return sorted(last.values(), key=lambda note: note["created_at"], reverse=True)

    async def run(self) -> None:
        """Finish what is done, whether anybody asks or not; forget what ended long ago."""
        await asyncio.to_thread(self._clean)
        running: set[asyncio.Task[None]] = set()
        while True:
            for note in await asyncio.to_thread(self._notes):
                job_id = note["job_id"]
                if note["status"] == "processing":
                    if job_id not in self._settling or not self._settling[job_id].locked():
                        task = asyncio.create_task(self.settle(job_id))
                        running.add(task)
                        task.add_done_callback(running.discard)
                elif time.time() - note["created_at"] > _KEEP:
                    self._path(job_id).unlink(missing_ok=True)
            await asyncio.sleep(_EVERY)

    async def settle(self, job_id: str) -> None:
        """See what became of a job: a recording in `media`, an error, or nothing yet."""
        async with self._settling.setdefault(job_id, asyncio.Lock()):
            try:
                note = await asyncio.to_thread(self._read, job_id)
                if note["status"] == "processing" and (news := await self._outcome(note)):
                    await asyncio.to_thread(self._write, note | news)
            except JobNotFoundError:
                pass
            except StemwrightError as error:
                log.warning("a job could not be finished yet", job_id=job_id, code=error.code, error=error.message)
            except Exception:
                log.exception("a job could not be finished", job_id=job_id)
        if (there := self._peek(job_id)) is None or there["status"] != "processing":
            self._settling.pop(job_id, None)

    def _clean(self) -> None:
        """Remove what a server that was killed left half made."""
        for profile in self._media.folder.glob("*"):
            if not profile.is_symlink():
                for folder in profile.glob(f"{_PARTIAL}*"):
                    remove_mine(folder)

    async def _outcome(self, note: Note) -> Note:
        """What changes in a note. Raises what another try can mend, and DBAPIError while the database is away."""
        try:
            snapshot = await self._snapshot(note)
            if snapshot is None or snapshot["status"] in {"queued", "running"}:
                return {}
            if snapshot["status"] != "succeeded":
                return {"status": "error", "error": reason_of(snapshot)}
            with writing():
                return await self._finish(note, snapshot)
        except (WorkerError, BusyError, DBAPIError):
            raise
        except StemwrightError as error:
            log.warning("a job could not be finished", job_id=note["job_id"], code=error.code, reason=error.message)
            return {"status": "error", "error": shown(error.code, error.message)}
        except Exception:
            log.exception("a job could not be finished", job_id=note["job_id"])
            return {"status": "error", "error": shown("internal", "")}

    async def _snapshot(self, note: Note) -> dict[str, Any] | None:
        """The job behind a note; None for a remote one that is not to be asked yet."""
        if note["worker_job"] is None:
            return await asyncio.to_thread(jobs.get_job, self._studio, note["job_id"], owner=self._owner)
        now = time.monotonic()
        if now < self._asked.get(note["job_id"], 0.0):
            return None
        waiting = self._config.ask_worker if self._config.worker_secret else _EVERY
        self._asked[note["job_id"]] = now + waiting
        job = await self._worker().job(note["worker_job"])
        fault = {"code": job.error.code, "message": plain(job.error.message)} if job.error else None
        return job.model_dump() | {"error": fault}

    async def _finish(self, note: Note, snapshot: dict[str, Any]) -> Note:
        """Put the stems into `media`: everything in a hidden folder first, which then gets its name."""
        profile = self._stemset.profile(note["profile_name"])
        source = Source(digest=note["file_hash"], file_name=note["filename"], strategy=note["strategy"])
        if there := await asyncio.to_thread(self._media.of_digest, profile.name, source.digest):
            return {"status": "complete", "output_name": there.name, "stems": list(there.facts["stems"])}
        if snapshot["result"] is None:
            raise JobNotFoundError("the stems are no longer here; upload the recording again")
        target = self._media.place(profile.name, source)
        if not target.parent.exists():
            target.parent.mkdir(parents=True)
            make_as_open_as(target.parent, self._media.folder)
        draft = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=target.parent))
        try:
            receipt, promises = await self._masters(note, snapshot, draft)
            timeout = self._studio.config.timeout(receipt.input.duration)
            self._studio.require_room()
            async with self._studio.encoders.place(LONG):
                receipt = await encoded(receipt, draft, profile, timeout=timeout, promises=promises)
            recording = await run_in_pool(library.describe, draft, receipt, source)
            await asyncio.to_thread(give_name, draft, target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return {"status": "complete", "stems": list(recording.facts["stems"])}

    async def _masters(self, note: Note, snapshot: dict[str, Any], folder: Path) -> tuple[Receipt, dict[str, Promise]]:
        """The stems as FLAC with their overviews in a folder; their receipt, and what those of a worker must be."""
        if note["worker_job"] is not None:
            job = RemoteJob.model_validate(snapshot)
            return await self._worker().fetch(job, folder, room=self._studio.require_room)
        song, which = snapshot["song_id"], {"owner": self._owner, "separation": snapshot["result"]["separation"]}
        receipt = Receipt.model_validate(await asyncio.to_thread(files.receipt, self._studio, song, **which))
        for stem in receipt.stems:
            for name in (f"{stem.name}.flac", f"{stem.name}.peaks.dat"):
                served = await asyncio.to_thread(files.stored_file, self._studio, song, name, **which)
                await run_in_pool(_copy, self._studio, served.object_key, folder / name)
        return receipt, {}

    def _path(self, job_id: str) -> Path:
        return self._config.state / f"{job_id}.json"

    def _write(self, note: Note) -> None:
        self._config.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._path(note["job_id"])
        draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        draft.write_text(json.dumps({"created_at": time.time()} | note), encoding="utf-8")
        draft.replace(path)

    def _peek(self, job_id: str) -> Note | None:
        try:
            note: Note = read_json(self._path(job_id))
        except (OSError, ValueError):
            return None
        return note

    def _read(self, job_id: str) -> Note:
        note = self._peek(job_id) if _ID.fullmatch(job_id) else None
        if note is None:
            raise JobNotFoundError(f"Job {job_id[:64]} not found")
        return note

    def _notes(self) -> list[Note]:
        found = [self._peek(path.stem) for path in self._config.state.glob("*.json")]
        return [note for note in found if note]


async def encoded(
    receipt: Receipt, folder: Path, profile: Profile, *, timeout: float, promises: Mapping[str, Promise] | None = None
) -> Receipt:
    """The stems in a folder in the profile's format, with `receipt.json` about them; the FLAC that they were goes.

    Stems with `promises` were made by another machine: they are always encoded anew, so that nothing of its making is
    served. Raises what `encode` raises.
    """
    form, bits, promises = profile.output.codec, profile.output.bits, promises or {}
    if promises or form.name != "flac16":
        masters = {stem.name: folder / f"{stem.name}.master" for stem in receipt.stems}
        for name, master in masters.items():
            (folder / f"{name}.flac").replace(master)
        targets = {master: folder / f"{name}{form.extension}" for name, master in masters.items()}
        told = {masters[name]: promise for name, promise in promises.items()}
        await encode(targets, format=form.name, bitrate=bits, timeout=timeout, promises=told)
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
