"""Which songs a command line means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stemwright.audio.sniff import sniff
from stemwright.errors import NotAudioError, StemwrightError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Task:
    """One song, and the folder below which its files go."""

    song: Path
    root: Path


@dataclass(frozen=True, slots=True)
class Found:
    """Songs in the order in which they are done, and how many other files the folders held."""

    tasks: tuple[Task, ...]
    ignored: int


def find_songs(paths: Sequence[Path], output: Path) -> Found:
    """All songs named, and all recordings below folders named, whose tree is kept below `output`.

    Hidden files and what lies below `output` are passed over. A file that is named is always tried.
    """
    tasks: dict[Path, Task] = {}
    ignored = 0
    for path in paths:
        if not path.is_dir():
            tasks.setdefault(path, Task(path, output))
            continue
        for file in _files(path, without=output.resolve()):
            if _may_be_song(file):
                tasks.setdefault(file, Task(file, output / file.parent.relative_to(path)))
            else:
                ignored += 1
    return Found(tuple(tasks.values()), ignored)


def _files(folder: Path, *, without: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.resolve() == without:
            continue
        if path.is_dir() and not path.is_symlink():  # a linked folder may lead round in a circle
            yield from _files(path, without=without)
        elif path.is_file():
            yield path


def _may_be_song(file: Path) -> bool:
    """Whether to try a file of a folder: all but what is plainly no audio; a broken song is tried, and reported."""
    try:
        sniff(file)
    except NotAudioError:
        return False
    except StemwrightError:
        return True
    return True
