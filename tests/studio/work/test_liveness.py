"""Who takes over from whom, and when; `tests/fleet` does the same with processes that are killed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text, update

import databases
from stemwright.studio.store.tables import Worker
from stemwright.studio.work.liveness import Liveness, Member
from studio.work import desks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[desks.Desk]:
    with databases.fresh_url("postgres", tmp_path / "none") as url:
        yield from desks.opened(tmp_path, url)


def member(desk: desks.Desk, name: str) -> Liveness:
    """A process that has announced itself, and beats when the test says so."""
    made = Liveness(desk.db, desk.runs, Member(id=name, queue="cpu"), beat=600.0, dead=1800.0, fence=lambda _: None)
    made.join()
    return made


def working(desk: desks.Desk, name: str) -> str:
    """A run that a process has taken from the queue."""
    run = desk.run(desk.song(name))
    desk.lease(run)
    with desk.db.session() as session:
        taken = "UPDATE dbos.workflow_status SET status = 'PENDING', executor_id = :name WHERE workflow_uuid = :run"
        session.execute(text(taken), {"name": name, "run": run})
    return run


def test_work_of_one_that_leaves_is_taken_at_once_though_it_was_the_one_who_took_over(desk: desks.Desk) -> None:
    first, second = member(desk, "first"), member(desk, "second")
    assert first.reap(judging=True) == second.reap(judging=True) == 0
    run = working(desk, "first")
    first.leave()
    assert second.reap(judging=False) == 1
    assert desk.queue.statuses([run]) == {run: "ENQUEUED"}


def test_one_that_cannot_judge_yet_does_not_keep_others_from_it(desk: desks.Desk) -> None:
    young, old, _ = member(desk, "young"), member(desk, "old"), member(desk, "dead")
    run = working(desk, "dead")
    with desk.db.session() as session:
        session.execute(update(Worker).where(Worker.id == "dead").values(seen_at=desk.db.now() - 3600))
    assert young.reap(judging=False) == 0
    assert old.reap(judging=True) == 1
    assert desk.queue.statuses([run]) == {run: "ENQUEUED"}
    assert young.reap(judging=True) == 0  # one process does so at a time
