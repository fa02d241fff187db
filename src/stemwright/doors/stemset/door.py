"""Routes: what Stemset's web player and its workers ask, put to the studio and the folder `media`."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import BaseModel, ConfigDict

from stemwright.doors.door import Door
from stemwright.doors.stemset.jobs import Note, Uploads
from stemwright.doors.stemset.load import door_config
from stemwright.doors.stemset.media import METADATA, Media, recording_id
from stemwright.errors import NotFoundError, StemwrightError
from stemwright.records import Record, iso
from stemwright.studio.alone import run_alone
from stemwright.studio.files import Served
from stemwright.studio.store.objects import ObjectStore, Storage
from stemwright.studio.studio import LOCAL
from stemwright.web import ops, problems, uploads
from stemwright.web.bodies import pieces
from stemwright.web.common import TheStudio, add_routes, new_app, state_of
from stemwright.web.problems import FieldProblem, InvalidFieldsError
from stemwright.web.ranges import serve

if TYPE_CHECKING:
    from pathlib import Path

    from stemwright.doors.stemset.config import DoorConfig, Profile, Stemset
    from stemwright.doors.stemset.media import Recording
    from stemwright.doors.stemset.settings import Settings
    from stemwright.web.common import State

_STATUSES: Final = {415: 400, 422: 400}  # Litestar's `ValidationException`
_MOST: Final = 65_536  # bytes of a call-back
_MEDIA: Final = {
    ".flac": "audio/flac",
    ".json": "application/json",
    ".m4a": "audio/mp4",
    ".mp3": "audio/mpeg",
    ".opus": "audio/ogg",
    ".png": "image/png",
    ".wav": "audio/wav",
}


class SignatureError(StemwrightError):
    """A call-back is not signed by the worker."""

    code = "bad_signature"
    status = 401


class User(Record):
    """Somebody who is signed in."""

    id: str
    name: str
    email: str
    picture: str | None = None


class AuthStatus(Record):
    """Who is signed in."""

    authenticated: bool
    user: User


class ProfileAnswer(Record):
    """A profile."""

    name: str
    source_folder: str


class StemAnswer(BaseModel):
    """A stem: what `metadata.json` says of it, and where it is."""

    model_config = ConfigDict(frozen=True, extra="allow")

    audio_url: str
    waveform_url: str


class SongAnswer(Record):
    """A recording, or an upload on its way to be one."""

    id: str
    name: str
    display_name: str
    stems: list[StemAnswer]
    created_at: str
    status: Literal["processing", "complete", "error"] | None


class JobAnswer(Record):
    """`JobStatusResponse`."""

    job_id: str
    profile_name: str
    output_name: str
    filename: str
    status: Literal["processing", "complete", "error"]
    stems: tuple[str, ...] | None
    error: str | None


router = APIRouter()


def create(state: State, settings: Settings, home: Path) -> Door:
    """Open the door. Raises `ConfigFileError`, `UntrustedFileError`."""
    config = door_config(settings, state.studio.config, home=home)
    app = new_app(openapi_url=None)
    app.state.stemwright, app.state.config = state, config
    app.state.uploads, app.state.media, app.state.objects = None, None, None
    if config.stemset:
        app.state.uploads = Uploads(state.studio, config, config.stemset, owner=LOCAL)
        app.state.media = Media(config.stemset.media)
        app.state.objects = ObjectStore(Storage(url=f"file://{config.stemset.media}"))
    problems.install(app, answer=_error)
    add_routes(app, router)
    app.add_api_route("/health", ops.health, methods=["GET", "HEAD"])
    uploads: Uploads | None = app.state.uploads
    return Door(app=app, run=partial(run_alone, state.studio, "stemset", uploads.run) if uploads else None)


def _error(_request: Request, status: int, *, code: str, detail: str, **more: Any) -> JSONResponse:
    """An error as Litestar writes it; the single fields are in `detail` already."""
    status = _STATUSES.get(status, status)
    content = {"status_code": status, "detail": detail, "code": code}
    return JSONResponse(content, status_code=status, headers=more.get("headers"))


def _stemset(request: Request) -> Stemset:
    config: DoorConfig = request.app.state.config
    if config.stemset is None:
        raise NotFoundError("there are no profiles: no config.yaml is set")
    return config.stemset


def _recording(request: Request, profile: str, name: str) -> Recording:
    """A recording. Raises `NotFoundError`."""
    _stemset(request).profile(profile)
    media: Media = request.app.state.media
    if (found := media.find(profile, name)) is None:
        raise NotFoundError(f"File '{name[:200]}' not found")
    return found


def _file(request: Request, recording: Recording, name: str) -> Response:
    """A file of a recording, whole or in part. Raises `NotFoundError`."""
    path = recording.file(name)
    if path is None or not path.is_file():
        raise NotFoundError(f"File '{name[:200]}' not found")
    status = path.stat()
    file = Served(
        object_key=str(path.relative_to(_stemset(request).media)),
        size_bytes=status.st_size,
        digest=f"{status.st_mtime_ns:x}-{status.st_size:x}",
        media_type=_MEDIA.get(path.suffix, "application/octet-stream"),
        file_name=f"{recording.name} - {name}",
    )
    answer = serve(request, request.app.state.objects, file)
    if state_of(request).config.cors_origins:  # a player elsewhere shows pictures and plays stems by their addresses
        answer.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return answer


@router.get("/auth/status")
def auth_status() -> AuthStatus:
    """Who is signed in: everybody, as nobody can sign in yet."""
    return AuthStatus(authenticated=True, user=User(id="dev-user", name="Development User", email="dev@localhost"))


@router.get("/auth/login")
def auth_login(request: Request) -> Response:
    """Sign in: there is nothing to do."""
    return RedirectResponse(f"{request.scope.get('root_path', '')}/", status_code=302)


@router.get("/auth/logout")
def auth_logout() -> dict[str, bool]:
    """Sign out."""
    return {"success": True}


@router.get("/api/profiles")
def get_profiles(request: Request) -> list[ProfileAnswer]:
    """All profiles."""
    config: DoorConfig = request.app.state.config
    return [_profile(profile) for profile in (config.stemset.profiles if config.stemset else ())]


@router.get("/api/profiles/{name}")
def get_profile(request: Request, name: str) -> ProfileAnswer:
    """One profile."""
    return _profile(_stemset(request).profile(name))


def _profile(profile: Profile) -> ProfileAnswer:
    return ProfileAnswer(name=profile.name, source_folder=profile.source_folder)


@router.get("/api/profiles/{name}/files", response_model_exclude_unset=True)
def get_files(request: Request, name: str) -> list[SongAnswer]:
    """What a profile has: what is under way or failed first, then recordings, newest first."""
    _stemset(request).profile(name)
    media: Media = request.app.state.media
    jobs: Uploads = request.app.state.uploads
    root = request.scope.get("root_path", "")
    done = media.recordings(name)
    names = {recording.name for recording in done}
    return [
        *(_waiting(note) for note in jobs.under_way(name) if note.output_name not in names),
        *(_with_stems(name, recording, root) for recording in done),
    ]


def _waiting(note: Note) -> SongAnswer:
    name = note.output_name
    return SongAnswer(
        id=recording_id(note.profile_name, name),
        name=name,
        display_name=name,
        stems=[],
        created_at=iso(note.created_at),
        status=note.status,
    )


def _with_stems(profile: str, recording: Recording, root: str) -> SongAnswer:
    name, facts = recording.name, recording.facts
    songs, files = f"{root}/api/profiles/{profile}/songs/{quote(name)}", f"{root}/media/{profile}/{quote(name)}"
    stems = [
        StemAnswer.model_validate(
            stem.model_dump(exclude_unset=True, exclude={"stem_url"})
            | {
                "audio_url": f"{files}/{quote(stem.stem_url)}",
                "waveform_url": f"{songs}/stems/{quote(key)}/waveform",
            }
        )
        for key, stem in facts.stems.items()
    ]
    return SongAnswer(
        id=recording_id(profile, name),
        name=name,
        display_name=facts.display_name or name,
        stems=stems,
        created_at=facts.created_at,
        status=None,
    )


@router.api_route("/api/profiles/{name}/files/{file}/metadata", methods=["GET", "HEAD"])
def get_metadata(request: Request, name: str, file: str) -> Response:
    """`metadata.json` of a recording."""
    return _file(request, _recording(request, name, file), METADATA)


@router.api_route("/api/profiles/{name}/songs/{song}/stems/{stem}/waveform", methods=["GET", "HEAD"])
def get_waveform(request: Request, name: str, song: str, stem: str) -> Response:
    """The picture of a stem."""
    recording = _recording(request, name, song)
    if stem not in recording.facts.stems:
        raise NotFoundError(f"Stem '{stem[:64]}' not found")
    return _file(request, recording, recording.facts.stems[stem].waveform_url)


@router.api_route("/media/{name}/{song}/{file}", methods=["GET", "HEAD"])
def get_media(request: Request, name: str, song: str, file: str) -> Response:
    """A file of a recording."""
    return _file(request, _recording(request, name, song), file)


@router.post("/api/upload", status_code=201)
@router.post("/api/upload/{name}", status_code=201)
async def upload(request: Request, studio: TheStudio, name: str | None = None) -> JobAnswer:
    """Take a recording for a profile: its job."""
    stemset = _stemset(request)
    jobs: Uploads = request.app.state.uploads
    received = uploads.received(request, studio.incoming, room=studio.require_room, max_bytes=studio.upload_max_bytes)
    async with received as form:
        named = name or form.fields.get("profile_name") or form.fields.get("profile")
        named = named or request.query_params.get("profile_name") or request.query_params.get("profile")
        if named is None and len(stemset.profiles) == 1:
            named = stemset.profiles[0].name
        if named is None:
            raise InvalidFieldsError([FieldProblem(field="profile_name", message="name the profile")])
        profile = stemset.profile(named)
        if not form.files:
            raise InvalidFieldsError([FieldProblem(field="file", message="send the recording in this field")])
        base = f"{request.url.scheme}://{request.url.netloc}{request.scope.get('root_path', '')}"
        return _told(await jobs.submit(profile, form.files[0][1], callback_base=base))


@router.get("/api/jobs/{job_id}/status")
async def job_status(request: Request, job_id: str) -> JobAnswer:
    """How a job is."""
    _stemset(request)
    jobs: Uploads = request.app.state.uploads
    return _told(await jobs.look(job_id))


def _told(note: Note) -> JobAnswer:
    return JobAnswer.model_validate({name: getattr(note, name) for name in JobAnswer.model_fields})


@router.post("/api/jobs/{job_id}/complete", status_code=201)
async def job_complete(request: Request, job_id: str) -> dict[str, str]:
    """A remote worker says that there is something: what there is, it is asked itself."""
    _stemset(request)
    jobs: Uploads = request.app.state.uploads
    body = b"".join([piece async for piece in pieces(request, max_bytes=_MOST)])
    _check_signature(request, body)
    await asyncio.to_thread(jobs.wake, job_id)
    return {"status": "ok"}


def _check_signature(request: Request, body: bytes) -> None:
    """Raise `SignatureError` unless the worker signed this, by Standard Webhooks."""
    from standardwebhooks import Webhook
    from standardwebhooks.webhooks import WebhookVerificationError

    config: DoorConfig = request.app.state.config
    if config.worker_secret is None:
        raise SignatureError("no worker may call: stemset.worker_secret is not set")
    try:
        Webhook(config.worker_secret).verify(body, dict(request.headers), json_parse=False)
    except (WebhookVerificationError, ValueError):  # a ValueError for headers or a body that are no such thing
        raise SignatureError("the call-back is not signed by the worker") from None
