"""Requests to URLs that clients name: to public and listed addresses only, and to those that were checked."""

from __future__ import annotations

import asyncio
import re
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from stemwright.errors import CallbackUrlError
from stemwright.studio.addresses import is_host_name, parsed

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping, Sequence
    from typing import TypeAlias

    import httpx

    from stemwright.studio.addresses import Address, Allowed
    from stemwright.types import Seconds

    Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]  # host, port -> addresses

MAX_URL: Final = 2048  # characters
_TRIED: Final = 4  # addresses of a host
_URL = re.compile(r"https?://(?P<host>\[[0-9a-f:.]+\]|[^/?#@:\[\]%]+)(?::(?P<port>[0-9]{1,5}))?(?:[/?#].*)?", re.I)


class UnresolvableError(Exception):
    """The host has no address."""


class RefusedAddressError(Exception):
    """The host has an address that is neither public nor listed."""


def checked_url(url: str) -> httpx.URL:
    """A URL in its normal form (lower-case ASCII host, no fragment), if it is one that can be called.

    Looks at the text alone: whether the address may be called shows when it is. Raises `ValueError` that says what
    the URL is, has or holds.
    """
    import httpx

    if len(url) > MAX_URL:
        raise ValueError(f"is longer than {MAX_URL} characters")
    if "\\" in url or not url.isprintable() or " " in url:
        raise ValueError("holds a space, a backslash or a control character")
    if (match := _URL.fullmatch(url)) is None:
        raise ValueError("must be http:// or https://, a host and perhaps a port, no user name")
    if match["port"] is not None and not 0 < int(match["port"]) < 65536:
        raise ValueError("has a port that is not 1 to 65535")
    try:
        found = httpx.URL(url).copy_with(fragment=None)
    except httpx.InvalidURL:
        raise ValueError("has a host that is not valid") from None
    host = found.raw_host.decode("ascii")
    if parsed(host) is None and not is_host_name(host):
        raise ValueError("has a host that is not valid")
    if len(str(found)) > MAX_URL:
        raise ValueError(f"is longer than {MAX_URL} characters once it is encoded")
    return found


async def resolve_by_system(host: str, port: int) -> list[str]:
    """The addresses of `host`, best first, as the system finds them. Raises `OSError`, `UnicodeError`."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


async def _addresses(url: httpx.URL, *, allowed: Allowed, resolve: Resolve) -> list[Address]:
    """Where the host is, all of it allowed. Raises `UnresolvableError`, `RefusedAddressError`."""
    host = url.raw_host.decode("ascii")
    found: Sequence[str] = [host]
    if parsed(host) is None:
        try:
            found = await resolve(host, url.port or (443 if url.scheme == "https" else 80))
        except (OSError, UnicodeError) as error:
            raise UnresolvableError from error
    addresses = [address for text in dict.fromkeys(found) if (address := parsed(text)) is not None]
    if not addresses:
        raise UnresolvableError
    if allowed.refused(host, addresses):
        raise RefusedAddressError
    return addresses[:_TRIED]


@asynccontextmanager
async def answer(
    url: httpx.URL,
    *,
    allowed: Allowed,
    resolve: Resolve,
    headers: Mapping[str, str],
    deadline: float,
    idle_timeout: Seconds,
    tls: ssl.SSLContext,
    body: str | AsyncIterable[bytes] | None = None,
) -> AsyncIterator[httpx.Response]:
    """What the first of the host's addresses that can be connected to answers; POST with a body, GET without.

    Until the answer's head is there, `deadline` (of the loop's clock) holds, of which each address gets its share; no
    connection and no piece of the answer is waited for longer than `idle_timeout`. What is connected to is one of these
    addresses, never a name resolved again. A bare transport, new each time: it knows no redirects, proxies, cookies or
    netrc, and no two hosts of one address share a connection.
    Raises `UnresolvableError`, `RefusedAddressError`, `TimeoutError`, `httpx.TransportError`.
    """
    import httpx

    loop = asyncio.get_running_loop()
    async with asyncio.timeout_at(deadline):
        addresses = await _addresses(url, allowed=allowed, resolve=resolve)
    for left in range(len(addresses), 0, -1):
        request = httpx.Request(
            "GET" if body is None else "POST",
            url.copy_with(host=str(addresses[-left])),
            content=body.encode() if isinstance(body, str) else body,
            headers={
                "Host": url.netloc.decode("ascii"),
                "Accept": "*/*",
                "Accept-Encoding": "identity",
                "Connection": "close",
                **headers,
            },
            extensions={
                "sni_hostname": url.raw_host.decode("ascii").rstrip("."),  # also the name that TLS verifies
                "timeout": {
                    "connect": min(idle_timeout, max(0.001, deadline - loop.time()) / left),
                    "read": idle_timeout,
                    "write": idle_timeout,
                },
            },
        )
        async with httpx.AsyncHTTPTransport(verify=tls, trust_env=False) as transport:
            try:
                async with asyncio.timeout_at(deadline):
                    response = await transport.handle_async_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout):  # nothing was sent yet
                if left == 1:
                    raise
                continue
            try:
                yield response
            finally:
                await response.aclose()
            return
    raise AssertionError("no address")


def check_url(url: str) -> str:
    """The callback URL in its normal form (lower-case ASCII host, no fragment), if it is one that can be called.

    Looks at the text alone: whether the address may be called shows when it is sent. Raises `CallbackUrlError`.
    """
    try:
        return str(checked_url(url))
    except ValueError as error:
        raise CallbackUrlError(f"the callback URL {error}") from None
