"""Waking: while more runs wait for a GPU than it has workers, something elsewhere is asked to start one."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, select

from stemwright import __version__
from stemwright.studio.store.tables import LIVE, Run
from stemwright.studio.work.locks import Locks

if TYPE_CHECKING:
    from stemwright.studio.config import JobsConfig
    from stemwright.studio.store.database import Database
    from stemwright.studio.workers import Workers

QUEUE: Final = "gpu"
_EVERY: Final = 2.0  # seconds between two looks
_AGAIN: Final = 10.0  # seconds between two calls
_TIMEOUT: Final = 8.0  # seconds that a call may take
log = logging.getLogger("stemwright.fleet")


class Waker:
    """One keeper of all calls `config.wake_url`; the addresses of serverless hosts take what it sends as it is."""

    def __init__(self, db: Database, config: JobsConfig, workers: Workers, *, name: str) -> None:
        """`name` is that of this process among all that use the database."""
        self._db, self._config, self._workers = db, config, workers
        self._locks = Locks(db, name)

    def start(self) -> None:
        """Look now and then, for ever, where there is an address to call."""
        if self._config.wake_url:
            threading.Thread(target=self._go_on, name="waker", daemon=True).start()

    def _go_on(self) -> None:
        while True:
            time.sleep(_EVERY)
            try:
                self.look()
            except Exception:
                log.exception("the queue could not be looked at")

    def look(self) -> bool:
        """Call if there is need, and nobody did in the last ten seconds; whether it was called."""
        with self._db.session() as session:
            wanted = session.scalar(select(func.count()).where(Run.queue == QUEUE, Run.status.in_(LIVE))) or 0
        there = self._workers.offers().live.get(QUEUE, 0)
        if wanted <= there or not self._locks.take("waker", seconds=_AGAIN, again=False):
            return False
        self._call(wanted, there)
        return True

    def _call(self, wanted: int, there: int) -> None:
        import httpx

        token = self._config.wake_token
        try:
            answer = httpx.post(
                self._config.wake_url or "",
                json={"input": {"queue": QUEUE, "wanted": wanted, "workers": there}},
                headers={
                    "User-Agent": f"stemwright/{__version__}",
                    **({"Authorization": f"Bearer {token}"} if token else {}),
                },
                timeout=_TIMEOUT,
            )
        except httpx.HTTPError as error:
            log.warning("no worker could be asked for", extra={"error": type(error).__name__})
            return
        level = logging.INFO if answer.is_success else logging.WARNING
        log.log(
            level, "a worker was asked for", extra={"wanted": wanted, "workers": there, "status": answer.status_code}
        )
