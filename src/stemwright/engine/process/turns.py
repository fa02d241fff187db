"""Turns at a number of places, shared fairly between groups; no group holds all places."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, OrderedDict, deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from stemwright.errors import BusyError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_ALL: Final = 4  # times the callers of one group that may wait, of all groups together


class Turns:
    """Places that groups of callers share: each group waits in its own line, and the lines take turns."""

    def __init__(self, places: int, *, waiting: int) -> None:
        """One group holds at most one place fewer than there are, and `waiting` of its callers wait for each place."""
        self._free, self._share = places, max(1, places - 1)
        self._longest = waiting * places
        self._held: Counter[str] = Counter()
        self._lines: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def place(self, group: str) -> AsyncIterator[None]:
        """A place for the time of a block. Raises `BusyError` when too many wait."""
        await self._take(group)
        try:
            yield
        finally:
            self._give(group)

    async def _take(self, group: str) -> None:
        if self._free and self._held[group] < self._share:  # nobody else could have it: they would have got it
            self._hold(group)
            return
        line = self._lines.setdefault(group, deque())
        if len(line) >= self._longest or sum(map(len, self._lines.values())) >= _ALL * self._longest:
            self._drop(group)
            raise BusyError("too much is being made already; try again soon")
        turn = asyncio.get_running_loop().create_future()
        line.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._leave(group, turn)
            else:  # it came this very moment
                self._give(group)
            raise

    def _hold(self, group: str) -> None:
        self._free -= 1
        self._held[group] += 1

    def _give(self, group: str) -> None:
        self._free += 1
        self._held[group] -= 1
        self._held += Counter()  # forget groups that hold nothing
        while self._free and (first := self._first()) is not None:
            line = self._lines[first]
            self._hold(first)
            line.popleft().set_result(None)
            self._lines.move_to_end(first)
            self._drop(first)

    def _first(self) -> str | None:
        """The group whose turn it is."""
        for group, line in [*self._lines.items()]:
            while line and line[0].done():  # cancelled this very moment
                line.popleft()
            self._drop(group)
            if line and self._held[group] < self._share:
                return group
        return None

    def _leave(self, group: str, turn: asyncio.Future[None]) -> None:
        """Take a cancelled turn out of its line, unless a free place has passed over it already."""
        with contextlib.suppress(KeyError, ValueError):
            self._lines[group].remove(turn)
        self._drop(group)

    def _drop(self, group: str) -> None:
        """Forget a line in which nobody waits."""
        if not self._lines.get(group, True):
            del self._lines[group]
