"""Routes of the library and of what is made of its songs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import ValidationError

from stemwright.engine.receipt import Receipt  # noqa: TC001  (FastAPI reads signatures)
from stemwright.studio import files, imports
from stemwright.studio import songs as use
from stemwright.web import schemas, uploads
from stemwright.web.bodies import read_json, while_there
from stemwright.web.common import Id, Limit, Offset, Owner, Responses, Root, Separation, TheStudio, problems, state_of
from stemwright.web.links import song_out
from stemwright.web.problems import FieldProblem, InvalidFieldsError
from stemwright.web.ranges import disposition, serve

if TYPE_CHECKING:
    from stemwright.engine.drum_names import Part
    from stemwright.records import JsonObject

router = APIRouter(prefix="/api/v1/songs", tags=["songs"])
Sort = Literal[
    "created_at",
    "-created_at",
    "used_at",
    "-used_at",
    "title",
    "-title",
    "artist",
    "-artist",
    "duration",
    "-duration",
    "bpm",
    "-bpm",
    "key",
    "-key",
]
Token = Literal["flac", "wav", "mp3", "opus", "m4a", "wav24", "wav32f", "alac16", "alac24"]
BINARY: Final[JsonObject] = {"schema": {"type": "string", "format": "binary"}}
AUDIO: Final = ("audio/flac", "audio/wav", "audio/mpeg", "audio/ogg", "audio/mp4")


def _files(*media: str) -> Responses:
    """The documentation of a stored file's answers."""
    content = dict.fromkeys(media, BINARY)
    return {
        200: {"description": "The file; its `ETag` is strong.", "content": content},
        206: {"description": "The part that was asked for.", "content": content},
        304: {"description": "It is what the client has."},
    }


_BUCKET: Final[Responses] = {307: {"description": "Where the file is in the bucket, if the operator wants it so."}}


@router.get("", response_model=schemas.SongPage, responses=problems())
def list_songs(
    studio: TheStudio,
    owner: Owner,
    search: Annotated[str | None, Query(max_length=200, description="Words of title and artist.")] = None,
    sort: Sort = "-created_at",
    limit: Limit = 50,
    offset: Offset = 0,
) -> Any:
    """Songs of the library."""
    items, total = use.list_songs(studio, owner=owner, search=search, sort=sort, limit=limit, offset=offset)
    return {"items": items, "total": total}


def _form(description: str, *, texts: tuple[str, ...] = ()) -> JsonObject:
    """The documentation of a body with files."""
    files: JsonObject = {
        "type": "array",
        "items": {"type": "string", "format": "binary"},
        "description": description,
    }
    properties: JsonObject = {name: {"type": "string", "maxLength": 300} for name in texts}
    schema: JsonObject = {"type": "object", "required": ["files"], "properties": properties | {"files": files}}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


@router.post(
    "",
    status_code=201,
    response_model=schemas.SongOut,
    responses=problems(408, 409, 413, 415, 503, 504, 507),
    openapi_extra=_form("Recordings called as their stems (`vocals.wav`), and MIDI files.", texts=("title", "artist")),
)
async def import_stems(request: Request, response: Response, studio: TheStudio, owner: Owner, root: Root) -> Any:
    """Import stems that you already have, with MIDI if you like: one song, nothing to separate."""
    async with uploads.received(
        request,
        studio.incoming,
        room=studio.require_room,
        max_bytes=studio.upload_max_bytes,
        max_files=imports.MOST_FILES,
    ) as form:
        _check_texts(form.fields)
        imported = imports.import_song(
            studio,
            [upload for _, upload in form.files],
            title=form.fields.get("title") or None,
            artist=form.fields.get("artist", ""),
            owner=owner,
        )
        song_id = await while_there(request, imported)
    song = song_out(await asyncio.to_thread(use.get_song, studio, song_id, owner=owner), root=root)
    response.headers["Location"] = song.links["self"]
    return song


def _check_texts(fields: dict[str, str]) -> None:
    try:
        schemas.SongChange.model_validate({name: text for name, text in fields.items() if text})
    except ValidationError as error:
        raise InvalidFieldsError.of(error) from error


@router.get("/{song_id}", response_model=schemas.SongOut, responses=problems(404))
def get_song(song_id: Id, studio: TheStudio, owner: Owner, root: Root) -> Any:
    """A song, with its separations, notes and jobs."""
    return song_out(use.get_song(studio, song_id, owner=owner), root=root)


