"""A recording from an address that a client names: fetched under the rules that callbacks obey."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stemwright.errors import OptionError, StemwrightError, too_large, writing
from stemwright.studio.addresses import Allowed
from stemwright.studio.outbound import (
    RefusedAddressError,
    UnresolvableError,
    answer,
    checked_url,
    resolve_by_system,
)
from stemwright.studio.submit import Upload
from stemwright.words import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import httpx

    from stemwright.studio.outbound import Resolve
    from stemwright.types import Seconds

_PIECE: Final = 1 << 20
_IDLE_TIMEOUT: Final[Seconds] = 30.0


class SourceUrlError(OptionError):
    """The recording's address cannot be used."""

    code = "bad_url"


class UnreachableError(StemwrightError):
    """The recording could not be fetched from its address."""

    code = "unreachable"
    status = 502
    retryable = True


async def fetch_upload(
    url: str,
    folder: Path,
    *,
    max_bytes: int,
    room: Callable[[int], None] = lambda _: None,
    allow: Sequence[str] = (),
    timeout: Seconds = 300.0,
    resolve: Resolve = resolve_by_system,
) -> Upload:
    """Fetch what is at a URL into a private file of `folder`.

    Every address that the host has must be public or listed in `allow` (names, addresses, networks); one of them is
    connected to, not a name that is looked up again. Redirects are not followed. At most `max_bytes` are read; `room`
    is asked for those that are announced, and again on the way, and raises when the disk lacks it.
    Raises `SourceUrlError`, `UnreachableError`, `TooLargeError`, `DiskFullError`, `OutputError`; then no file is left.
    """
    import httpx

    try:
        target = checked_url(url)
    except ValueError as error:
        raise SourceUrlError(f"the URL {error}") from None
    host = target.raw_host.decode("ascii")
    deadline = asyncio.get_running_loop().time() + timeout
    tls = httpx.create_ssl_context(trust_env=False)
    with writing(), tempfile.NamedTemporaryFile(prefix="fetch-", dir=folder, delete=False) as file:
        path = Path(file.name)
    with ExitStack() as undo:
        undo.callback(path.unlink, missing_ok=True)
        try:
            async with asyncio.timeout_at(deadline):
                way = answer(
                    target,
                    allowed=Allowed(allow),
                    resolve=resolve,
                    headers={},
                    deadline=deadline,
                    idle_timeout=_IDLE_TIMEOUT,
                    tls=tls,
                )
                async with way as response:
                    upload = await _read(response, path, target, max_bytes=max_bytes, room=room)
        except UnresolvableError:
            raise UnreachableError(f"there is no address of {host}") from None
        except RefusedAddressError:
            raise SourceUrlError(f"{host} is not on the public internet, and not listed in callbacks.allow") from None
        except (TimeoutError, httpx.TransportError) as error:
            raise UnreachableError(f"the recording could not be fetched: {type(error).__name__}") from error
        undo.pop_all()
    return upload


async def _read(
    response: httpx.Response, path: Path, target: httpx.URL, *, max_bytes: int, room: Callable[[int], None]
) -> Upload:
    if response.status_code != 200:
        raise UnreachableError(f"the recording could not be fetched: its server answered {response.status_code}")
    announced, digest, size = response.headers.get("content-length", ""), hashlib.sha256(), 0
    if announced.isdecimal() and int(announced) > max_bytes:
        raise too_large(max_bytes)
    room(int(announced) if announced.isdecimal() else 0)
    with writing(), path.open("wb") as file:
        async for piece in response.aiter_raw(_PIECE):  # raw: nothing is decompressed
            size += len(piece)
            if size > max_bytes:
                raise too_large(max_bytes)
            digest.update(piece)
            await asyncio.to_thread(file.write, piece)
            room(0)
    name = plain(target.path.rsplit("/", 1)[-1], most=255) or "untitled"  # httpx has decoded it, once
    return Upload(path=path, name=name, digest=digest.hexdigest(), size_bytes=size)
