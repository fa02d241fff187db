"""Routes: what clients of the Demucs web server ask, put to the studio."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import ValidationError
from starlette.staticfiles import StaticFiles

from stemwright.audio.sniff import sniff
from stemwright.doors.demucs_web.progress import socket_io
from stemwright.doors.demucs_web.words import (
    Status,
    end_of,
    job_id_of,
    message_of,
    progress_of,
    status_of,
    uuid_of,
    whole,
)
from stemwright.doors.door import Door
from stemwright.engine.settings import SeparationSettings
from stemwright.errors import ConflictError, JobNotFoundError, ModelUnavailableError, UnsupportedInputError
from stemwright.records import Record
from stemwright.studio import files, jobs
from stemwright.studio.options import JobOptions
from stemwright.studio.submit import JobRequest, check_kind, submit_upload
from stemwright.web import ops, problems, uploads
from stemwright.web.bodies import while_there
from stemwright.web.common import Owner, TheStudio, add_routes, new_app
from stemwright.web.problems import FieldProblem, InvalidFieldsError
from stemwright.web.ranges import disposition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stemwright.doors.demucs_web.settings import Settings
    from stemwright.studio.snapshot import JobSnapshot
    from stemwright.studio.studio import Studio
    from stemwright.studio.submit import Upload
    from stemwright.web.common import State

router = APIRouter()
_FILE: Final = "audio_file"
_KINDS: Final = {"mp3", "wav", "flac", "mov"}  # by first bytes; `mov` is what M4A is
_FORMATS: Final = ("mp3", "wav")
_STATUSES: Final = {415: 400, 422: 400}  # this server knows one status for what a client did wrong


class Uploaded(Record):
    """The answer to an upload."""

    job_id: str
    status: Status
    created_at: str | None
    model: str


class JobStatus(Record):
    """How far a job is; `download_url` and `error_message` are there at its end."""

    job_id: str
    status: Status
    progress: int
    message: str
    model: str
    created_at: str | None
    started_at: str | None
    estimated_completion: str | None
    completed_at: str | None
    download_url: str | None = None
    error_message: str | None = None


def create(state: State, settings: Settings, _home: Path) -> Door:
    """Open the door."""
    app = new_app(openapi_url=None)
    app.state.stemwright, app.state.demucs_web = state, settings
    problems.install(app, answer=_error)
    add_routes(app, router)
    app.add_api_route("/health", ops.health, methods=["GET", "HEAD"])
    app.mount("/socket.io", socket_io(state.feed).handle_request)
    app.mount("/", StaticFiles(directory=Path(__file__).parent / "static", html=True))
    return Door(app=app)


def _error(_request: Request, status: int, *, code: str, detail: str, **more: Any) -> JSONResponse:
    """An error as Flask's servers write it; the single fields are in `detail` already."""
    content = {"error": detail, "code": code}
    return JSONResponse(content, status_code=_STATUSES.get(status, status), headers=more.get("headers"))


@router.post("/api/upload")
async def upload(request: Request, studio: TheStudio, owner: Owner) -> Uploaded:
    """Take a song: its job."""
    config: Settings = request.app.state.demucs_web
    most, setting = min(
        (config.upload_max_bytes, "demucs_web.upload_max_bytes"), (studio.upload_max_bytes, "upload_max_bytes")
    )
    received = uploads.received(request, studio.incoming, room=studio.require_room, max_bytes=most, setting=setting)
    async with received as form:
        if not form.files or form.files[0][0] != _FILE:
            raise InvalidFieldsError([FieldProblem(field=_FILE, message="send the recording in this field")])
        job = await asyncio.to_thread(_submit, studio, form.files[0][1], form.fields, config=config, owner=owner)
    return Uploaded(
        job_id=uuid_of(job.id),
        status=status_of(job),
        created_at=whole(job.created_at),
        model=_model_of(job, studio),
    )


