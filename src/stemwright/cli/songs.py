"""Which songs a command line means."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from stemwright.audio.sniff import sniff
from stemwright.errors import NotAudioError, StemwrightError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_SUFFIXES = {
    *(".wav", ".w64", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".aif", ".aiff", ".wma"),
    *(".mp4", ".mkv", ".webm"),
}


@dataclass(frozen=True, slots=True)
class Task:
    """One song, and the folder below which its files go."""

    song: Path
    root: Path


@dataclass(frozen=True, slots=True)
class Found:
    """Songs in the order in which they are done, and how many other files the folders held."""

    tasks: tuple[Task, ...]
    ignored: tuple[Path, ...]  # files that are not audio
    unreadable: tuple[str, ...]  # folders, each with the reason


def find_songs(paths: Sequence[Path], output: Path) -> Found:
    """All songs named, and all recordings below folders named, whose tree is kept below `output`.

    Hidden files, what lies below `output`, and stems that a receipt of ours lists are passed over. A file that is named
    is always tried.
    """
    tasks: dict[Path, Task] = {}
    unreadable: list[str] = []
    ignored: list[Path] = []
    for path in paths:
        if not path.is_dir():
            tasks.setdefault(path, Task(path, output))
            continue
        for file in _files(path, without=output.resolve(), unreadable=unreadable):
            if _may_be_song(file):
                tasks.setdefault(file, Task(file, output / file.parent.relative_to(path)))
            else:
                ignored.append(file)
    return Found(tuple(tasks.values()), tuple(ignored), tuple(unreadable))


def _files(folder: Path, *, without: Path, unreadable: list[str]) -> Iterator[Path]:
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        unreadable.append(f"{folder}: {error.strerror}")
        return
    ours = _listed(folder)
    for path in paths:
        if path.name.startswith(".") or path.name in ours:
            continue
        if path.is_dir():
            if path.resolve() != without and not path.is_symlink():  # a linked folder may lead round in a circle
                yield from _files(path, without=without, unreadable=unreadable)
        elif path.is_file():
            yield path


def _listed(folder: Path) -> set[str]:
    """Names of the files that a receipt in this folder lists: stems are no songs."""
    from stemwright.engine.output import earlier_receipt

    receipt = earlier_receipt(folder / "receipt.json")
    return {PurePath(name).name for name in (*receipt.files, *receipt.kept)} if receipt else set()


def _may_be_song(file: Path) -> bool:
    """Whether to try a file of a folder: what is audio, and what is called so; a broken song is tried, and reported."""
    if file.suffix.lower() in _SUFFIXES:
        return True
    try:
        sniff(file)
    except NotAudioError:
        return False
    except StemwrightError:
        return True
    return True
