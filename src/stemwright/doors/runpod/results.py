"""Results in the object store, and links to them that run out: signed by S3, or by us for a local folder."""

from __future__ import annotations

import functools
import hashlib
import hmac
import os
import secrets
import time
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from stemwright.disk import is_regular, make_private, read_small
from stemwright.errors import writing
from stemwright.studio.files import Served
from stemwright.web.ranges import disposition

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stemwright.doors.runpod.config import Config
    from stemwright.studio.store.objects import ObjectStore

_HOME: Final = "doors/runpod"
_JOBS: Final = f"{_HOME}/jobs"
_KEY_FILE: Final = "signing.key"  # in a local folder
_NOTE: Final = "job.json"
_MEDIA: Final = {".wav": "audio/wav", ".mp3": "audio/mpeg"}


class ResultStore:
    """Results of jobs, as the objects `doors/runpod/jobs/ID/…`.

    `home` is the door's own folder, where earlier editions kept them.
    """

    def __init__(self, objects: ObjectStore, config: Config, *, home: Path) -> None:
        self.objects, self._config, self._home = objects, config, home

    @functools.cached_property
    def _secret(self) -> bytes:
        """The key that signs our links, which a folder has; that of an earlier edition is taken over."""
        before = self._home / _KEY_FILE
        if self.objects.folder is None:  # S3 signs; links that we signed before are good until they run out
            return before.read_bytes() if is_regular(before) else b""
        make_private(self.objects.folder / _HOME)
        return _secret(self.objects.folder / _HOME / _KEY_FILE, before=before)

    def put_file(self, path: Path, key: str) -> None:
        """Store a file. Raises `OutputError`, `DiskFullError`, `StorageUnavailableError`."""
        self.objects.put_file(path, f"{_JOBS}/{key}")

    def old_notes(self) -> Iterator[tuple[str, bytes, float]]:
        """Yield the notes about jobs that once lay beside the results: job, note, when it was written.

        Times are in seconds since the epoch. Raises `OutputError`.
        """
        with writing():
            for path in sorted(self._home.glob(f"jobs/*/{_NOTE}")):
                yield path.parent.name, read_small(path), path.stat().st_mtime

    def forget_note(self, job_id: str) -> None:
        """Delete such a note. Raises `OutputError`."""
        with writing():
            (self._home / "jobs" / job_id / _NOTE).unlink(missing_ok=True)

    def adopt(self) -> int:
        """Move the results that earlier editions kept in the door's folder into the store; how many.

        Raises `OutputError`, `DiskFullError`, `StorageUnavailableError`; the rest is moved the next time.
        """
        count = 0
        with writing():
            for path in sorted(self._home.glob("jobs/*/*")):
                if path.name == _NOTE or not is_regular(path):
                    continue
                self.put_file(path, f"{path.parent.name}/{path.name}")
                path.unlink()
                count += 1
            for folder in (*self._home.glob("jobs/*"), self._home / "jobs"):
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()
        return count

    def link(self, key: str, *, base: str | None = None) -> str:
        """A URL of a result that is good for a while; `base` is where the door is, else its public URL.

        Of a local folder without either it is a `file://` URL, for clients that share the disk.
        Raises `StorageUnavailableError`.
        """
        seconds, place = self._config.link_seconds, f"{_JOBS}/{key}"
        name, media = _name_and_type(key)
        signed = self.objects.link(place, seconds=int(seconds), disposition=disposition(name), media_type=media)
        if signed is not None:
            return signed
        base = self._config.public_url or base
        if base is None and self.objects.folder is not None:
            return (self.objects.folder / place).as_uri()
        expires = int(time.time() + seconds)
        return f"{base}/files/{quote(key)}?expires={expires}&signature={self._signature(key, expires)}"

    def find(self, key: str, *, expires: str, signature: str) -> Served | None:
        """The result that a link of ours names; None for any other link, and when it ran out.

        Raises `NotFoundError`, `StorageUnavailableError`.
        """
        if not self._secret or not expires.isdecimal() or len(expires) > 12:
            return None
        good = hmac.compare_digest(self._signature(key, int(expires)).encode(), signature.encode("utf-8", "replace"))
        if not good or int(expires) < time.time():
            return None
        there = self.objects.head(f"{_JOBS}/{key}")
        name, media = _name_and_type(key)
        return Served(
            object_key=there.key,
            size_bytes=there.size_bytes,
            digest=f"{int(there.modified * 1e6):x}-{there.size_bytes:x}",
            media_type=media,
            file_name=name,
        )

    def _signature(self, key: str, expires: int) -> str:
        return hmac.new(self._secret, f"{expires}\n{key}".encode(), hashlib.sha256).hexdigest()

    def sweep(self, *, older_than: float) -> int:
        """Delete the results that were stored before a time, in seconds since the epoch; how many.

        Raises `OutputError`, `StorageUnavailableError`.
        """
        old = [one.key for one in self.objects.list(_JOBS) if one.modified < older_than]
        self.objects.delete(old)
        return len(old)


def _name_and_type(key: str) -> tuple[str, str]:
    """What the file of a result is called, and its media type."""
    name = PurePosixPath(key).name
    return name, _MEDIA.get(PurePosixPath(name).suffix, "application/octet-stream")


def _secret(path: Path, *, before: Path) -> bytes:
    """The key that signs links to a folder: that of `before`, else made once, even when two processes try."""
    if not path.exists():
        draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(before.read_bytes() if is_regular(before) else secrets.token_bytes(32))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_bytes()
