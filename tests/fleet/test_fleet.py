"""Replicas and workers that share a database and a store: whatever one is told, the others know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from stemwright.studio.store.tables import Worker
from stemwright.studio.work.queue import VERSION

if TYPE_CHECKING:
    from pathlib import Path

    from fleet.fleet import Fleet

pytestmark = pytest.mark.slow


def test_job_that_one_replica_takes_is_seen_and_served_by_the_other(fleet: Fleet, song: Path) -> None:
    here, there = fleet.api(), fleet.api()
    worker = fleet.worker().ready()
    job = here.submit(song)
    done = there.wait(job["id"])
    assert done["status"] == "succeeded", done
    there.http.get(f"/api/v1/songs/{job['song_id']}").json()["stems"]
    assert worker.stop() == 0
    fleet.assert_clean()


def test_many_workers_look_into_their_queue_more_rarely(fleet: Fleet) -> None:
    fleet.worker().ready()
    pause = "SELECT polling_interval_sec FROM dbos.queues WHERE name = 'cpu'"
    with fleet.database() as db:
        with db.session() as session:
            assert session.scalar(text(pause)) == pytest.approx(0.3)
            session.add_all(
                Worker(
                    id=f"w-{number}",
                    host="h",
                    queue="cpu",
                    device="cpu",
                    models=["sketch"],
                    release="0",
                    version=VERSION,
                    state="live",
                    seen_at=db.now() + 600,
                )
                for number in range(999)
            )
        fleet.worker().ready()
        with db.session() as session:
            assert session.scalar(text(pause)) == pytest.approx(2.0, abs=0.01)
