"""Callbacks: one signed message, sent once, to an address that was checked. Tries and their log are the workflow's."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

from stemwright import __version__
from stemwright.errors import CallbackUrlError, OptionError
from stemwright.jobs._addresses import Allowed, is_host_name, parsed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from typing import TypeAlias

    import httpx
    from standardwebhooks import Webhook

    from stemwright.jobs._addresses import Address
    from stemwright.types import Seconds

    Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]  # host, port -> addresses

MAX_URL: Final = 2048  # characters
LONGEST_BACKOFF: Final[Seconds] = 600.0
LONGEST_RETRY_AFTER: Final[Seconds] = 3600.0
_MAX_ANSWER: Final = 64 * 1024  # bytes read of an answer, only so that the receiver can finish it
_ANSWER_TIME: Final[Seconds] = 1.0
_ADDRESSES_TRIED: Final = 4
_JITTER: Final = 0.25
_URL = re.compile(r"https?://(?P<host>\[[0-9a-f:.]+\]|[^/?#@:\[\]%]+)(?::(?P<port>[0-9]{1,5}))?(?:[/?#].*)?", re.I)
_MESSAGE_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")  # no full stop: it delimits what is signed


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one try to send."""

    delivered: bool  # the receiver answered 2xx
    status: int | None  # HTTP status, if there was an answer
    error: str | None  # bad_callback_url, refused_address, unresolvable, connection_failed, tls_failed, timeout, …
    retry: bool  # whether another try can help
    retry_after: Seconds | None  # the receiver's wish, at most LONGEST_RETRY_AFTER
    elapsed: Seconds


def check_url(url: str) -> str:
    """The callback URL in its normal form (lower-case ASCII host, no fragment), if it is one that can be called.

    Looks at the text alone: whether the address may be called shows when it is sent. Raises `CallbackUrlError`.
    """
    return str(_checked(url))


def _checked(url: str) -> httpx.URL:
    import httpx

    if len(url) > MAX_URL:
        raise CallbackUrlError(f"the callback URL is longer than {MAX_URL} characters")
    if "\\" in url or not url.isprintable() or " " in url:
        raise CallbackUrlError("the callback URL holds a space, a backslash or a control character")
    if (match := _URL.fullmatch(url)) is None:
        raise CallbackUrlError("the callback URL must be http:// or https://, a host and perhaps a port, no user name")
    if match["port"] is not None and not 0 < int(match["port"]) < 65536:
        raise CallbackUrlError("the callback URL's port must be 1 to 65535")
    try:
        found = httpx.URL(url).copy_with(fragment=None)
    except httpx.InvalidURL:
        raise CallbackUrlError("the callback URL's host is not valid") from None
    host = found.raw_host.decode("ascii")
    if parsed(host) is None and not is_host_name(host):
        raise CallbackUrlError("the callback URL's host is not valid")
    if len(str(found)) > MAX_URL:
        raise CallbackUrlError(f"the callback URL is longer than {MAX_URL} characters once it is encoded")
    return found


def backoff(attempt: int, random: Callable[[], float]) -> Seconds:
    """How long to wait after try `attempt` (1, 2, …) failed: about 1, 5, 25, 125 s, then 6 to 10 minutes.

    `random` gives numbers from 0 to 1, as `random.random` does; it moves the wait by up to a quarter.
    """
    about = min(5.0 ** min(max(attempt, 1) - 1, 8), LONGEST_BACKOFF / (1 + _JITTER))
    return about * (1 + _JITTER * (2 * random() - 1))


