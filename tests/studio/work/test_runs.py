"""A run's rows: one end, whoever comes first, and no attempt more than there may be."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError

from receipts import receipt
from stemwright.engine.song_facts import SongFacts
from stemwright.errors import DatabaseUnavailableError
from stemwright.studio.store.tables import FINAL, File, Job, Separation, Song
from stemwright.studio.work.executor import reconcile
from stemwright.studio.work.runs import Saved, lock_run, retry_on_db_error
from stemwright.studio.work.steps import Made, StoredFile
from studio.work.desks import WORKER, Desk, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def desk(tmp_path: Path, database_url: str) -> Iterator[Desk]:
    yield from opened(tmp_path, database_url)


def made(name: str = "s", *, key: str = "made", draft: bool = False) -> Made:
    at = f"local/separations/r/{name}/vocals.flac"
    file = StoredFile(name="vocals.flac", object_key=at, size_bytes=1, digest="d")
    return Made(id=name, key=key, receipt=receipt(model="sketch" if draft else "fine"), files=(file,))


def test_each_begin_is_an_attempt_and_after_the_last_one_the_run_has_failed(desk: Desk) -> None:
    run = desk.run(desk.song())
    for attempt in (1, 2, 3):
        assert desk.runs.begin(run, attempts=3, worker=WORKER)
        assert (desk.get(run).status, desk.get(run).attempts) == ("running", attempt)
    assert desk.runs.begin(run, attempts=3, worker=WORKER) is None
    assert (desk.get(run).status, desk.get(run).error_code, desk.get(run).attempts) == ("failed", "engine_crashed", 3)
    assert desk.runs.begin(run, attempts=99, worker=WORKER) is None


def test_run_that_was_handed_back_is_queued_and_has_not_been_tried(desk: Desk) -> None:
    run, other = desk.run(desk.song()), desk.run(desk.song("b"))
    desk.runs.begin(run, attempts=3, worker=WORKER)
    desk.runs.progress(desk.lease(run), stage="separating", percent=50, remaining=3)
    lease = desk.lease(run)
    desk.runs.begin(other, attempts=3, worker="another")
    desk.runs.hand_back([lease, lease.model_copy(update={"run_id": other})])
    found = desk.get(run)
    assert (found.status, found.stage, found.attempts, found.progress, found.eta) == ("queued", "queued", 0, 0.0, None)
    assert desk.get(other).attempts == 1
    assert not desk.runs.progress(lease, stage="separating", percent=60, remaining=None)
    assert desk.get(run).progress == 0.0
    again = desk.runs.begin(run, attempts=3, worker="another")
    assert again
    assert (again.lease.number, desk.get(run).attempts) == (lease.number + 1, 1)


def test_who_has_an_old_lease_writes_nothing(desk: Desk) -> None:
    """A process that was stopped and goes on, or was cut off, must not touch what another one has taken over."""
    run = desk.run(desk.song())
    desk.runs.begin(run, attempts=3, worker="dead")
    old = desk.lease(run)
    assert desk.runs.take_from(["dead", "nobody"]) == [run]
    assert (desk.get(run).status, desk.get(run).attempts, desk.get(run).worker) == ("queued", 1, None)
    for taken in (False, True):
        if taken:
            desk.runs.begin(run, attempts=3, worker="dead")  # by the same process, even: the number tells
        before = desk.get(run)
        assert not desk.runs.holds(old)
        assert not desk.runs.progress(old, stage="separating", percent=60, remaining=None)
        assert not desk.runs.count_attempt(old, most=9)
        assert desk.runs.save(old, made()) is Saved.ended
        assert desk.runs.fail(old, code="internal", message="m", forget_upload=True) is None
        desk.runs.finish(old)
        after = desk.get(run)
        assert (after.status, after.attempts, after.progress) == (before.status, before.attempts, 0.0)
    assert desk.runs.holds(desk.lease(run))
    assert desk.rows(Separation) == desk.rows(File) == []


def test_attempts_are_counted_up_to_the_most(desk: Desk) -> None:
    run = desk.run(desk.song())
    desk.runs.begin(run, attempts=3, worker=WORKER)
    assert [desk.runs.count_attempt(desk.lease(run), most=3) for _ in range(4)] == [True, True, False, False]
    assert desk.get(run).attempts == 3


def test_run_of_a_song_that_was_deleted_fails(desk: Desk) -> None:
    run = desk.run(None)
    assert desk.runs.begin(run, attempts=3, worker=WORKER) is None
    assert desk.get(run).error_code == "not_found"


def test_what_is_made_is_published_once(desk: Desk) -> None:
    song = desk.song()
    run = desk.run(song)
    desk.runs.begin(run, attempts=3, worker=WORKER)
    assert desk.runs.save(desk.lease(run), made()) is Saved.published
    assert desk.runs.save(desk.lease(run), made()) is Saved.ended
    assert (desk.get(run).status, desk.get(run).progress, desk.get(run).separation_id) == ("succeeded", 100.0, "s")
    assert [row.separation_id for row in desk.rows(Song)] == ["s"]
    assert len(desk.rows(File)) == 1


def test_equal_stems_of_two_runs_are_kept_once_and_the_others_are_unknown(desk: Desk) -> None:
    runs = [desk.run(desk.song(name)) for name in ("a", "b")]
    for run, name in zip(runs, ("one", "two"), strict=True):
        desk.runs.begin(run, attempts=3, worker=WORKER)
        assert desk.runs.save(desk.lease(run), made(name)) is Saved.published
    assert [desk.get(run).separation_id for run in runs] == ["one", "one"]
    keys = [made(name).files[0].object_key for name in ("one", "two")]
    assert desk.runs.unknown([*keys, "local/uploads/a", "local/uploads/c"]) == [keys[1], "local/uploads/c"]


def test_stems_that_were_found_and_then_deleted_are_gone(desk: Desk) -> None:
    run = desk.run(desk.song())
    desk.runs.begin(run, attempts=3, worker=WORKER)
    assert desk.runs.save(desk.lease(run), Made(found="nobody")) is Saved.gone
    assert desk.get(run).status == "running"


def test_draft_is_shown_until_the_fine_stems_come_and_never_after(desk: Desk) -> None:
    song = desk.song()
    run = desk.run(song)
    desk.runs.begin(run, attempts=3, worker=WORKER)
    draft = made("draft", key="draft", draft=True)
    assert desk.runs.save(desk.lease(run), draft, preview=True) is Saved.published
    assert (desk.get(run).status, desk.get(run).preview_id) == ("running", "draft")
    assert desk.rows(Song)[0].separation_id == "draft"
    desk.runs.save(desk.lease(run), made("fine"))
    again = desk.run(song)
    desk.runs.begin(again, attempts=3, worker=WORKER)
    desk.runs.save(desk.lease(again), Made(found="draft"))
    assert desk.rows(Song)[0].separation_id == "fine"


def test_failure_that_the_recording_is_to_blame_for_takes_the_song_along(desk: Desk) -> None:
    song = desk.song()
    run = desk.run(song)
    assert desk.runs.fail(desk.lease(run), code="corrupt", message="m", forget_upload=True) == "local/uploads/a"
    assert desk.rows(Song) == []
    assert [job.song_id for job in desk.rows(Job)] == [None]
    assert desk.runs.fail(desk.lease(run), code="timeout", message="m", forget_upload=True) is None
    assert desk.get(run).error_code == "corrupt"
    desk.separation(kept := desk.song("b"))
    desk.runs.fail(desk.lease(desk.run(kept)), code="corrupt", message="m", forget_upload=True)
    assert [song.id for song in desk.rows(Song)] == [kept]


def test_recording_that_failed_stays_for_who_asked_with_other_options_and_goes_with_the_last(desk: Desk) -> None:
    song = desk.song()
    one, two = desk.run(song), desk.run(song)
    assert desk.runs.fail(desk.lease(one), code="corrupt", message="m", forget_upload=True) is None
    assert desk.runs.begin(two, attempts=3, worker=WORKER)
    assert desk.runs.fail(desk.lease(two), code="corrupt", message="m", forget_upload=True) == "local/uploads/a"
    assert desk.rows(Song) == []


def test_cancelled_run_is_neither_begun_nor_saved_nor_failed_and_work_on_it_is_in_vain(desk: Desk) -> None:
    run = desk.run(desk.song(), status="cancelled")
    assert desk.runs.begin(run, attempts=3, worker=WORKER) is None
    assert desk.runs.save(desk.lease(run), made()) is Saved.ended
    assert desk.runs.fail(desk.lease(run), code="timeout", message="m", forget_upload=True) is None
    assert not desk.runs.progress(desk.lease(run), stage="separating", percent=1, remaining=None)
    assert desk.get(run).status == "cancelled"
    assert desk.rows(Separation) == []


def test_of_many_who_end_a_run_at_once_exactly_one_does(desk: Desk) -> None:
    """What SQLite would allow where a row is read, then written: two ends of one run."""

    def cancel(run: str) -> bool:
        with desk.db.session() as session:
            found = lock_run(session, run)
            if found is not None:
                time.sleep(0.01)
                found.status = "cancelled"
            return found is not None

    def saved(run: str, name: str) -> bool:
        return desk.runs.save(desk.lease(run), made(name, key=name)) is Saved.published

    for number in range(8):
        run = desk.run(desk.song(str(number)))
        desk.runs.begin(run, attempts=3, worker=WORKER)
        ends: dict[str, Callable[[], bool]] = {
            "succeeded": partial(saved, run, f"s{number}"),
            "cancelled": partial(cancel, run),
            "failed": partial(desk.runs.give_up, run, unchanged_since=time.time() + 60, by="other"),
        }
        with ThreadPoolExecutor(3) as pool:
            won = dict(zip(ends, pool.map(lambda end: end(), ends.values()), strict=True))
        assert [name for name, did in won.items() if did] == [desk.get(run).status]


def test_what_dbos_has_given_up_is_ended_and_what_it_works_on_is_not(desk: Desk) -> None:
    silent = time.time() - 3600
    waiting = desk.run(desk.song("a"), updated_at=silent)
    lost = desk.run(desk.song("b"), updated_at=silent)
    desk.queue.cancel(lost)
    fresh = desk.run(desk.song("c"), status="running")
    assert reconcile(desk.db, desk.runs, desk.queue, by="keeper") == 1
    assert [desk.get(run).status for run in (waiting, lost, fresh)] == ["queued", "failed", "running"]
    assert desk.get(lost).error_code == "engine_crashed"


def test_database_that_is_away_is_asked_until_it_answers(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stemwright.studio.work.runs._PAUSES", (0.01, 0.01))
    asked = []

    def ask(answers_at: int) -> int:
        asked.append(answers_at)
        if len(asked) < answers_at:
            raise DatabaseUnavailableError("database is locked")
        return 7

    assert retry_on_db_error(ask, 12) == 7  # for as long as it takes: no run fails because a database restarts


def test_conflict_that_stays_is_a_fault_and_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stemwright.studio.work.runs._PAUSES", (60.0,) * 5)
    asked = []

    def ask() -> None:
        asked.append(1)
        raise IntegrityError("INSERT", {}, Exception("no jobs today"))

    with pytest.raises(IntegrityError):
        retry_on_db_error(ask)
    assert len(asked) == 3


def test_database_that_is_locked_or_away_is_told_as_that(desk: Desk) -> None:
    with pytest.raises(DatabaseUnavailableError, match="locked"), desk.db.session():
        raise OperationalError("SELECT", {}, Exception("database is locked"))


def test_progress_is_seen_and_its_end_is_a_time(desk: Desk) -> None:
    run = desk.run(desk.song())
    desk.runs.begin(run, attempts=3, worker=WORKER)
    assert desk.runs.progress(desk.lease(run), stage="separating", percent=12.345, remaining=30.0)
    found = desk.get(run)
    assert (found.stage, found.progress) == ("separating", 12.3)
    assert found.eta == pytest.approx(time.time() + 30, abs=5)
    assert found.status not in FINAL


def test_first_reading_names_the_song_unless_somebody_has(desk: Desk) -> None:
    facts = SongFacts(
        pcm_digest="p", duration=1.0, sample_rate=1, channels=1, title="Blue", artist="Joni", analysis=None
    )
    for title, artist in (("a", ""), ("Mine", "Me")):
        song = desk.song("a", title=title, artist=artist, source_digest=title)
        desk.runs.describe_song(song, facts)
    assert [(song.title, song.artist, song.search) for song in desk.rows(Song)] == [
        ("Blue", "Joni", "blue joni"),
        ("Mine", "Me", "mine me"),
    ]
    desk.runs.describe_song("nobody", facts)
