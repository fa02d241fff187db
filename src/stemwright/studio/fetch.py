"""A recording from an address that a client names: fetched under the rules that callbacks obey."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from stemwright.errors import CallbackUrlError, OptionError, StemwrightError, TooLargeError, writing
from stemwright.jobs._addresses import Allowed, parsed
from stemwright.jobs.webhooks import check_url, resolve_by_system
from stemwright.studio.submit import Upload

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import httpx

    from stemwright.jobs._addresses import Address
    from stemwright.jobs.webhooks import Resolve
    from stemwright.types import Seconds

_PIECE: Final = 1 << 20
_ADDRESSES_TRIED: Final = 4


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

    with writing(), tempfile.NamedTemporaryFile(prefix="fetch-", dir=folder, delete=False) as file:
        path = Path(file.name)
    try:
        async with asyncio.timeout(timeout):
            target, addresses = await _addresses(url, Allowed(allow), resolve)
            return await _into(path, target, addresses, max_bytes=max_bytes, room=room)
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, TimeoutError | httpx.TransportError):
            raise UnreachableError(f"the recording could not be fetched: {type(error).__name__}") from error
        raise


async def _addresses(url: str, allowed: Allowed, resolve: Resolve) -> tuple[httpx.URL, list[Address]]:
    """A URL and where its host is, all of it allowed."""
    import httpx

    try:
        target = httpx.URL(check_url(url))
    except CallbackUrlError as error:
        raise SourceUrlError(error.message.replace("callback URL", "URL")) from None
    host = target.raw_host.decode("ascii")
    found: Sequence[str] = [host]
    if parsed(host) is None:
        try:
            found = await resolve(host, target.port or (443 if target.scheme == "https" else 80))
        except (OSError, UnicodeError):
            found = []
    addresses = [address for text in dict.fromkeys(found) if (address := parsed(text)) is not None]
    if not addresses:
        raise UnreachableError(f"there is no address of {host}")
    if allowed.refused(host, addresses):
        raise SourceUrlError(f"{host} is not on the public internet, and not listed in callbacks.allow")
    return target, addresses[:_ADDRESSES_TRIED]


async def _into(
    path: Path, target: httpx.URL, addresses: list[Address], *, max_bytes: int, room: Callable[[int], None]
) -> Upload:
    import httpx

    for left in range(len(addresses), 0, -1):
        request = httpx.Request(
            "GET",
            target.copy_with(host=str(addresses[-left])),
            headers={
                "Host": target.netloc.decode("ascii"),
                "Accept": "*/*",
                "Accept-Encoding": "identity",
                "Connection": "close",
            },
            extensions={
                "sni_hostname": target.raw_host.decode("ascii").rstrip("."),
                "timeout": {"connect": 10.0, "read": 30.0, "write": 30.0, "pool": 30.0},
            },
        )
        # a bare transport: it knows no redirects, proxies, cookies or netrc
        async with httpx.AsyncHTTPTransport(verify=httpx.create_ssl_context(trust_env=False), trust_env=False) as way:
            try:
                response = await way.handle_async_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if left == 1:
                    raise
                continue
            try:
                return await _read(response, path, target, max_bytes=max_bytes, room=room)
            finally:
                await response.aclose()
    raise AssertionError("no address")


async def _read(
    response: httpx.Response, path: Path, target: httpx.URL, *, max_bytes: int, room: Callable[[int], None]
) -> Upload:
    if response.status_code != 200:
        raise UnreachableError(f"the recording could not be fetched: its server answered {response.status_code}")
    announced, digest, size = response.headers.get("content-length", ""), hashlib.sha256(), 0
    if announced.isdecimal() and int(announced) > max_bytes:
        raise _too_large(max_bytes)
    room(int(announced) if announced.isdecimal() else 0)
    with writing(), path.open("wb") as file:
        async for piece in response.aiter_raw(_PIECE):  # raw: nothing is decompressed
            size += len(piece)
            if size > max_bytes:
                raise _too_large(max_bytes)
            digest.update(piece)
            await asyncio.to_thread(file.write, piece)
            room(0)
    name = unquote(target.path.rsplit("/", 1)[-1]).replace("\x00", "")[:255] or "untitled"
    return Upload(path=path, name=name, digest=digest.hexdigest(), size_bytes=size)


def _too_large(max_bytes: int) -> TooLargeError:
    return TooLargeError(f"that is more than the {max_bytes / 1e6:g} MB that are allowed")
