"""Routes: what Drumalong's client asks, put to the studio."""

from __future__ import annotations

import asyncio
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final, Literal

from fastapi import APIRouter, Request, Response, WebSocket

from stemwright.doors.door import Door
from stemwright.doors.drumalong.progress import Status, Telling, message_of, stage_of, status_of
from stemwright.errors import JobNotFoundError, StemwrightError
from stemwright.records import Record, iso
from stemwright.studio import charts, jobs
from stemwright.studio.options import AudioFormat, JobOptions, Priority
from stemwright.studio.snapshot import shown
from stemwright.studio.studio import LOCAL
from stemwright.studio.submit import JobRequest, submit_upload
from stemwright.web import ops, problems, push, ranges, uploads
from stemwright.web.bodies import while_there
from stemwright.web.common import Owner, TheStudio, add_routes, new_app
from stemwright.web.problems import FieldProblem, InvalidFieldsError

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import HTTPConnection

    from stemwright.doors.drumalong.settings import Settings
    from stemwright.records import JsonObject
    from stemwright.studio.charts import Charted
    from stemwright.studio.snapshot import JobSnapshot
    from stemwright.studio.studio import Studio
    from stemwright.web.common import State

router = APIRouter()
_REQUEST: Final = JobRequest(
    options=JobOptions(
        stems=("drums",), format=AudioFormat.wav, transcribe=True, analysis=False, priority=Priority.high
    )
)
_HASH: Final = re.compile(r"[0-9a-f]{64}")


class Song(Record):
    """A row of Drumalong's table of songs."""

    id: int  # a whole number, as there
    audio_hash: str
    original_filename: str
    original_format: str | None
    duration_seconds: float
    sample_rate: int
    bpm: float | None
    onset_count: int
    created_at: str
    processing_time_seconds: float


class Onset(Record):
    """A hit."""

    time: float
    lane: int
    type: str
    confidence: float


class SongResults(Song):
    """A song and its files."""

    drums_url: str
    midi_url: str
    onsets_url: str
    onsets: list[Onset]


class Known(Record):
    """The answer for a song that was known."""

    job_id: str
    status: Literal["complete"] = "complete"
    cached: Literal[True] = True
    results: SongResults


class Begun(Record):
    """The answer for a song that is new: where to follow its job."""

    job_id: str
    websocket_url: str


class JobStatus(Record):
    """How far a job is; `results` are there at its end, or `error_message`."""

    job_id: str
    status: Status
    stage: str
    progress_percent: int
    message: str = ""
    error_message: str = ""
    cached: bool = False
    results: SongResults | None = None


def create(state: State, settings: Settings, _home: Path) -> Door:
    """Open the door."""
    app = new_app(openapi_url=None)
    app.state.stemwright, app.state.drumalong = state, settings
    problems.install(app)
    add_routes(app, router)
    app.add_api_route("/health", ops.health, methods=["GET", "HEAD"])
    return Door(app=app)


def _base(asked: HTTPConnection) -> str:
    """Where the client finds this door."""
    settings: Settings = asked.app.state.drumalong
    if settings.public_url:
        return settings.public_url
    scheme = {"ws": "http", "wss": "https"}.get(asked.url.scheme, asked.url.scheme)
    return f"{scheme}://{asked.url.netloc}{asked.scope.get('root_path', '')}"


@router.post("/api/v1/process")
async def process(request: Request, studio: TheStudio, owner: Owner) -> Known | Begun:
    """Take a song: a job and where to follow it, or the results of a song that was known."""
    received = uploads.received(request, studio.incoming, room=studio.require_room, max_bytes=studio.upload_max_bytes)
    async with received as form:
        if not form.files:
            raise InvalidFieldsError([FieldProblem(field="file", message="send the recording as a file")])
        job, _ = await asyncio.to_thread(submit_upload, studio, form.files[0][1], _REQUEST, owner=owner)
    if job.status == "succeeded":
        results, _ = await asyncio.to_thread(_results, studio, job.id, base=_base(request), owner=owner)
        return Known(job_id=job.id, results=results)
    socket = _base(request).replace("http", "ws", 1)
    return Begun(job_id=job.id, websocket_url=f"{socket}/api/v1/ws/{job.id}")


@router.get("/api/v1/status/{job_id}", response_model_exclude_unset=True)
def status(request: Request, job_id: str, studio: TheStudio, owner: Owner) -> JobStatus:
    """How far a job is, and what came of it."""
    job = jobs.get_job(studio, job_id, owner=owner)
    stage, percent = stage_of(job)
    answer = JobStatus(job_id=job_id, status=status_of(job), stage=stage, progress_percent=percent)
    if answer.status == "failed":
        return answer.model_copy(update={"error_message": message_of(job)})
    if answer.status != "complete":
        return answer.model_copy(update={"message": message_of(job)})
    results, cached = _results(studio, job_id, base=_base(request), owner=owner)
    done = {"message": message_of(job, cached=cached), "cached": cached, "results": results}
    return answer.model_copy(update=done)


