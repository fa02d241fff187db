"""Callbacks go to public addresses and to listed ones, in whatever form an address comes."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stemwright.errors import OptionError
from stemwright.studio.addresses import Allowed, is_host_name, parsed

NONE = Allowed([])
PRIVATE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
]
PRIVATE6 = [
    "::",
    "::1",
    "::7f00:1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "64:ff9b:1::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "2606:4700::1111%eth0",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]
PUBLIC = ["1.1.1.1", "8.8.8.8", "100.63.255.255", "172.32.0.1", "2606:4700:4700::1111", "2a00:1450:4001::1"]


def refused(text: str, *, by: Allowed = NONE, host: str = "hooks.example") -> bool:
    address = parsed(text)
    assert address is not None
    return by.refused(host, [address]) == [address]


@pytest.mark.parametrize("text", PRIVATE + PRIVATE6)
def test_special_addresses_are_refused(text: str) -> None:
    assert refused(text)


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_are_not_refused(text: str) -> None:
    assert not refused(text)


@pytest.mark.parametrize("text", PRIVATE)
def test_forms_of_ipv6_that_lead_to_a_special_address_are_refused(text: str) -> None:
    high, low = divmod(int(ipaddress.IPv4Address(text)), 1 << 16)
    assert refused(f"::ffff:{text}")
    assert refused(f"64:ff9b::{text}")
    assert refused(f"2002:{high:x}:{low:x}::1")
    assert refused(f"2001:0:{high:x}:{low:x}::1")
    assert refused(f"::{text}")


def test_mapped_and_nat64_forms_of_a_public_address_are_not_refused() -> None:
    assert str(parsed("::ffff:8.8.8.8")) == "8.8.8.8"
    assert not refused("::ffff:8.8.8.8")
    assert not refused("64:ff9b::8.8.8.8")


@given(st.ip_addresses())
@example(ipaddress.ip_address("ff0e::1"))
@example(ipaddress.ip_address("::ffff:10.0.0.1"))
def test_whatever_is_not_global_is_refused(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if not address.is_global or address.is_multicast:
        assert refused(str(address))


@given(st.ip_addresses(v=4))
def test_an_address_that_is_refused_is_refused_in_its_ipv6_forms_too(address: ipaddress.IPv4Address) -> None:
    assert refused(f"::ffff:{address}") == refused(str(address)) == refused(f"64:ff9b::{address}")


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "::ffff:127.0.0.1"),
        ("10.0.0.0/8", "10.200.3.4"),
        ("10.0.0.0/8", "64:ff9b::10.1.1.1"),
        ("::ffff:10.0.0.0/104", "10.9.9.9"),
        ("::1", "::1"),
        ("fd00::/8", "fd12::1"),
        (" FD00::/8 ", "fd12::1"),
        ("64:ff9b::/96", "64:ff9b::10.1.1.1"),
    ],
)
def test_listed_addresses_are_allowed_under_any_name(entry: str, text: str) -> None:
    assert not refused(text, by=Allowed([entry]))
    assert refused("192.168.77.1", by=Allowed([entry]))


def test_listed_network_does_not_allow_an_address_with_an_interface() -> None:
    assert refused("fe80::1%eth0", by=Allowed(["fe80::/10"]))


@pytest.mark.parametrize("host", ["nas.local", "NAS.local", "nas.local."])
def test_listed_name_is_allowed_wherever_it_is(host: str) -> None:
    assert not refused("10.0.0.1", by=Allowed(["Nas.Local"]), host=host)


@pytest.mark.parametrize("host", ["evil.nas.local", "nas.local.evil.example", "xnas.local", "nas"])
def test_listed_name_allows_no_other_name(host: str) -> None:
    assert refused("10.0.0.1", by=Allowed(["nas.local"]), host=host)


def test_each_address_of_a_host_is_judged() -> None:
    addresses = [address for text in ("8.8.8.8", "10.0.0.1", "::1") if (address := parsed(text))]
    assert [str(address) for address in Allowed(["::1"]).refused("a.example", addresses)] == ["10.0.0.1"]


@pytest.mark.parametrize(
    "entry",
    ["", "1", "10", "10.0.0", "10.0.0.1/8", "10.0.0.0/33", "::1/0x", "[::1]", "nas:80", "http://nas", "*.local", "a b",
     "-a", "nas/", "müller.de", "a" * 64],
)  # fmt: skip
def test_mistyped_entries_are_refused(entry: str) -> None:
    with pytest.raises(OptionError):
        Allowed([entry])


@pytest.mark.parametrize("name", ["a", "a.b", "a.b.", "my_service", "_x.y", "xn--mller-kva.de", "a" * 63, "1.2.3.4."])
def test_names_of_hosts(name: str) -> None:
    assert is_host_name(name)


@pytest.mark.parametrize(
    "name", ["", ".", "a..b", ".a", "a-", "-a", "a" * 64, "a.b..", "a%b", "*", ".".join(["a"] * 128)]
)
def test_what_is_no_name_of_a_host(name: str) -> None:
    assert not is_host_name(name)
