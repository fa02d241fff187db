"""Where results go: a staging folder, files that appear only when they are whole, and nobody else's overwritten."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pydantic import ValidationError

from stemwright.disk import sync
from stemwright.engine.receipt import FileRecord, Receipt
from stemwright.errors import DiskFullError, OutputError, OutputExistsError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from stemwright.types import Digest

_STAGING = ".stemwright-"
_MARK = "staging"  # the file that makes such a folder ours, locked while its process lives
_JOURNAL = "journal.json"
_POLITE = (signal.SIGINT, signal.SIGTERM)
_LONGEST_PART = 255  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Song:
    """What is about to be written: of which recording, and whether by a draft."""

    path: Path
    digest: Digest
    draft: bool


class Staging:
    """A private folder next to the results, gone afterwards whatever happens."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = root
        self.folder = folder

    def new_file(self, name: str) -> Path:
        """Path of a file to be written here."""
        return self.folder / name

    def require(self, size_bytes: int) -> None:
        """Raise `DiskFullError` unless so many bytes are free."""
        free = shutil.disk_usage(self.folder).free
        if free < size_bytes:
            needed, there = f"{size_bytes / 1e9:.2f} GB", f"{free / 1e9:.2f} GB"
            raise DiskFullError(f"{self.root}: {needed} are needed while the song is separated, {there} are free")

    def publish(
        self,
        files: Mapping[PurePosixPath, Path],
        *,
        receipt: PurePosixPath,
        check: Callable[[], object],
        stale: Collection[PurePosixPath] = (),
    ) -> None:
        """Move whole files to their places, the receipt last: where it stands, all that it names is there.

        `stale` are files of an earlier run that go. `check` may refuse, once nobody else can publish here. Ctrl-C waits
        for the end; a run that is killed half-way is brought to its end by the next one. Raises OSError, and what
        `check` raises.
        """
        order = sorted(files, key=lambda name: name == receipt)
        for name in order:
            sync(files[name])
        with _locked(self.root), _undisturbed():
            check()
            journal = self.new_file(_JOURNAL)
            moves = [*((str(name), None) for name in stale), *((str(name), files[name].name) for name in order)]
            journal.write_text(json.dumps(moves), encoding="utf-8")
            sync(journal)
            sync(self.folder)
            _finish(self.root, self.folder)


@contextmanager
def staging(root: Path) -> Iterator[Staging]:
    """A staging folder below `root`, which is made if need be; what killed runs left there is finished or removed.

    Raises `OutputError`, OSError.
    """
    made = [folder for folder in (root, *root.parents) if not folder.exists()]
    root.mkdir(parents=True, exist_ok=True)
    folder = lock = None
    try:
        if not os.access(root, os.W_OK):
            raise OutputError(f"{root}: no permission to write there")
        with _locked(root):
            folder = Path(tempfile.mkdtemp(prefix=_STAGING, dir=root))
            lock = os.open(folder / _MARK, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
            _sweep(root)
        yield Staging(root, folder)
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)
        for empty in made:  # nothing came of it: leave no empty folder behind
            try:
                empty.rmdir()
            except OSError:
                break