def _results(studio: Studio, job_id: str, *, base: str, owner: str) -> tuple[SongResults, bool]:
    """What a job has made, and whether that was there before. Raises `JobNotFoundError`."""
    charted, cached = charts.charted_by(studio, job_id, owner=owner)
    files, digest = f"{base}/api/v1/files", charted.pcm_digest
    results = SongResults(
        **dict(_song(charted)),
        drums_url=f"{files}/drums/{digest}.wav",
        midi_url=f"{files}/midi/{digest}.mid",
        onsets_url=f"{files}/onsets/{digest}.json",
        onsets=_onsets(studio, charted, owner=owner),
    )
    return results, cached


def _onsets(studio: Studio, charted: Charted, *, owner: str) -> list[Onset]:
    fields = Onset.model_fields
    found = charts.onsets_of(studio, charted, owner=owner)
    return [Onset.model_validate({name: onset[name] for name in fields}) for onset in found]


def _song(charted: Charted) -> Song:
    return Song(
        id=int(charted.song_id[:15], 16),  # milliseconds and chance: JSON keeps 53 bits
        audio_hash=charted.pcm_digest,
        original_filename=charted.file_name,
        original_format=PurePosixPath(charted.file_name).suffix.lstrip(".").lower() or None,
        duration_seconds=round(charted.duration, 3),
        sample_rate=charted.sample_rate,
        bpm=charted.bpm,
        onset_count=charted.onsets,
        created_at=iso(charted.created_at),
        processing_time_seconds=round(charted.elapsed, 2),
    )


@router.websocket("/api/v1/ws/{job_id}")
async def follow(socket: WebSocket, job_id: str) -> None:
    """Every stage of a job, up to its end; then the server closes."""
    state: State = socket.app.state.stemwright
    telling = Telling()

    async def translate(job: JobSnapshot) -> list[JsonObject]:
        cached = False
        if job.status == "succeeded":
            _, cached = await asyncio.to_thread(charts.charted_by, state.studio, job_id, owner=LOCAL)
        return [message.model_dump(exclude_none=True) for message in telling.messages(job, cached=cached)]

    await push.push(socket, state.feed.job(job_id, owner=LOCAL), translate=translate, problem=_failure)


def _failure(error: StemwrightError) -> JsonObject:
    return {"stage": "failed", "progress": 0, "message": shown(error.code, error.message)}


@router.get("/api/v1/songs")
def list_songs(studio: TheStudio, owner: Owner) -> list[Song]:
    """Every song that was processed, newest first."""
    return [_song(one) for one in charts.list_charted(studio, owner=owner)]


@router.delete("/api/v1/songs/{digest}")
def delete_song(digest: str, studio: TheStudio, owner: Owner) -> dict[str, str]:
    """Forget a song and its files."""
    charts.delete_charted(studio, _checked(digest), owner=owner)
    return {"status": "deleted", "audio_hash": digest}


@router.api_route("/api/v1/files/drums/{digest}.wav", methods=["GET", "HEAD"])
async def drums(request: Request, digest: str, studio: TheStudio, owner: Owner) -> Response:
    """The drum stem."""
    charted = await asyncio.to_thread(charts.find_charted, studio, _checked(digest), owner=owner)
    made = await while_there(request, charts.drums_file(studio, charted, "wav", owner=owner))
    return ranges.serve(request, studio.store, made)


@router.api_route("/api/v1/files/midi/{digest}.mid", methods=["GET", "HEAD"])
def midi(request: Request, digest: str, studio: TheStudio, owner: Owner) -> Response:
    """The chart as MIDI."""
    charted = charts.find_charted(studio, _checked(digest), owner=owner)
    return ranges.serve(request, studio.store, charts.chart_file(studio, charted, "midi", owner=owner))


@router.get("/api/v1/files/onsets/{digest}.json")
def onsets(digest: str, studio: TheStudio, owner: Owner) -> list[Onset]:
    """The hits of the chart."""
    return _onsets(studio, charts.find_charted(studio, _checked(digest), owner=owner), owner=owner)


def _checked(digest: str) -> str:
    """A digest as we write it. Raises `JobNotFoundError`."""
    if not _HASH.fullmatch(digest):
        raise JobNotFoundError("there is no such song")
    return digest
