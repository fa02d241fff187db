"""Uploads that do not pass through a form: announced first, sent to the bucket or to the API, then submitted by id."""

from __future__ import annotations

import base64
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, func, select

from stemwright.audio.sniff import sniff_file
from stemwright.errors import (
    ConflictError,
    EmptyInputError,
    InputError,
    JobNotFoundError,
    NotFoundError,
    StemwrightError,
    too_large,
)
from stemwright.strategies.plan import digest_of
from stemwright.studio.store.database import now_of
from stemwright.studio.store.tables import PendingUpload, Song, new_id
from stemwright.studio.work.runs import count_of

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.orm import Session

    from stemwright.studio.store.objects import ObjectStore
    from stemwright.studio.studio import Studio

LINK_SECONDS: Final = 3600  # in which a file can be sent; a bucket asks when the first byte comes
MOST_OPEN: Final = 100  # of one owner: announced and not submitted
_NONE: Final = "there is no such upload; one that was submitted is a song now"
log = logging.getLogger("stemwright.uploads")


class UploadExpiredError(StemwrightError):
    """The time in which the file could be sent is over."""

    code = "upload_expired"
    status = 403  # as a bucket answers


class TooManyUploadsError(StemwrightError):
    """Too many uploads were announced and not submitted."""

    code = "too_many_uploads"
    status = 429
    retryable = True


class WrongDigestError(StemwrightError):
    """The bytes that came are not those that were announced."""

    code = "wrong_digest"
    status = 400


