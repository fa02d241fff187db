"""Locks: work that one process of all does for the rest, such as sweeping; each is held for a time, by a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, or_, update
from sqlalchemy.exc import IntegrityError

from stemwright.studio.store.tables import Lock
from stemwright.studio.work.runs import count_of

if TYPE_CHECKING:
    from stemwright.studio.store.database import Database
    from stemwright.types import Seconds


class Locks:
    """The locks that one process takes. Rows, not sessions, hold them: a pool of connections may sit in between."""

    def __init__(self, db: Database, holder: str) -> None:
        """`holder` names this process among all that ever use the database."""
        self._db, self._holder = db, holder

    def take(self, name: str, *, seconds: Seconds, again: bool = True) -> bool:
        """Take a lock for so many seconds, or keep it for as many more; False while another process has it.

        If not `again`, also False while this process has it: so nobody does something twice in that time.
        """
        now = self._db.now()
        free = or_(Lock.holder == self._holder, Lock.until < now) if again else Lock.until < now
        mine = update(Lock).where(Lock.name == name, free).values(holder=self._holder, until=now + seconds)
        with self._db.session() as session:
            if count_of(session.execute(mine, execution_options={"synchronize_session": False})):
                return True
            if session.get(Lock, name) is not None:
                return False
        try:
            with self._db.session() as session:
                session.add(Lock(name=name, holder=self._holder, until=now + seconds))
        except IntegrityError:  # another process was quicker
            return False
        return True

    def release(self, name: str) -> None:
        """Let a lock go, where this process has it."""
        with self._db.session() as session:
            session.execute(delete(Lock).where(Lock.name == name, Lock.holder == self._holder))
