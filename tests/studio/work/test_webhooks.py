"""Callbacks: what is sent, to whom it is not, and what answers may not do to the sender."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from stemwright import __version__
from stemwright.errors import OptionError
from stemwright.studio.work.webhooks import LONGEST_RETRY_AFTER, Outcome, Sender
from studio.work.receivers import Receiver, answering, listening

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SECRET = b"a secret of twenty-seven B!"
AT = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with listening(Receiver()) as found:
        yield found


def resolving(*answers: Sequence[str]) -> Any:
    """A resolver that gives these answers, one after the other; the hosts asked for are in its `asked`."""
    left = list(answers)

    async def resolve(host: str, port: int) -> Sequence[str]:
        resolve.asked.append(host)  # type: ignore[attr-defined]
        return left.pop(0)

    resolve.asked = []  # type: ignore[attr-defined]
    return resolve


async def sent(url: str, *, by: Sender | None = None, **changes: Any) -> Outcome:
    sender = by or Sender(SECRET, allow=["127.0.0.1"], timeout=5)
    message: dict[str, Any] = {
        "message_id": "msg_1",
        "event": "job.succeeded",
        "payload": {"id": "7"},
        "at": AT,
    } | changes
    return await sender.send(url, **message)


def send(url: str, *, by: Sender | None = None, **changes: Any) -> Outcome:
    return asyncio.run(sent(url, by=by, **changes))


# What is sent


def test_receiver_gets_a_message_that_verifies(receiver: Receiver) -> None:
    outcome = send(receiver.url("/hook?token=1"), payload={"id": "7", "name": "Größe \ud800"})
    assert outcome == Outcome(True, 204, None, retry=False, retry_after=None, elapsed=outcome.elapsed)
    assert 0 < outcome.elapsed < 5
    [(path, headers, body)] = receiver.got
    assert path == "/hook?token=1"
    assert Webhook(SECRET).verify(body, headers) == {
        "type": "job.succeeded",
        "timestamp": "2026-11-21T09:00:00.000Z",
        "data": {"id": "7", "name": "Größe \ud800"},
    }
    assert headers["Host"] == f"127.0.0.1:{receiver.port}"
    assert headers["User-Agent"] == f"stemwright/{__version__}"
    assert headers["Content-Type"] == "application/json"
    assert headers["webhook-id"] == "msg_1"


def test_letter_is_sent_as_it_was_written(receiver: Receiver) -> None:
    """In the form that a door's client understands; signed all the same."""
    body = '{"job_id": "a", "status": "completed"}'
    sender = Sender(SECRET, allow=["127.0.0.1"], timeout=5)
    assert asyncio.run(sender.post(receiver.url(), message_id="msg_1", body=body)).delivered
    [(_, headers, came)] = receiver.got
    assert came == body.encode()
    assert Webhook(SECRET).verify(came, headers) == json.loads(body)


def test_signature_is_of_this_body_id_and_secret(receiver: Receiver) -> None:
    send(receiver.url())
    [(_, headers, body)] = receiver.got
    for key, changed, text in [
        (b"x" * 24, headers, body),
        (SECRET, headers, body + b" "),
        (SECRET, headers | {"webhook-id": "msg_2"}, body),
    ]:
        with pytest.raises(WebhookVerificationError):
            Webhook(key).verify(text, changed)


def test_late_try_still_verifies_and_says_when_the_event_was(receiver: Receiver) -> None:
    long_ago = datetime.now(timezone(timedelta(hours=5))) - timedelta(days=2)
    send(receiver.url(), at=long_ago)
    [(_, headers, body)] = receiver.got
    stamp = datetime.fromisoformat(Webhook(SECRET).verify(body, headers)["timestamp"])
    assert abs(stamp - long_ago) < timedelta(milliseconds=1)
    assert stamp.utcoffset() == timedelta(0)


def test_without_a_secret_nothing_is_signed(receiver: Receiver) -> None:
    assert send(receiver.url(), by=Sender(None, allow=["127.0.0.1"])).delivered
    [(_, headers, body)] = receiver.got
    assert "webhook-signature" not in headers
    assert headers["webhook-id"] == "msg_1"
    assert json.loads(body)["type"] == "job.succeeded"


@pytest.mark.parametrize("prefix", ["whsec_", ""])
@pytest.mark.parametrize("padding", ["=", ""])
def test_secret_may_be_written_in_base64(prefix: str, padding: str, receiver: Receiver) -> None:
    text = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODk"  # 26 bytes
    send(receiver.url(), by=Sender(prefix + text + padding, allow=["127.0.0.1"]))
    [(_, headers, body)] = receiver.got
    assert Webhook(b"0123456789abcdef0123456789").verify(body, headers)


