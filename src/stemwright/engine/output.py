"""Where results go: a staging folder, files that appear only when they are whole, and nobody else's overwritten."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import stat
import tempfile
import threading
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pydantic import ValidationError

from stemwright.disk import ForeignLinkError, empty, open_folder, read_small, sha256_of, sync
from stemwright.engine import journal
from stemwright.engine.receipt import FileRecord, Receipt
from stemwright.errors import DiskFullError, OutputError, OutputExistsError
from stemwright.types import Notice

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from stemwright.types import Digest

_STAGING = ".stemwright-"
_MARK = "staging"  # the file that makes such a folder ours, locked while its process lives
_POLITE = (signal.SIGINT, signal.SIGTERM)
_LONGEST_PART = 255  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSong:
    """What is about to be written: of which recording, and whether by a draft."""

    path: Path
    digest: Digest
    draft: bool


class Staging:
    """A private folder next to the results, gone afterwards whatever happens."""

    def __init__(self, root: Path, folder: Path, *, handle: int, mark: int) -> None:
        self.root = root
        self.folder = folder
        self._handle = handle  # the folder itself, whatever stands at its path
        self._mark = mark

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
        moves = journal.Moves(stale=tuple(stale), staged=tuple((name, files[name].name) for name in order))
        with _locked(self.root) as root, _undisturbed():
            check()
            journal.write(moves, folder=self._handle, mark=self._mark)
            journal.carry_out(moves, root=root, folder=self._handle, own_links=True)


@contextmanager
def staging(root: Path) -> Iterator[Staging]:
    """A staging folder below `root`, which is made if need be; what killed runs left there is finished or removed.

    Raises `OutputError`, OSError.
    """
    _check_links(root)
    made = [folder for folder in (root, *root.parents) if not folder.exists()]
    root.mkdir(parents=True, exist_ok=True)
    folder, handles = None, []
    try:
        if not os.access(root, os.W_OK):
            raise OutputError(f"{root}: no permission to write there")
        with _locked(root) as place:
            folder = Path(tempfile.mkdtemp(prefix=_STAGING, dir=root))
            handles.append(open_folder(folder.name, at=place))
            handles.append(os.open(_MARK, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=handles[0]))
            fcntl.flock(handles[1], fcntl.LOCK_EX)
            _sweep(root, place)
        yield Staging(root, folder, handle=handles[0], mark=handles[1])
    finally:
        if handles:
            empty(handles[0])
        if folder is not None:
            with suppress(OSError):
                folder.rmdir()
        for handle in handles:
            os.close(handle)
        for unused in made:  # nothing came of it: leave no empty folder behind
            try:
                unused.rmdir()
            except OSError:
                break


def sweep(root: Path) -> tuple[Notice, ...]:
    """Finish or remove what killed runs left below `root`, if it is there; what is left alone, and why.

    Raises `ForeignLinkError`, OSError.
    """
    _check_links(root)
    if not root.is_dir():
        return ()
    with _locked(root) as place:
        return tuple(_sweep(root, place))


@contextmanager
def _locked(root: Path) -> Iterator[int]:
    """Keep other runs from starting or publishing below `root` for a moment; gives the opened folder."""
    handle = open_folder(root, own_links=True)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
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


def _check_links(root: Path) -> None:
    """Refuse an output folder that a link of another user leads to. Raises `ForeignLinkError`.

    Above the folder itself, links are followed that nobody but the owner of their folder can have laid.
    """
    for path in (root, *root.parents):
        try:
            facts = path.lstat()
        except OSError:
            continue
        if not stat.S_ISLNK(facts.st_mode) or facts.st_uid in {0, os.geteuid()}:
            continue
        above = path.parent.stat()
        if path == root or above.st_uid != facts.st_uid or above.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ForeignLinkError(errno.ELOOP, "is a link of another user, which is not followed", str(path))


def _sweep(root: Path, place: int) -> list[Notice]:
    """Finish or remove what runs left whose process is gone: the kernel has released their locks."""
    return [
        Notice("left_alone", f"{root / name}: {why}; it is left as it is")
        for name in sorted(os.listdir(place))
        if name.startswith(_STAGING) and (why := _settle(name, place))
    ]


def _settle(name: str, root: int) -> str | None:
    """Finish or remove one staging folder; why not, where that has to be told."""
    with ExitStack() as stack:
        try:
            folder = open_folder(name, at=root)
            stack.callback(os.close, folder)
            mark = os.open(_MARK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
            stack.callback(os.close, mark)
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # no staging folder, or one whose process lives
            return None
        try:
            moves = journal.read(folder=folder, mark=mark)
            if os.fstat(folder).st_uid != os.geteuid():  # a run of another user, who finishes it
                return None
            if moves is not None:
                journal.carry_out(moves, root=root, folder=folder)
        except journal.DistrustError as error:
            return str(error)
        except ForeignLinkError as error:
            return f"{error.filename} {error.strerror}"
        empty(folder)
        with suppress(OSError):
            os.rmdir(name, dir_fd=root)
    return None


def earlier_receipt(path: Path) -> Receipt | None:
    """The receipt that an earlier run left, or None when there is none that can be read."""
    try:
        return Receipt.model_validate_json(read_small(path))
    except (OSError, ValidationError):
        return None


def is_whole(receipt: Receipt, root: Path) -> bool:
    """Whether all files of a receipt are there, stems in their full size, the others as they were."""
    return all(_is_untouched(receipt, root, name) for name in receipt.files)


def check_free(
    root: Path, names: Sequence[PurePosixPath], *, receipt: PurePosixPath, song: SourceSong, force: bool
) -> None:
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
        FileRecord(file=str(name), size_bytes=path.stat().st_size, digest=sha256_of(path))
        for name, path in files.items()
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
        return size == known.size_bytes and (known.digest is None or known.digest == sha256_of(root / name))
    except OSError:
        return False


def _check_links_below(root: Path, name: PurePosixPath) -> None:
    """Refuse a place that a link of another user leads to. Raises `ForeignLinkError`."""
    for parent in name.parents:
        path = root / parent
        if path.is_symlink() and path.lstat().st_uid not in {0, os.geteuid()}:
            raise ForeignLinkError(errno.ELOOP, "is a link of another user, which is not followed", str(path))


def _check_place(root: Path, name: PurePosixPath, *, song: Path) -> None:
    """Raise unless a file could stand there without hurting the song itself."""
    target = root / name
    _check_links_below(root, name)
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
