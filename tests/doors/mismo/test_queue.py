"""The queue shows what works and what waits, and nothing that has failed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from stemwright.doors.mismo.config import DOOR, Config
from stemwright.doors.mismo.messages import Promise
from stemwright.doors.mismo.requests import Requests
from stemwright.records import Fault
from stemwright.studio import outbox
from stemwright.studio.store.tables import Job
from studio.shelves import over
from studio.work.desks import opened

if TYPE_CHECKING:
    from pathlib import Path

    from stemwright.doors.mismo.dispatcher import Dispatcher
    from stemwright.studio.studio import Studio


def promised(studio: Studio, name: str, job_id: str) -> str:
    facts = Promise(file_path=f"{name}.wav", stages=("basic_features", "stems"), digest=name)
    return outbox.promise(studio, door=DOOR, name=name, job_id=job_id, facts=facts, owner="local").id


def test_job_of_which_a_stage_has_failed_is_not_in_the_queue(tmp_path: Path, database_url: str) -> None:
    for desk in opened(tmp_path, database_url):
        studio = over(desk, tmp_path)
        for name, status in (("waits", "queued"), ("works", "running"), ("failed", "running"), ("done", "succeeded")):
            run = desk.run(desk.song(name), status=status)
            [job_id] = [job.id for job in desk.rows(Job) if job.run_id == run]
            entry = promised(studio, name, job_id)
            if name == "failed":
                fault = Fault(code="internal", message="")
                outbox.mark_sent(studio, entry, "basic_features", fault, last=False)
        requests = Requests(studio, Config(roots=(), jobs_dir=tmp_path / "jobs"), cast("Dispatcher", None))
        shown = asyncio.run(requests.queue())
        assert [(one.id, one.status) for one in shown] == [("works", "processing"), ("waits", "queued")]
