"""Takes named files out of a tar or zip archive, and nothing else."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
import zlib
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Final, cast

from stemwright.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MOST_MEMBERS: Final = 1000
_PIECE: Final = 1 << 20  # bytes
_DAMAGE: Final = (  # what damaged archives raise
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    EOFError,
    zlib.error,
    ValueError,
    NotImplementedError,
    RuntimeError,
)


def unpack(archive: Path, folder: Path, *, names: tuple[str, ...], largest: int) -> None:
    """Write the regular files with these names, wherever they lie in a `.tar.gz` or a `.zip`, into a folder.

    `largest`: bytes that the archive may have when it is decompressed. Nothing of its paths, modes or links is used.
    Raises `WeightsError`: no archive, damaged, too large, a file missing or there twice. `OSError` of the disk.
    """
    found: set[str] = set()
    try:
        members = _zipped(archive, names, largest) if zipfile.is_zipfile(archive) else _tarred(archive, names, largest)
        for name, source in members:
            if name in found:
                raise WeightsError(f"the archive of weights is refused: it holds {name} twice")
            found.add(name)
            with (folder / name).open("xb") as target:
                while piece := source.read(_PIECE):
                    target.write(piece)
    except _DAMAGE as error:
        raise WeightsError(f"the archive of weights is damaged: {error}") from error
    if missing := [name for name in names if name not in found]:
        raise WeightsError(f"the archive of weights lacks {', '.join(missing)}")


def _tarred(archive: Path, names: tuple[str, ...], largest: int) -> Iterator[tuple[str, IO[bytes]]]:
    with gzip.open(archive) as plain, tarfile.open(fileobj=_Bounded(plain, largest), mode="r|") as tar:
        for count, member in enumerate(tar):
            _check_count(count)
            name = PurePosixPath(member.name).name
            if name in names and member.isreg():
                source = tar.extractfile(member)
                assert source is not None  # noqa: S101  (it is a regular file)
                yield name, source


def _zipped(archive: Path, names: tuple[str, ...], largest: int) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(archive) as whole:
        for count, member in enumerate(whole.infolist()):
            _check_count(count)
            name = PurePosixPath(member.filename).name
            if name in names and not member.is_dir():
                with whole.open(member) as source:
                    bounded = _Bounded(source, largest)
                    yield name, cast("IO[bytes]", bounded)
                    largest = bounded.left


def _check_count(count: int) -> None:
    if count == _MOST_MEMBERS:
        raise WeightsError("the archive of weights is refused: it holds too many files")


class _Bounded(io.RawIOBase):
    """A stream that ends in an error when too much comes out of it."""

    def __init__(self, source: IO[bytes] | gzip.GzipFile, largest: int) -> None:
        self._source, self.left = source, largest

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        data = self._source.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise WeightsError("the archive of weights is refused: too much comes out of it")
        return data
