"""Jobs of the web app: each is one of the studio, with a note of what was ordered, and results once it is done."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import TYPE_CHECKING, Any, Final

import structlog
from sqlalchemy.exc import DBAPIError

from stemwright.doors.runpod.contract import Results, SeparationConfig, SeparationJob, model_of, stems_of
from stemwright.errors import JobNotFoundError, StemwrightError, writing
from stemwright.studio import jobs
from stemwright.studio.encoding import encode
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
    from stemwright.studio.studio import Studio
    from stemwright.studio.submit import Upload

_ID: Final = re.compile(r"[0-9a-z]{1,64}")
_AT_MOST: Final = 99.0  # percent, until the results are where their links lead
log = structlog.get_logger("stemwright.doors.runpod")


class Jobs:
    """What the routes do. A note `jobs/ID/job.json` lies beside the results in the object storage."""

    def __init__(self, studio: Studio, store: ResultStore, config: Config) -> None:
        self._studio, self._store, self._config = studio, store, config
        self._publishing: dict[str, asyncio.Task[None]] = {}

    async def submit(self, upload: Upload, config: SeparationConfig, *, owner: str, base: str) -> dict[str, Any]:
        """The job of a recording. Raises what `submit_upload` and `stems_of` raise, `OutputError`."""
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
        note = {"config": config.plain(), "owner": owner, "stems": stems, "files": None, "error": None}
        await asyncio.to_thread(self._store.put_json, _note(job["id"]), note)
        return await self.look(job["id"], owner=owner, base=base)

    async def look(self, job_id: str, *, owner: str, base: str) -> dict[str, Any]:
        """A job as the web app knows it. Raises `JobNotFoundError`, `OutputError`."""
        note = await self._note(job_id, owner=owner)
        if note["files"] is None and note["error"] is None:
            note = await self._further(job_id, note, owner=owner)
        config = SeparationConfig.model_validate(note["config"])
        if note["error"]:
            return SeparationJob(id=job_id, status="failed", config=config, progress=0.0, **note["error"]).plain()
        if note["files"]:
            links = {name: self._store.link(f"{job_id}/{file}", base=base) for name, file in note["files"].items()}
            results = Results(stems=links, model=note["model"], draft=note["draft"])
            return SeparationJob(id=job_id, status="completed", config=config, progress=100, results=results).plain()
        snapshot = await asyncio.to_thread(jobs.get_job, self._studio, job_id, owner=owner)
        return SeparationJob(
            id=job_id,
            status="queued" if snapshot["status"] == "queued" else "processing",
            config=config,
            progress=min(snapshot["progress"], _AT_MOST),
            estimated_time_remaining=snapshot["eta_seconds"],
        ).plain()

    async def cancel(self, job_id: str, *, owner: str, base: str) -> dict[str, Any]:
        """Cancel a job. Raises `JobNotFoundError`, and `ConflictError` for one that has ended otherwise."""
        await self._note(job_id, owner=owner)
        await asyncio.to_thread(jobs.cancel_job, self._studio, job_id, owner=owner)
        return await self.look(job_id, owner=owner, base=base)

    async def _note(self, job_id: str, *, owner: str) -> dict[str, Any]:
        found = await asyncio.to_thread(self._store.get_json, _note(job_id)) if _ID.fullmatch(job_id) else None
        if found is None or found["owner"] != owner:
            raise JobNotFoundError("there is no such job")
        return found

    async def _further(self, job_id: str, note: dict[str, Any], *, owner: str) -> dict[str, Any]:
        """The note of a job that was not done yet, as it is now."""
        snapshot = await asyncio.to_thread(jobs.get_job, self._studio, job_id, owner=owner)
        if snapshot["status"] in {"failed", "cancelled"}:
            code = snapshot["error"]["code"] if snapshot["error"] else "cancelled"
            return await self._failed(job_id, note, code=code, message=reason_of(snapshot))
        if snapshot["status"] == "succeeded" and job_id not in self._publishing:
            task = asyncio.create_task(self._publish(job_id, note, snapshot, owner=owner))
            self._publishing[job_id] = task
            task.add_done_callback(lambda _: self._publishing.pop(job_id, None))
        if snapshot["status"] == "succeeded":
            with contextlib.suppress(TimeoutError):  # it is often a matter of milliseconds
                await asyncio.wait_for(asyncio.shield(self._publishing[job_id]), 1.0)
        return await self._note(job_id, owner=owner)

    async def _publish(self, job_id: str, note: dict[str, Any], snapshot: dict[str, Any], *, owner: str) -> None:
        """Put the stems into the object storage, then write that down."""
        try:
            with writing():
                made = await self._put(job_id, note, snapshot, owner=owner)
        except StemwrightError as error:
            log.warning("results could not be stored", job_id=job_id, code=error.code, reason=error.message)
            if not error.retryable:
                await self._failed(job_id, note, code=error.code, message=shown(error.code, error.message))
        except DBAPIError:  # the next look will do
            log.exception("results could not be stored", job_id=job_id)
        except Exception:
            log.exception("results could not be stored", job_id=job_id)
            await self._failed(job_id, note, code="internal", message=shown("internal", ""))
        else:
            await asyncio.to_thread(self._store.put_json, _note(job_id), note | made)

    async def _put(self, job_id: str, note: dict[str, Any], snapshot: dict[str, Any], *, owner: str) -> dict[str, Any]:
        config = SeparationConfig.model_validate(note["config"])
        studio, ending, bits = self._studio, config.quality.output_format, config.quality.bits
        song_id, separation = snapshot["song_id"], snapshot["result"]["separation"]
        with working_folder(studio) as folder:
            here: dict[str, Path] = {}
            for name, stem in note["stems"].items():
                token = "flac" if bits else ending
                served = await stem_file(studio, song_id, stem, token, owner=owner, separation=separation)
                here[name] = folder / f"{name}.{token}"
                await run_in_pool(_copy, studio, served.object_key, here[name])
            if bits:
                files = {path: path.with_suffix(f".{ending}") for path in here.values()}
                made = await asyncio.to_thread(receipt, studio, song_id, owner=owner, separation=separation)
                limit = studio.config.timeout(made["input"]["duration"])
                async with studio.encoders.place(LONG):
                    await encode(files, format=ending, bitrate=bits, timeout=limit)
                here = {name: files[path] for name, path in here.items()}
            for name, path in here.items():
                await run_in_pool(self._store.put_file, path, f"{job_id}/{name}.{ending}")
        files_of = {name: f"{name}.{ending}" for name in note["stems"]}
        return {"files": files_of, "model": snapshot["result"]["model"], "draft": snapshot["result"]["draft"]}

    async def _failed(self, job_id: str, note: dict[str, Any], *, code: str, message: str) -> dict[str, Any]:
        note = note | {"error": {"error": message, "code": code}}
        await asyncio.to_thread(self._store.put_json, _note(job_id), note)
        return note


def _note(job_id: str) -> str:
    return f"{job_id}/job.json"


def _copy(studio: Studio, key: str, path: Path) -> None:
    """An object as a file of its own: what is put elsewhere shares no bytes with the studio's."""
    with path.open("wb") as file:
        for piece in studio.store.pieces(key):
            file.write(piece)