@pytest.mark.parametrize(
    "secret", ["", "whsec_", b"", b"short", "not base64 at all, is it now?!", "whsec_c2hvcnQ=", "ü" * 40, b"x" * 65]
)
def test_secret_that_protects_nothing_is_refused(secret: str | bytes) -> None:
    with pytest.raises(OptionError) as caught:
        Sender(secret)
    assert not secret or str(secret) not in str(caught.value)


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_time_limit_must_be_one(timeout: float) -> None:
    with pytest.raises(OptionError):
        Sender(None, timeout=timeout)


@pytest.mark.parametrize(
    "change",
    [
        {"message_id": "a.b"},
        {"message_id": "a\r\nX: y"},
        {"message_id": ""},
        {"at": datetime(2026, 1, 1)},
        {"payload": {"x": float("nan")}},
    ],
)
def test_message_that_is_none_is_an_error_of_the_caller(change: dict[str, Any], receiver: Receiver) -> None:
    with pytest.raises(ValueError, match=r"id|time zone|JSON"):
        send(receiver.url(), **change)
    assert not receiver.got


# To whom it is sent


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]",
     "2130706433", "0x7f.1", "0177.0.0.1", "127.1"],
)  # fmt: skip
def test_the_machine_itself_is_refused_however_it_is_spelt(host: str, receiver: Receiver) -> None:
    outcome = send(receiver.url(host=host), by=Sender(None, timeout=5))
    assert (outcome.delivered, outcome.retry) == (False, False)
    assert outcome.error in {"refused_address", "bad_callback_url"}
    assert not receiver.got


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "10.0.0.1", "fd00::1", "::ffff:10.0.0.1", "fe80::1%1", "100.64.1.1"]
)
def test_name_with_one_private_address_is_refused(address: str) -> None:
    outcome = send("http://hooks.example/", by=Sender(None, resolve=resolving(["8.8.8.8", address])))
    assert (outcome.error, outcome.retry, outcome.status) == ("refused_address", False, None)


def test_name_that_is_listed_is_called_at_a_private_address(receiver: Receiver) -> None:
    sender = Sender(None, allow=["hooks.example"], resolve=resolving(["127.0.0.1"]))
    assert send(receiver.url(host="hooks.example"), by=sender).delivered
    assert receiver.got[0][1]["Host"] == f"hooks.example:{receiver.port}"


def test_connection_goes_to_the_address_that_was_checked(receiver: Receiver) -> None:
    with listening(Receiver(port=receiver.port), host="127.0.0.2") as other:
        resolve = resolving(["127.0.0.1"], ["127.0.0.2"], ["127.0.0.2"])
        sender = Sender(None, allow=["127.0.0.1"], resolve=resolve)
        assert send(receiver.url(host="rebind.example"), by=sender).delivered
        assert resolve.asked == ["rebind.example"]
        assert send(receiver.url(host="rebind.example"), by=sender).error == "refused_address"
        assert len(receiver.got) == 1
        assert not other.got


def test_next_address_is_tried_when_nobody_listens_at_the_first(receiver: Receiver) -> None:
    sender = Sender(None, allow=["127.0.0.0/8"], resolve=resolving(["127.0.0.3", "127.0.0.1", "127.0.0.1"]))
    assert send(receiver.url(host="two.example"), by=sender).delivered
    assert len(receiver.got) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status: int, receiver: Receiver) -> None:
    with listening(Receiver()) as inner:
        receiver.status, receiver.headers = status, {"Location": inner.url("/secret")}
        outcome = send(receiver.url())
        assert (outcome.delivered, outcome.status, outcome.error, outcome.retry) == (False, status, "redirect", True)
        assert not inner.got
    assert len(receiver.got) == 1


