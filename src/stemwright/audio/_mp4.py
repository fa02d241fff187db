"""Boxes of an MP4 file whose `moov` comes last: read as a tree, changed, written back."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_PARENTS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"udta", b"ilst"}
_META = b"meta"  # a parent too, behind four bytes of version and flags


@dataclass(slots=True)
class Box:
    """One box: `head` and then its `children`, or `head` alone."""

    kind: bytes
    head: bytes = b""
    children: list[Box] = field(default_factory=list)

    def find(self, *kinds: bytes) -> Iterator[Box]:
        """Yield each box that such a path of kinds leads to."""
        if not kinds:
            yield self
            return
        for child in self.children:
            if child.kind == kinds[0]:
                yield from child.find(*kinds[1:])

    def child(self, kind: bytes) -> Box:
        """The first child of a kind, made at the end if there is none."""
        found = next(self.find(kind), None)
        if found is None:
            found = Box(kind)
            self.children.append(found)
        return found

    def dump(self) -> bytes:
        """The box as bytes."""
        body = self.head + b"".join(child.dump() for child in self.children)
        return struct.pack(">I4s", 8 + len(body), self.kind) + body


def parse(data: bytes, /) -> list[Box]:
    """The boxes that `data` is a row of. Raises ValueError when it is none."""
    boxes = []
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if not 8 <= size <= len(data) - at:
            raise ValueError(f"box {kind!r} has the impossible size {size}")
        body = data[at + 8 : at + size]
        if kind in _PARENTS:
            boxes.append(Box(kind, children=parse(body)))
        elif kind == _META:
            boxes.append(Box(kind, body[:4], parse(body[4:])))
        else:
            boxes.append(Box(kind, body))
        at += size
    return boxes


def read_moov(path: Path) -> tuple[int, Box]:
    """Where `moov` starts, and what it holds. Raises ValueError unless it is the last box of the file."""
    with path.open("rb") as file:
        end = file.seek(0, 2)
        at = 0
        while at + 8 <= end:
            file.seek(at)
            size, kind, long_size = struct.unpack(">I4sQ", file.read(16).ljust(16, b"\0"))
            size = long_size if size == 1 else size or end - at
            if kind == b"moov" and at + size == end:
                file.seek(at)
                return at, parse(file.read(size))[0]
            at += max(size, 8)
    raise ValueError("the MP4 file has no moov box at its end")


def write_moov(path: Path, moov: Box, *, at: int) -> None:
    """Put `moov` back at the end, where it may grow without moving a sample."""
    with path.open("r+b") as file:
        file.seek(at)
        file.write(moov.dump())
        file.truncate()


def freeform_tags(entries: Mapping[str, str]) -> list[Box]:
    """Boxes for `ilst` that hold what iTunes has no code for, as `----:com.apple.iTunes:NAME`."""
    return [
        Box(
            b"----",
            children=[
                Box(b"mean", bytes(4) + b"com.apple.iTunes"),
                Box(b"name", bytes(4) + name.encode()),
                Box(b"data", struct.pack(">II", 1, 0) + value.encode("utf-8", "replace")),  # 1: UTF-8
            ],
        )
        for name, value in entries.items()
    ]
