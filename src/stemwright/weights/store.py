"""The cache of weights: `CACHE/LABEL/DIGEST/`, a folder for each file or archive of a publisher's.

A folder gets its name, by renaming, when all that belongs in it is there, checked and synced; so one that has its name
can be trusted, whatever was killed. What is half-done has other names, and is gone on with or swept by the next who
holds the lock. An old folder stays until a new one has taken its place.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final, Literal

from stemwright.disk import sync
from stemwright.errors import ModelUnavailableError, OutputError, StemwrightError
from stemwright.weights import lock
from stemwright.weights.archive import unpack
from stemwright.weights.config import Config, OnProgress, current
from stemwright.weights.download import Wanted, download, forget

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stemwright.types import Digest

_DIGITS: Final = 16  # of the digest, in a folder's name
_FRESH: Final = "new-"  # what the names of folders that are not whole begin with
_OLD: Final = ".old"  # of a folder that another takes the place of


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """Weights of a publisher's: a file, or a tar archive and what of it is needed."""

    model: str  # as `stemwright models pull` takes it
    url: str
    sha256: Digest | None = None  # as published; pinned when first fetched if None
    members: tuple[str, ...] = ()  # names of files in the archive
    largest: int = 4 << 30  # bytes

    @property
    def label(self) -> str:
        """Its folder in the cache."""
        return "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in self.model)

    @property
    def files(self) -> tuple[str, ...]:
        """What its folder holds."""
        return self.members or (PurePosixPath(self.url).name,)


def availability(remote: Remote) -> Literal["ready", "download", "missing"]:
    """Whether it is here, can be had, or (offline) cannot. Looks at the disk only; raises nothing."""
    if find(remote):
        return "ready"
    return "missing" if current().offline else "download"


def find(remote: Remote) -> Path | None:
    """Its folder, if it is here whole. Raises nothing."""
    config = current()
    with contextlib.suppress(StemwrightError):
        if digest := remote.sha256 or lock.pinned(config.cache, remote.url):
            folder = config.cache / remote.label / digest[:_DIGITS]
            if all((folder / name).is_file() for name in remote.files):
                return folder
    return None


def fetch(remote: Remote, *, on_progress: OnProgress | None = None, again: bool = False) -> Path:
    """Its folder, after a download where it is not here, or is wanted `again`.

    Raises `ModelUnavailableError` (offline, or no connection), `WeightsError` (another digest, no archive, not what
    belongs in it), `DiskFullError`, `OutputError`, and what `on_progress` raises; then the old folder stays.
    """
    config = current()
    if not again and (folder := find(remote)):
        return folder
    if config.offline:
        raise ModelUnavailableError(
            f"the weights of {remote.model} are not on this machine, and Stemwright is offline; when connected:"
            f" stemwright models pull {remote.model}"
        )
    place = config.cache / remote.label
    try:
        place.mkdir(parents=True, exist_ok=True)
        with _alone(place / "lock"):
            if not again and (folder := find(remote)):  # somebody else was quicker
                return folder
            return _fetch(remote, place, config, on_progress or config.on_progress)
    except OSError as error:
        raise OutputError(f"the weights of {remote.model} cannot be kept in {place}: {error}") from error


def _fetch(remote: Remote, place: Path, config: Config, on_progress: OnProgress | None) -> Path:
    _sweep(place)
    known = remote.sha256 or lock.pinned(config.cache, remote.url)
    part = place / f"{hashlib.sha256(remote.url.encode()).hexdigest()[:_DIGITS]}.part"
    report = (lambda done, total: on_progress(remote.model, done, total)) if on_progress else None
    wanted = Wanted(url=remote.url, sha256=known, largest=remote.largest)
    digest = download(wanted, part, config=config, on_progress=report)
    try:
        folder = _place(remote, part, place / digest[:_DIGITS])
        if known is None:
            with _alone(config.cache / f"{lock.NAME}.lock"):
                lock.pin(config.cache, remote.url, digest)
    finally:
        forget(part)
        _sweep(place)
    return folder


def _place(remote: Remote, part: Path, folder: Path) -> Path:
    """Make the folder of what is in a file that was checked."""
    fresh = Path(tempfile.mkdtemp(prefix=_FRESH, dir=folder.parent))
    if remote.members:
        unpack(part, fresh, names=remote.members, largest=4 * remote.largest)
    else:
        os.link(part, fresh / remote.files[0])
    for name in remote.files:
        sync(fresh / name)
    sync(fresh)
    if folder.exists():
        folder.rename(folder.with_name(f"{folder.name}{_OLD}"))
    fresh.rename(folder)
    sync(folder.parent)
    return folder


def _sweep(place: Path) -> None:
    """Remove what was being unpacked, and put back what was taken away for it; only who holds the lock may."""
    for left in place.glob(f"{_FRESH}*"):
        shutil.rmtree(left)
    for old in place.glob(f"*{_OLD}"):
        folder = old.with_name(old.name.removesuffix(_OLD))
        if folder.exists():
            shutil.rmtree(old)
        else:
            old.rename(folder)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until no other process holds the lock, and hold it. It is gone with the process."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
