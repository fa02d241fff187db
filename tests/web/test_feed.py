"""The feed over a real database: nobody misses an end, hears of others' jobs, or costs anything once gone."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import time
from typing import TYPE_CHECKING, Any, cast

import pytest
from sqlalchemy import delete, event, update

from stemwright.audio.decode import DecodeLimits
from stemwright.errors import JobNotFoundError
from stemwright.studio.config import JobsConfig
from stemwright.studio.options import JobOptions
from stemwright.studio.store.database import Database
from stemwright.studio.store.tables import Job, Run
from stemwright.studio.studio import Studio
from stemwright.studio.workers import Workers
from stemwright.web.feed import Feed
from studio.work.desks import options

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stemwright.studio.snapshot import JobSnapshot


@pytest.fixture
def studio(tmp_path: Path, database_url: str) -> Iterator[Studio]:
    db = Database(database_url)
    db.migrate()
    config = JobsConfig(work=tmp_path, engine_command=(sys.executable,), limits=DecodeLimits())
    nothing: Any = cast("Any", None)
    yield Studio(
        db=db,
        store=nothing,
        queue=nothing,
        workers=Workers(db, config),
        config=config,
        encoders=nothing,
        upload_max_bytes=1,
        incoming=tmp_path,
    )
    db.close()


def add(studio: Studio, *names: str, owner: str = "local") -> None:
    """Jobs that run, called so."""
    with studio.db.session() as session:
        for name in names:
            run = Run(
                id=f"run {name}",
                owner=owner,
                key=name,
                options=options(),
                queue="cpu",
                priority="normal",
                rank=1,
                status="running",
                started_at=time.time(),
            )
            session.add(run)
            session.flush()
            session.add(Job(id=name, owner=owner, run_id=run.id, options=JobOptions(), request_digest=name))


def change(studio: Studio, *names: str, **values: Any) -> None:
    runs = [f"run {name}" for name in names]
    with studio.db.session() as session:
        session.execute(update(Run).where(Run.id.in_(runs)).values(updated_at=time.time(), **values))


def end(studio: Studio, *names: str) -> None:
    change(studio, *names, status="succeeded", stage="done", progress=100.0, finished_at=time.time())


async def heard(feed: Feed, job_id: str) -> list[JobSnapshot]:
    views = []
    async with asyncio.timeout(60), feed.job(job_id, owner="local") as listener:
        while (view := await listener.next()) is not None:
            views.append(view)
    return views


def test_who_begins_to_listen_at_any_moment_hears_the_end(studio: Studio) -> None:
    """Clients come while others listen and the job ends: between a look and its telling, too."""

    async def run() -> None:
        feed = Feed(studio)
        for turn in range(5):
            name = f"job {turn}"
            add(studio, name)
            chance = random.Random(turn)

            async def late(name: str = name, wait: float = 0.0) -> list[JobSnapshot]:
                await asyncio.sleep(wait)
                return await heard(feed, name)

            listeners = [asyncio.create_task(late(wait=chance.uniform(0, 0.7))) for _ in range(40)]
            await asyncio.sleep(0.4)
            await asyncio.to_thread(end, studio, name)
            for views in await asyncio.gather(*listeners):
                assert views[-1].status == "succeeded"
                assert [view.status for view in views[:-1]] == ["running"] * (len(views) - 1)

    asyncio.run(run())


def test_who_follows_all_hears_every_end_however_slow_it_reads(studio: Studio) -> None:
    names = [f"{number:03}" for number in range(150)]

    async def run() -> None:
        add(studio, *names)
        async with asyncio.timeout(120), Feed(studio).all(owner="local") as listener:
            for step in (20.0, 40.0):
                await asyncio.to_thread(change, studio, *names, progress=step)
                await asyncio.sleep(0.5)
            await asyncio.to_thread(end, studio, *names)
            await asyncio.sleep(0.5)
            ended: set[str] = set()
            read = 0
            while len(ended) < len(names):
                view = await listener.next()
                assert view
                read += 1
                if view.status == "succeeded":
                    ended.add(view.id)
            assert read <= 2 * len(names)  # what is old was dropped, not kept

    asyncio.run(run())


def test_jobs_of_other_owners_are_neither_told_nor_there(studio: Studio) -> None:
    async def run() -> None:
        feed = Feed(studio)
        add(studio, "theirs", owner="other")
        add(studio, "mine")
        with pytest.raises(JobNotFoundError):
            async with feed.job("theirs", owner="local"):
                pass
        async with feed.all(owner="local") as mine, feed.all(owner="other") as theirs:
            for listener, wanted in ((mine, "mine"), (theirs, "theirs")):
                end(studio, wanted)
                while (view := await asyncio.wait_for(listener.next(), 30)) and view.status != "succeeded":
                    assert view.id == wanted
                assert view
                assert view.id == wanted

    asyncio.run(run())


def test_listener_of_a_deleted_job_is_told_so(studio: Studio) -> None:
    async def run() -> None:
        add(studio, "gone")
        async with asyncio.timeout(30), Feed(studio).job("gone", owner="local") as listener:
            assert await listener.next()
            with studio.db.session() as session:
                session.execute(delete(Job).where(Job.id == "gone"))
            with pytest.raises(JobNotFoundError):
                while await listener.next():
                    pass

    asyncio.run(run())


def test_nothing_is_kept_or_asked_once_nobody_listens(studio: Studio) -> None:
    asked: list[str] = []
    event.listen(studio.db.engine, "before_cursor_execute", lambda _c, _k, statement, *_: asked.append(statement))

    async def run() -> None:
        feed = Feed(studio)
        add(studio, "a", "b")

        async def leave(name: str, after: float) -> None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(heard(feed, name), after)

        await asyncio.gather(*(leave("ab"[n % 2], n / 40) for n in range(40)))
        async with feed.all(owner="local") as listener:
            assert await listener.next()
        await asyncio.sleep(0.6)
        assert feed._task
        assert feed._task.done()
        assert not any((feed._of_job, feed._of_owner, feed._owner, feed._last))
        asked.clear()
        await asyncio.sleep(0.6)
        assert not asked
        end(studio, "a")
        assert (await heard(feed, "a"))[-1].status == "succeeded"

    asyncio.run(run())


def test_server_that_stops_lets_its_listeners_go(studio: Studio) -> None:
    async def run() -> None:
        feed = Feed(studio)
        add(studio, "a")
        async with asyncio.timeout(30), feed.job("a", owner="local") as one, feed.all(owner="local") as all_jobs:
            feed.close()
            for listener in (one, all_jobs):
                while await listener.next():
                    pass
                assert listener.closed
            async with feed.job("a", owner="local") as late:
                assert await late.next()
                assert await late.next() is None

    asyncio.run(run())


def test_feed_goes_on_after_the_database_failed_for_a_while(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        feed = Feed(studio)
        add(studio, "a")
        async with asyncio.timeout(30), feed.job("a", owner="local") as listener:
            assert await listener.next()
            with studio.db.session() as session:
                session.connection().exec_driver_sql("ALTER TABLE runs RENAME TO away")
            await asyncio.sleep(0.6)
            with studio.db.session() as session:
                session.connection().exec_driver_sql("ALTER TABLE away RENAME TO runs")
            end(studio, "a")
            while view := await listener.next():
                last = view
            assert last.status == "succeeded"

    asyncio.run(run())
