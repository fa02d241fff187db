"""Whether work can be done: what takes a look at a disk or a database is looked at beside the answers."""

from __future__ import annotations

import asyncio
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from sqlalchemy import text

if TYPE_CHECKING:
    from stemwright.studio.studio import Studio

_FRESH: Final = 1.0  # seconds for which nobody looks again
_KEPT: Final = 3.0  # seconds for which a state may be told while somebody looks
_PATIENCE: Final = 5.0  # seconds, after which whatever does not answer is not well
_ASIDE: Final = ThreadPoolExecutor(2, thread_name_prefix="health")  # so that it does not stand behind work


class Health:
    """The state of database and disk, at most three seconds old; who asks often waits for neither."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._states = {"database": "does not answer", "disk": "does not answer"}
        self._at = -_KEPT
        self._looking: asyncio.Future[None] | None = None

    async def states(self) -> dict[str, str]:
        """`ok`, or what is wrong, for each."""
        age = time.monotonic() - self._at
        if age > _FRESH and self._looking is None:
            self._looking = asyncio.ensure_future(self._look())
        if age > _KEPT and self._looking is not None:
            await asyncio.wait([self._looking], timeout=_PATIENCE)
            if time.monotonic() - self._at > _KEPT + _PATIENCE:
                return dict.fromkeys(self._states, "does not answer")
        return self._states

    async def _look(self) -> None:
        began, loop = time.monotonic(), asyncio.get_running_loop()
        try:
            database = loop.run_in_executor(_ASIDE, self._database)
            disk = await loop.run_in_executor(_ASIDE, self._disk)
            self._states, self._at = {"database": await database, "disk": disk}, began
        finally:
            self._looking = None

    def _database(self) -> str:
        try:
            with self._studio.db.engine.connect() as connection:
                connection.execute(text("SELECT 1"))
        except Exception as error:  # noqa: BLE001  (whatever the driver raises, it is not well)
            return type(error).__name__
        return "ok"

    def _disk(self) -> str:
        try:
            free = shutil.disk_usage(self._studio.incoming).free
        except OSError as error:
            return type(error).__name__
        return "ok" if free >= self._studio.config.disk_reserve else "is full"
