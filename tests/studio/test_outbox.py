"""OutboxEntrys: promises of doors, kept once each, whatever happens in between."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from sounds import sound, write_wav
from stemwright.errors import JobNotFoundError
from stemwright.records import Fault, Record
from stemwright.studio import jobs, outbox
from stemwright.studio.options import JobOptions
from stemwright.studio.store.tables import Job, OutboxEntry
from stemwright.studio.submit import JobRequest, Upload, submit_upload
from studio.shelves import idle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stemwright.studio.outbox import Entry
    from stemwright.studio.studio import Studio
    from stemwright.studio.work.queue import Message

ME = "local"
FAULT = Fault(code="timeout", message="too slow")
MESSAGE: Message = {"url": "https://example.org/", "body": "{}", "attempts": 3}


@pytest.fixture
def studio(tmp_path: Path, database_url: str) -> Iterator[Studio]:
    with idle(tmp_path, database_url) as studio:
        yield studio


def submitted(studio: Studio) -> str:
    """A job for a song that is always the same."""
    path = write_wav(studio.incoming / "song", sound("noise", seconds=0.1))
    upload = Upload(path=path, name="song.wav", digest="d" * 64, size_bytes=path.stat().st_size)
    snapshot, _ = submit_upload(studio, upload, JobRequest(options=JobOptions(model="sketch")), owner=ME)
    return str(snapshot.id)


@pytest.fixture
def job(studio: Studio) -> str:
    return submitted(studio)


class Facts(Record):
    url: str


def promised(studio: Studio, job: str, name: str = "n", *, door: str = "mismo", url: str = "") -> Entry:
    return outbox.promise(studio, door=door, name=name, job_id=job, facts=Facts(url=url), owner=ME)


def test_same_promise_is_made_once_until_it_is_kept(studio: Studio, job: str) -> None:
    first = promised(studio, job, url="a")
    assert promised(studio, job, url="a") == first
    again = submitted(studio)
    assert again != job
    assert promised(studio, again, url="a") == first  # for a fresh job too, which goes
    with pytest.raises(JobNotFoundError):
        jobs.get_job(studio, again, owner=ME)
    assert jobs.get_job(studio, job, owner=ME).status == "queued"
    other = promised(studio, job, url="b")
    assert other.id != first.id
    assert outbox.mark_sent(studio, first.id, "stems", None, last=True)
    assert promised(studio, job, url="a").id != first.id
    again = submitted(studio)
    jobs.cancel_job(studio, job, owner=ME)
    assert promised(studio, again, url="b").id != other.id
    with pytest.raises(JobNotFoundError):
        promised(studio, "nobody")


def test_newest_entry_of_a_name_is_found_by_its_owner(studio: Studio, job: str) -> None:
    promised(studio, job, url="1")
    newest = promised(studio, job, url="2")
    assert outbox.latest(studio, door="mismo", name="n", owner=ME) == newest
    for door, name, owner in (("mismo", "m", ME), ("other", "n", ME), ("mismo", "n", "other")):
        with pytest.raises(JobNotFoundError):
            outbox.latest(studio, door=door, name=name, owner=owner)


def test_entrys_are_seen_when_they_are_new_and_when_their_job_moves(studio: Studio, job: str) -> None:
    entry = promised(studio, job)
    assert outbox.moved(studio, door="mismo", since=entry.created_at) == [entry]
    later = time.time() + 0.001
    assert outbox.moved(studio, door="mismo", since=later) == []
    assert outbox.open_entries(studio, door="mismo") == [entry]
    assert outbox.open_entries(studio, door="other") == []
    assert outbox.any_live(studio, door="mismo")
    jobs.cancel_job(studio, job, owner=ME)
    assert outbox.moved(studio, door="mismo", since=later) == [entry]
    assert not outbox.any_live(studio, door="mismo")
    outbox.close(studio, entry.id)
    assert outbox.open_entries(studio, door="mismo") == []


def test_stage_is_told_once_though_many_tell_it_at_the_same_time(studio: Studio, job: str) -> None:
    entry = promised(studio, job)

    def tell(_: int) -> bool:
        return outbox.mark_sent(studio, entry.id, "stems", None, last=False, message=MESSAGE)

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(tell, range(8))) == [False] * 7 + [True]
    assert outbox.mark_sent(studio, entry.id, "more", FAULT, last=True, message=MESSAGE)
    assert not outbox.mark_sent(studio, entry.id, "even more", FAULT, last=True)
    found = outbox.latest(studio, door="mismo", name="n", owner=ME)
    assert (found.sent, found.open) == ({"stems": None, "more": FAULT}, False)
    sent = studio.queue._client.list_workflows(name="deliver")
    assert sorted(one.input["args"][1] for one in sent if one.input) == ["mismo.more", "mismo.stems"]
    assert all(one.input["args"][4] == MESSAGE for one in sent if one.input)


def test_entrys_go_with_their_job(studio: Studio, job: str) -> None:
    promised(studio, job)
    with studio.db.session() as session:
        session.delete(session.get_one(Job, job))
    with studio.db.session() as session:
        assert session.query(OutboxEntry).count() == 0
