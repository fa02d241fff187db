"""The moves that publish a run, written down before they are made, so that the next run can finish them.

A journal is believed only in a folder of ours that nobody else may change, and only with the mark of the run that
wrote it: the number and the time of a file, which no archive brings along and no other user can make. Names in it lead
to places below the output folder, and links on the way are not followed.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from stemwright.disk import is_mine, open_folder, read_json, sync

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME: Final = "journal.json"


class DistrustError(Exception):
    """A journal that is not believed, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """What publishing does: `stale` files go, staged files get their places, the last of them the receipt."""

    stale: tuple[PurePosixPath, ...]
    staged: tuple[tuple[PurePosixPath, str], ...]  # place below the output folder, name in the staging folder


def write(moves: Moves, *, folder: int, mark: int) -> None:
    """Put the journal into the staging folder, and see it on the disk. Raises OSError."""
    text = json.dumps(
        {
            "mark": _number(mark),
            "stale": [str(place) for place in moves.stale],
            "staged": [[str(place), name] for place, name in moves.staged],
        }
    )
    handle = os.open(NAME, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600, dir_fd=folder)
    with os.fdopen(handle, "wb") as file:
        file.write(text.encode())
        file.flush()
        sync(handle)
    sync(folder)


def read(*, folder: int, mark: int) -> Moves | None:
    """What is left to do in the staging folder of a run that is dead; None where nothing has been moved yet.

    Raises `DistrustError` for a journal that no run of this user wrote here, OSError.
    """
    try:
        facts = os.stat(NAME, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not (is_mine(os.fstat(folder)) and is_mine(facts) and stat.S_ISREG(facts.st_mode)):
        raise DistrustError("others may have written its journal")
    try:
        said = read_json(NAME, at=folder)
    except ValueError:  # killed while it was written
        return None
    except OSError as error:
        raise DistrustError(f"its journal is not read: {error.strerror}") from error
    return _moves(said, mark=mark)


def carry_out(moves: Moves, *, root: int, folder: int, own_links: bool = False) -> None:
    """Make the moves that are left; the receipt is the last of them.

    `own_links` follows folders' links that are root's or ours. Raises `ForeignLinkError` before anything is moved, and
    OSError.
    """
    left = [(place, name) for place, name in moves.staged if _is_file(name, folder=folder)]
    if not left:
        return
    going = [left[-1][0], *moves.stale]  # a receipt that would no longer be true, and what is stale
    for place in (*going, *(place for place, _ in left)):
        _check(root, place, own_links=own_links)
    for place in going:
        with contextlib.suppress(FileNotFoundError), _parent(root, place, own_links=own_links) as parent:
            os.unlink(place.name, dir_fd=parent)
    for place, name in left:
        with _parent(root, place, own_links=own_links, make=True) as parent:
            os.replace(name, place.name, src_dir_fd=folder, dst_dir_fd=parent)
    for place in {place.parent: place for place, _ in left}.values():
        with _parent(root, place, own_links=own_links) as parent:
            sync(parent)


def _moves(said: Any, *, mark: int) -> Moves:
    match said:
        case {"mark": list() as number, "stale": list() as stale, "staged": list() as staged}:
            if number == _number(mark):
                return Moves(
                    stale=tuple(_place(place) for place in stale),
                    staged=tuple((_place(place), _plain(name)) for place, name in map(_pair, staged)),
                )
    raise DistrustError("its journal was not written by a run in this folder")


def _number(mark: int) -> list[int]:
    """What tells a file from all others, also from one of the same name out of an archive."""
    facts = os.fstat(mark)
    return [facts.st_ino, facts.st_ctime_ns]


def _pair(entry: Any) -> tuple[Any, Any]:
    match entry:
        case [place, name]:
            return place, name
    raise DistrustError("its journal has entries that no run writes")


def _place(text: Any) -> PurePosixPath:
    """A place below the output folder. Raises `DistrustError`."""
    if not isinstance(text, str) or "\0" in text:
        raise DistrustError("its journal names something that is not a file")
    place = PurePosixPath(text)
    if place.is_absolute() or not place.parts or ".." in place.parts:
        raise DistrustError("its journal names files elsewhere")
    return place


def _plain(name: Any) -> str:
    """The name of a file in the staging folder itself. Raises `DistrustError`."""
    if len(_place(name).parts) != 1:
        raise DistrustError("its journal names files elsewhere")
    return str(name)


def _is_file(name: str, *, folder: int) -> bool:
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _check(root: int, place: PurePosixPath, *, own_links: bool) -> None:
    with contextlib.suppress(FileNotFoundError), _parent(root, place, own_links=own_links):
        pass


@contextlib.contextmanager
def _parent(root: int, place: PurePosixPath, *, own_links: bool, make: bool = False) -> Iterator[int]:
    """The folder of a place, opened one part after the other; made where it is missing."""
    handle = os.dup(root)
    try:
        for part in place.parent.parts:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, dir_fd=handle)
            inner = open_folder(part, at=handle, own_links=own_links)
            os.close(handle)
            handle = inner
        yield handle
    finally:
        os.close(handle)
