"""Whether work can be done: what takes a look at a disk or a database is looked at beside the answers."""

from __future__ import annotations

import asyncio
import math
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from stemwright.errors import StorageUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stemwright.studio.studio import Studio

_FRESH: Final = 1.0  # seconds for which nobody looks again
_KEPT: Final = 3.0  # seconds for which a state may be told while somebody looks
_TIMEOUT: Final = 5.0  # seconds, after which whatever does not answer is not well
_ASIDE: Final = ThreadPoolExecutor(3, thread_name_prefix="health")  # so that it does not stand behind work


class Health:
    """The state of database, object store and disk, at most three seconds old; frequent probes wait for none."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._looks = {
            "database": _Look(self._database),
            "storage": _Look(self._storage),
            "disk": _Look(self._disk),
        }

    async def states(self) -> dict[str, str]:
        """`ok`, or what is wrong, for each."""
        states = await asyncio.gather(*(look.state() for look in self._looks.values()))
        return dict(zip(self._looks, states, strict=True))

    def _database(self) -> str:
        try:
            self._studio.db.ping()
        except Exception as error:  # noqa: BLE001  (whatever the driver raises, it is not well)
            return type(error).__name__
        return "ok"

    def _storage(self) -> str:
        try:
            self._studio.store.ping()
        except StorageUnavailableError:
            return "is away"
        return "ok"

    def _disk(self) -> str:
        try:
            free = shutil.disk_usage(self._studio.incoming).free
        except OSError as error:
            return type(error).__name__
        return "ok" if free >= self._studio.config.disk_reserve else "is full"


class _Look:
    """What one look says, told for a while."""

    def __init__(self, look: Callable[[], str]) -> None:
        self._look, self._state, self._at = look, "", -math.inf
        self._looking: asyncio.Future[None] | None = None

    async def state(self) -> str:
        age = time.monotonic() - self._at
        if age > _FRESH and self._looking is None:
            self._looking = asyncio.ensure_future(self._again())
        if age > _KEPT and self._looking is not None:
            await asyncio.wait([self._looking], timeout=_TIMEOUT)
            if time.monotonic() - self._at > _KEPT + _TIMEOUT:
                return "does not answer"
        return self._state

    async def _again(self) -> None:
        began = time.monotonic()
        try:
            state = await asyncio.get_running_loop().run_in_executor(_ASIDE, self._look)
            self._state, self._at = state, began
        finally:
            self._looking = None
