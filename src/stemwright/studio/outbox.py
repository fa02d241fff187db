"""Orders: what a door promised to tell of jobs, kept until it is told, through restarts too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import or_, select, update

from stemwright.errors import JobNotFoundError
from stemwright.strategies.plan import digest_of
from stemwright.studio.store.tables import LIVE, Job, Order, Run
from stemwright.studio.work.runs import count_of

if TYPE_CHECKING:
    from sqlalchemy import Select

    from stemwright.studio.studio import Studio
    from stemwright.studio.work.queue import Letter


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """An order as it is now."""

    id: str
    owner: str
    name: str  # by which the client knows the job
    job_id: str
    facts: dict[str, Any]
    told: dict[str, Any]  # by stage
    open: bool
    created_at: float


def place(studio: Studio, *, door: str, name: str, job_id: str, facts: dict[str, Any], owner: str) -> Placed:
    """Promise to tell of a job; the same promise, while its job lives, is not made twice: a second job goes.

    Raises `JobNotFoundError` when the job has been deleted.
    """
    with studio.db.session() as session:
        live = Run.status.in_(LIVE), Job.cancelled_at.is_(None)
        same = _open(door).where(Order.owner == owner, Order.name == name, *live)
        for order in session.scalars(same.order_by(Order.created_at.desc()).limit(20)):
            if order.facts == facts:
                first, second = session.get_one(Job, order.job_id), session.get(Job, job_id)
                if second is not None and second is not first and second.run_id == first.run_id:
                    session.delete(second)  # the run goes on for the first
                return _placed(order)
        if session.get(Job, job_id) is None:
            raise JobNotFoundError("there is no such job")
        order = Order(owner=owner, door=door, name=name, job_id=job_id, facts=facts, told={}, open=True)
        session.add(order)
        session.flush()
        return _placed(order)


def latest(studio: Studio, *, door: str, name: str, owner: str) -> Placed:
    """The newest order of that name. Raises `JobNotFoundError`."""
    query = select(Order).where(Order.owner == owner, Order.door == door, Order.name == name)
    with studio.db.session() as session:
        order = session.scalar(query.order_by(Order.created_at.desc(), Order.id.desc()).limit(1))
        if order is None:
            raise JobNotFoundError("there is no such job")
        return _placed(order)


def moved(studio: Studio, *, door: str, since: float) -> list[Placed]:
    """Open orders that are new, or whose jobs have moved, since a time (seconds since the epoch), oldest first."""
    query = _open(door).where(
        or_(Run.updated_at >= since, Job.cancelled_at >= since, Order.created_at >= since, Job.created_at >= since)
    )
    with studio.db.session() as session:
        return [_placed(order) for order in session.scalars(query.order_by(Order.created_at, Order.id))]


def open_orders(studio: Studio, *, door: str) -> list[Placed]:
    """All orders of which something is still to be told, oldest first."""
    with studio.db.session() as session:
        return [_placed(order) for order in session.scalars(_open(door).order_by(Order.created_at, Order.id))]


def any_live(studio: Studio, *, door: str) -> bool:
    """Whether a job of an open order is queued or running."""
    with studio.db.session() as session:
        return session.scalar(_open(door).where(Run.status.in_(LIVE)).limit(1)) is not None


def _open(door: str) -> Select[Order]:
    return (
        select(Order)
        .join(Job, Job.id == Order.job_id)
        .join(Run, Run.id == Job.run_id)
        .where(Order.door == door, Order.open)
    )


def tell(
    studio: Studio, order_id: str, stage: str, outcome: dict[str, Any], *, last: bool, letter: Letter | None = None
) -> bool:
    """Note that a stage was told, and send its letter, in one transaction; False when it had been told before.

    `last` closes the order.
    """
    studio.queue.warm()  # before the transaction: it may have tables to make
    with studio.db.session() as session:
        # A write that changes nothing, first: from here on we are alone, in SQLite too.
        hold = update(Order).where(Order.id == order_id, Order.open).values(open=Order.open)
        if not count_of(session.execute(hold, execution_options={"synchronize_session": False})):
            return False
        order = session.get_one(Order, order_id)
        if stage in order.told:
            return False
        order.told = {**order.told, stage: outcome}
        order.open = not last
        if letter:
            message = f"msg_{digest_of([order.id, stage])[:40]}"
            studio.queue.send(session, order.job_id, f"{order.door}.{stage}", message=message, letter=letter)
        return True


def close(studio: Studio, order_id: str) -> None:
    """Let an order go: there is nobody left to tell."""
    with studio.db.session() as session:
        session.execute(update(Order).where(Order.id == order_id).values(open=False))


def _placed(order: Order) -> Placed:
    return Placed(
        id=order.id,
        owner=order.owner,
        name=order.name,
        job_id=order.job_id,
        facts=order.facts,
        told=order.told,
        open=order.open,
        created_at=order.created_at,
    )