async def resolve_by_system(host: str, port: int) -> list[str]:
    """The addresses of `host`, best first, as the system finds them. Raises `OSError`, `UnicodeError`."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class _FailedError(Exception):
    """The message was not sent; its argument is the code."""


class Sender:
    """Sends callbacks: signed per Standard Webhooks 1.0, to public and listed addresses only, in limited time."""

    def __init__(
        self,
        secret: bytes | str | None,
        *,
        allow: Sequence[str] = (),
        timeout: Seconds = 20.0,
        resolve: Resolve = resolve_by_system,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Take the key (24 to 64 bytes, or these in base64 after `whsec_`; `None`: unsigned) and the rules.

        `allow` lists host names, addresses and networks that may be called though they are not public; `timeout` is
        for all of one try; `tls` replaces the trust in the authorities that `certifi` lists. Raises `OptionError`.
        """
        import httpx

        if not timeout > 0:
            raise OptionError("the time limit of callbacks must be more than 0 s")
        self._signer = _signer(secret)
        self._allowed = Allowed(allow)
        self._timeout = timeout
        self._resolve = resolve
        self._tls = tls or httpx.create_ssl_context(trust_env=False)

    async def send(self, url: str, *, message_id: str, event: str, payload: Mapping[str, Any], at: datetime) -> Outcome:
        """Send one message, once; `at` is when the event happened, `message_id` stays the same in every try.

        No answer, however wrong, raises. Which failures another try can help: all but an address that is refused, a
        bad URL and the answer 410, as Standard Webhooks has it. Raises `ValueError` or `TypeError` if the payload is
        no JSON, `at` has no time zone, or the id is not of the form `[A-Za-z0-9_-]+`.
        """
        return await self.post(url, message_id=message_id, body=_body(event, payload=payload, at=at))

    async def post(self, url: str, *, message_id: str, body: str) -> Outcome:
        """Send a body of JSON as it is, once; else as `send`. Raises `ValueError` for an id of another form."""
        headers = self._headers(message_id, body=body)
        started = asyncio.get_running_loop().time()
        status, wish, error = None, None, None
        try:
            status, wish = await self._post(url, body=body, headers=headers, deadline=started + self._timeout)
        except _FailedError as failed:
            error = str(failed)
        return _outcome(status, wish=wish, error=error, elapsed=asyncio.get_running_loop().time() - started)

    def _headers(self, message_id: str, *, body: str) -> dict[str, str]:
        if _MESSAGE_ID.fullmatch(message_id) is None:
            raise ValueError(f"a message id has letters, digits, - and _ only: {message_id!r}")
        now = datetime.now(UTC)  # of this try, not of the event: receivers refuse what is older than 5 minutes
        headers = {
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Connection": "close",
            "Content-Type": "application/json",
            "User-Agent": f"stemwright/{__version__}",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
        }
        if self._signer is not None:
            headers["webhook-signature"] = self._signer.sign(message_id, now, body)
        return headers

    async def _post(
        self, url: str, *, body: str, headers: Mapping[str, str], deadline: float
    ) -> tuple[int, str | None]:
        """Status and Retry-After of the answer. Raises `_FailedError`."""
        import httpx

        try:
            target = _checked(url)
            async with asyncio.timeout_at(deadline):
                addresses = await self._addresses(target)
            return await self._try_each(target, addresses=addresses, body=body, headers=headers, deadline=deadline)
        except CallbackUrlError as error:
            raise _FailedError(error.code) from error
        except (TimeoutError, httpx.TimeoutException) as error:
            raise _FailedError("timeout") from error
        except httpx.ProtocolError as error:
            raise _FailedError("bad_response") from error
        except httpx.TransportError as error:
            raise _FailedError("tls_failed" if _is_of_tls(error) else "connection_failed") from error

    async def _addresses(self, url: httpx.URL) -> list[Address]:
        """Where the host is, all of it allowed: what is connected to is one of these, never a name resolved again."""
        host = url.raw_host.decode("ascii")
        found: Sequence[str] = [host]
        if parsed(host) is None:
            try:
                found = await self._resolve(host, url.port or (443 if url.scheme == "https" else 80))
            except (OSError, UnicodeError) as error:
                raise _FailedError("unresolvable") from error
        addresses = [address for text in dict.fromkeys(found) if (address := parsed(text)) is not None]
        if not addresses:
            raise _FailedError("unresolvable")
        if self._allowed.refused(host, addresses):
            raise _FailedError("refused_address")
        return addresses[:_ADDRESSES_TRIED]

    async def _try_each(
        self, url: httpx.URL, *, addresses: Sequence[Address], body: str, headers: Mapping[str, str], deadline: float
    ) -> tuple[int, str | None]:
        """Connect to one address after the other until one takes the message; each has its share of the time."""
        import httpx

        for left in range(len(addresses), 0, -1):
            share = max(0.001, deadline - asyncio.get_running_loop().time()) / left
            request = httpx.Request(
                "POST",
                url.copy_with(host=str(addresses[-left])),
                content=body.encode(),
                headers={"Host": url.netloc.decode("ascii"), **headers},
                extensions={
                    "sni_hostname": url.raw_host.decode("ascii").rstrip("."),  # also the name that TLS verifies
                    "timeout": {"connect": share},
                },
            )
            try:
                return await self._exchange(request, deadline=deadline)
            except (httpx.ConnectError, httpx.ConnectTimeout):  # nothing was sent yet
                if left == 1:
                    raise
        raise AssertionError("no address")

    async def _exchange(self, request: httpx.Request, *, deadline: float) -> tuple[int, str | None]:
        """Send, and read the answer's head; of its body no more than politeness asks for.

        A bare transport, new each time: it knows no redirects, proxies, cookies or netrc, and no two hosts of one
        address share a connection.
        """
        import httpx

        async with httpx.AsyncHTTPTransport(verify=self._tls, trust_env=False) as transport:
            async with asyncio.timeout_at(deadline):
                response = await transport.handle_async_request(request)
            with suppress(TimeoutError, httpx.TransportError):
                async with asyncio.timeout_at(min(deadline, asyncio.get_running_loop().time() + _ANSWER_TIME)):
                    await _read_some(response)
            await response.aclose()
        return response.status_code, response.headers.get("retry-after")


