"""Routes of the web app's job API: submit, poll, cancel; and results by links that run out."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from stemwright.doors.door import Door
from stemwright.doors.runpod.config import config_of
from stemwright.doors.runpod.contract import SeparationConfig, SeparationJob, model_of, stems_of
from stemwright.doors.runpod.jobs import Jobs
from stemwright.doors.runpod.results import ResultStore
from stemwright.errors import JobNotFoundError, NotFoundError, StemwrightError
from stemwright.studio.fetch import fetch_upload
from stemwright.studio.pool import run_in_pool
from stemwright.web import ops, problems, uploads
from stemwright.web.bodies import kind_of, read_json
from stemwright.web.common import Owner, TheStudio, add_routes, new_app
from stemwright.web.problems import FieldProblem, InvalidFieldsError
from stemwright.web.ranges import serve

if TYPE_CHECKING:
    from pathlib import Path

    from stemwright.doors.runpod.config import Config
    from stemwright.doors.runpod.settings import Settings
    from stemwright.web.common import State

router = APIRouter()
_SWEEP: Final = 3600.0  # seconds between two looks for results that have expired
_AGAIN: Final = 60.0  # seconds after a look that failed
_STATUSES: Final = {415: 400, 422: 400}  # such clients know one status for what they did wrong
log = structlog.get_logger("stemwright.doors.runpod")


class _Wanted(BaseModel):
    """A job for a recording elsewhere."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)

    audio_url: str
    config: SeparationConfig = SeparationConfig()


def create(state: State, settings: Settings, home: Path) -> Door:
    """Open the door."""
    jobs = state.studio.config
    config = config_of(settings, keep_seconds=jobs.results_seconds, allow=jobs.callback_allow)
    app = new_app(openapi_url=None)
    store = ResultStore(state.studio.store, config, home=home)
    app.state.stemwright, app.state.runpod, app.state.store = state, config, store
    app.state.jobs = Jobs(state.studio, store, config)
    problems.install(app, answer=_error)
    add_routes(app, router)
    app.add_api_route("/health", ops.health, methods=["GET", "HEAD"])

    async def run() -> None:
        """Take over what earlier editions kept elsewhere; delete results that have expired."""
        while True:
            pause = _SWEEP
            try:
                await run_in_pool(app.state.jobs.adopt)
                if config.keep_seconds:
                    gone = await run_in_pool(app.state.jobs.sweep, older_than=time.time() - config.keep_seconds)
                    log.debug("swept", objects=gone)
            except StemwrightError as error:  # the store or the database is away: next time
                log.warning("results could not be swept", code=error.code, reason=error.message)
                pause = _AGAIN
            await asyncio.sleep(pause)

    return Door(app=app, run=run)


def _error(_request: Request, status: int, *, code: str, detail: str, **more: Any) -> JSONResponse:
    """An error as Node's servers write it; the single fields are in `detail` already."""
    content = {"error": detail, "code": code}
    return JSONResponse(content, status_code=_STATUSES.get(status, status), headers=more.get("headers"))


def _jobs(request: Request) -> Jobs:
    jobs: Jobs = request.app.state.jobs
    return jobs


def _base(request: Request) -> str:
    """Where the client sees this door."""
    return f"{request.url.scheme}://{request.url.netloc}{request.scope.get('root_path', '')}"


@router.post("/jobs", status_code=202, response_model_exclude_none=True)
async def submit(request: Request, studio: TheStudio, owner: Owner) -> SeparationJob:
    """Take a recording, sent (multipart) or elsewhere (JSON), and what is wanted: its `StemSeparationJob`."""
    door: Config = request.app.state.runpod
    if kind_of(request) == "application/json":
        wanted = await read_json(request, _Wanted)
        _check(wanted.config, door, repo=studio.config.repo)
        studio.require_room()
        upload = await fetch_upload(
            wanted.audio_url,
            studio.incoming,
            max_bytes=studio.upload_max_bytes,
            room=studio.require_room,
            allow=door.allow,
        )
        return await _jobs(request).submit(upload, wanted.config, owner=owner, base=_base(request))
    received = uploads.received(request, studio.incoming, room=studio.require_room, max_bytes=studio.upload_max_bytes)
    async with received as form:
        try:
            config = SeparationConfig.model_validate_json(form.fields.get("config") or "{}")
        except ValidationError as error:
            raise InvalidFieldsError.of(error) from error
        if not form.files or form.files[0][0] != "file":
            raise InvalidFieldsError([FieldProblem(field="file", message="send the recording in this field")])
        return await _jobs(request).submit(form.files[0][1], config, owner=owner, base=_base(request))


def _check(config: SeparationConfig, door: Config, *, repo: Path | None) -> None:
    """Refuse what no model here has before a recording is fetched. Raises `UnknownStemError`, `UnknownModelError`."""
    stems_of(config, model_of(config, door.models), repo=repo)


@router.get("/jobs/{job_id}", response_model_exclude_none=True)
async def poll(request: Request, job_id: str, owner: Owner) -> SeparationJob:
    """How far a job is, and its results."""
    return await _jobs(request).look(job_id, owner=owner, base=_base(request))


@router.delete("/jobs/{job_id}", response_model_exclude_none=True)
async def cancel(request: Request, job_id: str, owner: Owner) -> SeparationJob:
    """Cancel a job; it has failed then."""
    return await _jobs(request).cancel(job_id, owner=owner, base=_base(request))


@router.api_route("/files/{key:path}", methods=["GET", "HEAD"])
def result(request: Request, key: str, expires: str = "", signature: str = "") -> Response:
    """A result, by a link of ours."""
    store: ResultStore = request.app.state.store
    try:
        file = store.find(key, expires=expires, signature=signature)
    except NotFoundError:
        file = None
    if file is None:
        raise JobNotFoundError("there is no such file, or its link has run out")
    return serve(request, store.objects, file)
