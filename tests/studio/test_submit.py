from __future__ import annotations

import asyncio
import dataclasses
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import IntegrityError

from receipts import receipt
from sounds import sound, write_wav
from stemwright.audio.decode import DecodeLimits
from stemwright.disk import sha256_of
from stemwright.engine.process.pool import EnginePool
from stemwright.engine.song_facts import AnalysisRecord
from stemwright.errors import (
    ConflictError,
    DiskFullError,
    JobNotFoundError,
    NotAudioError,
    UnknownModelError,
    UnknownStemError,
)
from stemwright.studio import jobs, songs
from stemwright.studio.config import JobsConfig
from stemwright.studio.files import _made_once
from stemwright.studio.options import JobOptions
from stemwright.studio.store.database import Database
from stemwright.studio.store.objects import ObjectStore, Storage
from stemwright.studio.store.tables import Job, Run, Separation, Song
from stemwright.studio.studio import Studio
from stemwright.studio.submit import JobRequest, Upload, resubmit, run_options, submit_song, submit_upload
from stemwright.studio.work.queue import Queue, prepare_jobs
from stemwright.studio.work.worker import separation_key
from stemwright.studio.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stemwright.studio.snapshot import JobSnapshot

ME = "local"


@pytest.fixture
def studio(tmp_path: Path, database_url: str) -> Iterator[Studio]:
    """A studio whose queue nobody works on."""
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    db = Database(database_url)
    db.migrate()
    prepare_jobs(db)
    config = JobsConfig(
        work=tmp_path / "work", engine_command=("false",), limits=DecodeLimits(), model="sketch", disk_reserve=0
    )
    queue = Queue(db, config)
    yield Studio(
        db=db,
        store=ObjectStore(Storage(url=f"file://{tmp_path / 'objects'}")),
        queue=queue,
        workers=Workers(db, config),
        config=config,
        encoders=EnginePool(config.engine_command, max_rss=1, max_calls=1),
        upload_max_bytes=1_000_000,
        incoming=incoming,
    )
    queue.close()
    db.close()


def upload(studio: Studio, *, seed: int = 0, name: str = "Träumerei.wav") -> Upload:
    path = studio.incoming / f"upload-{time.monotonic_ns()}"
    write_wav(path, sound("song", seconds=1, seed=seed))
    return Upload(path=path, name=name, digest=sha256_of(path), size_bytes=path.stat().st_size)


def request(*, idempotency_key: str | None = None, **options: object) -> JobRequest:
    return JobRequest(options=JobOptions.model_validate(options), idempotency_key=idempotency_key)


def song_of(job: JobSnapshot) -> str:
    assert job.song_id
    return job.song_id


def count(studio: Studio, table: type[Job | Run | Song]) -> int:
    with studio.db.session() as session:
        return len(session.scalars(select(table.id)).all())


def test_upload_becomes_song_run_and_job_and_its_file_is_moved_away(studio: Studio) -> None:
    job, new = submit_upload(studio, upload(studio), request(), owner=ME)
    assert new
    assert (job.status, job.position, job.progress) == ("queued", 1, 0.0)
    assert not list(studio.incoming.iterdir())
    song = songs.get_song(studio, song_of(job), owner=ME)
    assert (song.title, song.file_name, song.state) == ("Träumerei", "Träumerei.wav", "queued")
    assert [*studio.queue.statuses([_run_of(studio, job.id)]).values()] == ["ENQUEUED"]


def _run_of(studio: Studio, job_id: str) -> str:
    with studio.db.session() as session:
        return session.get_one(Job, job_id).run_id


def test_same_song_and_options_share_a_run_and_other_options_do_not(studio: Studio) -> None:
    ids = {_run_of(studio, submit_upload(studio, upload(studio), request(), owner=ME)[0].id) for _ in range(3)}
    assert len(ids) == 1
    submit_upload(studio, upload(studio), request(stems=["vocals"]), owner=ME)
    submit_upload(studio, upload(studio, seed=1), request(), owner=ME)
    assert (count(studio, Run), count(studio, Song), count(studio, Job)) == (3, 2, 5)


