"""Takes named files out of a tar archive, and nothing else."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from stemwright.errors import WeightsError

if TYPE_CHECKING:
    from pathlib import Path

_MOST_MEMBERS: Final = 1000
_PIECE: Final = 1 << 20  # bytes


def unpack(archive: Path, folder: Path, *, names: tuple[str, ...], largest: int) -> None:
    """Write the regular files with these names, wherever they lie in a `.tar.gz`, into a folder.

    `largest`: bytes that the archive may have when it is decompressed. Nothing of its paths, modes or links is used.
    Raises `WeightsError`: no archive, damaged, too large, a file missing or there twice. `OSError` of the disk.
    """
    found: set[str] = set()
    try:
        with gzip.open(archive) as plain, tarfile.open(fileobj=_Bounded(plain, largest), mode="r|") as tar:
            for count, member in enumerate(tar):
                if count == _MOST_MEMBERS:
                    raise WeightsError("the archive of weights is refused: it holds too many files")
                name = PurePosixPath(member.name).name
                if name not in names or not member.isreg():
                    continue
                if name in found:
                    raise WeightsError(f"the archive of weights is refused: it holds {name} twice")
                found.add(name)
                source = tar.extractfile(member)
                assert source is not None  # noqa: S101  (it is a regular file)
                with (folder / name).open("xb") as target:
                    while piece := source.read(_PIECE):
                        target.write(piece)
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, ValueError) as error:
        raise WeightsError(f"the archive of weights is damaged: {error}") from error
    if missing := [name for name in names if name not in found]:
        raise WeightsError(f"the archive of weights lacks {', '.join(missing)}")


class _Bounded(io.RawIOBase):
    """A stream that ends in an error when too much comes out of it."""

    def __init__(self, source: gzip.GzipFile, largest: int) -> None:
        self._source, self._left = source, largest

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        data = self._source.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise WeightsError("the archive of weights is refused: too much comes out of it")
        return data
