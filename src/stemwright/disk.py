"""Files that are on the disk for certain, and files that somebody else may have laid in our way.

A folder of the user may be one in which others write too, or come out of an archive. So what steers the program there
is opened without following links, is small, and is ours alone; everything else is left where it is.
"""

from __future__ import annotations

import errno
import grp
import hashlib
import json
import os
import pwd
import secrets
import shutil
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader

SMALL: Final = 16 << 20  # bytes: no receipt, journal or note of ours is larger
_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


class ForeignLinkError(OSError):
    """A link of another user stands where a folder of ours should be."""


class ForeignFileError(OSError):
    """A file that nobody named, and that others may have written, would steer us."""


def sync(path: Path | int) -> None:
    """See a file's bytes, or a folder's names, on the disk; `path` may be an open file. Raises OSError."""
    handle = path if isinstance(path, int) else os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        if not isinstance(path, int):
            os.close(handle)


@contextmanager
def draft_of(path: Path) -> Iterator[Path]:
    """The path of a new file beside `path`, to be written by the caller; it takes the place of `path` at the end.

    Readers see the old file or the new one, whole. Where the caller fails, the draft goes and the old file stays.
    Raises OSError.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    try:
        yield draft
        sync(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Write a file that appears whole or not at all, as `draft_of`; `mode` is less what the umask takes.

    Raises OSError.
    """
    with draft_of(path) as draft:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(content)


def is_mine(facts: os.stat_result) -> bool:
    """Whether a file belongs to the user of this process, and nobody else may change it."""
    return facts.st_uid == os.geteuid() and not facts.st_mode & _OTHERS


def is_safe(path: Path) -> bool:
    """Whether a file or folder, and no link, belongs to this user or to root, and nobody else may change it."""
    try:
        facts = path.lstat()
    except OSError:
        return False
    return not stat.S_ISLNK(facts.st_mode) and facts.st_uid in {0, os.geteuid()} and not facts.st_mode & _OTHERS


def is_regular(path: Path) -> bool:
    """Whether there is a regular file, and no link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def open_regular(path: Path | str, *, at: int | None = None) -> BufferedReader:
    """Open a regular file for reading; `at` is the folder that a relative path starts from.

    Raises OSError, also for a pipe or a device, which might never end.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK, dir_fd=at)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        if Path(path).is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return os.fdopen(handle, "rb")


def read_small(path: Path | str, *, at: int | None = None, most: int = SMALL) -> bytes:
    """The bytes of a regular file. Raises OSError as `open_regular`, and for more than `most` bytes."""
    with open_regular(path, at=at) as file:
        return _all_of(file, path, most=most)


def _all_of(file: BufferedReader, path: Path | str, *, most: int) -> bytes:
    size = os.fstat(file.fileno()).st_size  # `read` takes memory for all that it is asked for
    if size > most or len(data := file.read(min(most, max(size, 1 << 16)) + 1)) > most:
        raise OSError(errno.EFBIG, f"more than {most} bytes", str(path))
    return data


def read_json(path: Path | str, *, at: int | None = None, most: int = SMALL) -> Any:
    """What a small JSON file says. Raises OSError as `read_small`, ValueError, also where it is nested too deeply."""
    try:
        return json.loads(read_small(path, at=at, most=most))
    except RecursionError as error:
        raise ValueError(f"{path}: nested too deeply") from error


