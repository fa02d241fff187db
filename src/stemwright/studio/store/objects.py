"""The object store: bytes by key, written whole or not at all, in a folder or in a bucket."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from stemwright.disk import sync
from stemwright.errors import (
    DiskFullError,
    NotFoundError,
    OutputError,
    StemwrightError,
    StorageUnavailableError,
    as_output_error,
    writing,
)
from stemwright.studio.store.signing import Signer, encoded_key
from stemwright.words import without_secrets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from obstore import store as obstores

log = logging.getLogger("stemwright.storage")
_BLOCK: Final = 1 << 20  # bytes of each piece that is read
_FIRST: Final = 1 << 18  # bytes of the first piece of a bucket's object: the quick client has 4 s for it
_RANGE: Final = 8 << 20  # bytes of each request for a whole object in a bucket
_SMALL: Final = 1 << 18  # bytes that the quick client puts
_PART: Final = 5 << 20  # bytes of a part of a large object: the least that S3 takes
_AT_ONCE: Final = 4  # parts on their way: 20 MiB in 60 s are possible on slow lines too
_DELETED: Final = 200  # objects deleted by one request
_NAME: Final = "the object store"
_NOWHERE: Final = "no/such/object"
# A request that is refused is sent once more. One that hangs is given up after 4 s, and not sent again.
_QUICK: Final = (4, 1, 2)  # seconds of a request, tries more, seconds after which none is begun
_PATIENT: Final = (60, 3, 60)
_CONNECT: Final = dt.timedelta(seconds=3)


@dataclass(frozen=True, slots=True)
class Storage:
    """Where objects are, and how to get in."""

    url: str  # `file:///folder` or `s3://bucket/prefix`
    endpoint: str | None = None  # of S3's API, where that is not Amazon's
    region: str = "auto"
    access_key_id: str | None = None  # without it: what Amazon's own variables, or a role of the machine, give
    secret_access_key: str | None = field(default=None, repr=False)
    public_url: str | None = None  # of a bucket that everybody may read


@dataclass(frozen=True, slots=True)
class Stored:
    """One object: its key, bytes, and when it was written, in seconds since the epoch."""

    key: str
    size_bytes: int
    modified: float


class ObjectStore:
    """Objects in a local folder or in a bucket.

    Keys are ours, never names from outside: lower-case letters, digits, and `._-/`.
    A bucket that refuses, hangs, fails or is not there raises `StorageUnavailableError`, within 8 s unless bytes are on
    their way already. What was asked of one that hung may still be done when it goes on.
    """

    def __init__(self, storage: Storage) -> None:
        from obstore.store import LocalStore

        self.folder: Path | None = None
        self._storage = storage
        if storage.url.startswith("file://"):  # in a folder's name, `#`, `?` and `%41` are what they are
            self.folder = Path(storage.url.removeprefix("file://"))
            self.folder.mkdir(parents=True, exist_ok=True)
            self._quick: obstores.LocalStore | obstores.S3Store = LocalStore(self.folder)
            self._bulk: obstores.LocalStore | obstores.S3Store = self._quick
        else:
            self._quick, self._bulk = _bucket(storage, _QUICK), _bucket(storage, _PATIENT)

    @property
    def origin(self) -> str | None:
        """The origin of links to objects, such as `https://s3.example.org`; None for a folder."""
        return None if self.folder is not None else _origin(self._storage.public_url or self._address(""))

    @property
    def upload_origin(self) -> str | None:
        """The origin of `upload_link`; None where no link can be signed."""
        return _origin(self._address("")) if self.folder is None and self._signer() else None

    def ping(self) -> None:
        """See whether the store can be read. Raises `StorageUnavailableError`."""
        import obstore

        if self.folder is not None:
            if not self.folder.is_dir():
                raise _away(FileNotFoundError(self.folder))
            return
        try:  # GET and not HEAD: only an answer with a body tells a missing bucket from a missing object
            obstore.get(self._quick, _NOWHERE)
        except Exception as error:
            if not isinstance(ours := self._as_ours(error), NotFoundError):
                raise ours from error

    def put_file(self, path: Path, key: str) -> int:
        """Store a local file's bytes under a key, replacing what is there; their number. The file stays.

        Raises `DiskFullError`, `OutputError`, `StorageUnavailableError`.
        """
        import obstore

        with writing(_NAME):
            size = path.stat().st_size
            if self.folder is not None and self._link(path, self.folder / key):
                return size
        large = self.folder is None and size > _SMALL
        if large:
            self.ping()  # the patient client would notice only after a minute that nobody answers
        try:
            obstore.put(self._bulk if large else self._quick, key, path, chunk_size=_PART, max_concurrency=_AT_ONCE)
        except Exception as error:
            raise self._as_put_error(error) from error
        return size

    def _link(self, path: Path, target: Path) -> bool:
        """Give a file of the same disk a second name instead of copying it; whether that was possible."""
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}#{os.getpid()}")  # what obstore names so is never listed
        try:
            partial.unlink(missing_ok=True)
            os.link(path, partial)
            os.utime(partial)  # it is young, however old the file: its row is still to come
            sync(partial)
            partial.replace(target)
        except OSError:
            partial.unlink(missing_ok=True)
            return False
        return True

    def put(self, key: str, content: bytes) -> None:
        """Store a few bytes under a key. Raises `DiskFullError`, `OutputError`, `StorageUnavailableError`."""
        import obstore

        try:
            obstore.put(self._quick, key, content)
        except Exception as error:
            raise self._as_put_error(error) from error

    def head(self, key: str) -> Stored:
        """What is known of an object. Raises `NotFoundError`, `StorageUnavailableError`."""
        import obstore

        try:
            meta = obstore.head(self._quick, key)
        except Exception as error:
            ours = self._as_ours(error)
            if isinstance(ours, NotFoundError):
                self.ping()  # or is it the bucket that is not there?
            raise ours from error
        return Stored(key, meta["size"], meta["last_modified"].timestamp())

    def get(self, key: str) -> bytes:
        """All bytes of a small object. Raises `NotFoundError`, `StorageUnavailableError`."""
        import obstore

        try:
            return bytes(obstore.get(self._quick, key).bytes())
        except Exception as error:
            raise self._as_ours(error) from error

    def part(self, key: str, *, start: int, end: int) -> bytes:
        """The few bytes `start` to `end` (exclusive) of an object, which has that many. Raises as `get`."""
        import obstore

        try:
            return bytes(obstore.get_range(self._quick, key, start=start, end=end)) if start < end else b""
        except Exception as error:
            raise self._as_ours(error) from error

    def fetch(self, key: str, path: Path) -> None:
        """Write an object to a local file, or link it where it is on this disk.

        Raises `NotFoundError`, `DiskFullError`, `OutputError`, `StorageUnavailableError`.
        """
        if self.folder is not None:
            try:
                os.link(self.folder / key, path)
            except FileNotFoundError as error:
                raise NotFoundError("there is no such object") from error
            except OSError:
                pass
            else:
                return
        with writing(), path.open("wb") as file:
            for piece in self.pieces(key):
                file.write(piece)

    def pieces(self, key: str) -> Iterator[bytes]:
        """All bytes of an object in pieces, for threads. Raises `NotFoundError`, `StorageUnavailableError`."""
        import obstore

        size = None if self.folder is not None else self.head(key).size_bytes
        try:
            if size is None:
                for piece in obstore.get(self._bulk, key).stream(min_chunk_size=_BLOCK):
                    yield bytes(piece)
                return
            for at in range(0, size, _RANGE):  # so that a time limit of a request never cuts a long object
                yield bytes(obstore.get_range(self._bulk, key, start=at, end=min(size, at + _RANGE)))
        except Exception as error:
            raise self._as_ours(error) from error

    async def read(self, key: str, *, start: int, end: int) -> AsyncIterator[bytes]:
        """Bytes `start` to `end` (exclusive) of an object, in pieces of up to 1 MiB.

        Raises `NotFoundError`, `StorageUnavailableError`.
        """
        import obstore

        try:
            if self.folder is None and start < end:  # by the quick client, so that nobody waits for a store that hangs
                piece = await obstore.get_range_async(self._quick, key, start=start, end=min(end, start + _FIRST))
                yield bytes(piece)
                start = min(end, start + _FIRST)
            for at in range(start, end, _BLOCK):
                piece = await obstore.get_range_async(self._bulk, key, start=at, end=min(end, at + _BLOCK))
                yield bytes(piece)
        except Exception as error:
            raise self._as_ours(error) from error

    def delete(self, keys: list[str]) -> None:
        """Delete objects; what is not there does not matter. Raises `OutputError`, `StorageUnavailableError`."""
        import obstore

        step = _DELETED if self.folder is None else 1
        for at in range(0, len(keys), step):
            some = keys[at : at + step]
            try:
                obstore.delete(self._quick, some if self.folder is None else some[0])
            except Exception as error:
                if isinstance(ours := self._as_ours(error), NotFoundError):
                    continue
                raise ours from error
            if self.folder is not None:
                self._prune(self.folder, some[0])

    def _prune(self, folder: Path, key: str) -> None:
        """Remove folders that became empty."""
        for parent in (folder / key).parents:
            if parent == folder:
                return
            try:
                parent.rmdir()
            except OSError:
                return

    def forget_partials(self, *, before: float) -> int:
        """Delete what was being stored when its process was killed, before a time in s since the epoch; how many."""
        count = 0
        for path in self.folder.rglob("*#*") if self.folder else ():
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime <= before:
                    path.unlink()
                    count += 1
        return count

    def list(self, prefix: str = "") -> Iterator[Stored]:
        """Every object whose key starts with the folders of `prefix`.

        Raises `OutputError`, `StorageUnavailableError`.
        """
        import obstore

        try:
            for chunk in obstore.list(self._quick, prefix or None):
                for meta in chunk:
                    yield Stored(meta["path"], meta["size"], meta["last_modified"].timestamp())
        except Exception as error:
            raise self._as_put_error(error) from error

    def link(self, key: str, *, seconds: int, disposition: str, media_type: str) -> str | None:
        """A URL of a bucket's object, good for `seconds` and answered with these headers; None for a folder.

        For a public bucket it is the plain URL. Signed with a key that is not in the settings, it sets no headers.
        Raises `StorageUnavailableError`.
        """
        import obstore
        from obstore.store import LocalStore

        if isinstance(self._quick, LocalStore):
            return None
        if self._storage.public_url:
            return f"{self._storage.public_url}/{encoded_key(self._place(key))}"
        if signer := self._signer():
            query = {"response-content-disposition": disposition, "response-content-type": media_type}
            return signer.presigned("GET", self._address(key), seconds=seconds, query=query)
        try:
            return str(obstore.sign(self._quick, "GET", key, dt.timedelta(seconds=seconds)))
        except Exception as error:
            raise self._as_ours(error) from error

    def upload_link(self, key: str, *, size_bytes: int, sha256: str, seconds: int) -> tuple[str, dict[str, str]] | None:
        """The URL to which anybody may PUT exactly one content for `seconds`, and the headers to send with it.

        `sha256` is hexadecimal; the bucket refuses other bytes, and another number of them. None where no link can be
        signed: for a folder, and with the keys of the machine's role.
        """
        if self.folder is not None or (signer := self._signer()) is None:
            return None
        headers = {
            "content-length": str(size_bytes),
            "x-amz-checksum-sha256": base64.b64encode(bytes.fromhex(sha256)).decode(),
        }
        return signer.presigned("PUT", self._address(key), seconds=seconds, headers=headers), headers

    def _signer(self) -> Signer | None:
        given = self._storage
        if not given.access_key_id or not given.secret_access_key:
            return None
        return Signer(given.access_key_id, given.secret_access_key, region=given.region)

    def _place(self, key: str) -> str:
        """A key as the bucket knows it."""
        return f"{urlsplit(self._storage.url).path.strip('/')}/{key}".lstrip("/")

    def _address(self, key: str) -> str:
        """Where S3's API has an object, in path style, encoded."""
        endpoint = (self._storage.endpoint or f"https://s3.{self._storage.region}.amazonaws.com").rstrip("/")
        return f"{endpoint}/{urlsplit(self._storage.url).netloc}/{encoded_key(self._place(key))}"

    def _as_ours(self, error: Exception) -> StemwrightError:
        """What an error of the store means, where a missing object is possible."""
        if isinstance(error, FileNotFoundError) and "NoSuchBucket" not in str(error):
            return NotFoundError("there is no such object")
        return self._as_put_error(error)

    def _as_put_error(self, error: Exception) -> StemwrightError:
        if isinstance(error, StemwrightError):
            return error
        return _away(error) if self.folder is None else _as_folder_error(error)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _bucket(storage: Storage, patience: tuple[int, int, int]) -> obstores.S3Store:
    from obstore.store import S3Store

    timeout, retries, last = patience
    parts = urlsplit(storage.url)
    config: obstores.S3Config = {"region": storage.region}
    if storage.endpoint:
        config["endpoint"] = storage.endpoint
    if storage.access_key_id and storage.secret_access_key:
        config["access_key_id"] = storage.access_key_id
        config["secret_access_key"] = storage.secret_access_key
    return S3Store(
        parts.netloc,
        prefix=parts.path.strip("/") or None,
        config=config,
        client_options={
            "allow_http": bool(storage.endpoint and storage.endpoint.startswith("http://")),
            "timeout": dt.timedelta(seconds=timeout),
            "connect_timeout": _CONNECT,
        },
        retry_config={"max_retries": retries, "retry_timeout": dt.timedelta(seconds=last)},
    )


def _as_folder_error(error: Exception) -> StemwrightError:
    """What an error of a folder means to the user; its words, which hold paths, go to the log."""
    if isinstance(ours := as_output_error(error, place=_NAME), DiskFullError):
        return ours
    _tell(error)
    return OutputError(f"{_NAME} failed; the log says why")


def _away(error: Exception) -> StorageUnavailableError:
    """What any error of a bucket means to the user; its words hold addresses, buckets and keys, and go to the log."""
    _tell(error)
    return StorageUnavailableError(f"{_NAME} cannot be used at the moment; try again")


def _tell(error: Exception) -> None:
    reason = without_secrets(f"{type(error).__name__}: {error}")[:1000]
    log.warning("%s failed", _NAME, extra={"error": reason})
