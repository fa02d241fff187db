"""Stems that are made and cannot be handed over: the job of the door ends with an error, and is not tried for ever."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from stemwright.doors.mismo.config import Config as MismoConfig
from stemwright.doors.mismo.dispatcher import Dispatcher
from stemwright.doors.mismo.engines import Engines
from stemwright.doors.mismo.messages import Promise
from stemwright.doors.runpod import jobs as runpod_jobs
from stemwright.doors.runpod.config import Config as RunpodConfig
from stemwright.doors.runpod.contract import SeparationConfig
from stemwright.doors.runpod.jobs import Jobs
from stemwright.doors.runpod.results import ResultStore
from stemwright.doors.stemset import jobs as stemset_jobs
from stemwright.doors.stemset.config import DoorConfig, Profile, Stemset
from stemwright.doors.stemset.jobs import Uploads
from stemwright.errors import DatabaseUnavailableError
from stemwright.records import Fault
from stemwright.studio import files, outbox
from stemwright.studio.store.tables import Job
from studio.shelves import over
from studio.work.desks import Desk, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from stemwright.doors.runpod.contract import SeparationJob
    from stemwright.studio.studio import Studio

ME = "local"
OURS = "something went wrong on our side; the log says what"


@dataclass(frozen=True)
class Made:
    """A studio with a job that succeeded."""

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


@pytest.fixture
def unforeseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Something goes wrong that nobody foresaw."""

    def fail(*_: object, **__: object) -> None:
        raise KeyError("vocals")

    for place in (files, runpod_jobs):
        monkeypatch.setattr(place, "receipt", fail)


def stemset(made: Made, media: Path) -> stemset_jobs.Note:
    """The job of the door once it was looked at."""
    profile = Profile(name="p", source_folder="", strategy="fast")
    of = Stemset(path=made.folder / "config.yaml", media=media, profiles=(profile,), worker_url=None, own={})
    config = DoorConfig(stemset=of, state=made.folder / "state")
    note = stemset_jobs.Note(
        job_id=made.job_id,
        profile_name="p",
        output_name="a",
        filename="a.wav",
        file_hash="d" * 64,
        strategy="fast",
    )
    outbox.note(made.studio, door="stemset", name=made.job_id, facts=note, owner=ME, open=True)
    return asyncio.run(Uploads(made.studio, config, of, owner=ME).look(made.job_id))


def test_stemset_folder_that_cannot_be_written_ends_the_job(made: Made, disk: Callable[[str], Path]) -> None:
    job = stemset(made, disk("nr_inodes=1"))
    assert (job.status, job.error) == ("error", "the disk is full")


def test_stemset_folder_that_is_none_ends_the_job(made: Made) -> None:
    (made.folder / "media").write_text("a file in the way")
    job = stemset(made, made.folder / "media")
    assert (job.status, str(made.folder) in (job.error or "")) == ("error", False)
    assert job.error not in {None, OURS}


@pytest.mark.usefixtures("unforeseen")
def test_stemset_job_ends_by_what_nobody_foresaw(made: Made) -> None:
    job = stemset(made, made.folder / "media")
    assert (job.status, job.error) == ("error", OURS)
    assert not list((made.folder / "media" / "p").iterdir())


def runpod(studio: Studio, made: Made, *, looks: int = 1, bitrate: int | None = None) -> list[SeparationJob]:
    """What each of some looks at the job of the door says."""
    store = ResultStore(studio.store, RunpodConfig(), home=made.folder / "home")
    config = SeparationConfig.model_validate({"quality": {"outputFormat": "mp3", "bitrate": bitrate}})
    note = runpod_jobs.Note(config=config, stems={"vocals": "vocals"})
    outbox.note(made.studio, door="runpod", name=made.job_id, facts=note, owner=ME, open=False)
    jobs = Jobs(studio, store, RunpodConfig())

    async def run() -> list[SeparationJob]:
        return [await jobs.look(made.job_id, owner=ME, base="http://door") for _ in range(looks)]

    return asyncio.run(run())


def test_runpod_folder_that_is_gone_ends_the_job(made: Made) -> None:
    made.studio.incoming.rmdir()
    [job] = runpod(made.studio, made)
    assert (job.status, job.code) == ("failed", "output_failed")
    assert str(made.folder) not in (job.error or "")


def test_runpod_waits_for_room_on_the_disk(made: Made, disk: Callable[[str], Path]) -> None:
    full = replace(made.studio, incoming=disk("nr_inodes=1"))
    assert [job.status for job in runpod(full, made, looks=2)] == ["processing"] * 2
    assert [job.status for job in runpod(made.studio, made)] == ["completed"]


@pytest.mark.usefixtures("unforeseen")
def test_runpod_job_ends_by_what_nobody_foresaw(made: Made) -> None:
    [job] = runpod(made.studio, made, bitrate=128)
    assert (job.status, job.code, job.error) == ("failed", "internal", OURS)


def mismo(made: Made, folder: Path) -> Fault | None:
    """What the dispatcher said went wrong with the stems."""
    facts = Promise(file_path="a.wav", stages=("stems",), digest="d")
    outbox.promise(made.studio, door="mismo", name="n", job_id=made.job_id, facts=facts, owner=ME)
    config = MismoConfig(roots=(), jobs_dir=folder, stem_format="mp3")

    async def run() -> Fault | None:
        dispatcher = Dispatcher(made.studio, config, Engines(made.studio.name))
        working = asyncio.gather(dispatcher.run(), dispatcher.lead())
        try:
            async with asyncio.timeout(20):
                while not (sent := outbox.latest(made.studio, door="mismo", name="n", owner=ME).sent):
                    await asyncio.sleep(0.05)
        finally:
            working.cancel()
        return sent["stems"]

    return asyncio.run(run())


def test_mismo_folder_that_is_none_ends_the_job(made: Made) -> None:
    (made.folder / "jobs").write_text("a file in the way")
    fault = mismo(made, made.folder / "jobs")
    assert fault
    assert fault.code == "output_failed"
    assert str(made.folder) not in fault.message


@pytest.mark.usefixtures("unforeseen")
def test_mismo_job_ends_by_what_nobody_foresaw(made: Made) -> None:
    assert mismo(made, made.folder / "jobs") == Fault(code="internal", message=OURS)


def test_stemset_looks_on_when_the_database_was_away(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its second start would clean away the folders of what is being made."""
    (made.folder / "media").mkdir()
    looks: list[str] = []

    def away(*_: object, **__: object) -> list[outbox.Entry]:
        looks.append("look")
        raise DatabaseUnavailableError("database is locked")

    monkeypatch.setattr(outbox, "open_entries", away)
    monkeypatch.setattr(stemset_jobs, "_EVERY", 0.01)
    of = Stemset(path=made.folder / "config.yaml", media=made.folder / "media", profiles=(), worker_url=None, own={})
    uploads = Uploads(made.studio, DoorConfig(stemset=of, state=made.folder / "state"), of, owner=ME)

    async def run() -> None:
        working = asyncio.create_task(uploads.run())
        async with asyncio.timeout(20):
            while len(looks) < 3:
                await asyncio.sleep(0.01)
        assert not working.done()
        working.cancel()

    asyncio.run(run())