class UploadIncompleteError(ConflictError):
    """The file of an upload is not there yet."""

    code = "upload_incomplete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """What a client says of a file before it sends it; `sha256` is hexadecimal."""

    name: str  # as the client calls it; shown, never used as a path
    size_bytes: int
    sha256: str
    track: int | None = None  # that the job will ask for: each is a song of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """Where to send a file; or the song that its bytes are already, and nothing to send."""

    upload_id: str | None = None
    song_id: str | None = None
    url: str | None = None  # of the bucket; None: the API takes it
    headers: dict[str, str] = field(default_factory=dict)  # to be sent as they are
    expires_at: float | None = None  # seconds since the epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """The bytes of a recording that the studio is to have."""

    name: str  # as the client calls it; shown, never used as a path
    digest: str  # SHA-256
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited(Recording):
    """A file that was announced, and the key of its object."""

    id: str
    key: str


def source_of(digest: str, track: int | None) -> str:
    """What a song is known by: the SHA-256 of its bytes, and which of several tracks it is."""
    return digest if track is None else digest_of([digest, track])


def checksum(sha256: str) -> str:
    """A hexadecimal digest as the header `x-amz-checksum-sha256` has it.

    >>> checksum("00" * 32)
    'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='
    """
    return base64.b64encode(bytes.fromhex(sha256)).decode()


def open_upload(studio: Studio, file: Announcement, *, owner: str) -> Opened:
    """Say where a client may send a file; bytes that the library has already need not be sent.

    Raises `EmptyInputError`, `TooLargeError`, `TooManyUploadsError`, `DiskFullError`.
    """
    if not file.size_bytes:
        raise EmptyInputError(f"{file.name}: the file is empty")
    if file.size_bytes > studio.upload_max_bytes:
        raise too_large(studio.upload_max_bytes)
    source = source_of(file.sha256, file.track)
    with studio.db.session() as session:
        mine = select(Song.id).where(Song.owner == owner, Song.source_digest == source, Song.upload_key.is_not(None))
        if known := session.scalar(mine):
            return Opened(song_id=known)
    direct = studio.store.upload_origin is not None
    studio.require_room(0 if direct else file.size_bytes)
    upload_id = new_id()
    key = f"{owner}/uploads/{upload_id}"
    with studio.db.session() as session:
        count = select(func.count()).select_from(PendingUpload).where(PendingUpload.owner == owner)
        if (session.scalar(count) or 0) >= MOST_OPEN:
            raise TooManyUploadsError(
                f"{MOST_OPEN} uploads were announced and not submitted; submit or delete some of them"
            )
        row = PendingUpload(id=upload_id, owner=owner, object_key=key, name=file.name)
        row.size_bytes, row.sha256 = file.size_bytes, file.sha256
        session.add(row)
        expires = now_of(session) + LINK_SECONDS
    headers = {"content-length": str(file.size_bytes), "x-amz-checksum-sha256": checksum(file.sha256)}
    link = studio.store.upload_link(key, size_bytes=file.size_bytes, sha256=file.sha256, seconds=LINK_SECONDS)
    url, headers = link or (None, headers)
    return Opened(upload_id=upload_id, url=url, headers=headers, expires_at=expires)


def awaited(studio: Studio, upload_id: str, *, owner: str, checksum_sent: str | None) -> Awaited:
    """The file that the API itself is to take for an upload, before its first byte is read.

    `checksum_sent` is what the client says in the header of that name. Raises `JobNotFoundError`,
    `UploadExpiredError`, `WrongDigestError`, `DiskFullError`.
    """
    with studio.db.session() as session:
        found = _find(session, upload_id, owner=owner)
        if now_of(session) > found.created_at + LINK_SECONDS:
            raise UploadExpiredError("the time to send this file is over: announce it again")
        file = _awaited(found)
    if checksum_sent != checksum(file.digest):
        raise WrongDigestError("the header x-amz-checksum-sha256 is not the one that came with the upload's URL")
    studio.require_room(file.size_bytes)
    return file


def store_upload(studio: Studio, file: Awaited, path: Path, *, digest: str) -> None:
    """Store what came for an upload; `digest` is that of the bytes in `path`.

    Raises `WrongDigestError`, `DiskFullError`, `OutputError`, `StorageUnavailableError`; then nothing is stored.
    """
    if digest != file.digest:
        raise WrongDigestError("the bytes that came are not those that were announced")
    studio.store.put_file(path, file.key)


def drop_upload(studio: Studio, upload_id: str, *, owner: str) -> None:
    """Forget an upload that will not be submitted, with what came of it. Raises `JobNotFoundError`."""
    with studio.db.session() as session:
        key = take(session, upload_id, owner=owner)
    tidy(studio, key)


def arrived(studio: Studio, upload_id: str, *, owner: str) -> Awaited:
    """The file of an upload, which is there whole and begins as audio does.

    Who stored it has compared its bytes with the digest: the bucket by the signed checksum, or `store_upload`.
    Raises `JobNotFoundError`, `UploadIncompleteError`, `StorageUnavailableError`, and `NotAudioError` and its like; an
    upload that is not audio is forgotten.
    """
    with studio.db.session() as session:
        file = _awaited(_find(session, upload_id, owner=owner))
    try:
        there = studio.store.head(file.key).size_bytes
        if there != file.size_bytes:
            raise UploadIncompleteError(f"{there} of {file.size_bytes} bytes have come: send the file first")
        sniff_file(_Object(studio.store, file.key, size_bytes=there), name=file.name)
    except NotFoundError as error:
        with studio.db.session() as session:
            _find(session, upload_id, owner=owner)  # or has it been submitted this moment?
        raise UploadIncompleteError("the file has not come yet: send it to the upload's URL first") from error
    except InputError:
        drop_upload(studio, upload_id, owner=owner)
        raise
    return file


def take(session: Session, upload_id: str, *, owner: str) -> str:
    """Take an upload for the transaction that makes a song of it; the key of its object. Raises `JobNotFoundError`.

    Only one of several that try at once gets it, and it stays if the transaction fails.
    """
    key = _find(session, upload_id, owner=owner).object_key
    gone = delete(PendingUpload).where(PendingUpload.id == upload_id)
    if not count_of(session.execute(gone, execution_options={"synchronize_session": False})):
        raise JobNotFoundError(_NONE)
    return key


def tidy(studio: Studio, key: str) -> None:
    """Delete an upload's object that neither an upload nor a song names; if that fails now, a sweep will do it."""
    try:
        with studio.db.session() as session:
            waiting = session.scalar(select(PendingUpload.id).where(PendingUpload.object_key == key))
            if waiting or session.scalar(select(Song.id).where(Song.upload_key == key)):
                return
        studio.store.delete([key])
    except StemwrightError as error:
        log.warning("an upload's object stays until the sweep", extra={"error": error.code})


def _find(session: Session, upload_id: str, *, owner: str) -> PendingUpload:
    found = session.get(PendingUpload, upload_id)
    if found is None or found.owner != owner:
        raise JobNotFoundError(_NONE)
    return found


def _awaited(row: PendingUpload) -> Awaited:
    return Awaited(id=row.id, name=row.name, digest=row.sha256, size_bytes=row.size_bytes, key=row.object_key)


class _Object:
    """An object of the store, read in small parts from wherever one likes: tags before the audio may be long."""

    def __init__(self, store: ObjectStore, key: str, *, size_bytes: int) -> None:
        self._store, self._key, self._size, self._at = store, key, size_bytes, 0

    def seek(self, offset: int, /) -> None:
        self._at = offset

    def read(self, size: int, /) -> bytes:
        return self._store.part(self._key, start=self._at, end=min(self._size, self._at + size))