@router.patch(
    "/{song_id}",
    response_model=schemas.SongOut,
    responses=problems(404, 408, 413, 415),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/SongChange"}}},
        }
    },
)
async def change_song(request: Request, song_id: Id, studio: TheStudio, owner: Owner, root: Root) -> Any:
    """Change title or artist; what is not named stays."""
    change = await read_json(request, schemas.SongChange)
    changed = await asyncio.to_thread(
        use.update_song, studio, song_id, owner=owner, title=change.title, artist=change.artist
    )
    return song_out(changed, root=root)


@router.delete("/{song_id}", status_code=204, response_class=Response, responses=problems(404, 409, 503))
def delete_song(song_id: Id, studio: TheStudio, owner: Owner) -> None:
    """Delete a song and the files that no other song uses."""
    use.delete_song(studio, song_id, owner=owner)


@router.post(
    "/{song_id}/notes",
    status_code=201,
    response_model=schemas.SongOut,
    responses=problems(404, 408, 409, 413, 415, 503, 507),
    openapi_extra=_form("MIDI files."),
)
async def add_notes(request: Request, song_id: Id, studio: TheStudio, owner: Owner, root: Root) -> Any:
    """Add MIDI files to a song."""
    most = min(studio.upload_max_bytes, studio.config.midi_max_bytes)
    async with uploads.received(
        request,
        studio.incoming,
        room=studio.require_room,
        max_bytes=most,
        max_files=imports.MOST_FILES,
        setting="making.midi_max_bytes",
    ) as form:
        if not form.files:
            raise InvalidFieldsError([FieldProblem(field="files", message="send at least one MIDI file")])
        await asyncio.to_thread(imports.add_notes, studio, song_id, [one for _, one in form.files], owner=owner)
    return song_out(await asyncio.to_thread(use.get_song, studio, song_id, owner=owner), root=root)


@router.head("/{song_id}/notes/{name}", include_in_schema=False)
@router.get(
    "/{song_id}/notes/{name}", responses={**problems(404, 416, 503), **_files("audio/midi")}, response_class=Response
)
def get_notes(request: Request, song_id: Id, name: str, studio: TheStudio, owner: Owner) -> Response:
    """A MIDI file of a song."""
    return serve(request, studio.store, imports.note_file(studio, song_id, name, owner=owner))


@router.head("/{song_id}/stems/{file}", include_in_schema=False)
@router.get(
    "/{song_id}/stems/{file}",
    response_class=Response,
    responses={**problems(404, 409, 416, 503, 504, 507), **_files(*AUDIO), **_BUCKET},
)
async def get_stem(
    request: Request,
    song_id: Id,
    file: Annotated[str, Path(max_length=100, examples=["vocals.flac"], description="A stem's name and a format.")],
    studio: TheStudio,
    owner: Owner,
    separation: Separation = None,
) -> Response:
    """A stem in any format; encoded when it is first asked for, then kept."""
    stem, _, token = file.rpartition(".")
    if token not in files.TOKENS:
        message = f"ends in none of {', '.join(files.TOKENS)}"
        raise InvalidFieldsError([FieldProblem(field="path.file", message=message)])
    making = files.stem_file(studio, song_id, stem, token, owner=owner, separation=separation)
    found = await while_there(request, making)
    return serve(request, studio.store, found, link_seconds=state_of(request).config.link_seconds)


@router.head("/{song_id}/original.{token}", include_in_schema=False)
@router.get(
    "/{song_id}/original.{token}",
    response_class=Response,
    responses={**problems(404, 409, 416, 503, 504, 507), **_files("audio/flac", "audio/wav"), **_BUCKET},
)
async def get_original(
    request: Request,
    song_id: Id,
    token: Literal["flac", "wav"],
    studio: TheStudio,
    owner: Owner,
    separation: Separation = None,
) -> Response:
    """The recording beside its stems: at their rate and level, and as long; made when it is first asked for."""
    making = files.original_file(studio, song_id, token, owner=owner, separation=separation)
    found = await while_there(request, making)
    return serve(request, studio.store, found, link_seconds=state_of(request).config.link_seconds)


