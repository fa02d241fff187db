"""The outbox: what is owed to clients about their jobs, kept until it is sent, through restarts too.

Callbacks of jobs are enqueued in the transaction that changes the job (`work.queue`). A door that owes more keeps an
entry here: what it has to know of it (`facts`, a record of the door's own), and which stages were sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, or_, select, update

from stemwright.errors import JobNotFoundError
from stemwright.strategies.plan import digest_of
from stemwright.studio.store.tables import LIVE, Job, OutboxEntry, Run
from stemwright.studio.work.runs import count_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Select

    from stemwright.records import Fault, JsonObject, Record
    from stemwright.studio.studio import Studio
    from stemwright.studio.work.queue import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry as it is now."""

    id: str
    owner: str
    name: str  # by which the client knows it
    job_id: str | None
    facts: JsonObject  # as the door's record dumps itself
    sent: Mapping[str, Fault | None]  # stages, with what went wrong
    open: bool
    created_at: float


def promise(studio: Studio, *, door: str, name: str, job_id: str, facts: Record, owner: str) -> Entry:
    """Promise to tell of a job; the same promise, while its job lives, is not made twice: a second job goes.

    Raises `JobNotFoundError` when the job has been deleted.
    """
    plain = facts.model_dump(mode="json")
    with studio.db.session() as session:
        live = Run.status.in_(LIVE), Job.cancelled_at.is_(None)
        same = _open(door).where(OutboxEntry.owner == owner, OutboxEntry.name == name, *live)
        for entry in session.scalars(same.order_by(OutboxEntry.created_at.desc()).limit(20)):
            if entry.facts == plain:
                first, second = session.get_one(Job, entry.job_id), session.get(Job, job_id)
                if second is not None and second is not first and second.run_id == first.run_id:
                    session.delete(second)  # the run goes on for the first
                return _entry(entry)
        if session.get(Job, job_id) is None:
            raise JobNotFoundError("there is no such job")
        entry = OutboxEntry(owner=owner, door=door, name=name, job_id=job_id, facts=plain, sent={}, open=True)
        session.add(entry)
        session.flush()
        return _entry(entry)


def note(
    studio: Studio,
    *,
    door: str,
    name: str,
    facts: Record,
    owner: str,
    open: bool,  # noqa: A002
    at: float | None = None,
) -> Entry:
    """Write down what a door has to know of something of that name, in the place of what it knew before.

    `at` is when the door came to know it, in seconds since the epoch; now if None.
    """
    plain = facts.model_dump(mode="json")
    with studio.db.session() as session:
        mine = OutboxEntry.owner == owner, OutboxEntry.door == door, OutboxEntry.name == name
        entry = session.scalar(select(OutboxEntry).where(*mine).limit(1))
        if entry is None:
            entry = OutboxEntry(owner=owner, door=door, name=name, job_id=None, sent={})
            session.add(entry)
        entry.facts, entry.open, entry.created_at = plain, open, studio.db.now() if at is None else at
        session.flush()
        return _entry(entry)


def latest(studio: Studio, *, door: str, name: str, owner: str) -> Entry:
    """The newest entry of that name. Raises `JobNotFoundError`."""
    query = select(OutboxEntry).where(OutboxEntry.owner == owner, OutboxEntry.door == door, OutboxEntry.name == name)
    with studio.db.session() as session:
        entry = session.scalar(query.order_by(OutboxEntry.created_at.desc(), OutboxEntry.id.desc()).limit(1))
        if entry is None:
            raise JobNotFoundError("there is no such job")
        return _entry(entry)


def moved(studio: Studio, *, door: str, since: float) -> list[Entry]:
    """Open entries that are new, or whose jobs have moved, since a time (seconds since the epoch), oldest first."""
    query = _open(door).where(
        or_(
            Run.updated_at >= since,
            Job.cancelled_at >= since,
            OutboxEntry.created_at >= since,
            Job.created_at >= since,
        )
    )
    with studio.db.session() as session:
        return [_entry(entry) for entry in session.scalars(query.order_by(OutboxEntry.created_at, OutboxEntry.id))]


def open_entries(studio: Studio, *, door: str) -> list[Entry]:
    """All entries of which something is still to be sent, oldest first."""
    query = select(OutboxEntry).where(OutboxEntry.door == door, OutboxEntry.open)
    with studio.db.session() as session:
        return [_entry(entry) for entry in session.scalars(query.order_by(OutboxEntry.created_at, OutboxEntry.id))]


def all_entries(studio: Studio, *, door: str, owner: str) -> list[Entry]:
    """All entries of a door, oldest first."""
    query = select(OutboxEntry).where(OutboxEntry.door == door, OutboxEntry.owner == owner)
    with studio.db.session() as session:
        return [_entry(entry) for entry in session.scalars(query.order_by(OutboxEntry.created_at, OutboxEntry.id))]


def any_live(studio: Studio, *, door: str) -> bool:
    """Whether a job of an open entry is queued or running."""
    with studio.db.session() as session:
        return session.scalar(_open(door).where(Run.status.in_(LIVE)).limit(1)) is not None


def _open(door: str) -> Select[OutboxEntry]:
    """Open entries with their jobs and runs."""
    return (
        select(OutboxEntry)
        .join(Job, Job.id == OutboxEntry.job_id)
        .join(Run, Run.id == Job.run_id)
        .where(OutboxEntry.door == door, OutboxEntry.open)
    )


def mark_sent(
    studio: Studio, entry_id: str, stage: str, fault: Fault | None, *, last: bool, message: Message | None = None
) -> bool:
    """Note that a stage was sent, and send its message, in one transaction; False when it had been sent before.

    `fault` is what went wrong with the stage; `last` closes the entry.
    """
    studio.queue.warm()  # before the transaction: it may have tables to make
    with studio.db.session() as session:
        # A write that changes nothing, first: from here on we are alone, in SQLite too.
        hold = update(OutboxEntry).where(OutboxEntry.id == entry_id, OutboxEntry.open).values(open=OutboxEntry.open)
        if not count_of(session.execute(hold, execution_options={"synchronize_session": False})):
            return False
        entry = session.get_one(OutboxEntry, entry_id)
        if stage in entry.sent:
            return False
        entry.sent = {**entry.sent, stage: fault}
        entry.open = not last
        if message and entry.job_id:
            number = f"msg_{digest_of([entry.id, stage])[:40]}"
            studio.queue.send(session, entry.job_id, f"{entry.door}.{stage}", id=number, message=message)
        return True


def close(studio: Studio, entry_id: str) -> None:
    """Let an entry go: there is nobody left to tell."""
    with studio.db.session() as session:
        session.execute(update(OutboxEntry).where(OutboxEntry.id == entry_id).values(open=False))


def forget(studio: Studio, *, door: str, before: float) -> None:
    """Delete the closed entries of a door that were made before a time (seconds since the epoch)."""
    old = OutboxEntry.door == door, OutboxEntry.open.is_(False), OutboxEntry.created_at < before
    with studio.db.session() as session:
        session.execute(delete(OutboxEntry).where(*old), execution_options={"synchronize_session": False})


def _entry(row: OutboxEntry) -> Entry:
    return Entry(
        id=row.id,
        owner=row.owner,
        name=row.name,
        job_id=row.job_id,
        facts=row.facts,
        sent=row.sent,
        open=row.open,
        created_at=row.created_at,
    )
