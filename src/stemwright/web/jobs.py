"""Routes of jobs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import ConfigDict, Field, ValidationError, model_validator

from stemwright.engine.settings import LISTS, listed
from stemwright.studio import jobs as use
from stemwright.studio import models
from stemwright.studio.options import JobOptions
from stemwright.studio.outbound import check_url
from stemwright.studio.snapshot import Status  # noqa: TC001  (FastAPI reads signatures)
from stemwright.studio.submit import JobRequest, resubmit, submit_announced, submit_song, submit_upload
from stemwright.web import schemas, uploads
from stemwright.web.bodies import kind_of, read_json
from stemwright.web.common import Id, Limit, Offset, Owner, Root, TheStudio, problems
from stemwright.web.links import job_out
from stemwright.web.problems import FieldProblem, InvalidFieldsError

if TYPE_CHECKING:
    from stemwright.records import JsonObject
    from stemwright.studio.snapshot import JobSnapshot

router = APIRouter(prefix="/api/v1", tags=["jobs"])


def _without_default(schema: JsonObject) -> None:
    """Leave out of a field's description that it may be empty: one of two is given."""
    schema.pop("default", None)


class SongJobRequest(JobOptions):
    """A job for a song of the library, or for a file that was announced and sent (`POST /uploads`)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"song_id": "019a8c0f2b00a1b2c3d4e5f6a7b8", "model": "auto", "format": "mp3", "preview": True}
            ],
            "oneOf": [{"required": ["song_id"]}, {"required": ["upload_id"]}],
        }
    )

    song_id: str = Field(default="", min_length=1, max_length=64, json_schema_extra=_without_default)
    upload_id: str = Field(
        default="",
        min_length=1,
        max_length=64,
        description="Of a file that has been sent; once it is submitted, its song has it.",
        json_schema_extra=_without_default,
    )
    callback_url: str | None = Field(default=None, max_length=2048, description="Is told of each stage; see the docs.")

    @model_validator(mode="after")
    def _one_of_both(self) -> SongJobRequest:
        if bool(self.song_id) == bool(self.upload_id):
            raise ValueError("give either `song_id` or `upload_id`")
        return self


class _Fields(JobOptions):
    """The fields of a form: texts, an empty one as if it were not there."""

    callback_url: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_form(cls, fields: dict[str, str]) -> dict[str, object]:
        given = {name: text for name, text in fields.items() if text != ""}
        return {name: listed(text) if name in LISTS else text for name, text in given.items()}


def _form_schema() -> JsonObject:
    schema = JobOptions.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    properties = schema["properties"]
    for name in LISTS:
        properties[name] = {"type": "string", "description": f"{properties[name]['description']} With commas between."}
    properties["callback_url"] = {"type": "string", "maxLength": 2048}
    properties["file"] = {"type": "string", "format": "binary", "description": "The recording."}
    return {**schema, "title": "UploadRequest", "description": "A song, and what to do with it.", "required": ["file"]}


_BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": _form_schema()},
            "application/json": {"schema": {"$ref": "#/components/schemas/SongJobRequest"}},
        },
    }
}


@router.post(
    "/jobs",
    status_code=202,
    response_model=schemas.JobOut,
    responses={
        **problems(404, 408, 409, 413, 415, 503, 507),
        200: {"model": schemas.JobOut, "description": "The stems are there already, or the request was repeated."},
    },
    openapi_extra=_BODY,
)
async def create_job(
    request: Request,
    studio: TheStudio,
    owner: Owner,
    root: Root,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=255)] = None,
) -> Response:
    """Upload a song (multipart), or name one of the library or an upload (JSON), and have it taken apart.

    202 with a job that is queued; 200 with one that is ready when the same stems have been made before, or when the
    request repeats an earlier one by its `Idempotency-Key`.
    """
    if kind_of(request) == "application/json":
        wanted = await read_json(request, SongJobRequest)
        asked = _asked(wanted, callback_url=wanted.callback_url, key=idempotency_key)
        submit, which = (submit_song, wanted.song_id) if wanted.song_id else (submit_announced, wanted.upload_id)
        return _accepted(*await asyncio.to_thread(submit, studio, which, asked, owner=owner), root=root)
    async with uploads.received(
        request, studio.incoming, room=studio.require_room, max_bytes=studio.upload_max_bytes
    ) as form:
        try:
            fields = _Fields.model_validate(form.fields)
        except ValidationError as error:
            raise InvalidFieldsError.of(error) from error
        if not form.files or form.files[0][0] != "file":
            raise InvalidFieldsError([FieldProblem(field="file", message="send the recording in this field")])
        asked = _asked(fields, callback_url=fields.callback_url, key=idempotency_key)
        return _accepted(
            *await asyncio.to_thread(submit_upload, studio, form.files[0][1], asked, owner=owner), root=root
        )


def _asked(options: JobOptions, *, callback_url: str | None, key: str | None) -> JobRequest:
    plain = JobOptions.model_validate(options.model_dump(include=set(JobOptions.model_fields)))
    url = check_url(callback_url) if callback_url else None
    return JobRequest(options=plain, callback_url=url, idempotency_key=key)


def _accepted(snapshot: JobSnapshot, new: bool, *, root: str) -> JSONResponse:  # noqa: FBT001  (as the studio gives it)
    job, status = job_out(snapshot, root=root), 200 if snapshot.status == "succeeded" or not new else 202
    return JSONResponse(job.model_dump(mode="json"), status_code=status, headers={"Location": job.links.self})


@router.get("/jobs", response_model=schemas.JobPage, responses=problems())
def list_jobs(
    studio: TheStudio,
    owner: Owner,
    root: Root,
    status: Status | None = None,
    song_id: Annotated[str | None, Query(max_length=64)] = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> Any:
    """Jobs, newest first."""
    items, total = use.list_jobs(studio, owner=owner, status=status, song_id=song_id, limit=limit, offset=offset)
    return schemas.JobPage(items=[job_out(item, root=root) for item in items], total=total)


@router.get("/jobs/{job_id}", response_model=schemas.JobOut, responses=problems(404))
def get_job(job_id: Id, studio: TheStudio, owner: Owner, root: Root) -> Any:
    """One job."""
    return job_out(use.get_job(studio, job_id, owner=owner), root=root)


@router.delete("/jobs/{job_id}", response_model=schemas.JobOut, responses=problems(404, 409))
def cancel_job(job_id: Id, studio: TheStudio, owner: Owner, root: Root) -> Any:
    """Cancel a job. What others wait for too goes on for them."""
    return job_out(use.cancel_job(studio, job_id, owner=owner), root=root)


@router.post(
    "/jobs/{job_id}/retry",
    status_code=202,
    response_model=schemas.JobOut,
    responses={
        **problems(404, 409, 503, 507),
        200: {"model": schemas.JobOut, "description": "The stems are there already."},
    },
)
def retry_job(job_id: Id, studio: TheStudio, owner: Owner, root: Root) -> Response:
    """Try a job that failed or was cancelled once more, under the same id; 200 when its stems are there already."""
    return _accepted(resubmit(studio, job_id, owner=owner), True, root=root)


@router.get("/jobs/{job_id}/callbacks", response_model=schemas.DeliveryList, responses=problems(404))
def list_callbacks(job_id: Id, studio: TheStudio, owner: Owner) -> Any:
    """Every try to call the job's `callback_url`."""
    return {"items": use.list_deliveries(studio, job_id, owner=owner)}


@router.get("/queue", response_model=schemas.QueueOut, responses=problems())
def get_queue(studio: TheStudio) -> Any:
    """What is running and waiting."""
    return use.queue_state(studio)


@router.get("/limits", response_model=schemas.LimitsOut, responses=problems())
async def get_limits(studio: TheStudio) -> Any:
    """The largest and longest files that the studio takes, so that a client can tell before it uploads."""
    return {
        "upload_max_bytes": studio.upload_max_bytes,
        "midi_max_bytes": min(studio.upload_max_bytes, studio.config.midi_max_bytes),
        "max_duration": studio.config.limits.duration,
        "direct_uploads": studio.store.upload_origin is not None,
    }


@router.get("/models", response_model=schemas.ModelList, responses=problems())
def get_models(studio: TheStudio) -> Any:
    """The models, and what they cost on this machine."""
    return models.list_models(studio)


@router.get("/strategies", response_model=schemas.StrategyList, responses=problems())
def get_strategies(studio: TheStudio) -> Any:
    """The strategies, trees of models: what each gives, downloads, and costs on this machine."""
    return {"items": models.list_strategies(studio)}
