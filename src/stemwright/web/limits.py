"""Who may ask how often: a bucket for each client, in each replica."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import Scope

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_CLIENTS: Final = 10_000  # buckets that are remembered


class Buckets:
    """A bucket for each client that refills steadily and holds a minute's worth."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # what is left, and when that was

    def take(self, client: str, *, now: float | None = None) -> float:
        """Take one; 0 when there was one, else the seconds until there will be."""
        if not self.per_minute:
            return 0.0
        now = time.monotonic() if now is None else now
        left, then = self._buckets.pop(client, (float(self.per_minute), now))
        left = min(self.per_minute, left + (now - then) * self.per_minute / 60)
        wait = 0.0 if left >= 1 else (1 - left) * 60 / self.per_minute
        self._buckets[client] = (left if wait else left - 1, now)
        if len(self._buckets) > _CLIENTS:
            self._buckets.popitem(last=False)
        return wait


class Proxies:
    """Which peers are believed when they say for whom they ask."""

    def __init__(self, trusted: Sequence[str]) -> None:
        self._networks = [ipaddress.ip_network(one, strict=False) for one in trusted]

    def client(self, scope: Scope) -> str:
        """Who asks: the peer, or the last in X-Forwarded-For that is no trusted proxy; of IPv6, its /64 network."""
        peer = str((scope.get("client") or ("unknown", 0))[0])
        if not self._trusts(_address(peer)):
            return _known_as(peer)
        named = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
        for text in reversed([part.strip() for part in ",".join(named).split(",") if part.strip()]):
            if not self._trusts(_address(text)):
                return _known_as(text)
        return _known_as(peer)

    def sent(self, scope: Scope) -> bool:
        """Whether a trusted proxy sent a request, so that what it says of it is believed."""
        return self._trusts(_address(str((scope.get("client") or ("unknown", 0))[0])))

    def _trusts(self, address: _Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)


def _address(text: str) -> _Address | None:
    """An address, perhaps in brackets or with a port, as some proxies write it."""
    bare = text[1:].partition("]")[0] if text.startswith("[") else text
    bare = bare.partition(":")[0] if bare.count(":") == 1 else bare
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _known_as(text: str) -> str:
    """The name of a client's bucket: one of IPv6 has a whole network to ask from."""
    address = _address(text)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
    return text[:64] if address is None else str(address)
