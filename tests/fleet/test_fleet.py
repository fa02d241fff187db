"""Replicas and workers that share a database and a store: whatever one is told, the others know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

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