def test_analysis_alone_needs_no_model(studio: Studio) -> None:
    bare = dataclasses.replace(studio, config=dataclasses.replace(studio.config, model="not-here"))
    with pytest.raises(UnknownModelError):
        submit_upload(bare, upload(bare), request(), owner=ME)
    assert submit_upload(bare, upload(bare), request(separate=False), owner=ME)[0].status == "queued"
    with pytest.raises(UnknownModelError):
        submit_upload(bare, upload(bare), request(separate=False, model="nor-this"), owner=ME)


def test_owners_share_nothing(studio: Studio) -> None:
    mine, _ = submit_upload(studio, upload(studio), request(), owner=ME)
    theirs, _ = submit_upload(studio, upload(studio), request(), owner="them")
    assert count(studio, Run) == count(studio, Song) == 2
    for action in (jobs.get_job, jobs.cancel_job, jobs.list_deliveries):
        with pytest.raises(JobNotFoundError):
            action(studio, theirs.id, owner=ME)
    for use in (songs.get_song, songs.delete_song):
        with pytest.raises(JobNotFoundError):
            use(studio, song_of(theirs), owner=ME)
    with pytest.raises(JobNotFoundError):
        submit_song(studio, song_of(theirs), request(), owner=ME)
    assert jobs.list_jobs(studio, owner=ME, status=None, song_id=None, limit=9, offset=0)[1] == 1
    assert [one.id for one in songs.list_songs(studio, owner=ME, search="", sort="title", limit=9, offset=0)[0]] == [
        mine.song_id
    ]


def test_repeated_request_gives_the_same_job_and_another_one_under_its_key_is_refused(studio: Studio) -> None:
    first, new = submit_upload(studio, upload(studio), request(idempotency_key="a"), owner=ME)
    again, fresh = submit_upload(studio, upload(studio), request(idempotency_key="a"), owner=ME)
    assert (new, fresh, first.id) == (True, False, again.id)
    with pytest.raises(ConflictError):
        submit_upload(studio, upload(studio, seed=1), request(idempotency_key="a"), owner=ME)
    other, _ = submit_upload(studio, upload(studio), request(idempotency_key="a"), owner="them")
    assert other.id != first.id
    assert not list(studio.incoming.iterdir())


def test_what_cannot_work_is_refused_before_anything_is_kept(studio: Studio, tmp_path: Path) -> None:
    text = studio.incoming / "text"
    text.write_text("no sound at all, " * 99)
    with pytest.raises(NotAudioError, match=r"notes\.txt"):
        submit_upload(studio, Upload(path=text, name="notes.txt", digest="0" * 64, size_bytes=9), request(), owner=ME)
    with pytest.raises(UnknownModelError):
        submit_upload(studio, upload(studio), request(model="htdemux"), owner=ME)
    with pytest.raises(UnknownStemError):
        submit_upload(studio, upload(studio), request(stems=["flute"]), owner=ME)
    assert count(studio, Song) == 0
    assert not [path for path in (tmp_path / "objects").rglob("*") if path.is_file()]
    assert not list(studio.incoming.iterdir())


def test_full_disk_refuses_and_takes_again_when_there_is_room(studio: Studio) -> None:
    object.__setattr__(studio.config, "disk_reserve", 1 << 60)
    with pytest.raises(DiskFullError):
        submit_upload(studio, upload(studio), request(), owner=ME)
    object.__setattr__(studio.config, "disk_reserve", 0)
    submit_upload(studio, upload(studio), request(), owner=ME)


def test_cancelling_one_of_two_lets_the_run_go_on_and_the_last_ends_it(studio: Studio) -> None:
    one, _ = submit_upload(studio, upload(studio), request(), owner=ME)
    two, _ = submit_upload(studio, upload(studio), request(), owner=ME)
    run_id = _run_of(studio, one.id)
    assert jobs.cancel_job(studio, one.id, owner=ME).status == "cancelled"
    assert jobs.get_job(studio, two.id, owner=ME).status == "queued"
    assert studio.queue.statuses([run_id]) == {run_id: "ENQUEUED"}
    assert jobs.cancel_job(studio, two.id, owner=ME).status == "cancelled"
    assert jobs.cancel_job(studio, two.id, owner=ME).status == "cancelled"
    assert studio.queue.statuses([run_id]) == {run_id: "CANCELLED"}


