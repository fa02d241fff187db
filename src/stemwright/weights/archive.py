"""Takes named files out of a tar or zip archive, and nothing else."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zipfile
import zlib
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Final, cast

from stemwright.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MOST_MEMBERS: Final = 1000
_PIECE: Final = 1 << 20  # bytes
_LONGEST_HEADER: Final = 1 << 16  # bytes of a tar member's names and records, which are held in memory
_LONGEST_READ: Final = 2 << 20  # bytes; above a piece, and above the directory of a zip with `_MOST_MEMBERS`
_PLAIN: Final = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # others decompress without a bound on each piece
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
    with (
        gzip.open(archive) as plain,
        tarfile.open(fileobj=_Bounded(plain, largest), mode="r|", tarinfo=_Member) as tar,
    ):
        for count, member in enumerate(tar):
            _check_count(count)
            name = PurePosixPath(member.name).name
            if name in names and member.isreg():
                source = tar.extractfile(member)
                assert source is not None  # noqa: S101  (it is a regular file)
                yield name, source


def _zipped(archive: Path, names: tuple[str, ...], largest: int) -> Iterator[tuple[str, IO[bytes]]]:
    with _SmallReads(archive) as file, zipfile.ZipFile(file) as whole:
        for count, member in enumerate(whole.infolist()):
            _check_count(count)
            name = PurePosixPath(member.filename).name
            if name in names and not member.is_dir():
                if member.compress_type not in _PLAIN:
                    raise WeightsError("the archive of weights is refused: it is compressed in an unusual way")
                with whole.open(member) as source:
                    bounded = _Bounded(source, largest)
                    yield name, cast("IO[bytes]", bounded)
                    largest = bounded.left


class _Member(tarfile.TarInfo):
    """A member of a tar archive whose description takes little memory."""

    _DESCRIBING = frozenset(
        (
            tarfile.XHDTYPE,
            tarfile.XGLTYPE,
            tarfile.SOLARIS_XHDTYPE,
            tarfile.GNUTYPE_LONGNAME,
            tarfile.GNUTYPE_LONGLINK,
        )
    )

    def _proc_member(self, tar: tarfile.TarFile) -> Any:
        """Overridden as `tarfile` means it to be; called with each header before what follows it is read."""
        if self.type == tarfile.GNUTYPE_SPARSE or (self.type in self._DESCRIBING and self.size > _LONGEST_HEADER):
            raise WeightsError("the archive of weights is refused: its headers are larger than can be right")
        return super()._proc_member(tar)  # type: ignore[misc]

    def _refused(self, *_: Any) -> None:
        raise WeightsError("the archive of weights is refused: it has sparse files")

    _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refused  # maps without an end


class _SmallReads(io.FileIO):
    """A file that is never read in large pieces: the directory of a zip archive is read at once."""

    def read(self, size: int | None = -1, /) -> bytes:
        """As `io.FileIO.read`. Raises `WeightsError` for a large piece."""
        if size is None or size < 0:  # to the end
            size = os.fstat(self.fileno()).st_size - self.tell()
        if size > _LONGEST_READ:
            raise WeightsError("the archive of weights is refused: its directory is larger than can be right")
        return super().read(size)


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
