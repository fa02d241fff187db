"""The outbox of a server that is stopped."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import object_session

from stemwright.studio.store.database import Database
from stemwright.studio.store.tables import OutboxEntry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server import Server


@contextmanager
def entry(server: Server, name: str) -> Iterator[OutboxEntry]:
    """An entry, by its name; what the block changes of it is kept."""
    db = Database(f"sqlite:///{server.data / 'studio.db'}")
    try:
        with db.session() as session:
            yield session.scalars(select(OutboxEntry).where(OutboxEntry.name == name)).one()
    finally:
        db.close()


def taken_out(server: Server, name: str) -> dict[str, Any]:
    """What an entry says, which is there no more."""
    with entry(server, name) as found:
        facts = dict(found.facts)
        if session := object_session(found):
            session.delete(found)
    return facts
