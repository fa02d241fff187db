"""Callbacks over TLS: the certificate must be trusted, and must be the host's, not the address's."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import pytest

from certificates import make_certificate
from needs import needs
from stemwright.studio.work.webhooks import Outcome, Sender
from studio.work.receivers import Receiver, listening

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = needs("openssl")  # makes certificates


@pytest.fixture
def certificate(tmp_path: Path) -> Callable[[str], Path]:
    """Makes a PEM file with a key and its self-signed certificate for a name such as `DNS:a.example`."""

    return partial(make_certificate, tmp_path)


def send(url: str, *, trusting: Path | None) -> Outcome:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    tls = ssl.create_default_context(cafile=trusting) if trusting else None
    sender = Sender(None, allow=["127.0.0.1"], timeout=5, resolve=resolve, tls=tls)
    return asyncio.run(sender.send(url, message_id="m", event="job.succeeded", payload={}, at=datetime.now(UTC)))


@pytest.mark.parametrize("host", ["hooks.example", "Hooks.Example", "hooks.example."])
def test_trusted_certificate_of_the_host_is_enough(host: str, certificate: Callable[[str], Path]) -> None:
    file = certificate("DNS:hooks.example")
    with listening(Receiver(), certificate=file) as receiver:
        assert send(receiver.url(host=host, scheme="https"), trusting=file).delivered
        assert receiver.names == ["hooks.example"]
        assert receiver.got[0][1]["Host"] == f"{host.lower()}:{receiver.port}"


def test_address_may_be_the_host(certificate: Callable[[str], Path]) -> None:
    file = certificate("IP:127.0.0.1")
    with listening(Receiver(), certificate=file) as receiver:
        assert send(receiver.url(scheme="https"), trusting=file).delivered


@pytest.mark.parametrize("name", ["IP:127.0.0.1", "DNS:other.example", "DNS:127.0.0.1"])
def test_trusted_certificate_of_the_address_or_another_host_is_not_enough(
    name: str, certificate: Callable[[str], Path]
) -> None:
    file = certificate(name)
    with listening(Receiver(), certificate=file) as receiver:
        outcome = send(receiver.url(host="hooks.example", scheme="https"), trusting=file)
        assert (outcome.delivered, outcome.error, outcome.retry) == (False, "tls_failed", True)
        assert not receiver.got


def test_certificate_that_nobody_trusts_is_refused(certificate: Callable[[str], Path]) -> None:
    with listening(Receiver(), certificate=certificate("DNS:hooks.example")) as receiver:
        outcome = send(receiver.url(host="hooks.example", scheme="https"), trusting=None)
        assert (outcome.error, outcome.status) == ("tls_failed", None)
        assert not receiver.got


def test_variables_of_the_environment_add_no_trust(
    certificate: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = certificate("DNS:hooks.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with listening(Receiver(), certificate=file) as receiver:
        assert send(receiver.url(host="hooks.example", scheme="https"), trusting=None).error == "tls_failed"


def test_plain_http_where_tls_was_expected_fails() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    with listening(Receiver()) as receiver:
        outcome = send(receiver.url(scheme="https"), trusting=None)
        assert (outcome.delivered, outcome.retry) == (False, True)
        assert outcome.error in {"tls_failed", "connection_failed", "timeout"}
