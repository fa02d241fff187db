"""Request bodies as they come in: how large, how slow, and what JSON they hold."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from stemwright.errors import too_large
from stemwright.web.problems import InvalidFieldsError, MalformedError, StalledError, UnsupportedMediaTypeError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from fastapi import Request

_JSON_BYTES: Final = 65_536
_TIMEOUT: Final = 60.0  # seconds that a client may take for the next piece …
_PACE: Final = 1000.0  # … and bytes a second that must have come by then, and ever after
Model = TypeVar("Model", bound=BaseModel)
T = TypeVar("T")


async def pieces(
    request: Request, *, max_bytes: int, limit: int | None = None, setting: str | None = None
) -> AsyncIterator[bytes]:
    """A body as it arrives, of `max_bytes`; `limit` is what the client is told, and the operator's `setting`.

    Raises `TooLargeError`, by what the header announces before a byte is read; `StalledError` when nothing or next to
    nothing comes.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise too_large(limit or max_bytes, setting=setting)
    total, stream, began = 0, aiter(request.stream()), time.monotonic()
    while True:
        try:
            async with asyncio.timeout(_TIMEOUT):
                piece = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise StalledError(f"nothing came for {_TIMEOUT:g} seconds") from None
        total += len(piece)
        if total > max_bytes:
            raise too_large(limit or max_bytes, setting=setting)
        if (took := time.monotonic() - began) > _TIMEOUT and total < _PACE * took:
            raise StalledError(f"only {total} bytes came in {took:.0f} seconds")
        yield piece


def kind_of(request: Request) -> str:
    """The media type of a body."""
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


async def read_json(request: Request, model: type[Model]) -> Model:
    """A JSON body. Raises `InvalidFieldsError`, `MalformedError`, `TooLargeError`, `UnsupportedMediaTypeError`."""
    if kind_of(request) != "application/json":
        raise UnsupportedMediaTypeError("send application/json")
    body = bytearray()
    async for piece in pieces(request, max_bytes=_JSON_BYTES):
        body += piece
    try:
        return model.model_validate_json(bytes(body), strict=True)
    except ValidationError as error:
        if error.errors()[0]["type"] == "json_invalid":
            raise MalformedError("the body is no JSON") from error
        raise InvalidFieldsError.of(error) from error


async def while_there(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What work gives, cancelled when the client hangs up. Raises `ClientDisconnect`, and what it raises."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        leaving.cancel()
        if not working.done():
            working.cancel()
            await asyncio.wait({working})


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
