"""Routes of the analysis server (`/jobs`, `/health`) and of the app server (`/api/…`)."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from stemwright.doors.mismo import messages
from stemwright.records import Record
from stemwright.studio import tracks
from stemwright.studio.options import Priority
from stemwright.studio.outbound import check_url
from stemwright.studio.studio import LOCAL
from stemwright.web.bodies import read_json

if TYPE_CHECKING:
    from stemwright.doors.mismo.requests import Requests
    from stemwright.studio.tracks import TrackView

router = APIRouter()
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$")]  # it becomes a folder's name


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Stages(_Body):
    """What is wanted of a recording."""

    basic_features: bool = False
    characteristics: bool = False
    stems: bool = False


class JobBody(_Body):
    """What the app server sends to the analysis server."""

    file_path: str = Field(min_length=1, max_length=4096)
    track_hash: Name
    options: Stages
    callback_url: str | None = Field(default=None, max_length=2048)
    stem_delivery_mode: Literal["path"] = "path"
    priority: Literal["high", "normal", "low"] = "normal"


class RequestBody(_Body):
    """An analysis of a track of the library."""

    trackId: str = Field(min_length=1, max_length=64)  # noqa: N815  (its name in the protocol)
    options: Stages
    priority: Literal["high", "normal", "low"] = "normal"


class CallbackBody(_Body):
    """What an analysis server tells the app server."""

    job_id: Name
    stage: Literal["basic_features", "characteristics", "stems"]
    status: Literal["completed", "failed"]


class Accepted(Record):
    """The answer of the analysis server to a job."""

    job_id: str
    status: Literal["queued"] = "queued"


class Analysing(Accepted):
    """The answer of the app server to a job."""

    success: Literal[True] = True


class Received(Record):
    """The answer to a callback."""

    success: Literal[True] = True
    received: Literal[True] = True


class QueueAnswer(Record):
    """The queue."""

    queued: int
    processing: int
    max_concurrent_jobs: int
    available_slots: int
    jobs: list[messages.JobAnswer]


class Directory(Record):
    """A folder that the operator listed."""

    id: str
    path: str
    track_count: int


class Directories(Record):
    """The folders that the operator listed."""

    directories: list[Directory]


class Scanned(Record):
    """What a look through the folders found."""

    success: Literal[True] = True
    new: int
    changed: int
    gone: int


class Track(messages.BasicFeatures, messages.Characteristics):
    """A track of the library, and what is known of it."""

    id: str
    library_directory_id: str
    relative_path: str
    file_path: str
    file_size: int
    track_hash: str | None


class Tracks(Record):
    """A page of tracks."""

    tracks: list[Track]
    total: int


def _requests(request: Request) -> Requests:
    requests: Requests = request.app.state.mismo
    return requests


@router.post("/jobs", status_code=202)
async def create_job(request: Request) -> Accepted:
    """Have a file of the library analysed."""
    body = await read_json(request, JobBody)
    url = check_url(body.callback_url) if body.callback_url else None
    entry = await _requests(request).analyse(
        body.file_path,
        stages=body.options.model_dump(),
        priority=Priority(body.priority),
        name=body.track_hash,
        kind="callback",
        callback_url=url,
        delivery=body.stem_delivery_mode,
    )
    return Accepted(job_id=entry.name)


@router.get("/jobs/{job_id}", response_model_exclude_unset=True)
@router.get("/api/analysis/jobs/{job_id}", response_model_exclude_unset=True)
async def get_job(request: Request, job_id: str) -> messages.JobAnswer:
    """How far a job is, and what it has found."""
    return await _requests(request).job(job_id[:128])


@router.api_route("/health", methods=["GET", "HEAD"])
async def health(request: Request) -> JSONResponse:
    """Whether work can be done."""
    requests = _requests(request)
    alive = request.app.state.stemwright.config.executor
    well = alive is None or alive()
    facts = {
        "status": "healthy" if well else "unhealthy",
        "demucs_model": requests.studio.config.model,
        "demucs_device": requests.config.device,
        "max_concurrent_jobs": requests.config.slots,
    }
    return JSONResponse(facts, status_code=200 if well else 503)


@router.get("/api/analysis/queue", response_model_exclude_unset=True)
async def queue(request: Request) -> QueueAnswer:
    """The tracks that are analysed and that wait, in the order of the work."""
    requests = _requests(request)
    live = await requests.queue()
    processing = sum(one.status == "processing" for one in live)
    return QueueAnswer(
        queued=len(live) - processing,
        processing=processing,
        max_concurrent_jobs=requests.config.slots,
        available_slots=max(0, requests.config.slots - processing),
        jobs=live,
    )


@router.post("/api/analysis/jobs", status_code=202)
async def request_analysis(request: Request) -> Analysing:
    """Have a track of the library analysed."""
    body = await read_json(request, RequestBody)
    requests = _requests(request)
    track = await requests.look(body.trackId)
    entry = await requests.analyse(
        str(track.path),
        stages=body.options.model_dump(),
        priority=Priority(body.priority),
        name=None,
        track_id=track.id,
    )
    return Analysing(job_id=entry.name)


@router.post("/api/analysis/callback")
async def callback(request: Request) -> Received:
    """Take note that a job has moved. What it came to is looked up, not believed: paths go to the audio engine."""
    body = await read_json(request, CallbackBody)
    requests = _requests(request)
    await requests.job(body.job_id)
    requests.dispatcher.wake(everything=True)
    return Received()


@router.get("/api/library/directories")
async def directories(request: Request) -> Directories:
    """The folders that the operator listed."""
    requests = _requests(request)
    counts = await asyncio.to_thread(tracks.count_tracks, requests.studio, owner=LOCAL)
    found = [
        Directory(id=_directory_id(str(root)), path=str(root), track_count=counts.get(str(root), 0))
        for root in requests.config.roots
    ]
    return Directories(directories=found)


@router.post("/api/library/scan")
async def scan(request: Request) -> Scanned:
    """Look through the folders now."""
    found = await _requests(request).scan()
    return Scanned(new=found["new"], changed=found["changed"], gone=found["gone"])


@router.get("/api/tracks")
async def list_tracks(
    request: Request,
    search: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, le=1_000_000_000)] = 0,
) -> Tracks:
    """The tracks of the library, by path."""
    requests = _requests(request)
    found, total = await asyncio.to_thread(
        tracks.list_tracks,
        requests.studio,
        roots=requests.config.roots,
        search=search,
        limit=limit,
        offset=offset,
        owner=LOCAL,
    )
    return Tracks(tracks=[_track(track) for track in found], total=total)


@router.get("/api/tracks/{track_id}")
async def get_track(request: Request, track_id: str) -> Track:
    """A track, and what is known of it."""
    requests = _requests(request)
    return _track(
        await asyncio.to_thread(
            tracks.get_track, requests.studio, track_id[:64], roots=requests.config.roots, owner=LOCAL
        )
    )


def _directory_id(path: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"file://{path}"))


def _track(track: TrackView) -> Track:
    return Track(
        id=track.id,
        library_directory_id=_directory_id(track.root),
        relative_path=track.relative_path,
        file_path=str(track.path),
        file_size=track.size_bytes,
        track_hash=track.source_digest,
        **dict(messages.basic_features(track.found)),
        **dict(messages.characteristics(track.found)),
    )