def test_cancelled_job_can_be_tried_again_and_a_queued_one_cannot(studio: Studio) -> None:
    job, _ = submit_upload(studio, upload(studio), request(), owner=ME)
    with pytest.raises(ConflictError):
        resubmit(studio, job.id, owner=ME)
    jobs.cancel_job(studio, job.id, owner=ME)
    again = resubmit(studio, job.id, owner=ME)
    assert (again.id, again.status) == (job.id, "queued")
    assert [*studio.queue.statuses([_run_of(studio, job.id)]).values()] == ["ENQUEUED"]


def _callbacks(studio: Studio) -> int:
    return len(studio.queue._client.list_workflows(name="deliver"))


def test_each_time_that_a_job_is_cancelled_is_told(studio: Studio) -> None:
    asked = JobRequest(options=JobOptions(), callback_url="http://example.org/")
    job, _ = submit_upload(studio, upload(studio), asked, owner=ME)
    submit_upload(studio, upload(studio), request(), owner=ME)  # the run goes on for this one
    for told in (1, 2):
        jobs.cancel_job(studio, job.id, owner=ME)
        assert _callbacks(studio) == told
        resubmit(studio, job.id, owner=ME)


def test_fault_of_the_database_is_not_blamed_on_others(studio: Studio) -> None:
    submit_upload(studio, upload(studio), request(), owner=ME)
    with studio.db.session() as session:
        session.execute(text("CREATE UNIQUE INDEX one_job_each ON jobs (owner)"))
    with pytest.raises(IntegrityError, match=r"one_job_each|jobs\.owner"):
        submit_upload(studio, upload(studio, seed=1), request(), owner=ME)
    with studio.db.session() as session:
        assert len(session.scalars(select(Song)).all()) == 1
        session.execute(text("DROP INDEX one_job_each"))
    assert submit_upload(studio, upload(studio, seed=1), request(), owner=ME)[0].status == "queued"


def _separated(studio: Studio, song_id: str, model: str) -> str:
    """Stems of a song by a model, as an executor would have left them."""
    with studio.db.session() as session:
        song = session.get_one(Song, song_id)
        song.pcm_digest, song.analysis = "p" * 64, AnalysisRecord(tempo=None, key=None)
        options = run_options(JobOptions(), studio=studio)
        key = model if model == "fine" else separation_key("p" * 64, options, model=model, config=studio.config)
        separation = Separation(
            id=model,
            owner=ME,
            key=key,
            pcm_digest="p" * 64,
            model=model,
            draft=model == "sketch",
            receipt=receipt(model=model),
            duration=1.0,
            elapsed=1.0,
        )
        session.add(separation)
        session.flush()
        song.separation_id = separation.id
    return separation.id


def test_retry_that_finds_its_stems_made_meanwhile_says_so_to_its_callback(studio: Studio) -> None:
    asked = JobRequest(options=JobOptions(), callback_url="http://example.org/")
    job, _ = submit_upload(studio, upload(studio), asked, owner=ME)
    jobs.cancel_job(studio, job.id, owner=ME)
    _separated(studio, song_of(job), "sketch")
    assert resubmit(studio, job.id, owner=ME).status == "succeeded"
    assert _callbacks(studio) == 2


def test_draft_that_is_found_does_not_take_the_place_of_better_stems(studio: Studio) -> None:
    job, _ = submit_upload(studio, upload(studio), request(), owner=ME)
    jobs.cancel_job(studio, job.id, owner=ME)
    draft = _separated(studio, song_of(job), "sketch")
    fine = _separated(studio, song_of(job), "fine")
    again, _ = submit_song(studio, song_of(job), request(), owner=ME)
    assert again.result
    assert again.result.separation == draft
    with studio.db.session() as session:
        assert session.get_one(Song, song_of(job)).separation_id == fine