async def _read_some(response: httpx.Response) -> None:
    read = 0
    async for part in response.aiter_raw():  # raw: nothing is decompressed
        read += len(part)
        if read >= _MAX_ANSWER:
            return


def _signer(secret: bytes | str | None) -> Webhook | None:
    from standardwebhooks import Webhook

    if secret is None:
        return None
    if isinstance(secret, str):
        text = secret.removeprefix("whsec_")
        try:
            secret = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        except ValueError:
            raise OptionError("the callback secret is not base64, with or without whsec_ before it") from None
    if not 24 <= len(secret) <= 64:
        raise OptionError(f"the callback secret has {len(secret)} bytes: 24 to 64 are needed")
    return Webhook(secret)


def _body(event: str, *, payload: Mapping[str, Any], at: datetime) -> str:
    if at.tzinfo is None:
        raise ValueError("the time of the event has no time zone")
    moment = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    message = {"type": event, "timestamp": moment, "data": dict(payload)}
    return json.dumps(message, separators=(",", ":"), allow_nan=False)


def _outcome(status: int | None, *, wish: str | None, error: str | None, elapsed: Seconds) -> Outcome:
    delivered = status is not None and 200 <= status < 300
    if status is not None and not delivered:
        error = "redirect" if 300 <= status < 400 else "status"
    retry = not delivered and status != 410 and error not in {"bad_callback_url", "refused_address"}
    return Outcome(
        delivered=delivered,
        status=status,
        error=error,
        retry=retry,
        retry_after=_wait_wished(wish) if retry else None,
        elapsed=elapsed,
    )


def _wait_wished(header: str | None) -> Seconds | None:
    """What Retry-After asks for: seconds or a date (RFC 9110, 10.2.3); nonsense is ignored."""
    if header is None:
        return None
    if re.fullmatch(r"[0-9]{1,12}", header):
        return min(float(header), LONGEST_RETRY_AFTER)
    with suppress(ValueError, TypeError, OverflowError):
        moment = parsedate_to_datetime(header)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return min(max((moment - datetime.now(UTC)).total_seconds(), 0.0), LONGEST_RETRY_AFTER)
    return None


def _is_of_tls(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
