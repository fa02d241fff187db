"""Files of the operator's own folders: opened so that nothing outside can be read, and taken in as songs."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from stemwright.errors import InputError, JobNotFoundError, too_large, writing
from stemwright.studio import tracks
from stemwright.studio.submit import JobRequest, Upload, submit_song, submit_upload
from stemwright.studio.tracks import SeenFile
from stemwright.words import has_controls

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stemwright.studio.snapshot import JobSnapshot
    from stemwright.studio.studio import Studio

_PIECE: Final = 1 << 20
_LONGEST: Final = 4096  # characters of a path
_PLAIN: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFile:
    """A file of a listed folder, open for reading, and what it was like when it was opened."""

    root: Path  # as it was listed
    relative_path: str
    size_bytes: int
    modified_ns: int
    file: BinaryIO

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.root / self.relative_path

    @property
    def seen(self) -> SeenFile:
        """What it was like."""
        return SeenFile(self.relative_path, self.size_bytes, self.modified_ns)


@contextlib.contextmanager
def opened(path: str | Path, *, roots: Sequence[Path]) -> Iterator[LocalFile]:
    """A regular file inside one of the listed folders.

    Links are followed first; then each folder on the way is opened from the one above it, where no link is followed
    any more: what changes meanwhile cannot lead outside. Raises `JobNotFoundError`, one and the same for what is not
    there, what may not be read, and what lies elsewhere.
    """
    found = _place(str(path), roots)
    if found is None:
        raise missing()
    root, real, relative = found
    try:
        handle = _open_below(real, relative.parts)
    except OSError:
        raise missing() from None
    state = os.fstat(handle)
    if not stat.S_ISREG(state.st_mode):
        os.close(handle)
        raise missing()
    with os.fdopen(handle, "rb") as file:
        yield LocalFile(
            root=root,
            relative_path=str(relative),
            size_bytes=state.st_size,
            modified_ns=state.st_mtime_ns,
            file=file,
        )


def missing() -> JobNotFoundError:
    """What every file that cannot be had is answered with."""
    return JobNotFoundError("there is no such file in the folders of the library")


def _place(path: str, roots: Sequence[Path]) -> tuple[Path, Path, Path] | None:
    """The listed folder that a file lies in, that folder without links, and the file's path from there."""
    if not Path(path).is_absolute() or has_controls(path) or len(path) > _LONGEST:
        return None
    try:
        wanted = Path(os.path.realpath(path, strict=True))
    except OSError:
        return None
    for root in roots:
        real = Path(os.path.realpath(root))
        if wanted.is_relative_to(real) and wanted != real:
            return root, real, wanted.relative_to(real)
    return None


def _open_below(folder: Path, parts: Sequence[str]) -> int:
    """Open a file step by step. Raises OSError, of a link on the way too."""
    handle = os.open(folder, _PLAIN | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            inner = os.open(part, _PLAIN | os.O_DIRECTORY, dir_fd=handle)
            os.close(handle)
            handle = inner
        return os.open(parts[-1], _PLAIN | os.O_NONBLOCK | os.O_NOCTTY, dir_fd=handle)
    finally:
        os.close(handle)


def submit_local(studio: Studio, local: LocalFile, request: JobRequest, *, owner: str) -> tuple[JobSnapshot, str]:
    """A job for a file of a listed folder: the job, and the SHA-256 of the file's bytes.

    A file that has not changed since it was last read is not read again while the studio has its song. What is no
    recording fails as a job does. Raises as `submit_upload` else, and `InputError` for a file that cannot be read.
    """
    digest = tracks.known_digest(studio, local.root, local.seen, owner=owner)
    if digest and (song_id := tracks.song_of(studio, digest, owner=owner)):
        with contextlib.suppress(JobNotFoundError):  # it expired this moment
            return submit_song(studio, song_id, request, owner=owner)[0], digest
    upload = _copied(studio, local)
    tracks.remember(studio, local.root, local.seen, upload.digest, owner=owner)
    return submit_upload(studio, upload, request, owner=owner, sniffed=False)[0], upload.digest


def _copied(studio: Studio, local: LocalFile) -> Upload:
    """A copy among the uploads: the original may be written to at any time.

    Raises `TooLargeError`, `InputError` for what cannot be read, `DiskFullError`, `OutputError`; then no copy is left.
    """
    most = studio.config.limits.size_bytes
    if local.size_bytes > most:
        raise too_large(most)
    studio.require_room(local.size_bytes)
    digest, size = hashlib.sha256(), 0
    with writing():
        handle, name = tempfile.mkstemp(prefix="local-", dir=studio.incoming)
    try:
        with writing(), os.fdopen(handle, "wb") as copy:
            for piece in _pieces(local):
                size += len(piece)
                if size > most:
                    raise too_large(most)
                digest.update(piece)
                copy.write(piece)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Upload(path=Path(name), name=local.path.name, digest=digest.hexdigest(), size_bytes=size)


def _pieces(local: LocalFile) -> Iterator[bytes]:
    """All bytes of a file. Raises `InputError`."""
    try:
        while piece := local.file.read(_PIECE):
            yield piece
    except OSError as error:
        raise InputError(f"{local.path.name}: {error.strerror}") from error
