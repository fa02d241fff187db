"""What one process of all does for the rest: it holds a lock while it does, and stops when it loses that."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from typing import TYPE_CHECKING, Final

from stemwright.errors import DatabaseUnavailableError
from stemwright.studio.work.locks import Locks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from stemwright.studio.studio import Studio

_SURE: Final = 0.7  # of that time, after which it is not sure any more that the lock is still ours
_SHARE: Final = 3  # renewals in the time for which a lock is held
log = logging.getLogger("stemwright.fleet")


async def run_alone(studio: Studio, name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Do something that goes on for ever, in one process at a time of all that share the database.

    Another process takes over within `fleet.dead` seconds of this one's end. Raises what the work raises.
    """
    if not studio.db.shared:
        await work()
        return
    locks, held = Locks(studio.db, studio.name), studio.config.dead
    going: asyncio.Task[None] | None = None
    taken = -math.inf
    try:
        while True:
            try:
                mine = await asyncio.to_thread(locks.take, name, seconds=held)
                taken = time.monotonic() if mine else taken
            except DatabaseUnavailableError:
                mine = time.monotonic() - taken < _SURE * held  # later another process may have it before we know
            if mine and going is None:
                log.info("this process does it for all", extra={"what": name})
                going = asyncio.ensure_future(_started(work))
            elif not mine and going is not None:
                log.warning("another process may do it from now on", extra={"what": name})
                await _end(going)
                going = None
            if going is None:
                await asyncio.sleep(held / _SHARE)
            elif (await asyncio.wait({going}, timeout=held / _SHARE))[0]:
                going.result()
                return
    finally:
        if going is not None:
            await _end(going)
            with contextlib.suppress(DatabaseUnavailableError):
                await asyncio.to_thread(locks.release, name)


async def _started(work: Callable[[], Awaitable[None]]) -> None:
    await work()


async def _end(going: asyncio.Task[None]) -> None:
    going.cancel()
    await asyncio.wait({going})