def _submit(studio: Studio, song: Upload, fields: Mapping[str, str], *, config: Settings, owner: str) -> JobSnapshot:
    """The job of an upload. Raises `InputError`s and `OptionError`s, and what `submit_upload` raises."""
    options = _options(studio, fields, config=config)
    check_kind(song)
    if sniff(song.path) not in _KINDS:
        raise UnsupportedInputError(f"{song.name}: send MP3, WAV, FLAC or M4A")
    return submit_upload(studio, song, JobRequest(options=options), owner=owner)[0]


def _options(studio: Studio, fields: Mapping[str, str], *, config: Settings) -> JobOptions:
    """What the fields ask for; an empty one counts as not sent. Raises `InvalidFieldsError`, `UnknownModelError`."""
    form = (fields.get("format") or _FORMATS[0]).lower()
    if form not in _FORMATS:
        raise InvalidFieldsError([FieldProblem(field="format", message=f"use {' or '.join(_FORMATS)}")])
    named = [name.strip() for name in (fields.get("stems") or "all").lower().split(",")]
    try:
        settings = {name: fields[name] for name in SeparationSettings.model_fields if fields.get(name)}
        return JobOptions.model_validate(
            settings
            | {
                "model": fields.get("model") or _default(studio, config.model),
                "stems": None if named == ["all"] else named,
                "format": form,
                "analysis": False,
            }
        )
    except ValidationError as error:
        raise InvalidFieldsError.of(error) from error


def _default(studio: Studio, model: str) -> str | None:
    """The model for who names none; None, which is the studio's, where it cannot be had."""
    try:
        studio.workers.check(model)
    except ModelUnavailableError:
        return None
    return model


def _model_of(job: JobSnapshot, studio: Studio) -> str:
    """The model that made a job's stems, or that is going to."""
    if job.result:
        return job.result.model
    return studio.workers.resolve(job.options.named(studio.config.model))


def _job(studio: Studio, uuid: str, *, owner: str) -> JobSnapshot:
    """A job. Raises `JobNotFoundError`."""
    try:
        return jobs.get_job(studio, job_id_of(uuid), owner=owner)
    except JobNotFoundError:
        raise JobNotFoundError("Job not found") from None


@router.get("/api/status/{uuid}", response_model_exclude_unset=True)
def status(request: Request, uuid: str, studio: TheStudio, owner: Owner) -> JobStatus:
    """How far a job is."""
    job = _job(studio, uuid, owner=owner)
    answer = JobStatus(
        job_id=uuid,
        status=status_of(job),
        progress=progress_of(job),
        message=message_of(job),
        model=_model_of(job, studio),
        created_at=whole(job.created_at),
        started_at=whole(job.started_at),
        estimated_completion=end_of(job),
        completed_at=whole(job.finished_at),
    )
    if answer.status == "completed":
        return answer.model_copy(update={"download_url": f"{request.scope.get('root_path', '')}/api/download/{uuid}"})
    if answer.status == "failed":
        return answer.model_copy(update={"error_message": message_of(job)})
    return answer


@router.api_route("/api/download/{uuid}", methods=["GET", "HEAD"])
async def download(request: Request, uuid: str, studio: TheStudio, owner: Owner) -> Response:
    """The stems as a zip, again and again until they expire."""
    job = await asyncio.to_thread(_job, studio, uuid, owner=owner)
    if job.status != "succeeded":
        raise ConflictError(f"there is nothing to download: the job is {status_of(job)}")
    if not job.result or not job.song_id:
        raise JobNotFoundError("the stems have expired; upload the song again")
    token = job.options.format.token
    zipping = files.zipped(studio, job.song_id, token, owner=owner, separation=job.result.separation, only_stems=True)
    length, _, pieces = await while_there(request, zipping)
    name = disposition(f"stems_{uuid}.zip", attachment=True)
    headers = {"Content-Length": str(length), "Content-Disposition": name.partition("; filename*")[0]}
    if request.method == "HEAD":
        return Response(headers=headers, media_type="application/zip")
    return StreamingResponse(pieces, media_type="application/zip", headers=headers)
