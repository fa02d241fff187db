"""A job as clients see it, and what is ahead of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event

from stemwright.records import Fault, iso
from stemwright.studio.snapshot import shown, snapshot_of, snapshots_of
from stemwright.studio.store.tables import Job, Run, Separation
from stemwright.web.links import job_out
from studio.work.desks import Desk, opened, options

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stemwright.studio.snapshot import JobSnapshot


@pytest.fixture
def desk(tmp_path: Path, database_url: str) -> Iterator[Desk]:
    yield from opened(tmp_path, database_url)


def view(desk: Desk, run_id: str, *, slots: int = 1) -> JobSnapshot:
    with desk.db.session() as session:
        job = session.query(Job).where(Job.run_id == run_id).one()
        return snapshot_of(session, job, slots={"cpu": slots})


def change(desk: Desk, run_id: str, **values: Any) -> None:
    with desk.db.session() as session:
        run = session.get_one(Run, run_id)
        for name, value in values.items():
            setattr(run, name, value)


def test_places_follow_rank_and_count_only_those_that_wait(desk: Desk) -> None:
    desk.run(desk.song("runs"), status="running", rank=1)
    late = desk.run(desk.song("late"), rank=30)
    soon = desk.run(desk.song("soon"), rank=10)
    gpu = desk.run(desk.song("gpu"), rank=5, queue="gpu")
    assert [view(desk, run).position for run in (soon, late, gpu)] == [1, 2, 1]


def test_waiting_time_adds_up_by_measured_speed_and_is_shared_by_slots(desk: Desk) -> None:
    desk.separation(desk.song("known"))  # 1 s of work for 2 s of song
    desk.run(desk.song("runs", duration=60.0), status="running", eta=time.time() + 20, rank=1)
    waiting = desk.run(desk.song("waits", duration=60.0), rank=2)
    assert view(desk, waiting).eta_seconds == pytest.approx(20 + 31, abs=2)
    assert view(desk, waiting, slots=2).eta_seconds == pytest.approx((20 + 31) / 2, abs=2)


def test_waiting_time_is_unknown_behind_a_song_of_unknown_length(desk: Desk) -> None:
    desk.run(desk.song("unknown"), rank=1)
    behind = desk.run(desk.song("known", duration=1.0), rank=2)
    assert view(desk, behind).eta_seconds is None


def test_queue_of_thousands_is_counted_by_the_database(desk: Desk) -> None:
    desk.separation(desk.song("known"))
    song = desk.song("one", duration=60.0)
    with desk.db.session() as session:
        for number in range(3000):
            session.add(
                Run(owner="o", key=f"{number}", options=options(), song_id=song, queue="cpu", priority="low", rank=5)
            )
    last = desk.run(song, rank=9)
    rows = 0

    def fetched(*_: Any) -> None:
        nonlocal rows
        rows += 1

    event.listen(Run, "load", fetched)
    found = view(desk, last)
    event.remove(Run, "load", fetched)
    assert found.position == 3001
    assert found.eta_seconds == pytest.approx(3001 * 31.0)
    assert rows <= 1


def test_time_that_is_left_is_never_below_nothing(desk: Desk) -> None:
    run = desk.run(desk.song(), status="running", eta=time.time() - 5)
    assert view(desk, run).eta_seconds == 0.0


def test_job_that_was_cancelled_says_so_though_its_run_goes_on(desk: Desk) -> None:
    run = desk.run(desk.song(), status="running", progress=40.0, stage="separating")
    with desk.db.session() as session:
        session.query(Job).one().cancelled_at = time.time()
    found = view(desk, run)
    assert (found.status, found.stage, found.eta_seconds, found.error) == (
        "cancelled",
        "cancelled",
        None,
        None,
    )
    assert found.finished_at is not None


def test_links_lead_to_the_draft_until_the_result_is_there(desk: Desk) -> None:
    song = desk.song()
    made = desk.separation(song)
    run = desk.run(song, status="running", preview_id=made)
    found = view(desk, run)
    assert found.result is None
    preview = job_out(found, root="").preview
    assert preview
    assert preview.stems == {"vocals": f"/api/v1/songs/{song}/stems/vocals.flac?separation={made}"}
    change(desk, run, status="succeeded", separation_id=made, finished_at=time.time())
    found = view(desk, run)
    assert found.preview is None
    assert found.result
    assert found.result.separation == made


def test_stems_that_expired_have_no_links_and_their_job_stays(desk: Desk) -> None:
    song = desk.song()
    made = desk.separation(song)
    run = desk.run(song, status="succeeded", separation_id=made, finished_at=time.time())
    with desk.db.session() as session:
        session.delete(session.get_one(Separation, made))
    assert (view(desk, run).status, view(desk, run).result) == ("succeeded", None)


def test_failure_tells_code_and_message(desk: Desk) -> None:
    run = desk.run(desk.song(), status="failed", error_code="timeout", error_message="too slow")
    assert view(desk, run).error == Fault(code="timeout", message="too slow")


def test_many_jobs_share_one_look_at_the_queue(desk: Desk) -> None:
    runs = [desk.run(desk.song(str(number)), rank=number) for number in range(1, 6)]
    with desk.db.session() as session:
        found = snapshots_of(session, list(session.query(Job).order_by(Job.id)), slots={"cpu": 1})
    assert sorted(one.position or 0 for one in found) == [1, 2, 3, 4, 5]
    assert len(runs) == len(found)


def test_times_are_utc_to_the_millisecond() -> None:
    assert iso(1_767_225_600.25) == "2026-01-01T00:00:00.250Z"


@pytest.mark.parametrize("code", ["internal", "engine_crashed", "out_of_memory"])
def test_what_a_process_said_last_is_for_the_log_alone(desk: Desk, code: str) -> None:
    """It may hold paths and parts of a traceback, and every client of every door sees what is here."""
    run = desk.run(desk.song(), status="failed", error_code=code, error_message="KeyError: '/srv/secret'")
    error = view(desk, run).error
    assert error
    assert error.code == code
    assert error.message
    assert "secret" not in error.message
    change(desk, run, error_code="corrupt", error_message="a.wav: it is damaged")
    assert view(desk, run).error == Fault(code="corrupt", message="a.wav: it is damaged")


def test_folders_of_the_server_are_told_to_nobody_but_addresses_are_not_touched(desk: Desk, tmp_path: Path) -> None:
    message = f"{tmp_path}/work/vocals.flac: the disk is full"
    run = desk.run(desk.song(), status="failed", error_code="disk_full", error_message=message)
    assert view(desk, run).error == Fault(code="disk_full", message="vocals.flac: the disk is full")
    assert shown("model_unavailable", f"htdemucs is not in {tmp_path}") == f"htdemucs is not in {tmp_path.name}"
    plain = "https://a.example/b/c, file:///etc, a/b and 3 / 4 are as they were"
    assert shown("bad_url", plain) == plain
