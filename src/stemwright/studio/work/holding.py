"""Songs that a transaction takes for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select, update

from stemwright.studio.store.database import now_of
from stemwright.studio.store.tables import Run, Song

if TYPE_CHECKING:
    from sqlalchemy import ScalarSelect
    from sqlalchemy.orm import Session


def hold_song(session: Session, song: str | ScalarSelect[str | None], *, used: bool = False) -> None:
    """Let all others wait for a song until the transaction ends; if `used`, that counts as its use.

    Whoever writes about a song takes it first, then its run, then the rest: PostgreSQL ends transactions that wait
    for each other. It is a write that changes nothing: SQLite has no other way.
    """
    at = now_of(session) if used else Song.used_at
    mine = update(Song).where(Song.id == song).values(used_at=at)
    session.execute(mine, execution_options={"synchronize_session": False})


def song_of(run_id: str) -> ScalarSelect[str | None]:
    """The song of a run, to be held."""
    return select(Run.song_id).where(Run.id == run_id).scalar_subquery()