def test_proxies_and_netrc_of_the_environment_are_ignored(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with listening(Receiver()) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert send(receiver.url()).delivered
        assert not proxy.got
    assert "Authorization" not in receiver.got[0][1]


def test_name_without_address_may_have_one_later() -> None:
    async def nowhere(host: str, port: int) -> list[str]:
        raise OSError("no such host")

    for sender in (Sender(None, resolve=nowhere), Sender(None, resolve=resolving([]))):
        outcome = send("http://hooks.example/", by=sender)
        assert (outcome.error, outcome.retry, outcome.status) == ("unresolvable", True, None)


def test_name_that_nobody_has_is_unresolvable_by_the_system() -> None:
    assert send("http://nobody.invalid/", by=Sender(None, timeout=20)).error in {"unresolvable", "timeout"}


def test_slow_resolver_counts_into_the_time() -> None:
    async def slow(host: str, port: int) -> list[str]:
        await asyncio.sleep(60)
        return []

    outcome = send("http://hooks.example/", by=Sender(None, resolve=slow, timeout=0.2))
    assert (outcome.error, outcome.retry) == ("timeout", True)
    assert outcome.elapsed < 5


def test_bad_url_is_an_outcome_when_it_comes_from_a_record() -> None:
    outcome = send("ftp://hooks.example/")
    assert (outcome.delivered, outcome.error, outcome.retry) == (False, "bad_callback_url", False)


# What is answered


@pytest.mark.parametrize(
    ("status", "delivered", "retry"),
    [(200, True, False), (202, True, False), (299, True, False), (400, False, True), (404, False, True),
     (410, False, False), (429, False, True), (500, False, True), (503, False, True)],
)  # fmt: skip
def test_status_decides(status: int, delivered: bool, retry: bool, receiver: Receiver) -> None:
    receiver.status = status
    outcome = send(receiver.url())
    assert (outcome.status, outcome.delivered, outcome.retry) == (status, delivered, retry)
    assert outcome.error == (None if delivered else "status")
    assert outcome.retry_after is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("0", 0), ("999999999", LONGEST_RETRY_AFTER), ("9" * 5000, None), ("-3", None), ("soon", None),
     ("nan", None), ("1e3", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("Wed, 99 Oct 2015 07:28:00 GMT", None)],
)  # fmt: skip
def test_retry_after_is_heeded_within_reason(header: str, seconds: float | None, receiver: Receiver) -> None:
    receiver.status, receiver.headers = 503, {"Retry-After": header}
    assert send(receiver.url()).retry_after == seconds


def test_retry_after_may_be_a_date(receiver: Receiver) -> None:
    then = datetime.now(UTC) + timedelta(seconds=90)
    receiver.status, receiver.headers = 429, {"Retry-After": format_datetime(then, usegmt=True)}
    wished = send(receiver.url()).retry_after
    assert wished is not None
    assert 80 < wished <= 90


@pytest.mark.parametrize("status", [200, 410])
def test_retry_after_means_nothing_where_there_is_no_other_try(status: int, receiver: Receiver) -> None:
    receiver.status, receiver.headers = status, {"Retry-After": "7"}
    assert send(receiver.url()).retry_after is None


def test_nobody_there() -> None:
    with listening(Receiver()) as gone:
        pass
    outcome = send(gone.url())
    assert (outcome.error, outcome.retry, outcome.status) == ("connection_failed", True, None)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", "bad_response"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "bad_response"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "bad_response"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000, "bad_response"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000, "bad_response"),
    ],
    ids=["nothing", "ssh", "no status", "endless header", "endless headers"],
)
def test_what_is_no_http_fails(answer: bytes, error: str) -> None:
    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    async def check() -> None:
        async with answering(write) as url:
            outcome = await sent(url)
            assert (outcome.delivered, outcome.error, outcome.retry) == (False, error, True)

    asyncio.run(check())


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 OK\r\nX: "], ids=["silent", "dripping"])
def test_answer_that_does_not_come_to_its_end_costs_no_more_than_the_limit(first: bytes) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        while True:
            await asyncio.sleep(0.02)
            if first:
                writer.write(b"x")
                await writer.drain()

    async def check() -> None:
        async with answering(drip) as url:
            outcome = await sent(url, by=Sender(None, allow=["127.0.0.1"], timeout=0.5))
            assert (outcome.delivered, outcome.error, outcome.retry) == (False, "timeout", True)
            assert 0.4 < outcome.elapsed < 5

    asyncio.run(check())


@pytest.mark.parametrize("kind", ["identity", "gzip"])
@pytest.mark.parametrize("status", [200, 500])
def test_endless_body_is_left_alone(kind: str, status: int) -> None:
    written = 0

    async def flood(writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 %d X\r\nContent-Encoding: %s\r\n\r\n" % (status, kind.encode()))
        while True:
            writer.write(b"x" * 4096)
            await writer.drain()
            written += 4096

    async def check() -> None:
        async with answering(flood) as url:
            outcome = await sent(url, by=Sender(None, allow=["127.0.0.1"], timeout=30))
            assert (outcome.delivered, outcome.status) == (status == 200, status)
            assert outcome.elapsed < 5

    asyncio.run(check())
    assert written < 16 << 20  # what the kernel's buffers take, not the gigabytes of thirty seconds


@pytest.mark.parametrize("limit", [30, 0.5])
def test_body_that_never_ends_does_not_undo_the_delivery(limit: float) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async def check() -> None:
        async with answering(drip) as url:
            outcome = await sent(url, by=Sender(None, allow=["127.0.0.1"], timeout=limit))
            assert (outcome.delivered, outcome.error) == (True, None)
            assert outcome.elapsed < 5

    asyncio.run(check())


def test_cancelling_ends_it_at_once() -> None:
    async def silent(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async def check() -> None:
        async with answering(silent) as url:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(sent(url, by=Sender(None, allow=["127.0.0.1"], timeout=30)), 0.3)

    asyncio.run(check())