def test_file_that_was_made_while_its_song_was_deleted_leaves_nothing(studio: Studio) -> None:
    job, _ = submit_upload(studio, upload(studio), request(), owner=ME)
    jobs.cancel_job(studio, job.id, owner=ME)
    _separated(studio, song_of(job), "sketch")

    async def make(_stems: object, _folder: object, target: Path) -> None:
        target.write_bytes(b"encoded")
        songs.delete_song(studio, song_of(job), owner=ME)

    making = _made_once(
        studio, song_of(job), "vocals.mp3", "mp3", owner=ME, separation=None, check=lambda _: None, make=make
    )
    with pytest.raises(JobNotFoundError):
        asyncio.run(making)
    assert not list(studio.store.list())


def test_title_and_artist_changed_at_once_are_both_found(studio: Studio) -> None:
    job, _ = submit_upload(studio, upload(studio), request(), owner=ME)
    with ThreadPoolExecutor(2) as pool:
        for number in range(20):
            changes: list[dict[str, str]] = [{"title": f"t{number}"}, {"artist": f"a{number}"}]
            list(pool.map(lambda change: songs.update_song(studio, song_of(job), owner=ME, **change), changes))
            with studio.db.session() as session:
                assert session.get_one(Song, song_of(job)).search == f"t{number} a{number}"


def test_places_in_the_queue_go_by_priority_and_waiting_adds_up(studio: Studio) -> None:
    names = ("low", "normal", "high", "normal")
    made = [
        submit_upload(studio, upload(studio, seed=seed), request(priority=name), owner=ME)[0]
        for seed, name in enumerate(names)
    ]
    places = [jobs.get_job(studio, job.id, owner=ME).position for job in made]
    assert places == [4, 2, 1, 3]
    assert jobs.queue_state(studio).queues["cpu"].queued == {"high": 1, "normal": 2, "low": 1}


def test_song_is_found_by_all_words_of_title_and_artist_literally(studio: Studio) -> None:
    titles = ("100% Wolf", "Under_score", "Große Straße", "Underscore")
    for seed, title in enumerate(titles):
        job, _ = submit_upload(studio, upload(studio, seed=seed), request(), owner=ME)
        songs.update_song(studio, song_of(job), owner=ME, title=title, artist="Die Band")

    def found(search: str) -> list[str]:
        items, total = songs.list_songs(studio, owner=ME, search=search, sort="title", limit=99, offset=0)
        assert total == len(items)
        return [item.title for item in items]

    assert found("100%") == ["100% Wolf"]
    assert found("r_s") == ["Under_score"]
    assert found("straße BAND") == ["Große Straße"]
    assert found("die") == sorted(titles)
    assert found("nothing") == []


def test_song_with_a_job_under_way_is_not_deleted(studio: Studio) -> None:
    job, _ = submit_upload(studio, upload(studio), request(), owner=ME)
    with pytest.raises(ConflictError):
        songs.delete_song(studio, song_of(job), owner=ME)
    jobs.cancel_job(studio, job.id, owner=ME)
    songs.delete_song(studio, song_of(job), owner=ME)
    assert jobs.get_job(studio, job.id, owner=ME).song_id is None
    assert not list(studio.store.list())


def test_song_whose_upload_is_gone_cannot_be_separated_again(studio: Studio) -> None:
    job, _ = submit_upload(studio, upload(studio), request(), owner=ME)
    with studio.db.session() as session:
        session.execute(update(Song).values(upload_key=None))
    with pytest.raises(ConflictError):
        submit_song(studio, song_of(job), request(), owner=ME)


def test_urgent_job_that_joins_a_run_takes_it_along_in_the_queue(studio: Studio) -> None:
    slow, _ = submit_upload(studio, upload(studio), request(priority="low"), owner=ME)
    other, _ = submit_upload(studio, upload(studio, seed=1), request(), owner=ME)
    urgent, _ = submit_upload(studio, upload(studio), request(priority="high"), owner=ME)
    places = [jobs.get_job(studio, job.id, owner=ME).position for job in (slow, other, urgent)]
    assert places == [1, 2, 1]
    found = studio.queue._client.list_workflows(workflow_ids=[_run_of(studio, slow.id)])
    with studio.db.session() as session:
        assert found[0].priority == session.get_one(Run, _run_of(studio, slow.id)).rank
    assert jobs.get_job(studio, slow.id, owner=ME).priority == "high"
