"""Who may ask how often, without a server."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemwright.web.limits import _CLIENTS, Buckets, Proxies

ADDRESSES = st.ip_addresses(v=4).map(str)


def client(peer: str | None, *forwarded: str, trusted: tuple[str, ...] = ("10.0.0.0/8", "fd00::/8")) -> str:
    headers = [(b"x-forwarded-for", value.encode("latin-1", "replace")) for value in forwarded]
    return Proxies(trusted).client({"type": "http", "client": (peer, 1) if peer else None, "headers": headers})


@given(rate=st.integers(1, 1000), waits=st.lists(st.floats(0, 120), max_size=200))
def test_never_more_than_a_bucket_and_what_flows_in(rate: int, waits: list[float]) -> None:
    buckets, now, taken = Buckets(rate), 0.0, 0
    for wait in waits:
        now += wait
        taken += buckets.take("a", now=now) == 0
        assert taken <= rate + now * rate / 60 + 1e-6


@given(rate=st.integers(1, 1000), count=st.integers(1, 50))
def test_who_waits_as_long_as_was_said_gets_through(rate: int, count: int) -> None:
    buckets, now = Buckets(rate), 0.0
    for _ in range(rate + count):
        if wait := buckets.take("a", now=now):
            now += wait + 1e-6
            assert buckets.take("a", now=now) == 0
    assert now <= count * 60 / rate + 1


@given(rate=st.integers(1, 100), clients=st.lists(st.text(max_size=5), unique=True, min_size=2, max_size=10))
def test_one_client_does_not_use_up_the_bucket_of_another(rate: int, clients: list[str]) -> None:
    buckets = Buckets(rate)
    for _ in range(rate + 1):
        buckets.take(clients[0], now=0)
    assert buckets.take(clients[0], now=0) > 0
    assert all(buckets.take(other, now=0) == 0 for other in clients[1:])


def test_no_limit_and_bounded_memory() -> None:
    assert all(Buckets(0).take("a") == 0 for _ in range(1000))
    buckets = Buckets(1)
    for number in range(_CLIENTS + 100):
        buckets.take(str(number), now=0)
    assert len(buckets._buckets) == _CLIENTS


@given(peer=ADDRESSES.filter(lambda one: not one.startswith("10.")), said=st.text())
def test_stranger_is_known_by_its_own_address_whatever_it_says(peer: str, said: str) -> None:
    assert client(peer, said) == peer


@given(
    junk=st.lists(st.text(st.characters(exclude_characters=","))),
    asker=ADDRESSES.filter(lambda one: not one.startswith("10.")),
    proxies=st.integers(0, 3),
)
def test_proxies_are_believed_up_to_the_first_address_that_is_none(junk: list[str], asker: str, proxies: int) -> None:
    chain = [*junk, asker, *(f"10.1.2.{number}" for number in range(proxies))]
    assert client("10.0.0.1", ", ".join(chain)) == asker
    assert client("10.0.0.1", ", ".join([*junk, asker]), *chain[len(junk) + 1 :]) == asker


@given(st.lists(st.text(max_size=100), max_size=5))
def test_any_header_names_a_client_of_bounded_length(headers: list[str]) -> None:
    assert 0 < len(client("10.0.0.1", *headers)) <= 64


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
def test_network_of_ipv6_is_one_client(address: ipaddress.IPv6Address, host: int) -> None:
    other = ipaddress.IPv6Address(int(address) >> 64 << 64 | host)
    if address.ipv4_mapped or other.ipv4_mapped or address in ipaddress.ip_network("fd00::/8"):
        return
    assert client(str(address)) == client(str(other)) == client("10.0.0.1", f"[{other}]:443")


@pytest.mark.parametrize(
    ("peer", "forwarded", "known"),
    [
        ("::ffff:192.0.2.1", [], "192.0.2.1"),
        ("::ffff:10.0.0.1", ["192.0.2.1"], "192.0.2.1"),
        ("10.0.0.1", ["192.0.2.1:4711"], "192.0.2.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["", " , "], "10.0.0.1"),
        ("fd00::1", ["10.0.0.2"], "fd00::/64"),
        (None, ["192.0.2.1"], "unknown"),
    ],
)
def test_client_is_named(peer: str | None, forwarded: list[str], known: str) -> None:
    assert client(peer, *forwarded) == known
