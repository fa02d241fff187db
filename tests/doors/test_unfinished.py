"""Stems that are made and cannot be handed over: the job of the door ends with an error, and is not tried for ever."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from stemwright.doors.mismo.clerk import Clerk
from stemwright.doors.mismo.config import Config as MismoConfig
from stemwright.doors.mismo.engines import Engines
from stemwright.doors.runpod.config import Config as RunpodConfig
from stemwright.doors.runpod.config import Storage
from stemwright.doors.runpod.contract import SeparationConfig
from stemwright.doors.runpod.jobs import Jobs
from stemwright.doors.runpod.results import ResultStore
from stemwright.doors.stemset.config import DoorConfig, Profile, Stemset
from stemwright.doors.stemset.jobs import Uploads
from stemwright.studio import outbox
from stemwright.studio.store.tables import Job
from studio.shelves import over
from studio.work.desks import Desk, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from stemwright.studio.studio import Studio

ME = "local"
OURS = "something went wrong on our side; the log says what"


@dataclass(frozen=True)
class Made:
    """A studio with a job that succeeded; its receipt lacks what doors look for, which nobody foresaw."""

    studio: Studio
    folder: Path
    job_id: str


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    for desk in opened(tmp_path):
        yield _made(desk, tmp_path)


def _made(desk: Desk, folder: Path) -> Made:
    song = desk.song()
    desk.run(song, status="succeeded", separation_id=desk.separation(song))
    (folder / "incoming").mkdir()
    studio = over(desk, folder / "incoming")
    return Made(studio, folder, desk.rows(Job)[0].id)


def stemset(made: Made, media: Path) -> dict[str, Any]:
    """The job of the door once it was looked at."""
    profile = Profile(name="p", source_folder="", strategy="fast")
    of = Stemset(path=made.folder / "config.yaml", media=media, profiles=(profile,), worker_url=None, own={})
    config = DoorConfig(stemset=of, state=made.folder / "state")
    note = {"job_id": made.job_id, "profile_name": "p", "filename": "a.wav", "file_hash": "d" * 64, "strategy": "fast"}
    config.state.mkdir()
    (config.state / f"{made.job_id}.json").write_text(json.dumps(note | {"status": "processing", "worker_job": None}))
    return asyncio.run(Uploads(made.studio, config, of, owner=ME).look(made.job_id))


def test_stemset_folder_that_cannot_be_written_ends_the_job(made: Made, disk: Callable[[str], Path]) -> None:
    job = stemset(made, disk("nr_inodes=1"))
    assert (job["status"], job["error"]) == ("error", "the disk is full")


def test_stemset_folder_that_is_none_ends_the_job(made: Made) -> None:
    (made.folder / "media").write_text("a file in the way")
    job = stemset(made, made.folder / "media")
    assert (job["status"], str(made.folder) in job["error"]) == ("error", False)
    assert job["error"] != OURS


def test_stemset_job_ends_by_what_nobody_foresaw(made: Made) -> None:
    job = stemset(made, made.folder / "media")
    assert (job["status"], job["error"]) == ("error", OURS)
    assert not list((made.folder / "media" / "p").iterdir())


def runpod(studio: Studio, made: Made, *, looks: int = 1, bitrate: int | None = None) -> list[dict[str, Any]]:
    """What each of some looks at the job of the door says."""
    store = ResultStore(Storage(url=f"file://{made.folder}/results"))
    config = SeparationConfig.model_validate({"quality": {"outputFormat": "mp3", "bitrate": bitrate}})
    note = {"config": config.plain(), "owner": ME, "stems": {"vocals": "vocals"}, "files": None, "error": None}
    store.put_json(f"{made.job_id}/job.json", note)
    jobs = Jobs(studio, store, RunpodConfig(storage=Storage(url="")))

    async def run() -> list[dict[str, Any]]:
        return [await jobs.look(made.job_id, owner=ME, base="http://door") for _ in range(looks)]

    return asyncio.run(run())


def test_runpod_folder_that_is_gone_ends_the_job(made: Made) -> None:
    made.studio.incoming.rmdir()
    [job] = runpod(made.studio, made)
    assert (job["status"], job["code"]) == ("failed", "output_failed")
    assert str(made.folder) not in job["error"]


def test_runpod_waits_for_room_on_the_disk(made: Made, disk: Callable[[str], Path]) -> None:
    full = replace(made.studio, incoming=disk("nr_inodes=1"))
    assert [job["status"] for job in runpod(full, made, looks=2)] == ["processing"] * 2
    assert [job["status"] for job in runpod(made.studio, made)] == ["completed"]


def test_runpod_job_ends_by_what_nobody_foresaw(made: Made) -> None:
    [job] = runpod(made.studio, made, bitrate=128)
    assert (job["status"], job["code"], job["error"]) == ("failed", "internal", OURS)


def mismo(made: Made, folder: Path) -> dict[str, Any]:
    """What the clerk told of the stems."""
    facts = {"stages": ["stems"], "digest": "d", "kind": "job"}
    outbox.place(made.studio, door="mismo", name="n", job_id=made.job_id, facts=facts, owner=ME)
    config = MismoConfig(roots=(), jobs_dir=folder, stem_format="mp3")

    async def run() -> dict[str, Any]:
        working = asyncio.create_task(Clerk(made.studio, config, Engines()).run())
        try:
            async with asyncio.timeout(20):
                while not (told := outbox.latest(made.studio, door="mismo", name="n", owner=ME).told):
                    await asyncio.sleep(0.05)
        finally:
            working.cancel()
        return dict(told["stems"])

    return asyncio.run(run())


def test_mismo_folder_that_is_none_ends_the_job(made: Made) -> None:
    (made.folder / "jobs").write_text("a file in the way")
    told = mismo(made, made.folder / "jobs")
    assert (told["status"], told["error"]["code"]) == ("failed", "output_failed")
    assert str(made.folder) not in told["error"]["message"]


def test_mismo_job_ends_by_what_nobody_foresaw(made: Made) -> None:
    told = mismo(made, made.folder / "jobs")
    assert told == {"status": "failed", "error": {"code": "internal", "message": OURS}}
