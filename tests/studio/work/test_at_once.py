"""Those who write about one song at the same moment wait for each other, and none of them is sent away.

PostgreSQL ends a transaction that waits for one that waits for it: all must take their rows in one order.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import update

from stemwright.errors import ConflictError, JobNotFoundError
from stemwright.studio import jobs, songs, tracks
from stemwright.studio.options import JobOptions
from stemwright.studio.store.tables import Job, Run, Separation, Song, new_id
from stemwright.studio.submit import JobRequest, Upload, resubmit, submit_song, submit_upload
from stemwright.studio.work import retention
from studio.shelves import over
from studio.work.desks import WORKER, Desk, opened
from studio.work.test_runs import made

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from stemwright.studio.studio import Studio

ME = "local"
ROUNDS = 25


@pytest.fixture
def desk(tmp_path: Path, database_url: str) -> Iterator[Desk]:
    yield from opened(tmp_path, database_url, disk_reserve=0)


@pytest.fixture
def studio(desk: Desk, tmp_path: Path) -> Studio:
    return over(desk, tmp_path)


def at_once(*actions: Callable[[], Any]) -> list[Any]:
    """What came of actions that began at the same moment: what they gave, or the refusal that they raised."""
    start = threading.Barrier(len(actions))

    def act(action: Callable[[], Any]) -> Any:
        start.wait()
        try:
            return action()
        except (ConflictError, JobNotFoundError) as error:
            return error

    with ThreadPoolExecutor(len(actions)) as pool:
        return [future.result() for future in [pool.submit(act, action) for action in actions]]


def asked(studio: Studio, name: str) -> tuple[str, str]:
    """A job for the recording of that name, and its run."""
    path = studio.incoming / f"upload-{new_id()}"
    path.write_bytes(b"x" * 100)
    request = JobRequest(options=JobOptions(model="sketch", analysis=False))
    upload = Upload(path=path, name=f"{name}.wav", digest=name, size_bytes=100)
    job, _ = submit_upload(studio, upload, request, owner=ME, sniffed=False)
    with studio.db.session() as session:
        return job.id, session.get_one(Job, job.id).run_id


def test_many_who_ask_for_the_same_song_share_a_run(desk: Desk, studio: Studio) -> None:
    ask = partial(asked, studio, "same")
    taken = at_once(*[ask] * 16)
    assert len({run for _, run in taken}) == len(desk.rows(Run)) == len(desk.rows(Song)) == 1
    assert len({job for job, _ in taken}) == 16


def test_who_asks_for_a_song_while_its_run_ends(desk: Desk, studio: Studio) -> None:
    for number in range(ROUNDS):
        ask = partial(asked, studio, f"{number}")
        _, run = ask()
        desk.runs.begin(run, attempts=3, worker=WORKER)
        stems = made(f"s{number}", key=f"{number}")
        end: Callable[[], object] = partial(desk.runs.save, desk.lease(run), stems)
        if number % 2:
            end = partial(desk.runs.fail, desk.lease(run), code="corrupt", message="m", forget_upload=True)
        at_once(end, ask, ask, ask)
        assert desk.get(run).status == ("failed" if number % 2 else "succeeded")


def test_song_is_deleted_or_a_job_for_it_taken_and_never_both(desk: Desk, studio: Studio) -> None:
    for number in range(ROUNDS):
        song = desk.song(f"{number}", used=100)
        request = JobRequest(options=JobOptions(model="sketch", analysis=False))
        before = time.time() - 10
        delete: Callable[[], object] = partial(songs.delete_song, studio, song, owner=ME)
        if number % 2:
            delete = partial(retention.delete_song, desk.db, desk.store, song_id=song, owner=None, unused_since=before)
        _, taken = at_once(delete, partial(submit_song, studio, song, request, owner=ME))
        there = song in {row.id for row in desk.rows(Song)}
        assert there is isinstance(taken, tuple), taken


def test_job_that_is_cancelled_tried_again_and_deleted_with_its_song(desk: Desk, studio: Studio) -> None:
    for number in range(ROUNDS):
        job, _ = asked(studio, f"{number}")
        asked(studio, f"{number}")
        song = str(jobs.get_job(studio, job, owner=ME).song_id)
        again = partial(resubmit, studio, job, owner=ME)
        cancel = partial(jobs.cancel_job, studio, job, owner=ME)
        at_once(cancel, again, cancel, again, partial(songs.delete_song, studio, song, owner=ME))
        assert jobs.get_job(studio, job, owner=ME).status in {"queued", "cancelled"}


def test_two_songs_that_share_stems_are_deleted_and_the_stems_with_the_second(desk: Desk, studio: Studio) -> None:
    for number in range(ROUNDS):
        pair = [desk.song(f"{number}{which}") for which in "ab"]
        desk.separation(*pair, key=f"{number}", pcm=f"{number:064}")
        assert at_once(*(partial(songs.delete_song, studio, song, owner=ME) for song in pair)) == [None, None]
        assert desk.rows(Separation) == []
        assert desk.keys() == set()


def test_old_jobs_are_forgotten_while_their_songs_are_deleted(desk: Desk, studio: Studio) -> None:
    forget = partial(
        retention.sweep, desk.db, desk.store, replace(desk.config, forget_jobs_seconds=1.0), thorough=False
    )
    for number in range(ROUNDS):
        song = desk.song(f"{number}")
        for _ in range(5):
            desk.run(song, status="succeeded", finished_at=1.0)
        with desk.db.session() as session:
            session.execute(update(Job).values(created_at=1.0))
        at_once(forget, partial(songs.delete_song, studio, song, owner=ME), forget)
        assert song not in {row.id for row in desk.rows(Song)}
    forget()
    assert desk.rows(Job) == []


def test_many_look_through_the_same_folder(studio: Studio, tmp_path: Path) -> None:
    music = tmp_path / "music"
    music.mkdir()
    for number in range(300):
        (music / f"{number}.wav").touch()
    look = partial(tracks.scan, studio, [music], owner=ME)
    at_once(look, look, look)
    assert tracks.count_tracks(studio, owner=ME) == {str(music): 300}
