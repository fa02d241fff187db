"""Stored files over HTTP: strong ETags, 304, byte ranges (RFC 9110, 13 and 14)."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from fastapi.responses import Response, StreamingResponse

from stemwright.web.problems import problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path
    from typing import TypeAlias

    from fastapi import Request
    from starlette.types import Receive, Scope, Send

    from stemwright.studio.files import Served
    from stemwright.studio.store.objects import ObjectStore

    _Piece: TypeAlias = str | bytes | memoryview[int]

_PIECE: Final = 1 << 20
_PICTURE: Final = "default-src 'none'; style-src 'unsafe-inline'"  # its styles are within it, and nothing else is
_RANGE: Final = re.compile(r"\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", re.ASCII)


def serve(request: Request, store: ObjectStore, file: Served, *, link_seconds: int | None = None) -> Response:
    """A file, or the part that was asked for, or that it has not changed.

    With `link_seconds` the client is sent to the bucket, where there is one, by a link that is good for so long.
    """
    tag = f'"{file.digest}"'
    headers = {
        "ETag": tag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Content-Disposition": disposition(file.file_name),
    }
    if file.media_type == "image/svg+xml":
        headers["Content-Security-Policy"] = _PICTURE
    if _matches(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    if link_seconds is not None and request.method == "GET":
        link = store.link(
            file.object_key,
            seconds=link_seconds,
            disposition=headers["Content-Disposition"],
            media_type=file.media_type,
        )
        if link is not None:
            return Response(status_code=307, headers={"Location": link, "Cache-Control": "no-store"})
    start, end, status = 0, file.size_bytes, 200
    asked = request.headers.get("range")
    if asked and request.method == "GET" and request.headers.get("if-range", tag) == tag:
        part = byte_range(asked, size=file.size_bytes)
        if part == ():
            outside = {"Content-Range": f"bytes */{file.size_bytes}"}
            return problem(416, code="bad_range", detail="the range lies outside the file", headers=outside)
        if part:
            start, end = part
            status = 206
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.size_bytes}"
    headers["Content-Length"] = str(end - start)
    if request.method == "HEAD":
        return Response(status_code=200, headers=headers, media_type=file.media_type)
    pieces = store.read(file.object_key, start=start, end=end)
    return _Begun(pieces, status_code=status, headers=headers, media_type=file.media_type)


class _Begun(StreamingResponse):
    """Pieces of which the first is there before the status is sent: a store that is away is an error, no cut answer."""

    async def stream_response(self, send: Send) -> None:
        """Send the status, and the pieces as they come."""
        pieces = aiter(self.body_iterator)
        first = await anext(pieces, b"")
        self.body_iterator = _after(first, pieces)
        await super().stream_response(send)


async def _after(first: _Piece, others: AsyncIterator[_Piece]) -> AsyncIterator[_Piece]:
    yield first
    async for piece in others:
        yield piece


class Passing(StreamingResponse):
    """A file that was made for one answer: sent as a whole, and removed however the sending ends."""

    def __init__(self, path: Path, *, media_type: str, headers: dict[str, str], remove: Callable[[], None]) -> None:
        headers = {**headers, "Content-Length": str(path.stat().st_size), "Cache-Control": "no-store"}
        super().__init__(_pieces(path), media_type=media_type, headers=headers)
        self._remove = remove

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._remove()


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while piece := await asyncio.to_thread(file.read, _PIECE):
            yield piece


def byte_range(header: str, *, size: int) -> tuple[int, int] | tuple[()] | None:
    """First byte and the one after the last; empty when nothing of it is there; None for what is to be ignored.

    >>> byte_range("bytes=0-99", size=1000), byte_range("bytes=-100", size=1000), byte_range("bytes=2000-", size=1000)
    ((0, 100), (900, 1000), ())
    """
    found = _RANGE.fullmatch(header)
    if not found or found.groups() == ("", "") or len(header) > 60:
        return None  # several ranges at once are answered with the whole
    first, last = found.groups()
    if not first:
        length = min(int(last), size)
        return (size - length, size) if length else ()
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        return ()
    return int(first), min(int(last), size - 1) + 1 if last else size


def _matches(header: str | None, tag: str) -> bool:
    if header is None:
        return False
    return any(one.strip().removeprefix("W/") in {tag, "*"} for one in header.split(","))


def disposition(name: str, *, attachment: bool = False) -> str:
    """A file name for a browser to save under (RFC 6266)."""
    plain = name.encode("ascii", "replace").decode().replace('"', "'").replace("\\", "_").replace("?", "_")
    kind = "attachment" if attachment else "inline"
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
