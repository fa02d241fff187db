"""How often a client may do what costs something, counted for all replicas together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, update
from sqlalchemy.exc import IntegrityError

from stemwright.studio.store.tables import Allowance
from stemwright.studio.work.runs import count_of

if TYPE_CHECKING:
    from stemwright.studio.store.database import Database
    from stemwright.types import Seconds

_NAME: Final = 96  # characters of a client


def take(db: Database, client: str, *, per_minute: int) -> Seconds:
    """Take one of so many a minute; 0 when there was one, else the seconds until there will be.

    The allowance refills steadily and holds a minute's worth. Raises `DatabaseUnavailableError`.
    """
    try:
        return _take(db, client[:_NAME], per_minute)
    except IntegrityError:  # it was this client's first request, at two replicas
        return _take(db, client[:_NAME], per_minute)


def _take(db: Database, client: str, per_minute: int) -> Seconds:
    now = db.now()
    with db.session() as session:
        # A write that changes nothing, first: from here on we are alone, in SQLite too.
        hold = update(Allowance).where(Allowance.client == client).values(left=Allowance.left)
        if not count_of(session.execute(hold, execution_options={"synchronize_session": False})):
            session.add(Allowance(client=client, left=per_minute - 1.0, at=now))
            return 0.0
        row = session.get_one(Allowance, client)
        left = min(per_minute, row.left + max(0.0, now - row.at) * per_minute / 60)
        wait = 0.0 if left >= 1 else (1 - left) * 60 / per_minute
        row.left, row.at = left if wait else left - 1, now
        return wait


def forget(db: Database, *, before: float) -> None:
    """Delete the allowances that nobody has used since a time (seconds since the epoch), and that are full again."""
    with db.session() as session:
        session.execute(delete(Allowance).where(Allowance.at < before))
