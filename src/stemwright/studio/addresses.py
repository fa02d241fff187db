"""Which addresses may be called: public ones, and those that the operator listed."""

from __future__ import annotations

import ipaddress
import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING, TypeAlias

from stemwright.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"  # underscores: containers are named so
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_LOCAL = (".local", ".localhost", ".internal", ".lan", ".home.arpa")  # RFC 6761, 6762, 8375; ICANN 2024
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: where IPv6-only hosts find the IPv4 world, through DNS64
_UNICAST = IPv6Network("2000::/3")  # the only part of IPv6 that is given out to the world
_NOT_PUBLIC4 = (
    IPv4Network("100.64.0.0/10"),  # carriers' NAT, and metadata of Alibaba Cloud
    IPv4Network("168.63.129.16/32"),  # the host of an Azure machine, seen only from inside it
    IPv4Network("192.0.0.0/24"),  # protocol assignments, and metadata of Oracle Cloud
    IPv4Network("192.88.99.0/24"),  # relays of 6to4
)
_NOT_PUBLIC6 = (
    IPv6Network("2001::/23"),  # protocol assignments; with Teredo, which hides an IPv4 address
    IPv6Network("2001:db8::/32"),  # documentation
    IPv6Network("2002::/16"),  # 6to4, which hides an IPv4 address
    IPv6Network("3fff::/20"),  # documentation
)


def parsed(text: str) -> Address | None:
    """The address that `text` spells, `None` if it is no address; IPv4 mapped into IPv6 comes back as IPv4."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_public(address: Address) -> bool:
    """Whether the whole internet may have this address: unicast, not of a special range, nor leading into one.

    Stricter than `ipaddress.is_global`, which lets pass multicast, site-local, 6to4 and NAT64 of private addresses.
    Source: the special-purpose registries of IANA (RFC 6890).
    """
    if isinstance(address, IPv6Address):
        if (inner := _translated(address)) is not None:
            return is_public(inner)
        listed = address in _UNICAST and not any(address in network for network in _NOT_PUBLIC6)
        return listed and address.is_global and address.scope_id is None
    special = address.is_multicast or address.is_reserved or any(address in network for network in _NOT_PUBLIC4)
    return address.is_global and not special


def _translated(address: IPv6Address) -> IPv4Address | None:
    return IPv4Address(address.packed[-4:]) if address in _NAT64 else None


def is_host_name(text: str) -> bool:
    """Whether this is a name as DNS and Docker have them: ASCII, lower case, labels up to 63, all up to 253."""
    return len(text.rstrip(".")) <= 253 and _NAME.fullmatch(text) is not None


def is_local(host: str) -> bool:
    """Whether a host is an address, or a name that only the local network can give an address to.

    >>> is_local("10.0.0.8"), is_local("gpu"), is_local("gpu.lan"), is_local("gpu.example.org")
    (True, True, True, False)
    """
    name = host.lower().rstrip(".")
    return parsed(name) is not None or "." not in name or name.endswith(_LOCAL)


class Allowed:
    """The operator's list: host names, addresses and networks that may be called though they are not public."""

    def __init__(self, entries: Iterable[str]) -> None:
        """Read the list, such as `["nas.local", "10.0.0.0/8", "::1"]`. Raises `OptionError`."""
        self._names: set[str] = set()
        self._networks: list[Network] = []
        for entry in entries:
            text = entry.strip().lower().rstrip(".")
            if re.fullmatch(r"[0-9.]*|.*[:/].*", text):  # a mistyped network must not become a name
                self._networks.append(_network(entry, text))
            elif is_host_name(text):
                self._names.add(text)
            else:
                raise OptionError(f"{entry!r} is no host name, address or network (names without scheme and port)")

    def refused(self, host: str, addresses: Sequence[Address]) -> list[Address]:
        """Those of the addresses of `host` that callbacks must not go to."""
        if host.lower().rstrip(".") in self._names:
            return []
        return [address for address in addresses if not (is_public(address) or self._lists(address))]

    def _lists(self, address: Address) -> bool:
        if isinstance(address, IPv6Address):
            if address.scope_id is not None:  # fe80::1%eth0: which interface is not the sender's to choose
                return False
            inner = _translated(address)
            return any(address in network or (inner is not None and inner in network) for network in self._networks)
        return any(address in network for network in self._networks)


def _network(entry: str, text: str) -> Network:
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise OptionError(f"{entry!r} is no address or network: {error}") from None
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    return network if mapped is None or network.prefixlen < 96 else IPv4Network((mapped, network.prefixlen - 96))
