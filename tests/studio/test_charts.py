"""Recordings with a drum chart, by the digest of their samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from receipts import drums, receipt
from stemwright.errors import ConflictError, JobNotFoundError
from stemwright.studio.charts import charted_by, delete_charted, find_charted, list_charted, onsets_of
from stemwright.studio.options import JobOptions
from stemwright.studio.store.tables import File, Job, Run, Separation, Song, new_id
from studio.shelves import over
from studio.work.desks import Desk, opened, options

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stemwright.studio.studio import Studio

ME, PCM = "local", "a" * 64
CHART = '{"onsets": [{"time": 0.5, "lane": 0, "type": "kick", "velocity": 90, "confidence": 0.9, "note": 36}]}'


@pytest.fixture
def desk(tmp_path: Path, database_url: str) -> Iterator[Desk]:
    yield from opened(tmp_path, database_url)


@pytest.fixture
def studio(desk: Desk, tmp_path: Path) -> Studio:
    return over(desk, tmp_path)


def song(desk: Desk, name: str, *, pcm: str = PCM, **changes: Any) -> str:
    return desk.song(name, pcm_digest=pcm, duration=2.0, sample_rate=44_100, **changes)


def separation(desk: Desk, *, pcm: str = PCM, at: float = 100.0, chart: bool = True, **changes: Any) -> str:
    heard = drums(chart="drums.json").model_copy(update={"onsets": 1, "bpm": 120.5}) if chart else None
    made = Separation(
        id=new_id(),
        owner=ME,
        key=new_id(),
        pcm_digest=pcm,
        model="sketch",
        draft=True,
        receipt=receipt("drums", drums=heard),
    )
    made.duration, made.elapsed, made.created_at = 2.0, 1.5, at
    for column, value in changes.items():
        setattr(made, column, value)
    desk.add(made)
    if chart:
        key = f"{ME}/separations/{made.id}/drums.json"
        desk.put(key, CHART.encode())
        desk.add(
            File(
                owner=ME,
                separation_id=made.id,
                name="drums.json",
                object_key=key,
                size_bytes=len(CHART),
                digest="d",
                created_at=at,
            )
        )
    return made.id


def job(desk: Desk, song_id: str, separation_id: str, *, started: float, cached: bool = False) -> str:
    run = Run(id=new_id(), owner=ME, song_id=song_id, key="k", options=options(), queue="cpu", priority="high", rank=0)
    run.status, run.started_at, run.separation_id = "succeeded", started, separation_id
    made = Job(
        id=new_id(), owner=ME, song_id=song_id, run_id=run.id, options=JobOptions(), request_digest="r", cached=cached
    )
    desk.add(run)
    desk.add(made)
    return made.id


def test_equal_samples_are_one_recording_under_the_first_song_s_name(desk: Desk, studio: Studio) -> None:
    first = song(desk, "first", created_at=1.0)
    song(desk, "second", created_at=2.0)
    made = separation(desk)
    [one] = list_charted(studio, owner=ME)
    assert (one.song_id, one.file_name, one.separation_id) == (first, "first.wav", made)
    assert (one.onsets, one.bpm, one.elapsed, one.created_at) == (1, 120.5, 1.5, 100.0)
    assert find_charted(studio, PCM, owner=ME) == one
    assert onsets_of(studio, one, owner=ME)[0]["note"] == 36


def test_what_has_no_chart_or_is_another_s_is_not_there(desk: Desk, studio: Studio) -> None:
    song(desk, "plain")
    separation(desk, chart=False)
    song(desk, "theirs", pcm="b" * 64, owner="they")
    separation(desk, pcm="b" * 64, owner="they")
    assert list_charted(studio, owner=ME) == []
    for pcm in (PCM, "b" * 64, "c" * 64):
        with pytest.raises(JobNotFoundError):
            find_charted(studio, pcm, owner=ME)
        with pytest.raises(JobNotFoundError):
            delete_charted(studio, pcm, owner=ME)


def test_newest_is_first_and_a_chart_that_is_no_draft_goes_before_newer_drafts(desk: Desk, studio: Studio) -> None:
    song(desk, "old")
    separation(desk, at=100.0)
    good = separation(desk, at=200.0, draft=False)
    separation(desk, at=300.0)
    song(desk, "new", pcm="b" * 64)
    separation(desk, pcm="b" * 64, at=400.0)
    assert [one.file_name for one in list_charted(studio, owner=ME)] == ["new.wav", "old.wav"]
    assert find_charted(studio, PCM, owner=ME).separation_id == good


def test_job_knows_whether_its_chart_was_there_before(desk: Desk, studio: Studio) -> None:
    one, made = song(desk, "one"), separation(desk, at=100.0)
    for started, cached, expected in ((99.0, False, False), (101.0, False, True), (99.0, True, True)):
        job_id = job(desk, one, made, started=started, cached=cached)
        charted, known = charted_by(studio, job_id, owner=ME)
        assert (charted.separation_id, known) == (made, expected)
        with pytest.raises(JobNotFoundError):
            charted_by(studio, job_id, owner="they")


def test_deleting_takes_every_song_of_the_samples_unless_one_is_in_use(desk: Desk, studio: Studio) -> None:
    song(desk, "one")
    busy = song(desk, "two")
    separation(desk)
    run = Run(id=new_id(), owner=ME, song_id=busy, key="k", options=options(), queue="cpu", priority="high", rank=0)
    desk.add(run)
    with pytest.raises(ConflictError):
        delete_charted(studio, PCM, owner=ME)
    assert len(list_charted(studio, owner=ME)) == 1
    with desk.db.session() as session:
        session.get_one(Run, run.id).status = "succeeded"
    delete_charted(studio, PCM, owner=ME)
    with desk.db.session() as session:
        assert session.query(Song).count() == session.query(Separation).count() == 0
    assert [*studio.store.list()] == []
