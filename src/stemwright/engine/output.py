"""Where results go: names from a template, a staging folder, and files that appear only when they are whole."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import string
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pydantic import ValidationError

from stemwright.engine.receipt import Receipt
from stemwright.errors import DiskFullError, OptionError, OutputError, OutputExistsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from stemwright.types import Digest

DEFAULT_TEMPLATE = "{song}/{stem}.{ext}"
TEMPLATE_FIELDS = ("song", "stem", "ext", "artist", "title", "album", "model")
_STAGING = ".stemwright-"
_LONGEST_NAME = 150  # bytes of one field; file systems take 255 for a name
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
_RESERVED = re.compile(r"(?i)^(con|prn|aux|nul|com\d|lpt\d)(\.|$)")


@dataclass(frozen=True, slots=True)
class NameTemplate:
    """How the files of a song are called, such as `{artist} - {title}/{stem}.{ext}`."""

    text: str = DEFAULT_TEMPLATE

    def __post_init__(self) -> None:
        """Raise `OptionError` when the template cannot be used."""
        try:
            parsed = [part[1:] for part in string.Formatter().parse(self.text) if part[1] is not None]
        except ValueError as error:
            raise OptionError(f"name template {self.text!r}: {error}") from error
        names = [name for name, _, _ in parsed]
        if any(spec or conversion for _, spec, conversion in parsed) or not {*names} <= {*TEMPLATE_FIELDS}:
            known = ", ".join(f"{{{name}}}" for name in TEMPLATE_FIELDS)
            raise OptionError(f"name template {self.text!r}: only {known} can be used")
        if "stem" not in names:
            raise OptionError(f"name template {self.text!r} must hold {{stem}}")
        plain = self.text.format(**dict.fromkeys(TEMPLATE_FIELDS, "x"))
        parts = PurePosixPath(plain).parts
        if plain.startswith("/") or "\\" in plain or ".." in parts:
            raise OptionError(f"name template {self.text!r} leads out of the output folder")

    def path(self, fields: Mapping[str, str], *, stem: str, ext: str) -> PurePosixPath:
        """Relative path of one file; values from outside are made safe."""
        values = {name: safe_name(fields.get(name, ""), otherwise="unknown") for name in TEMPLATE_FIELDS}
        return PurePosixPath(self.text.format(**values | {"stem": safe_name(stem), "ext": ext}))


def safe_name(text: str, *, otherwise: str = "untitled") -> str:
    """A text from outside as one part of a path: no separators, no control characters, not hidden, not too long."""
    text = text.encode("utf-8", "replace").decode()  # a file's name may hold bytes that are no text
    name = _UNSAFE.sub("_", text).strip(" .")
    name = name.encode()[:_LONGEST_NAME].decode("utf-8", "ignore").strip(" .")
    return f"_{name}" if _RESERVED.match(name) else name or otherwise


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

    def publish(self, files: Mapping[PurePosixPath, Path], *, receipt: PurePosixPath) -> None:
        """Move whole files to their places, the receipt last: where it stands, all that it names is there.

        Raises `OutputError`.
        """
        try:
            for path in files.values():
                _sync(path)
            (self.root / receipt).unlink(missing_ok=True)
            for name in sorted(files, key=lambda name: name == receipt):
                target = self.root / name
                target.parent.mkdir(parents=True, exist_ok=True)
                files[name].replace(target)
            for folder in {(self.root / name).parent for name in files}:
                _sync(folder)
        except OSError as error:
            raise OutputError(f"{self.root}: {error.strerror}") from error


@contextmanager
def staging(root: Path) -> Iterator[Staging]:
    """A staging folder below `root`, which is made if need be; what killed runs left there is removed.

    Raises `OutputError`.
    """
    made = [folder for folder in (root, *root.parents) if not folder.exists()]
    try:
        root.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=_STAGING, dir=root))
    except OSError as error:
        raise OutputError(f"{root}: {error.strerror}") from error
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _sweep(root)
        yield Staging(root, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
        for empty in made:  # nothing came of it: leave no empty folder behind
            try:
                empty.rmdir()
            except OSError:
                break


def _sweep(root: Path) -> None:
    """Remove staging folders whose process is gone: the kernel has released its lock."""
    for folder in root.glob(f"{_STAGING}*"):
        try:
            lock = os.open(folder, os.O_RDONLY)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(lock)


def earlier_receipt(path: Path) -> Receipt | None:
    """The receipt that an earlier run left, or None when there is none that can be read."""
    try:
        return Receipt.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def is_whole(receipt: Receipt, root: Path) -> bool:
    """Whether all files of a receipt are there, stems in their full size."""
    stems = {stem.file: stem.size_bytes for stem in receipt.stems}
    try:
        return all(
            (root / name).stat().st_size == stems.get(name, (root / name).stat().st_size) for name in receipt.files
        )
    except OSError:
        return False


def check_free(
    root: Path, names: list[PurePosixPath], *, receipt: PurePosixPath, digest: Digest, force: bool
) -> list[str]:
    """What an earlier run left there and may be removed; makes sure that nothing of another origin is overwritten.

    Raises `OutputExistsError`, unless `force`.
    """
    earlier = earlier_receipt(root / receipt)
    if earlier and (force or earlier.input.digest == digest):
        return [*earlier.files]
    if force:
        return []
    if earlier:
        raise OutputExistsError(
            f"{root / receipt.parent} holds the stems of another recording ({earlier.input.name}); "
            "choose another folder or name template, or use --force"
        )
    for name in names:
        if (root / name).exists():
            raise OutputExistsError(f"{root / name} exists already and is not ours; use --force to overwrite it")
    return []


def remove_stale(root: Path, earlier: list[str], *, kept: set[str]) -> None:
    """Remove what an earlier run of the same song left and this one did not replace."""
    for name in set(earlier) - kept:
        path = PurePosixPath(name)
        if not path.is_absolute() and ".." not in path.parts:  # a receipt is a file that anybody may have edited
            (root / path).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
