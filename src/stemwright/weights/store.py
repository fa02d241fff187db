"""The cache of weights: `CACHE/LABEL/DIGEST/`, a folder for each file or archive of a publisher's.

A folder gets its name, by renaming, when all that belongs in it is there, checked and synced; so one that has its name
can be trusted, whatever was killed. What is half-done has other names, and is gone on with or swept by the next who
holds the lock. An old folder stays until a new one has taken its place.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import json
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final, Literal

from stemwright.disk import is_safe, read_json, remove_mine, sha256_of, sync
from stemwright.errors import ModelUnavailableError, OutputError, StemwrightError, WeightsError
from stemwright.weights import lock
from stemwright.weights.archive import unpack
from stemwright.weights.config import Config, OnProgress, current
from stemwright.weights.download import Wanted, download, forget

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stemwright.types import Digest

DIGESTS: Final = "digests.json"  # SHA-256 of each file of a folder, as it was downloaded
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
    """Its folder, if it is here whole, and nobody but this user and root could have laid it there. Raises nothing."""
    config = current()
    with contextlib.suppress(StemwrightError):
        if digest := remote.sha256 or lock.pinned(config.cache, remote.url):
            folder = config.cache / remote.label / digest[:_DIGITS]
            if is_safe(folder) and all(is_safe(folder / name) for name in remote.files):
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
        for folder in (config.cache, place):
            _make_ours(folder)
        with _alone(place / "lock"):
            if not again and (folder := find(remote)):  # somebody else was quicker
                return folder
            return _fetch(remote, place, config, on_progress or config.on_progress)
    except OSError as error:
        raise OutputError(f"the weights of {remote.model} cannot be kept in {place}: {error}") from error


def check(folder: Path, names: Sequence[str]) -> None:
    """Compare the files of a folder with what they were when they were downloaded.

    Raises `WeightsError` when one has changed or cannot be read. Where no digests were noted there is nothing to tell.
    """
    try:
        known = read_json(folder / DIGESTS)
        for name in names:
            if name in known and known[name] != known_sha256_of(folder / name):
                raise WeightsError(f"{folder / name} has changed since it was downloaded: fetch it --again")
    except FileNotFoundError:
        if (folder / DIGESTS).is_symlink() or not folder.is_dir():
            raise WeightsError(f"the weights in {folder} cannot be checked") from None
    except (OSError, ValueError, TypeError) as error:
        raise WeightsError(f"the weights in {folder} cannot be checked: {error}") from error


def _make_ours(folder: Path) -> None:
    """Make a folder that others may not change; what they may have begun in one that they could change is removed.

    Raises `OutputError` for a folder of another user, OSError.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    facts = folder.stat()  # through a link of the user's own, to another disk for one
    if facts.st_uid not in {0, os.geteuid()} or (
        folder.is_symlink() and folder.lstat().st_uid not in {0, os.geteuid()}
    ):
        raise OutputError(f"{folder} belongs to another user; set `model.cache` to a folder of your own")
    if facts.st_mode & 0o022:
        folder.chmod(stat.S_IMODE(facts.st_mode) & ~0o022)
        for path in folder.iterdir():
            if path.is_symlink() or path.suffix in {".part", ".json", ".new"} or path.name == "lock":
                path.unlink()


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
        (fresh / name).chmod(0o644)
        sync(fresh / name)
    digests = {name: known_sha256_of(fresh / name) for name in remote.files}
    (fresh / DIGESTS).write_text(json.dumps(digests, indent=2), encoding="utf-8")
    sync(fresh / DIGESTS)
    sync(fresh)
    if folder.exists():
        folder.rename(folder.with_name(f"{folder.name}{_OLD}"))
    fresh.rename(folder)
    sync(folder.parent)
    return folder


def _sweep(place: Path) -> None:
    """Remove what was being unpacked, and put back what was taken away for it; only who holds the lock may."""
    for left in place.glob(f"{_FRESH}*"):
        remove_mine(left)
    for old in place.glob(f"*{_OLD}"):
        folder = old.with_name(old.name.removesuffix(_OLD))
        if folder.exists():
            remove_mine(old)
        elif is_safe(old):
            old.rename(folder)


def known_sha256_of(path: Path) -> Digest:
    """The SHA-256 of a file; computed once a process for a file that stays as it is. Raises OSError."""
    facts = path.stat()
    return _digest_of(path, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino)


@functools.lru_cache(maxsize=64)
def _digest_of(path: Path, *_facts: int) -> Digest:
    return sha256_of(path)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until no other process holds the lock, and hold it. It is gone with the process."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
