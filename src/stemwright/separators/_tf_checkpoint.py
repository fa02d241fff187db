"""Reads TensorFlow's checkpoints (V2, one shard) without TensorFlow, and trusts nothing in them.

`model.index` is a LevelDB table (table_format.md of LevelDB) from names to BundleEntryProto (tensor_bundle.proto of
TensorFlow): kind, shape, place and CRC-32C of each tensor in `model.data-00000-of-00001`.
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from stemwright.errors import WeightsError
from stemwright.separators._crc32c import crc32c, masked
from stemwright.weights.tensors import check_finite

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MAGIC: Final = 0xDB4775248B80FB57
_FOOTER: Final = 48  # bytes
_LARGEST_INDEX: Final = 4 << 20  # bytes; Spleeter's has 15 kB
_MOST_TENSORS: Final = 20_000
_MOST_BLOCKS: Final = 2_000  # writers of such tables fill blocks of 4 KiB or more
_LONGEST_NAME: Final = 1024  # bytes: each name may repeat the one before it
_MOST_READ: Final = 4 * _LARGEST_INDEX  # bytes of blocks, of which two may be the same
_FLOAT: Final = 1  # DT_FLOAT of types.proto
_VARINT_BYTES: Final = 10

_Fields: TypeAlias = dict[int, list[int | bytes]]


class _Damage(Exception):  # noqa: N818  (it never leaves this module)
    """Bytes that are no checkpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Where one tensor lies."""

    floats: bool  # float32; others are not read
    shape: tuple[int, ...]
    offset: int  # bytes into the data
    size: int  # bytes
    crc: int  # masked


class Checkpoint:
    """The tensors of a checkpoint by name; each is read, and checked, when it is asked for."""

    def __init__(self, prefix: Path) -> None:
        """Read the index at `prefix.index`. Raises `WeightsError`."""
        self._data = prefix.with_name(f"{prefix.name}.data-00000-of-00001")
        index = prefix.with_name(f"{prefix.name}.index")
        self._name = prefix.parent.name
        try:
            if index.stat().st_size > _LARGEST_INDEX:
                raise _Damage("its index is too large")
            self._length = self._data.stat().st_size
            self.entries = dict(_entries(index.read_bytes()))
        except OSError as error:
            raise WeightsError(f"the checkpoint {prefix} cannot be read: {error.strerror}") from error
        except (_Damage, struct.error, IndexError, ValueError, OverflowError) as error:
            raise WeightsError(
                f"{index.name} of {self._name} is damaged, or no TensorFlow checkpoint: {error}"
            ) from error

    def read(self, name: str) -> npt.NDArray[np.float32]:
        """One tensor, float32 of the shape in its entry. Raises `WeightsError`: missing, no float32, damaged, NaN."""
        entry = self.entries.get(name)
        if entry is None:
            raise WeightsError(f"the checkpoint {self._name} has no {name}: it is of another model")
        if not entry.floats or entry.size != 4 * math.prod(entry.shape):
            raise WeightsError(f"{name} of the checkpoint {self._name} is no float32 of its shape")
        if entry.offset + entry.size > self._length:
            raise WeightsError(f"the data of the checkpoint {self._name} are cut short: {name} is missing")
        try:
            with self._data.open("rb") as file:
                file.seek(entry.offset)
                data = file.read(entry.size)
        except OSError as error:
            raise WeightsError(f"{self._data} cannot be read: {error.strerror}") from error
        if len(data) != entry.size or masked(crc32c(data)) != entry.crc:
            raise WeightsError(f"{name} of the checkpoint {self._name} is damaged: its checksum is wrong")
        tensor = np.frombuffer(data, "<f4").astype(np.float32, copy=False).reshape(entry.shape)
        check_finite({name: tensor}, where=f"the checkpoint {self._name}")
        return tensor


def _entries(index: bytes) -> Iterator[tuple[str, Entry]]:
    """The tensors that the bytes of an index name."""
    if len(index) < _FOOTER or struct.unpack("<Q", index[-8:])[0] != _MAGIC:
        raise _Damage("it has no footer")
    footer = index[-_FOOTER:]
    place = _varint(footer, 0)[1]
    place = _varint(footer, place)[1]  # the first handle is that of the meta index
    count = blocks = total = 0
    for _, handle in _block(index, *_handle(footer, place)):
        blocks, total = blocks + 1, total + _handle(handle, 0)[1]
        if blocks > _MOST_BLOCKS or total > _MOST_READ:
            raise _Damage("it has too many blocks")
        for key, value in _block(index, *_handle(handle, 0)):
            count += 1
            if count > _MOST_TENSORS:
                raise _Damage("it names too many tensors")
            if not key:
                _check_header(value)
            else:
                yield key.decode(), _entry(value)


def _handle(data: bytes, place: int) -> tuple[int, int]:
    offset, place = _varint(data, place)
    return offset, _varint(data, place)[0]


def _block(index: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """The pairs of one block; each key continues a part of the one before."""
    end = offset + size
    if size < 4 or end + 5 > len(index):
        raise _Damage("a block is cut short")
    if index[end]:
        raise _Damage("a block is compressed")
    if masked(crc32c(index[offset : end + 1])) != struct.unpack("<I", index[end + 1 : end + 5])[0]:
        raise _Damage("a block's checksum is wrong")
    block = index[offset:end]
    restarts = struct.unpack("<I", block[-4:])[0]
    stop = size - 4 - 4 * restarts
    place, key = 0, b""
    while place < stop:
        shared, place = _varint(block, place)
        fresh, place = _varint(block, place)
        length, place = _varint(block, place)
        if shared > len(key) or place + fresh + length > stop:
            raise _Damage("an entry is cut short")
        if shared + fresh > _LONGEST_NAME:
            raise _Damage("a name is too long")
        key = key[:shared] + block[place : place + fresh]
        place += fresh
        yield key, block[place : place + length]
        place += length


def _check_header(value: bytes) -> None:
    header = _fields(value)
    if _one(header, 1) != 1:
        raise _Damage("it is in several shards")
    if _one(header, 2):
        raise _Damage("it is big-endian")


def _entry(value: bytes) -> Entry:
    fields = _fields(value)
    if _one(fields, 3) or 7 in fields:
        raise _Damage("a tensor is in slices, or in another shard")
    shape = [_one(_fields(_bytes(dim)), 1) for part in fields.get(2, []) for dim in _fields(_bytes(part)).get(2, [])]
    if len(shape) > 8 or any(size >= 1 << 31 for size in shape):
        raise _Damage("a shape makes no sense")
    return Entry(
        floats=_one(fields, 1) == _FLOAT,
        shape=tuple(shape),
        offset=_one(fields, 4),
        size=_one(fields, 5),
        crc=_one(fields, 6),
    )


def _fields(message: bytes) -> _Fields:
    """A protocol buffer's fields by number."""
    found: _Fields = {}
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        value: int | bytes
        match key & 7:
            case 0:
                value, place = _varint(message, place)
            case 5:
                value, place = struct.unpack_from("<I", message, place)[0], place + 4
            case 1:
                value, place = struct.unpack_from("<Q", message, place)[0], place + 8
            case 2:
                length, place = _varint(message, place)
                value, place = message[place : place + length], place + length
                if len(value) != length:
                    raise _Damage("a message is cut short")
            case _:
                raise _Damage("a message makes no sense")
        found.setdefault(key >> 3, []).append(value)
    return found


def _one(fields: _Fields, number: int) -> int:
    """The whole number in a field, 0 where it is left out."""
    value = fields.get(number, [0])[-1]
    if not isinstance(value, int):
        raise _Damage("a message makes no sense")
    return value


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise _Damage("a message makes no sense")
    return value


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = 0
    for count in range(_VARINT_BYTES):
        byte = data[place + count]
        value |= (byte & 0x7F) << 7 * count
        if byte < 0x80:
            return value, place + count + 1
    raise _Damage("a number is too long")


def prefix_in(folder: Path) -> Path | None:
    """The prefix of the checkpoint in a folder, such as `folder/model`: what `checkpoint` names, else the only one."""
    names = sorted(path.name.removesuffix(".index") for path in folder.glob("*.index"))
    names = [name for name in names if (folder / f"{name}.data-00000-of-00001").is_file()]
    try:
        said = (folder / "checkpoint").read_bytes()[:4096].decode("utf-8", "replace")
    except OSError:
        said = ""
    if (match := re.search(r'^model_checkpoint_path: "(?:[^"]*[/\\])?([^"/\\]+)"', said, re.M)) and match[1] in names:
        return folder / match[1]
    return folder / names[0] if len(names) == 1 else None