def sha256_of(path: Path | str) -> str:
    """The SHA-256 of a regular file's bytes, in hexadecimal. Raises OSError as `open_regular`."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_folder(path: Path | str, *, at: int | None = None, own_links: bool = False) -> int:
    """Open a folder, for `dir_fd`; with `own_links` also through a last link that is root's or ours.

    Raises `ForeignLinkError` for a link that may not be followed, OSError.
    """
    try:
        return os.open(path, _FOLDER, dir_fd=at)
    except OSError as error:
        if error.errno not in {errno.ELOOP, errno.ENOTDIR} or not _is_link(path, at=at):
            raise
    if not own_links:
        raise ForeignLinkError(errno.ELOOP, "is a link, which is not followed here", str(path))
    handle = os.open(path, getattr(os, "O_PATH", getattr(os, "O_SYMLINK", 0)) | os.O_NOFOLLOW, dir_fd=at)
    try:
        if os.fstat(handle).st_uid not in {0, os.geteuid()}:
            raise ForeignLinkError(errno.ELOOP, "is a link of another user, which is not followed", str(path))
        # the text of the link that was looked at, not of one that took its place since
        text = os.readlink("", dir_fd=handle) if hasattr(os, "O_PATH") else os.readlink(path, dir_fd=at)
    finally:
        os.close(handle)
    return os.open(Path(path).parent / text, os.O_RDONLY | os.O_DIRECTORY, dir_fd=at)


def read_found(path: Path, *, most: int = SMALL, owner: int | None = None) -> bytes:
    """The bytes of a regular file that was found, not named by the user, and that will steer us.

    It must belong to this user, to root, or to the user `owner`, and nobody else may be able to write it. Raises
    `ForeignFileError`, OSError as `read_small`.
    """
    trusted = {0, os.geteuid()} | ({owner} if owner is not None else set())
    laid = path.lstat()
    with open_regular(path) as file:
        facts = os.fstat(file.fileno())  # of what is read, whatever takes its place
        for each in (laid, facts):
            if each.st_uid not in trusted:
                raise ForeignFileError(errno.EPERM, f"belongs to another user (number {each.st_uid})", str(path))
        if facts.st_mode & stat.S_IWOTH or (facts.st_mode & stat.S_IWGRP and not _is_alone(facts.st_gid, facts.st_uid)):
            raise ForeignFileError(errno.EPERM, "can be written by other users", str(path))
        return _all_of(file, path, most=most)


def _is_alone(group: int, user: int) -> bool:
    """Whether a group has no other member than this user, as where each user has a group of the same name."""
    try:
        found, name = grp.getgrgid(group), pwd.getpwuid(user).pw_name
    except KeyError:
        return False
    return found.gr_name == name and set(found.gr_mem) <= {name}


def empty(folder: int) -> None:
    """Remove what is in an opened folder, as far as that goes; links in it are removed, and never followed."""
    shutil.rmtree(".", dir_fd=folder, ignore_errors=True)  # "." itself cannot be removed, and stays


def remove_mine(folder: Path) -> bool:
    """Remove a folder of ours with all that is in it, as far as that goes; False for a link and for what is another's.

    Links in it are removed, and never followed.
    """
    try:
        facts = folder.lstat()
    except OSError:
        return False
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid():
        return False
    shutil.rmtree(folder, ignore_errors=True)
    return True


def make_private(folder: Path) -> list[tuple[Path, int]]:
    """Make a folder that only its user can enter, or take others' rights from it and from what is right in it.

    What was changed, with the mode that it had. What belongs to another user stays as it is; but a folder of another
    that everybody can enter is refused. Raises PermissionError for that, OSError.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    mended = []
    for path in (folder, *folder.iterdir()):
        facts = path.lstat()
        mode = stat.S_IMODE(facts.st_mode)
        if stat.S_ISLNK(facts.st_mode) or not mode & 0o077:
            continue
        if os.geteuid() in {0, facts.st_uid}:
            path.chmod(mode & ~0o077)
            mended.append((path, mode))
        elif path == folder and mode & 0o007:
            raise PermissionError(errno.EPERM, "others can enter it", str(path))
    return mended


def make_as_open_as(folder: Path, parent: Path) -> None:
    """Let a folder and what is in it be read by those who can read its parent: by the group, by others, by nobody."""
    readers = parent.stat().st_mode & 0o055
    for path in (folder, *folder.rglob("*")):
        mode = path.lstat().st_mode
        if not stat.S_ISLNK(mode):
            may = readers if stat.S_ISDIR(mode) else readers & 0o044
            path.chmod(stat.S_IMODE(mode) & ~0o077 | may)


def _is_link(path: Path | str, *, at: int | None) -> bool:
    try:
        return stat.S_ISLNK(os.stat(path, dir_fd=at, follow_symlinks=False).st_mode)
    except OSError:
        return False