def sweep(root: Path) -> None:
    """Finish or remove what killed runs left below `root`, if it is there. Raises OSError."""
    if root.is_dir():
        with _locked(root):
            _sweep(root)


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Keep other runs from starting or publishing below `root` for a moment."""
    handle = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Hold Ctrl-C and a polite kill back for a moment."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread is ever interrupted
        yield
        return
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in _POLITE}
    try:
        yield
    finally:
        for polite, handler in before.items():
            signal.signal(polite, handler)
        for number in came[:1]:
            signal.raise_signal(number)


def _sweep(root: Path) -> None:
    """Finish or remove what runs left whose process is gone: the kernel has released their locks."""
    for folder in root.glob(f"{_STAGING}*"):
        try:
            lock = os.open(folder / _MARK, os.O_RDWR)
        except OSError:  # not ours
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if (folder / _JOURNAL).exists():
                _finish(root, folder)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(lock)


def _finish(root: Path, folder: Path) -> None:
    """Move what the journal in a staging folder names and is still there; the receipt is the last of it."""
    try:
        entries = json.loads((folder / _JOURNAL).read_text())
    except ValueError:  # killed while it was written: nothing has been moved yet
        return
    left = [(name, folder / staged) for name, staged in entries if staged and (folder / staged).exists()]
    if left:
        for name in (left[-1][0], *(name for name, staged in entries if not staged)):
            (root / name).unlink(missing_ok=True)  # a receipt that would no longer be true, and what is stale
    for name, staged in left:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        staged.replace(root / name)
    for parent in {(root / name).parent for name, _ in left}:
        sync(parent)


def earlier_receipt(path: Path) -> Receipt | None:
    """The receipt that an earlier run left, or None when there is none that can be read."""
    try:
        return Receipt.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def is_whole(receipt: Receipt, root: Path) -> bool:
    """Whether all files of a receipt are there, stems in their full size, the others as they were."""
    return all(_is_untouched(receipt, root, name) for name in receipt.files)


def check_free(root: Path, names: Sequence[PurePosixPath], *, receipt: PurePosixPath, song: Song, force: bool) -> None:
    """Make sure that only files of ours, and of this song, would be replaced.

    What stands there counts as ours when the receipt of an earlier run of the same song lists it and it has not changed
    since. `force` allows the rest but for the song itself. Raises `OutputExistsError`, `OutputError`.
    """
    check_places(root, (*names, receipt), song=song.path)
    if force:
        return
    earlier = earlier_receipt(root / receipt)
    if earlier is None and (root / receipt).exists():
        raise OutputExistsError(f"{root / receipt} exists already and is not ours; use --force to overwrite it")
    if earlier and earlier.input.digest != song.digest:
        raise OutputExistsError(
            f"{root / receipt.parent} holds the stems of another recording ({earlier.input.name}); "
            "choose another folder or name template, or use --force"
        )
    if earlier and song.draft and not earlier.model.draft:
        raise OutputExistsError(
            f"{root / receipt.parent} holds stems by {earlier.model.name}; use --force to replace them by a draft"
        )
    for name in names:
        ours = earlier is not None and str(name) in {*earlier.files, *earlier.kept}
        if (root / name).exists() and not (earlier and ours and _is_untouched(earlier, root, str(name))):
            state = "has been changed" if ours else "exists already and is not ours"
            raise OutputExistsError(f"{root / name} {state}; use --force to overwrite it")


def check_places(root: Path, names: Sequence[PurePosixPath], *, song: Path) -> None:
    """Make sure that files could stand there without hurting the song itself.

    Raises `OutputExistsError`, `OutputError`, OSError.
    """
    for name in names:
        _check_place(root, name, song=song)


def kept_beside(
    root: Path, receipt: PurePosixPath, *, digest: Digest, without: Collection[PurePosixPath]
) -> dict[str, FileRecord | None]:
    """Files that earlier runs of the same song left there and this one does not touch, and what is known of them."""
    earlier = earlier_receipt(root / receipt)
    if earlier is None or earlier.input.digest != digest:
        return {}
    known = _known(earlier)
    names = {*earlier.files, *earlier.kept} - {*map(str, without), str(receipt)}
    return {name: known.get(name) for name in sorted(names) if (root / name).exists()}


def stale_beside(root: Path, receipt: PurePosixPath, names: Collection[PurePosixPath]) -> set[PurePosixPath]:
    """Which of the names an earlier run wrote, of whatever song."""
    earlier = earlier_receipt(root / receipt)
    return {name for name in names if earlier and str(name) in {*earlier.files, *earlier.kept}}


def records(files: Mapping[PurePosixPath, Path]) -> tuple[FileRecord, ...]:
    """What a receipt says of files that are no stems, by the names that they will have. Raises OSError."""
    return tuple(
        FileRecord(file=str(name), size_bytes=path.stat().st_size, digest=_digest(path)) for name, path in files.items()
    )


def _known(receipt: Receipt) -> dict[str, FileRecord]:
    stems = {stem.file: FileRecord(file=stem.file, size_bytes=stem.size_bytes) for stem in receipt.stems}
    return stems | {record.file: record for record in receipt.others}


def _is_untouched(receipt: Receipt, root: Path, name: str) -> bool:
    known = _known(receipt).get(name)
    try:
        size = (root / name).stat().st_size
        if known is None:
            return True
        return size == known.size_bytes and (known.digest is None or known.digest == _digest(root / name))
    except OSError:
        return False


def _digest(path: Path) -> Digest:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_place(root: Path, name: PurePosixPath, *, song: Path) -> None:
    """Raise unless a file could stand there without hurting the song itself."""
    target = root / name
    if any(len(os.fsencode(part)) > _LONGEST_PART for part in name.parts):
        raise OutputError(f"{target}: the name is too long for a file")
    if target.exists() and (target.is_dir() or target.samefile(song)):
        what = "is a folder" if target.is_dir() else "is the song itself"
        raise OutputExistsError(f"{target} {what}; choose another folder or name template")
    for parent in target.parents:
        if parent.exists():
            if not parent.is_dir():
                raise OutputExistsError(f"{parent} is a file; choose another folder or name template")
            if not os.access(parent, os.W_OK | os.X_OK):
                raise OutputError(f"{parent}: no permission to write there")
            break