@router.head("/{song_id}/peaks/{file}", include_in_schema=False)
@router.get(
    "/{song_id}/peaks/{file}",
    response_class=Response,
    responses={**problems(404, 409, 416, 503), **_files("application/octet-stream")},
)
def get_peaks(
    request: Request,
    song_id: Id,
    file: Annotated[str, Path(max_length=100, examples=["vocals.dat"], description="A stem or `mix`, and `.dat`.")],
    studio: TheStudio,
    owner: Owner,
    separation: Separation = None,
) -> Response:
    """The waveform overview of a stem, as BBC audiowaveform's .dat: 256 samples a pixel, 16 bits."""
    name = f"{file.removesuffix('.dat')}.peaks.dat"
    return serve(request, studio.store, files.stored_file(studio, song_id, name, owner=owner, separation=separation))


@router.head("/{song_id}/drums.json", include_in_schema=False)
@router.get(
    "/{song_id}/drums.json",
    response_class=Response,
    responses={**problems(404, 409, 416, 503), **_files("application/json")},
)
def get_chart(
    request: Request, song_id: Id, studio: TheStudio, owner: Owner, separation: Separation = None
) -> Response:
    """The drum chart: hits on eight lanes, tempo, beats and bars; there once a job asked for `transcribe`."""
    found = files.chart_file(studio, song_id, "chart", owner=owner, separation=separation)
    return serve(request, studio.store, found)


@router.head("/{song_id}/drums.mid", include_in_schema=False)
@router.get(
    "/{song_id}/drums.mid", response_class=Response, responses={**problems(404, 409, 416, 503), **_files("audio/midi")}
)
def get_chart_midi(
    request: Request,
    song_id: Id,
    studio: TheStudio,
    owner: Owner,
    quantised: Annotated[  # noqa: FBT002  (a query's)
        bool, Query(description="Hits on the grid of the beats, which is there where the tempo is clear.")
    ] = False,
    separation: Separation = None,
) -> Response:
    """The drum chart as a MIDI file, at the times that were played."""
    part: Part = "midi_quantised" if quantised else "midi"
    found = files.chart_file(studio, song_id, part, owner=owner, separation=separation)
    return serve(request, studio.store, found)


@router.head("/{song_id}/drums.svg", include_in_schema=False)
@router.get(
    "/{song_id}/drums.svg",
    response_class=Response,
    responses={**problems(404, 409, 416, 503), **_files("image/svg+xml")},
)
def get_chart_picture(
    request: Request, song_id: Id, studio: TheStudio, owner: Owner, separation: Separation = None
) -> Response:
    """The drum chart as a picture: lanes over the waveform."""
    found = files.chart_file(studio, song_id, "picture", owner=owner, separation=separation)
    return serve(request, studio.store, found)


@router.get("/{song_id}/receipt", responses={**problems(404, 409)})
def get_receipt(song_id: Id, studio: TheStudio, owner: Owner, separation: Separation = None) -> Receipt:
    """How the stems were made: model, device, settings, loudness, versions, warnings."""
    return files.receipt(studio, song_id, owner=owner, separation=separation)


@router.head("/{song_id}/stems.zip", include_in_schema=False)
@router.get(
    "/{song_id}/stems.zip",
    response_class=Response,
    responses={
        **problems(404, 409, 503, 504, 507),
        200: {"description": "The zip; its length is known from the start.", "content": {"application/zip": BINARY}},
    },
)
async def get_zip(
    request: Request,
    song_id: Id,
    studio: TheStudio,
    owner: Owner,
    format: Token = "flac",  # noqa: A002  (as clients know it)
    separation: Separation = None,
) -> Response:
    """All stems, the drum chart if there is one, and the receipt in one file."""
    zipping = files.zipped(studio, song_id, format, owner=owner, separation=separation)
    length, name, pieces = await while_there(request, zipping)
    headers = {"Content-Length": str(length), "Content-Disposition": disposition(name, attachment=True)}
    if request.method == "HEAD":
        return Response(headers=headers, media_type="application/zip")
    return StreamingResponse(pieces, media_type="application/zip", headers=headers)


@router.head("/{song_id}/song.stem.mp4", include_in_schema=False)
@router.get(
    "/{song_id}/song.stem.mp4",
    response_class=Response,
    responses={**problems(404, 409, 416, 503, 504, 507), **_files("audio/mp4"), **_BUCKET},
)
async def get_stem_mp4(
    request: Request, song_id: Id, studio: TheStudio, owner: Owner, separation: Separation = None
) -> Response:
    """Mix and four stems in Native Instruments' Stems format, for Traktor and its like."""
    found = await while_there(request, files.stem_mp4_file(studio, song_id, owner=owner, separation=separation))
    return serve(request, studio.store, found, link_seconds=state_of(request).config.link_seconds)
