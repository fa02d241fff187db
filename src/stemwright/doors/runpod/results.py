"""Results in object storage, and links to them that run out: signed by S3, or by us for a local folder."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import os
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from stemwright.disk import make_private
from stemwright.studio.store.objects import as_store_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from obstore.store import LocalStore, S3Config, S3Store

    from stemwright.doors.runpod.config import Storage

_KEY_FILE: Final = "signing.key"  # in a local folder; its name is no object's
_JOBS: Final = "jobs"
_NOTE: Final = "/job.json"
_NAME: Final = "the object storage"


class ResultStore:
    """Objects of jobs: `jobs/ID/…`."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.folder: Path | None = None
        self._s3: S3Store | None = None
        self._secret = b""
        if storage.url.startswith("file://"):
            self.folder = Path(storage.url.removeprefix("file://"))
            make_private(self.folder)
            self._secret = _secret(self.folder / _KEY_FILE)
            self._store: LocalStore | S3Store = _local(self.folder)
        else:
            self._store = self._s3 = _bucket(storage)

    def put_file(self, path: Path, key: str) -> None:
        """Store a file. Raises `OutputError`, `DiskFullError`."""
        import obstore

        try:
            obstore.put(self._store, f"{_JOBS}/{key}", path)
        except Exception as error:
            raise as_store_error(error, place=_NAME) from error

    def old_notes(self) -> Iterator[tuple[str, bytes, float]]:
        """Yield the notes about jobs that once lay beside the results: job, note, when it was written.

        Times are in seconds since the epoch. Raises `OutputError`.
        """
        import obstore

        try:
            for chunk in obstore.list(self._store, _JOBS):
                for meta in chunk:
                    if not meta["path"].endswith(_NOTE):
                        continue
                    try:
                        content = bytes(obstore.get(self._store, meta["path"]).bytes())
                    except FileNotFoundError:  # another process has moved it this moment
                        continue
                    job_id = meta["path"].removeprefix(f"{_JOBS}/").removesuffix(_NOTE)
                    yield job_id, content, meta["last_modified"].timestamp()
        except Exception as error:
            raise as_store_error(error, place=_NAME) from error

    def forget_note(self, job_id: str) -> None:
        """Delete such a note. Raises `OutputError`."""
        import obstore

        try:
            obstore.delete(self._store, f"{_JOBS}/{job_id}{_NOTE}")
        except Exception as error:
            raise as_store_error(error, place=_NAME) from error

    def link(self, key: str, *, base: str | None = None) -> str:
        """A URL of an object that is good for a while; `base` is where the door is, else its public URL.

        Of a local folder without either it is a `file://` URL, for clients that share the disk. Raises `OutputError`.
        """
        seconds, place = self._storage.link_seconds, f"{_JOBS}/{key}"
        if self._s3 is not None:
            import obstore

            try:
                return str(obstore.sign(self._s3, "GET", place, dt.timedelta(seconds=seconds)))
            except Exception as error:
                raise as_store_error(error, place=_NAME) from error
        base = self._storage.public_url or base
        if base is None:
            return f"{(self.folder or Path()).joinpath(place).as_uri()}"
        expires = int(time.time() + seconds)
        return f"{base}/files/{quote(key)}?expires={expires}&signature={self._signature(key, expires)}"

    def object_of(self, key: str, *, expires: str, signature: str) -> str | None:
        """The object that a link of ours to the local folder names; None for any other link, and when it ran out."""
        if self.folder is None or not expires.isdecimal() or len(expires) > 12:
            return None
        good = hmac.compare_digest(self._signature(key, int(expires)).encode(), signature.encode("utf-8", "replace"))
        return f"{_JOBS}/{key}" if good and int(expires) >= time.time() else None

    def _signature(self, key: str, expires: int) -> str:
        return hmac.new(self._secret, f"{expires}\n{key}".encode(), hashlib.sha256).hexdigest()

    def sweep(self, *, older_than: float) -> int:
        """Delete the objects that were stored before a time, in seconds since the epoch; how many."""
        import obstore

        old: list[str] = []
        for chunk in obstore.list(self._store, _JOBS):
            old += [meta["path"] for meta in chunk if meta["last_modified"].timestamp() < older_than]
        if old:
            obstore.delete(self._store, old)
        if self.folder is not None:
            for path in {(self.folder / key).parent for key in old}:
                if not any(path.iterdir()):
                    path.rmdir()
        return len(old)


def _local(folder: Path) -> LocalStore:
    from obstore.store import LocalStore

    return LocalStore(folder)


def _bucket(storage: Storage) -> S3Store:
    from obstore.store import S3Store

    parts = urlsplit(storage.url)
    config: S3Config = {"region": storage.region}
    if storage.endpoint:
        config["endpoint"] = storage.endpoint
    if storage.access_key_id:
        config["access_key_id"] = storage.access_key_id
    if storage.secret_access_key:
        config["secret_access_key"] = storage.secret_access_key
    allow_http = bool(storage.endpoint and storage.endpoint.startswith("http://"))
    return S3Store(
        parts.netloc,
        prefix=parts.path.strip("/") or None,
        config=config,
        client_options={"allow_http": allow_http},
    )


def _secret(path: Path) -> bytes:
    """The key that signs links to this folder: made once, even when two processes try."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    if not path.exists():
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(32))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_bytes()
