"""Where runs go: to GPU workers only while one lives, or one can be started."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import databases
from stemwright.audio.decode import DecodeLimits
from stemwright.studio.config import JobsConfig
from stemwright.studio.store.database import Database
from stemwright.studio.store.tables import Worker
from stemwright.studio.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with databases.fresh_url("postgres", tmp_path) as url:
        made = Database(url)
        yield made
        made.close()


def add(db: Database, queue: str, *models: str, state: str = "live") -> None:
    with db.session() as session:
        row = Worker(id=f"{queue}-{state}", host="h", queue=queue, device=queue, models=[*models], release="1")
        row.version, row.state = "1", state
        session.add(row)


def test_gpu_that_is_gone_gets_no_more_runs_unless_one_can_be_started(db: Database, tmp_path: Path) -> None:
    config = JobsConfig(work=tmp_path, engine_command=(), limits=DecodeLimits())
    add(db, "cpu", "htdemucs", "sketch", state="left")
    add(db, "gpu", "htdemucs", "htdemucs_ft", state="left")
    workers = Workers(db, config)
    assert workers.queue_for("htdemucs") == "cpu"
    assert (workers.can_run("htdemucs"), workers.can_run("htdemucs_ft")) == (True, False)
    can_be_started = Workers(db, replace(config, gpu_models=("htdemucs_ft",)))
    assert can_be_started.queue_for("htdemucs_ft") == "gpu"
    assert can_be_started.queue_for("htdemucs") == "cpu"
    add(db, "gpu", "htdemucs")
    assert Workers(db, config).queue_for("htdemucs") == "gpu"
