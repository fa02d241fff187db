"""HTTP connections whose client does not ask for anything do not stay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio


class IdleTimeoutProtocol(H11Protocol):
    """uvicorn's HTTP, which closes a connection that sends no whole request head for `IDLE_TIMEOUT` to twice that, s.

    uvicorn itself waits forever for the first request of a connection, and for one that comes letter by letter.
    """

    IDLE_TIMEOUT: ClassVar = 30.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, and look now and then."""
        super().connection_made(transport)
        self._look(None, waited=False)

    def _look(self, last: Any, *, waited: bool) -> None:
        """Close when it waited at the last look, and no request has come since."""
        if self.transport.is_closing() or self.transport.get_protocol() is not self:  # it may be a WebSocket by now
            return
        waits = self.conn.their_state is h11.IDLE
        if waits and waited and self.scope is last:
            self.transport.close()
            return
        now = self.scope
        self.loop.call_later(self.IDLE_TIMEOUT, lambda: self._look(now, waited=waits))
