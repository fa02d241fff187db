"""Retention over a real database and a real folder of objects."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from receipts import receipt
from stemwright.studio.options import JobOptions
from stemwright.studio.store.tables import Delivery, File, Job, Run, Separation, Song, new_id
from stemwright.studio.work import retention
from stemwright.studio.work.retention import delete_song, sweep
from studio.work.desks import Desk, opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY = 86_400.0


@pytest.fixture
def desk(tmp_path: Path, database_url: str) -> Iterator[Desk]:
    yield from opened(tmp_path, database_url, results_seconds=7 * DAY, sweep_grace=600)


def swept(desk: Desk, **changes: object) -> dict[str, int]:
    return sweep(desk.db, desk.store, replace(desk.config, **changes))  # type: ignore[arg-type]


def names(desk: Desk) -> list[str]:
    return sorted(song.title for song in desk.rows(Song))


def test_songs_that_nobody_used_for_long_go_with_all_their_files(desk: Desk) -> None:
    desk.separation(desk.song("old", used=8 * DAY))
    desk.separation(desk.song("new", used=6 * DAY), key="n", pcm="n" * 64)
    assert swept(desk) == {"expired": 1}
    assert names(desk) == ["new"]
    assert len(desk.rows(Separation)) == 1
    assert desk.keys() == {file.object_key for file in desk.rows(File)} | {"local/uploads/new"}
    assert swept(desk) == {}


def test_stems_that_nobody_used_go_though_their_song_stays_with_its_present_ones(desk: Desk) -> None:
    song = desk.song("a")
    unused, used, present = (desk.separation(song, key=key) for key in ("unused", "used", "present"))
    with desk.db.session() as session:
        for separation in (unused, present):
            session.get_one(Separation, separation).used_at -= 8 * DAY
    assert swept(desk) == {"expired": 1}
    assert {separation.id for separation in desk.rows(Separation)} == {used, present}
    assert desk.keys() == {file.object_key for file in desk.rows(File)} | {"local/uploads/a"}


def test_draft_of_a_run_that_works_stays(desk: Desk) -> None:
    song = desk.song("a")
    draft = desk.separation(song, key="draft")
    run = desk.run(song, status="running", preview_id=draft)
    with desk.db.session() as session:
        session.get_one(Separation, draft).used_at -= 8 * DAY
        session.get_one(Song, song).separation_id = None
    assert swept(desk) == {}
    desk.runs.fail(desk.lease(run), code="timeout", message="m", forget_upload=False)
    assert swept(desk) == {"expired": 1}


def test_results_are_kept_for_ever_where_that_is_set(desk: Desk) -> None:
    desk.song("old", used=9999 * DAY)
    assert swept(desk, results_seconds=0) == {}


def test_song_that_a_run_works_on_stays(desk: Desk) -> None:
    song = desk.song("busy", used=8 * DAY)
    run = desk.run(song)
    assert swept(desk, disk_budget=1) == {}
    assert not delete_song(desk.db, desk.store, song_id=song, owner="local")
    desk.runs.fail(desk.lease(run), code="timeout", message="m", forget_upload=False)
    assert swept(desk) == {"expired": 1}


def test_song_that_was_used_again_this_moment_stays(desk: Desk) -> None:
    song = desk.song("back", used=1)
    assert not delete_song(desk.db, desk.store, song_id=song, owner=None, unused_since=time.time() - DAY)
    assert names(desk) == ["back"]


def test_stems_that_two_songs_share_go_with_the_last(desk: Desk) -> None:
    one, two = desk.song("one"), desk.song("two")
    desk.separation(one, two)
    assert delete_song(desk.db, desk.store, song_id=one, owner="local")
    assert len(desk.rows(File)) == 2
    assert delete_song(desk.db, desk.store, song_id=two, owner="local")
    assert desk.keys() == set()
    assert desk.rows(Separation) == []


def test_song_of_another_owner_is_not_deleted(desk: Desk) -> None:
    song = desk.song()
    assert not delete_song(desk.db, desk.store, song_id=song, owner="other")
    assert delete_song(desk.db, desk.store, song_id=song, owner=None)
    assert not delete_song(desk.db, desk.store, song_id=song, owner=None)


def test_budget_takes_what_was_not_used_for_longest_and_no_more(desk: Desk) -> None:
    for number in range(4):
        desk.separation(desk.song(f"{number}", used=100 - number), key=f"{number}", pcm=f"{number:064}")
    assert swept(desk, disk_budget=4 * 2100) == {}
    assert swept(desk, disk_budget=2 * 2100 + 50) == {"over_budget": 2}
    assert names(desk) == ["2", "3"]


def test_objects_that_no_row_knows_go_once_they_are_old(desk: Desk) -> None:
    desk.separation(desk.song())
    kept = desk.keys()
    desk.put("local/uploads/orphan", age=700)
    desk.put("local/separations/dead/x/vocals.flac", age=700)
    desk.put("local/uploads/young", age=60)
    assert swept(desk) == {"objects": 2}
    assert desk.keys() == kept | {"local/uploads/young"}


def test_objects_of_doors_and_of_other_systems_are_not_swept(desk: Desk) -> None:
    others = {"doors/runpod/jobs/j/vocals.wav", "uploads/song.mp3", "backup.tar", "inputs/band/song.wav"}
    for key in others:
        desk.put(key, age=DAY)
    desk.put("local/uploads/orphan", age=DAY)
    assert swept(desk) == {"objects": 1}
    assert desk.keys() == others


def test_stems_in_the_making_stay_however_old(desk: Desk) -> None:
    run = desk.run(desk.song())
    desk.put(f"local/separations/{run}/made/vocals.flac", age=DAY)
    assert swept(desk) == {}
    desk.runs.fail(desk.lease(run), code="timeout", message="m", forget_upload=False)
    assert swept(desk) == {"objects": 1}


def test_stems_without_a_master_go_and_a_lost_copy_is_only_forgotten(desk: Desk) -> None:
    whole, broken = desk.song("whole"), desk.song("broken")
    first = desk.separation(whole)
    second = desk.separation(broken, key="b", pcm="b" * 64)
    desk.store.delete([f"local/separations/{first}/vocals.mp3", f"local/separations/{second}/vocals.flac"])
    assert swept(desk) == {"rows": 2}
    assert [(file.separation_id, file.name) for file in desk.rows(File)] == [(first, "vocals.flac")]
    assert [made.id for made in desk.rows(Separation)] == [first]
    assert {song.title: song.separation_id for song in desk.rows(Song)} == {"whole": first, "broken": None}
    assert desk.keys() == {f"local/separations/{first}/vocals.flac", "local/uploads/whole", "local/uploads/broken"}


def test_recording_that_is_gone_is_forgotten_and_its_song_stays(desk: Desk) -> None:
    desk.song()
    desk.store.delete(["local/uploads/a"])
    assert swept(desk) == {"rows": 1}
    assert [song.upload_key for song in desk.rows(Song)] == [None]


def test_quick_sweep_does_not_look_for_orphans(desk: Desk) -> None:
    desk.put("local/uploads/orphan", age=DAY)
    assert sweep(desk.db, desk.store, desk.config, thorough=False) == {}


def test_private_folders_go_unless_they_are_in_use(desk: Desk) -> None:
    run = desk.run(desk.song())
    for name in (f"{run}~1", f"{run}~2-draft", "dead~1", "fresh~1"):
        (desk.config.work / name).mkdir()
    assert swept(desk) == {}
    assert swept(desk, sweep_grace=-60) == {"folders": 2}
    assert sorted(path.name for path in desk.config.work.iterdir()) == [f"{run}~1", f"{run}~2-draft"]


def test_jobs_that_ended_long_ago_are_forgotten_with_their_runs_and_callbacks(desk: Desk) -> None:
    song, now = desk.song(), time.time()
    old = desk.run(song, status="succeeded", finished_at=now - 40 * DAY)
    shared = desk.run(song, status="succeeded", finished_at=now - 40 * DAY)
    desk.run(song, status="failed", finished_at=now - 20 * DAY)
    live = desk.run(song)
    with desk.db.session() as session:
        for job in session.query(Job):
            job.created_at = now - 41 * DAY
        late = Job(id=new_id(), owner="local", song_id=song, run_id=shared, options=JobOptions(), request_digest="r")
        first = session.query(Job).where(Job.run_id == old).one()
        call = Delivery(owner="local", job_id=first.id, message_id="m", event="e", attempt=1, delivered=True)
        call.elapsed = 0.1
        session.add_all([late, call])
    assert swept(desk) == {"jobs": 2}
    assert {run.id for run in desk.rows(Run)} >= {shared, live}
    assert old not in {run.id for run in desk.rows(Run)}
    assert len(desk.rows(Run)) == 3
    assert desk.rows(Delivery) == []


def test_rows_are_read_page_by_page(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_ROWS", 2)
    for name in "abcde":
        desk.separation(desk.song(name), key=name, pcm=name * 64)
    kept = desk.keys()
    assert swept(desk, sweep_grace=-60) == {}
    assert desk.keys() == kept
    desk.store.delete([f"local/uploads/{name}" for name in "abcde"])
    assert swept(desk) == {"rows": 5}


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # 50,000 files twice are too many
def test_five_thousand_songs_are_swept_in_seconds(desk: Desk) -> None:
    with desk.db.session() as session:
        for number in range(5000):
            name = f"{number:05}"
            song = Song(id=new_id(), owner="local", title=name, search=name, file_name=name, source_digest=name)
            song.size_bytes, song.upload_key, song.pcm_digest = 1, f"local/uploads/{name}", f"{number:064}"
            made = Separation(
                owner="local", key=name, pcm_digest=song.pcm_digest, model="m", draft=False, receipt=receipt()
            )
            made.id, made.duration, made.elapsed = new_id(), 1.0, 1.0
            session.add_all([song, made])
            session.flush()
            for file in range(9):
                key = f"local/separations/{made.id}/{file}.flac"
                session.add(
                    File(owner="local", separation_id=made.id, name=f"{file}", object_key=key, size_bytes=1, digest="d")
                )
    assert desk.store.folder
    for row in desk.rows(File):
        path = desk.store.folder / row.object_key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (desk.store.folder / "local/uploads").mkdir()
    for number in range(5000):
        (desk.store.folder / f"local/uploads/{number:05}").touch()
    began = time.process_time()
    assert swept(desk) == {}
    assert time.process_time() - began < 10
