"""Which songs a command line means, and where the files of each go."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from stemwright.audio.sniff import SUFFIXES, sniff
from stemwright.disk import is_regular
from stemwright.engine.naming import folded, safe_name
from stemwright.errors import EmptyInputError, NotAudioError, StemwrightError, UnsupportedInputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_UNFINISHED = {".part", ".partial", ".crdownload", ".download", ".tmp"}  # what browsers and others are still fetching
_AVI_HEADER = 1 << 14  # bytes in which an AVI file names its streams


@dataclass(frozen=True, slots=True)
class Task:
    """One song, and the folder below which its files go."""

    song: Path
    root: Path
    name: str | None = None  # what its files are called by, where that of the song would not do
    named: bool = True  # on the command line; else it was found in a folder


@dataclass(frozen=True, slots=True)
class Found:
    """Songs in the order in which they are done, and how many other files the folders held."""

    tasks: tuple[Task, ...]
    ignored: tuple[Path, ...]  # files that are not audio
    unreadable: tuple[str, ...]  # folders, each with the reason


def find_songs(paths: Sequence[Path], output: Path) -> Found:
    """All songs named, and all recordings below folders named, whose tree is kept below `output`.

    Of several arguments, each folder keeps its name there. Songs whose files would go to the same place are told apart
    by their folders, then by the endings of their names. A song that is named twice, also by a link, is done once.
    Hidden files, unfinished downloads, what lies below `output`, and files that a receipt of ours lists are passed
    over. A file that is named is always tried.
    """
    tasks: dict[Path, Task] = {}
    unreadable: list[str] = []
    ignored: list[Path] = []
    folders = [path for path in paths if path.is_dir()]
    places = dict(zip(folders, _tails([path.resolve() for path in folders]), strict=True))
    for path in paths:
        if path not in places:
            tasks.setdefault(path.resolve(), Task(path, output))
            continue
        below = output / places[path] if len(paths) > 1 else output
        files = [*_files(path, without=output.resolve(), unreadable=unreadable)]
        ours = _listed(files)
        for file in files:
            if file.absolute() in ours:
                continue
            if _may_be_song(file):
                task = Task(file, below / file.parent.relative_to(path), named=False)
                tasks.setdefault(file.resolve(), task)
            else:
                ignored.append(file)
    return Found(tuple(_told_apart([*tasks.values()])), tuple(ignored), tuple(unreadable))


def _told_apart(tasks: list[Task]) -> list[Task]:
    """The same tasks with places of their own; which they get depends on these songs only, not on their order."""
    for tell in (_by_folder, _by_ending, _by_digest):
        groups: dict[tuple[str, str], list[int]] = defaultdict(list)
        for number, task in enumerate(tasks):
            groups[folded(str(task.root)), folded(safe_name(task.name or task.song.stem))].append(number)
        for numbers in groups.values():
            if len(numbers) > 1:
                for number, task in zip(numbers, tell([tasks[number] for number in numbers]), strict=True):
                    tasks[number] = task
    return tasks


def _by_folder(tasks: list[Task]) -> list[Task]:
    parents = [task.song.resolve().parent for task in tasks]
    tails = dict(zip(different := [*dict.fromkeys(parents)], _tails(different), strict=True))
    if len(different) == 1:
        return tasks
    return [replace(task, root=task.root / tails[parent]) for task, parent in zip(tasks, parents, strict=True)]


def _by_ending(tasks: list[Task]) -> list[Task]:
    return [replace(task, name=task.song.name) for task in tasks]


def _by_digest(tasks: list[Task]) -> list[Task]:
    marks = [hashlib.sha256(task.song.name.encode("utf-8", "surrogateescape")).hexdigest()[:8] for task in tasks]
    return [replace(task, name=f"{task.song.name}~{mark}") for task, mark in zip(tasks, marks, strict=True)]


def _tails(folders: Sequence[Path]) -> list[Path]:
    """As many of the last parts of each folder's path as tell it from the others."""
    longest = max((len(folder.parts) for folder in folders), default=1)
    for length in range(1, longest):
        tails = [Path(*folder.parts[1:][-length:]) for folder in folders]
        counts = Counter(folded(str(tail)) for tail in tails)
        if max(counts.values()) == 1:
            return tails
    return [Path(*folder.parts[1:]) for folder in folders]


def _files(folder: Path, *, without: Path, unreadable: list[str]) -> Iterator[Path]:
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        unreadable.append(f"{folder}: {error.strerror}")
        return
    for path in paths:
        if path.name.startswith("."):
            continue
        if path.is_dir():
            if path.resolve() != without and not path.is_symlink():  # a linked folder may lead round in a circle
                yield from _files(path, without=without, unreadable=unreadable)
        elif path.is_file():
            yield path


def _listed(files: Sequence[Path]) -> set[Path]:
    """The files that receipts among these list, however they are called: stems are no songs."""
    from stemwright.engine.output import earlier_receipt

    listed: set[Path] = set()
    for file in files:
        if file.suffix.lower() != ".json" or not is_regular(file) or not (receipt := earlier_receipt(file)):
            continue
        path = file.absolute()
        for own in receipt.files:  # it lists itself: so the folder is known that the names are relative to
            parts = Path(own).parts
            if path.parts[-len(parts) :] == parts:
                root = Path(*path.parts[: -len(parts)])
                listed |= {root / name for name in (*receipt.files, *receipt.kept)}
    return listed


def _may_be_song(file: Path) -> bool:
    """Whether to try a file of a folder: audio, and what is called so; a broken song is tried, and reported."""
    if file.suffix.lower() in _UNFINISHED:
        return False
    try:
        sniff(file)
    except EmptyInputError:
        return False
    except NotAudioError:
        return file.suffix.lower() in SUFFIXES
    except UnsupportedInputError:
        return _has_sound(file)
    except StemwrightError:
        return True
    return True


def _has_sound(file: Path) -> bool:
    """Whether a file of a kind that we do not read is a recording all the same, whose owner must hear of it."""
    try:
        with file.open("rb") as opened:
            head = opened.read(_AVI_HEADER)
    except OSError:
        return True
    return head[:4] != b"MThd" and (head[8:12] != b"AVI " or b"auds" in head)
