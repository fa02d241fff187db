"""The object store: bytes by key, written whole or not at all."""

from __future__ import annotations

import contextlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stemwright.disk import sync
from stemwright.errors import DiskFullError, NotFoundError, OutputError, as_output_error, writing
from stemwright.words import without_secrets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from obstore import store as obstores

log = logging.getLogger("stemwright.storage")
_BLOCK: Final = 1 << 20  # bytes of each piece that is read
_NAME: Final = "the object store"


@dataclass(frozen=True, slots=True)
class Stored:
    """One object: its key, bytes, and when it was written, in seconds since the epoch."""

    key: str
    size_bytes: int
    modified: float


class ObjectStore:
    """Objects in a local folder (`file:///…`) or in a bucket (`s3://bucket/prefix`).

    Keys are ours, never names from outside: lower-case letters, digits, and `._-/`.
    """

    def __init__(self, url: str) -> None:
        from obstore.store import LocalStore, from_url

        self.folder: Path | None = None
        if url.startswith("file://"):  # not by `from_url`: in a folder's name, `#`, `?` and `%41` are what they are
            self.folder = Path(url.removeprefix("file://"))
            self.folder.mkdir(parents=True, exist_ok=True)
            self._store: obstores.ObjectStore = LocalStore(self.folder)
        else:
            self._store = from_url(url)

    def put_file(self, path: Path, key: str) -> int:
        """Store a local file's bytes under a key, replacing what is there; their number. The file stays.

        Raises `DiskFullError`, `OutputError`.
        """
        import obstore

        with writing(_NAME):
            size = path.stat().st_size
            if self.folder is not None and self._link(path, self.folder / key):
                return size
        try:
            obstore.put(self._store, key, path)
        except Exception as error:
            raise _as_ours(error) from error
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
        """Store bytes under a key. Raises `DiskFullError`, `OutputError`."""
        import obstore

        try:
            obstore.put(self._store, key, content)
        except Exception as error:
            raise _as_ours(error) from error

    def get(self, key: str) -> bytes:
        """All bytes of an object. Raises `NotFoundError`."""
        import obstore

        try:
            return bytes(obstore.get(self._store, key).bytes())
        except Exception as error:
            raise _as_ours(error) from error

    def fetch(self, key: str, path: Path) -> None:
        """Write an object to a local file, or link it where it is on this disk.

        Raises `NotFoundError`, `DiskFullError`, `OutputError`.
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
        """All bytes of an object in pieces, for threads. Raises `NotFoundError`."""
        import obstore

        try:
            for piece in obstore.get(self._store, key).stream(min_chunk_size=_BLOCK):
                yield bytes(piece)
        except Exception as error:
            raise _as_ours(error) from error

    async def read(self, key: str, *, start: int, end: int) -> AsyncIterator[bytes]:
        """Bytes `start` to `end` (exclusive) of an object, in pieces of up to 1 MiB. Raises `NotFoundError`."""
        import obstore

        try:
            for at in range(start, end, _BLOCK):
                piece = await obstore.get_range_async(self._store, key, start=at, end=min(end, at + _BLOCK))
                yield bytes(piece)
        except Exception as error:
            raise _as_ours(error) from error

    def delete(self, keys: list[str]) -> None:
        """Delete objects; what is not there does not matter. Raises `OutputError`."""
        import obstore

        for key in keys:
            try:
                obstore.delete(self._store, key)
            except FileNotFoundError:
                continue
            except Exception as error:
                raise _as_ours(error) from error
            self._prune(key)

    def _prune(self, key: str) -> None:
        """Remove folders that became empty."""
        if self.folder is None:
            return
        for parent in (self.folder / key).parents:
            if parent == self.folder:
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
        """Every object whose key starts with the folders of `prefix`."""
        import obstore

        for chunk in obstore.list(self._store, prefix or None):
            for meta in chunk:
                yield Stored(meta["path"], meta["size"], meta["last_modified"].timestamp())


def _as_ours(error: Exception) -> Exception:
    return NotFoundError("there is no such object") if isinstance(error, FileNotFoundError) else as_store_error(error)


def as_store_error(error: Exception, *, place: str = _NAME) -> OutputError:
    """What an error of a store means to the user; its words, which hold addresses, buckets and keys, go to the log."""
    if isinstance(ours := as_output_error(error, place=place), DiskFullError):
        return ours
    log.warning("%s failed", place, extra={"error": without_secrets(f"{type(error).__name__}: {error}")[:1000]})
    return OutputError(f"{place} failed; the log says why")
