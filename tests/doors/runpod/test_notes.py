"""What the door knows of jobs: it goes with their results, and in its old place it is found."""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from stemwright.doors.runpod.config import Config
from stemwright.doors.runpod.contract import SeparationConfig
from stemwright.doors.runpod.jobs import Jobs, Note
from stemwright.doors.runpod.results import ResultStore
from stemwright.errors import JobNotFoundError
from studio.shelves import idle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY = 86_400.0
FILES = {"vocals": "vocals.wav"}


@pytest.fixture
def jobs(tmp_path: Path, database_url: str) -> Iterator[Jobs]:
    with idle(tmp_path, database_url) as studio:
        config = Config()
        yield Jobs(studio, ResultStore(studio.store, config, home=tmp_path / "home"), config)


def look(jobs: Jobs, job_id: str, *, owner: str = "local") -> str:
    return asyncio.run(jobs.look(job_id, owner=owner, base="http://door")).status


def put_old(folder: Path, job_id: str, *, age: float = 0.0, **changes: Any) -> Path:
    """A note as it once lay beside the results."""
    path = folder / "home" / "jobs" / job_id / "job.json"
    path.parent.mkdir(parents=True)
    note = {"config": SeparationConfig().plain(), "owner": "local", "stems": {"vocals": "vocals"}, "error": None}
    done = {"files": FILES, "model": "sketch", "draft": True}
    path.write_text(json.dumps(note | done | changes))
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_old_notes_are_moved_and_answer_as_before(jobs: Jobs, tmp_path: Path) -> None:
    done = put_old(tmp_path, "a1")
    failed = put_old(tmp_path, "a2", files=None, error={"error": "it is damaged", "code": "corrupt"})
    nonsense = put_old(tmp_path, "a3", surprise=1)
    jobs.adopt()
    assert (done.exists(), failed.exists(), nonsense.exists()) == (False, False, True)
    assert (look(jobs, "a1"), look(jobs, "a2")) == ("completed", "failed")
    for job_id, owner in (("a3", "local"), ("a1", "somebody"), ("a1\0", "local")):
        with pytest.raises(JobNotFoundError):
            look(jobs, job_id, owner=owner)


def test_notes_go_when_their_results_do_whether_anybody_asked_or_not(jobs: Jobs, tmp_path: Path) -> None:
    put_old(tmp_path, "old", age=3 * DAY)
    put_old(tmp_path, "young", age=1 * DAY)
    jobs.adopt()
    asked_late = Note(config=SeparationConfig(), stems={})
    jobs._write("late", asked_late, owner="local", at=time.time() - 3 * DAY)
    jobs._write("never", asked_late, owner="local", at=time.time() - 3 * DAY)
    jobs._write("late", asked_late.model_copy(update={"files": FILES}), owner="local")  # its results are of today
    jobs.sweep(older_than=time.time() - 2 * DAY)
    assert (look(jobs, "young"), look(jobs, "late")) == ("completed", "completed")
    for gone in ("old", "never"):
        with pytest.raises(JobNotFoundError):
            look(jobs, gone)
