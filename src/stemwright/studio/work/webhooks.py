"""Callbacks: one signed message, sent once, to an address that was checked. Tries and their log are the workflow's."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import ssl
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

from stemwright import __version__
from stemwright.errors import CallbackUrlError, OptionError
from stemwright.studio import outbound
from stemwright.studio.addresses import Allowed
from stemwright.studio.outbound import RefusedAddressError, UnresolvableError, answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import httpx
    from standardwebhooks import Webhook

    from stemwright.studio.outbound import Resolve
    from stemwright.types import Seconds

LONGEST_BACKOFF: Final[Seconds] = 600.0
LONGEST_RETRY_AFTER: Final[Seconds] = 3600.0
_MAX_ANSWER: Final = 64 * 1024  # bytes read of an answer, only so that the receiver can finish it
_ANSWER_TIME: Final[Seconds] = 1.0
_JITTER: Final = 0.25
_MESSAGE_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")  # no full stop: it delimits what is signed


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one try to send."""

    delivered: bool  # the receiver answered 2xx
    status: int | None  # HTTP status, if there was an answer
    error: str | None  # bad_callback_url, refused_address, unresolvable, connection_failed, tls_failed, timeout, …
    retry: bool  # whether another try can help
    retry_after: Seconds | None  # what the receiver asks for, at most LONGEST_RETRY_AFTER
    elapsed: Seconds


def backoff(attempt: int, random: Callable[[], float]) -> Seconds:
    """How long to wait after try `attempt` (1, 2, …) failed: about 1, 5, 25, 125 s, then 6 to 10 minutes.

    `random` gives numbers from 0 to 1, as `random.random` does; it moves the wait by up to a quarter.
    """
    about = min(5.0 ** min(max(attempt, 1) - 1, 8), LONGEST_BACKOFF / (1 + _JITTER))
    return about * (1 + _JITTER * (2 * random() - 1))


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
        resolve: Resolve = outbound.resolve_by_system,
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
        status, wait, error = None, None, None
        try:
            status, wait = await self._post(url, body=body, headers=headers, deadline=started + self._timeout)
        except _FailedError as failed:
            error = str(failed)
        return _outcome(status, wait=wait, error=error, elapsed=asyncio.get_running_loop().time() - started)

    def _headers(self, message_id: str, *, body: str) -> dict[str, str]:
        if _MESSAGE_ID.fullmatch(message_id) is None:
            raise ValueError(f"a message id has letters, digits, - and _ only: {message_id!r}")
        now = datetime.now(UTC)  # of this try, not of the event: receivers refuse what is older than 5 minutes
        headers = {
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
            target = outbound.checked_url(url)
        except ValueError as error:
            raise _FailedError(CallbackUrlError.code) from error
        try:
            async with answer(
                target,
                allowed=self._allowed,
                resolve=self._resolve,
                headers=headers,
                deadline=deadline,
                idle_timeout=self._timeout,
                tls=self._tls,
                body=body,
            ) as response:
                with suppress(TimeoutError, httpx.TransportError):
                    async with asyncio.timeout_at(min(deadline, asyncio.get_running_loop().time() + _ANSWER_TIME)):
                        await _read_some(response)
            return response.status_code, response.headers.get("retry-after")
        except UnresolvableError as error:
            raise _FailedError("unresolvable") from error
        except RefusedAddressError as error:
            raise _FailedError("refused_address") from error
        except (TimeoutError, httpx.TimeoutException) as error:
            raise _FailedError("timeout") from error
        except httpx.ProtocolError as error:
            raise _FailedError("bad_response") from error
        except httpx.TransportError as error:
            raise _FailedError("tls_failed" if _is_of_tls(error) else "connection_failed") from error


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


def _outcome(status: int | None, *, wait: str | None, error: str | None, elapsed: Seconds) -> Outcome:
    delivered = status is not None and 200 <= status < 300
    if status is not None and not delivered:
        error = "redirect" if 300 <= status < 400 else "status"
    retry = not delivered and status != 410 and error not in {"bad_callback_url", "refused_address"}
    return Outcome(
        delivered=delivered,
        status=status,
        error=error,
        retry=retry,
        retry_after=_wait_of(wait) if retry else None,
        elapsed=elapsed,
    )


def _wait_of(header: str | None) -> Seconds | None:
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
