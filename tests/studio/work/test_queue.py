"""The queue: who goes first, and what is enqueued together with its rows."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from stemwright.studio.options import JobOptions
from stemwright.studio.store.database import Database
from stemwright.studio.store.tables import Delivery, Job, Run
from stemwright.studio.work.queue import VERSION, has_jobs, message_id, prepare_jobs, rank_of
from studio.work.desks import Desk, opened, options

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLASSES = ("high", "normal", "low")
TIMES = st.floats(1_767_225_600, 1_767_225_600 + 50 * 365 * 86_400)
AGEING = st.floats(1, 86_400)


@pytest.fixture
def desk(tmp_path: Path, database_url: str) -> Iterator[Desk]:
    yield from opened(tmp_path, database_url)


@given(at=TIMES, ageing=AGEING)
def test_classes_that_come_together_are_in_their_order(at: float, ageing: float) -> None:
    ranks = [rank_of(name, at=at, ageing=ageing) for name in CLASSES]
    assert ranks[0] < ranks[1] < ranks[2] or (ageing < 2 and ranks == sorted(ranks))


@given(at=TIMES, later=st.floats(0, 86_400), name=st.sampled_from(CLASSES), ageing=AGEING)
def test_within_a_class_who_came_first_goes_first(at: float, later: float, name: str, ageing: float) -> None:
    assert rank_of(name, at=at, ageing=ageing) <= rank_of(name, at=at + later, ageing=ageing)


@given(at=TIMES, ageing=AGEING)
def test_who_has_waited_long_goes_before_fresh_ones_of_the_next_class(at: float, ageing: float) -> None:
    assert rank_of("low", at=at, ageing=ageing) <= rank_of("normal", at=at + ageing + 1, ageing=ageing)
    assert rank_of("low", at=at, ageing=ageing) <= rank_of("high", at=at + 2 * ageing + 1, ageing=ageing)


@given(name=st.sampled_from(CLASSES), at=st.floats(0, 3_900_000_000), ageing=AGEING)
def test_rank_fits_where_it_is_kept(name: str, at: float, ageing: float) -> None:
    assert 1 <= rank_of(name, at=at, ageing=ageing) < 2**31


def test_work_is_enqueued_with_its_row_or_not_at_all(desk: Desk) -> None:
    run_id = desk.run(desk.song())
    assert desk.queue.statuses([run_id]) == {run_id: "ENQUEUED"}

    def fail() -> None:
        with desk.db.session() as session:
            run = Run(id="lost", owner="local", key="k", options=options(), queue="cpu", priority="low", rank=1)
            session.add(run)
            desk.queue.submit(session, run)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert desk.queue.statuses(["lost"]) == {}


def test_what_is_cancelled_leaves_the_queue(desk: Desk) -> None:
    one, two = desk.run(desk.song("a")), desk.run(desk.song("b"))
    desk.queue.cancel(one)
    assert desk.queue.statuses([one, two, "nobody"]) == {one: "CANCELLED", two: "ENQUEUED"}


def test_callback_goes_once_to_each_job_that_wants_one(desk: Desk) -> None:
    run_id = desk.run(desk.song(), job=False)
    jobs = [
        Job(owner="local", run_id=run_id, options=JobOptions(), request_digest="r", callback_url=url, cancelled_at=at)
        for url, at in (("http://a/", None), ("http://b/", None), (None, None), ("http://c/", 1.0))
    ]
    desk.add(*jobs)
    for _ in range(2):  # an attempt more tells the same again
        with desk.db.session() as session:
            desk.queue.tell(session, session.get_one(Run, run_id), "job.started")
    ids = [f"{message_id(job, 'job.started')}-1" for job in jobs]
    assert [id_ in desk.queue.statuses(ids) for id_ in ids] == [True, True, False, False]
    assert len(desk.queue._client.list_workflows(name="deliver")) == 2


def test_id_of_a_callback_fits_its_column_and_differs_by_event_and_retry() -> None:
    job = Job(id="j" * 28, run_id="r" * 28)
    length = Delivery.__table__.c.message_id.type.length  # type: ignore[attr-defined]
    ids = {message_id(job, event) for event in ("job.started", "job.preview_ready", "job.succeeded")}
    job.run_id = "s" * 28
    ids.add(message_id(job, "job.started"))
    assert len(ids) == 4
    assert all(len(one) <= length for one in ids)


def test_what_dbos_keeps_of_old_work_is_deleted_and_live_work_is_not(desk: Desk) -> None:
    ended, live = desk.run(desk.song("a")), desk.run(desk.song("b"))
    desk.queue.cancel(ended)
    assert desk.queue.forget(before=time.time() - 3600) == 0
    assert desk.queue.forget(before=time.time() + 3600) == 1
    assert desk.queue.statuses([ended, live]) == {live: "ENQUEUED"}


def test_tables_of_dbos_are_looked_for_without_it(empty_database_url: str) -> None:
    db = Database(empty_database_url)
    assert not has_jobs(db)
    with ThreadPoolExecutor(3) as pool:  # replicas that start together
        list(pool.map(prepare_jobs, [db] * 3))
    assert has_jobs(db)
    db.close()


def test_work_of_an_earlier_edition_begins_again_from_its_start(desk: Desk) -> None:
    """Its steps speak of records that are no more: none of them may be believed."""
    from dbos._schemas.system_database import SystemSchema

    runs, steps = SystemSchema.workflow_status, SystemSchema.operation_outputs
    schema = {runs.schema: "dbos" if desk.db.engine.dialect.name == "postgresql" else None}
    old, new = desk.run(desk.song("a")), desk.run(desk.song("b"))
    with desk.db.session() as session:
        session.connection(execution_options={"schema_translate_map": schema})
        session.execute(runs.update().where(runs.c.workflow_uuid == old).values(application_version="1"))
        for run in (old, new):
            session.execute(steps.insert().values(workflow_uuid=run, function_id=1, function_name="hash", output="x"))
    desk.queue.restart_older()
    with desk.db.session() as session:
        session.connection(execution_options={"schema_translate_map": schema})
        versions = session.execute(select(runs.c.workflow_uuid, runs.c.application_version)).all()
        kept = session.scalars(select(steps.c.workflow_uuid)).all()
    assert {row[0]: row[1] for row in versions} == {old: VERSION, new: VERSION}
    assert kept == [new]
    assert desk.queue.statuses([old, new]) == {old: "ENQUEUED", new: "ENQUEUED"}
