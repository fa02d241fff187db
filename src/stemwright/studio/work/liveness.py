"""Who is alive in a fleet: each process beats in the database; what a dead one worked on, others take over.

A process is dead when it was silent for `dead` seconds by the database's clock. Nobody judges before the database has
answered him without a break for `dead + beat` seconds: after its restart all are silent, and none is dead. Who cannot
beat for 0.7 of `dead` stops its own engines. Take-over is by DBOS's public `resume_workflows`; leases keep whoever was
wrongly believed dead from writing.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, select, update

from stemwright import __version__
from stemwright.errors import DatabaseUnavailableError
from stemwright.studio.store.tables import Worker
from stemwright.studio.work.locks import Locks
from stemwright.studio.work.queue import VERSION
from stemwright.studio.work.runs import count_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from stemwright.studio.store.database import Database
    from stemwright.studio.work.queue import Queue
    from stemwright.studio.work.runs import Runs
    from stemwright.types import Seconds

KEEPER: Final = "keeper"  # in the place of a queue: it takes no runs
_REAPER: Final = "reaper"  # the lock of the one who takes over
_FENCE: Final = 0.7  # of `dead`, without a beat
_FORGOTTEN: Final = 7 * 86_400.0  # seconds after which workers that left are forgotten
_LOOK: Final = 0.25  # seconds between two looks at the fence
log = logging.getLogger("stemwright.fleet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """What a process says of itself."""

    id: str
    queue: str
    device: str = "cpu"
    models: tuple[str, ...] = ()  # that it can run


def fresh_id() -> str:
    """A name for this process that no other has, nor had: host, process id and a random part."""
    return f"{socket.gethostname()[:48]}-{os.getpid()}-{secrets.token_hex(4)}"


class Liveness:
    """One process among the others: it joins, beats, takes over from the dead, and leaves."""

    def __init__(
        self,
        db: Database,
        runs: Runs,
        me: Member,
        *,
        beat: Seconds,
        dead: Seconds,
        fence: Callable[[bool], None],
    ) -> None:
        """`fence(True)` is called when no beat got through for too long, `fence(False)` once one does again."""
        self._db, self._runs, self._me = db, runs, me
        self._locks = Locks(db, me.id)
        self._beat, self._dead, self._fence = beat, dead, fence
        self._heard = time.monotonic()  # when a beat last got through
        self._since: float | None = None  # the database has answered without a break since
        self._fenced = False
        self._stopping = threading.Event()

    @property
    def queue(self) -> Queue:
        """Where the runs wait."""
        return self._runs.queue

    def join(self) -> None:
        """Announce this process, then beat until it leaves. Raises `DatabaseUnavailableError`."""
        self._announce()
        self._heard = time.monotonic()
        for target in (self._keep_beating, self._watch):
            threading.Thread(target=target, name=target.__name__, daemon=True).start()

    def leave(self) -> None:
        """Say that this process ends, so that others take over at once. Raises `DatabaseUnavailableError`."""
        self._stopping.set()
        with self._db.session() as session:
            session.execute(update(Worker).where(Worker.id == self._me.id).values(state="left", seen_at=self._db.now()))
        self._locks.release(_REAPER)  # else nobody would take over until it ran out

    def _announce(self) -> None:
        me = self._me
        with self._db.session() as session:
            session.merge(
                Worker(
                    id=me.id,
                    host=socket.gethostname(),
                    queue=me.queue,
                    device=me.device,
                    models=[*me.models],
                    release=__version__,
                    version=VERSION,
                    state="live",
                    seen_at=self._db.now(),
                )
            )

    def _keep_beating(self) -> None:
        while not self._stopping.wait(self._beat):
            try:
                self._once()
            except DatabaseUnavailableError as error:
                if self._since is not None:  # once for each time that it is away
                    log.warning("the database does not answer", extra={"error": error.message})
                self._since = None
            except Exception:
                log.exception("a beat failed")

    def _once(self) -> None:
        """One beat, and a look at the others."""
        began = time.monotonic()
        if not self._say_alive() and not self._stopping.is_set():
            log.warning("others believed this process dead; it joins again")
            self._announce()
        self._heard = time.monotonic()
        if self._heard - began > self._dead:  # it hung on the way: nobody was heard meanwhile
            self._since = None
        self._since = self._since or self._heard
        if not self._stopping.is_set():
            self.reap(judging=self._heard - self._since >= self._dead + self._beat)

    def _say_alive(self) -> bool:
        """One beat; False when this process was declared dead."""
        mine = update(Worker).where(Worker.id == self._me.id, Worker.state == "live")
        with self._db.session() as session:
            return count_of(session.execute(mine.values(seen_at=self._db.now()))) > 0

    def _watch(self) -> None:
        """Close the fence while no beat gets through; a beat itself may hang for as long as a link is cut."""
        while not self._stopping.wait(_LOOK):
            silent = time.monotonic() - self._heard > _FENCE * self._dead
            if silent != self._fenced:
                self._fenced = silent
                log.warning("the engines are stopped until the database answers" if silent else "the work goes on")
                self._fence(silent)

    def reap(self, *, judging: bool) -> int:
        """Put the work of processes that left and, when `judging`, of silent ones back into its queues; how much.

        One process does so at a time, the same again and again; one that cannot judge yet lets others have their turn.
        """
        if not self._locks.take(_REAPER, seconds=max(self._dead, 2 * self._beat)):
            return 0
        try:
            return self._take_over(judging=judging)
        finally:
            if not judging:
                self._locks.release(_REAPER)

    def _take_over(self, *, judging: bool) -> int:
        now = self._db.now()
        with self._db.session() as session:
            if judging:
                silent = update(Worker).where(Worker.state == "live", Worker.seen_at < now - self._dead)
                if count := count_of(session.execute(silent.values(state="left"))):
                    log.warning("workers died", extra={"count": count})
            session.execute(delete(Worker).where(Worker.state == "left", Worker.seen_at < now - _FORGOTTEN))
            live = session.execute(select(Worker.id, Worker.version).where(Worker.state == "live")).all()
        self.queue.restart_older(beside={row.version for row in live})
        lost = self.queue.work_of_others(than={row.id for row in live})
        self._runs.take_from({one.owner for one in lost})
        for name in {one.queue for one in lost}:
            self.queue.requeue([one.id for one in lost if one.queue == name], queue=name)
        if lost:
            log.warning(
                "took over", extra={"work": [one.id for one in lost], "of": sorted({one.owner for one in lost})}
            )
        return len(lost)
