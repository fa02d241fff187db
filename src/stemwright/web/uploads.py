"""Multipart bodies, streamed: files to disk with their digests, fields kept small, the size capped on the way."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from stemwright import failpoints
from stemwright.errors import as_output_error, too_large
from stemwright.studio.submit import Upload
from stemwright.web.bodies import kind_of, pieces
from stemwright.web.problems import FieldProblem, InvalidFieldsError, MalformedError, UnsupportedMediaTypeError
from stemwright.words import has_controls

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from fastapi import Request

_FIELDS: Final = 64
_FIELD_BYTES: Final = 16_384
_OVERHEAD: Final = 65_536  # bytes of a body beside its files: boundaries, headers, fields
_PIECE: Final = 1 << 20
_ENCODED: Final = re.compile(rb"(?i);\s*filename\*\s*=\s*utf-8'[^';]*'([^;\s]+)")
_QUOTED: Final = {"%22": '"', "%0D": "\r", "%0A": "\n"}  # what browsers make of these in names


@dataclass(slots=True)
class Form:
    """What a multipart body held: fields, and files by the names of their fields."""

    fields: dict[str, str] = field(default_factory=dict)
    files: list[tuple[str, Upload]] = field(default_factory=list)

    def remove(self) -> None:
        """Delete the files that nobody took."""
        for _, upload in self.files:
            upload.path.unlink(missing_ok=True)


class _Receiver:
    """Callbacks of the parser."""

    def __init__(self, folder: Path, *, max_bytes: int, max_files: int, setting: str) -> None:
        self.form = Form()
        self._folder, self._max_bytes, self._max_files, self._setting = folder, max_bytes, max_files, setting
        self._header = b"", b""
        self._headers: dict[bytes, bytes] = {}
        self._text = bytearray()
        self._file: Any = None
        self._digest = hashlib.sha256()
        self._size = 0
        self._name = self._file_name = ""
        self.ended = False

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._part_begin,
            "on_header_field": lambda data, a, b: self._header_part(0, data[a:b]),
            "on_header_value": lambda data, a, b: self._header_part(1, data[a:b]),
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": lambda data, a, b: self._data(data[a:b]),
            "on_part_end": self._part_end,
            "on_end": self._end,
        }

    def _end(self) -> None:
        self.ended = True

    def _part_begin(self) -> None:
        self._headers, self._header = {}, (b"", b"")

    def _header_part(self, which: int, data: bytes) -> None:
        name, value = self._header
        self._header = (name + data, value) if which == 0 else (name, value + data)

    def _header_end(self) -> None:
        self._headers[self._header[0].lower()] = self._header[1]
        self._header = b"", b""

    def _headers_finished(self) -> None:
        header = self._headers.get(b"content-disposition", b"")
        _, options = parse_options_header(header)
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        file_name = _file_name(header, options)
        if file_name is None:
            if self._name in self.form.fields:
                raise _wrong(self._name, "was sent twice")
            if len(self.form.fields) >= _FIELDS:
                raise _wrong(self._name, f"is one field more than {_FIELDS}")
            self._text = bytearray()
            return
        if has_controls(file_name):
            raise _wrong(self._name, "the file's name holds control characters")
        if len(self.form.files) >= self._max_files:
            raise _wrong(self._name, f"send at most {self._max_files} file{'s' * (self._max_files > 1)}")
        self._file_name = file_name
        self._digest, self._size = hashlib.sha256(), 0
        self._file = tempfile.NamedTemporaryFile(prefix="upload-", dir=self._folder, delete=False)  # noqa: SIM115

    def _data(self, data: bytes) -> None:
        if self._file is None:
            self._text += data
            if len(self._text) > _FIELD_BYTES:
                raise _wrong(self._name, "is too long")
            return
        self._size += len(data)
        if self._size > self._max_bytes:
            raise too_large(self._max_bytes, setting=self._setting)
        self._digest.update(data)
        self._file.write(data)

    def _part_end(self) -> None:
        if self._file is None:
            self.form.fields[self._name] = self._text.decode("utf-8", "replace")
            return
        self._file.close()
        upload = Upload(
            path=Path(self._file.name), name=self._file_name, digest=self._digest.hexdigest(), size_bytes=self._size
        )
        self.form.files.append((self._name, upload))
        self._file = None

    def abandon(self) -> None:
        """Remove all that was written."""
        if self._file is not None:
            self._file.close()
            Path(self._file.name).unlink(missing_ok=True)
        self.form.remove()


def _wrong(name: str, message: str) -> InvalidFieldsError:
    return InvalidFieldsError([FieldProblem(field=name[:64] or "body", message=message)])


def _file_name(header: bytes, options: dict[bytes, bytes]) -> str | None:
    """What a part's file is called, for showing: the last part of the client's name; None for a plain field."""
    if found := _ENCODED.search(header):
        name = unquote(found[1].decode("latin-1"), errors="replace")
    elif b"filename" in options:
        name = options[b"filename"].decode("utf-8", "replace")
        for quoted, plain in _QUOTED.items():
            name = name.replace(quoted, plain)
    else:
        return None
    return name.replace("\\", "/").rsplit("/", 1)[-1][:255] or "untitled"


@contextlib.asynccontextmanager
async def received(
    request: Request,
    folder: Path,
    *,
    room: Callable[[int], None],
    max_bytes: int,
    max_files: int = 1,
    setting: str = "upload_max_bytes",
) -> AsyncIterator[Form]:
    """The form of a multipart request with files of `max_bytes` each; those not moved away are removed at the end.

    `setting` is what sets `max_bytes`, for the error.
    `room` is asked for the bytes that the header announces, and again on the way, and raises when the disk lacks it.

    Raises `TooLargeError` as soon as that is known, `UnsupportedMediaTypeError`, `MalformedError`, `DiskFullError`,
    `OutputError`, and `InvalidFieldsError` for too much of anything.
    """
    _, options = parse_options_header(request.headers.get("content-type", ""))
    if kind_of(request) != "multipart/form-data":
        raise UnsupportedMediaTypeError("send multipart/form-data with the file")
    announced = request.headers.get("content-length", "")
    room(int(announced) if announced.isdecimal() else 0)
    receiver = _Receiver(folder, max_bytes=max_bytes, max_files=max_files, setting=setting)
    try:
        try:
            parser = MultipartParser(options.get(b"boundary", b""), receiver.callbacks())
            most = max_bytes * max_files
            body = pieces(request, max_bytes=most + _OVERHEAD, limit=most, setting=setting)
            await _parse(body, parser, room)
        except FormParserError as error:
            raise MalformedError(f"the body is no multipart/form-data: {error}") from error
        except OSError as error:
            raise as_output_error(error) from error
        if not receiver.ended:
            raise MalformedError("the body ended before its last boundary")
        yield receiver.form
    finally:
        receiver.abandon()


async def _parse(body: AsyncIterator[bytes], parser: MultipartParser, room: Callable[[int], None]) -> None:
    """Feed a parser, in a thread as it writes to disk, in pieces worth that."""
    waiting = bytearray()
    async for piece in body:
        waiting += piece
        if len(waiting) >= _PIECE:
            failpoints.reached("body")
            await asyncio.to_thread(parser.write, bytes(waiting))
            waiting.clear()
            room(0)
    await asyncio.to_thread(parser.write, bytes(waiting))
    parser.finalize()
