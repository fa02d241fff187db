"""Routes of uploads that are announced first: the client sends the file to the bucket, or here where there is none."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Header, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from stemwright.errors import writing
from stemwright.studio import uploads as use
from stemwright.web import schemas
from stemwright.web.bodies import pieces, read_json
from stemwright.web.common import Id, Owner, Root, TheStudio, problems
from stemwright.web.links import upload_out
from stemwright.web.problems import MalformedError

if TYPE_CHECKING:
    from stemwright.studio.studio import Studio

router = APIRouter(prefix="/api/v1/uploads", tags=["uploads"])
_PIECE: Final = 1 << 20


class UploadRequest(BaseModel):
    """A file that a client is going to send."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "sodium.flac", "size_bytes": 4_213_760, "sha256": "e3b0c442" * 8}]},
    )

    name: schemas.Text = Field(min_length=1, max_length=255, description="What the file is called.")
    size_bytes: int = Field(ge=0, le=1 << 53)
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="Of its bytes, hexadecimal.")
    track: int | None = Field(
        default=None, ge=1, le=99, description="As the job will have it, for a file with several audio tracks."
    )


@router.post(
    "",
    status_code=201,
    response_model=schemas.UploadOut,
    responses={
        **problems(408, 413, 415, 503, 507),
        200: {"model": schemas.UploadOut, "description": "The library has these bytes: `song_id` names the song."},
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/UploadRequest"}}},
        }
    },
)
async def open_upload(request: Request, response: Response, studio: TheStudio, owner: Owner, root: Root) -> Any:
    """Announce a file, and learn where to send it: PUT it to `url` with these `headers`, then `POST /jobs`.

    `url` is good until `expires_at`, for these bytes alone. Bytes that the library has already need not be sent.
    """
    wanted = await read_json(request, UploadRequest)
    name = wanted.name.replace("\\", "/").rsplit("/", 1)[-1] or "untitled"
    file = use.Announcement(name=name, size_bytes=wanted.size_bytes, sha256=wanted.sha256, track=wanted.track)
    opened = await asyncio.to_thread(use.open_upload, studio, file, owner=owner)
    if opened.upload_id is None:
        response.status_code = 200
    return upload_out(opened, root=root)


@router.put(
    "/{upload_id}",
    status_code=204,
    response_class=Response,
    responses=problems(403, 404, 408, 413, 503, 507),
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"format": "binary"}}}}
    },
)
async def put_upload(
    request: Request,
    upload_id: Id,
    studio: TheStudio,
    owner: Owner,
    x_amz_checksum_sha256: Annotated[
        str | None, Header(max_length=64, description="As it was given with the URL.")
    ] = None,
) -> None:
    """Send the file of an upload, where the studio's files are not in a bucket that takes it."""
    file = await asyncio.to_thread(use.awaited, studio, upload_id, owner=owner, checksum_sent=x_amz_checksum_sha256)
    if request.headers.get("content-length") != str(file.size_bytes):
        raise MalformedError(f"the header content-length must be {file.size_bytes}, as it was announced")
    with writing(), tempfile.NamedTemporaryFile(prefix="upload-", dir=studio.incoming) as target:
        digest = await _received(request, studio, target.file, size_bytes=file.size_bytes)
        await asyncio.to_thread(use.store_upload, studio, file, Path(target.name), digest=digest)


async def _received(request: Request, studio: Studio, target: Any, *, size_bytes: int) -> str:
    """Write a body to a file, in a thread and in pieces worth that; the SHA-256 of its bytes."""
    digest, size, waiting = hashlib.sha256(), 0, bytearray()

    def write(piece: bytes) -> None:
        digest.update(piece)
        target.write(piece)
        target.flush()

    async for piece in pieces(request, max_bytes=size_bytes):
        waiting += piece
        size += len(piece)
        if len(waiting) >= _PIECE:
            await asyncio.to_thread(write, bytes(waiting))
            waiting.clear()
            studio.require_room(size_bytes - size)
    await asyncio.to_thread(write, bytes(waiting))
    if size != size_bytes:
        raise MalformedError(f"the body has {size} of {size_bytes} bytes")
    return digest.hexdigest()


@router.delete("/{upload_id}", status_code=204, response_class=Response, responses=problems(404, 503))
def drop_upload(upload_id: Id, studio: TheStudio, owner: Owner) -> None:
    """Forget an upload that will not be submitted, and what has come of it."""
    use.drop_upload(studio, upload_id, owner=owner)
