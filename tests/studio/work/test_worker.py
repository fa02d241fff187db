"""The steps of a run, with a real engine process that does as it is told."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from stemwright.engine.process.pool import EngineCrashedError, EnginePool, JobTimeoutError
from stemwright.engine.settings import SeparationSettings
from stemwright.errors import (
    CancelledError,
    CorruptInputError,
    DiskFullError,
    NoDrumStemError,
    NotFoundError,
    OutOfMemoryError,
)
from stemwright.separators.catalogue import find_model
from stemwright.studio.options import RunOptions
from stemwright.studio.store.tables import File, Run, Separation, Song
from stemwright.studio.work.runs import Saved
from stemwright.studio.work.steps import Made
from stemwright.studio.work.worker import JobWorker, is_final, separation_key
from stemwright.weights.publishers import Publisher
from stemwright.weights.store import Remote
from studio.work.desks import CHILD, Desk, opened, options

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

    from stemwright.studio.work.steps import Task

    Doing = Callable[[JobWorker, str, Task], Coroutine[Any, Any, Any]]


@pytest.fixture
def desk(tmp_path: Path, database_url: str) -> Iterator[Desk]:
    yield from opened(tmp_path, database_url)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stemwright.studio.work.worker._LONGEST_PAUSE", 0.05)


def work(desk: Desk, doing: Doing, *, options: dict[str, Any] | None = None, timeout: float = 60, **plan: Any) -> Any:
    """Begin a run and do something with it; what came out."""

    async def run() -> Any:
        config = replace(desk.config, timeout_min=timeout, timeout_factor=0)
        pool = EnginePool((*CHILD, json.dumps(plan)), max_rss=1 << 40, max_calls=100)
        worker = JobWorker(desk.runs, desk.store, config, pool)
        song_id = desk.rows(Song)[0].id if desk.rows(Song) else desk.song()
        run_id = desk.run(song_id)
        if options:
            with desk.db.session() as session:
                found = session.get_one(Run, run_id)
                found.options = RunOptions.model_validate(found.options.model_dump() | options)
        task = await asyncio.to_thread(worker.begin, run_id)
        assert task
        try:
            return await doing(worker, run_id, task)
        finally:
            await pool.kill()
            assert not list(desk.config.work.iterdir())

    return asyncio.run(run())


async def make(worker: JobWorker, _run_id: str, task: Task) -> tuple[str, Made]:
    return task.lease.run_id, await worker.make(task, await worker.hash(task))


def test_stems_are_stored_below_their_run_with_their_digests(desk: Desk) -> None:
    run_id, made = work(desk, make)
    assert [file.name for file in made.files] == ["receipt.json", "vocals.flac", "vocals.peaks.dat"]
    assert {file.object_key for file in made.files} == desk.keys() - {"local/uploads/a"}
    assert all(file.object_key.startswith(f"local/separations/{run_id}/") for file in made.files)
    assert desk.runs.save(desk.lease(run_id), made) is Saved.published
    assert work(desk, make)[1] == Made(found=made.id)


def test_equal_work_done_twice_never_shares_an_object(desk: Desk) -> None:
    """A process that was believed dead must not overwrite, nor delete, what its successor has published."""

    async def twice(worker: JobWorker, run_id: str, task: Task) -> tuple[str, Any, Any]:
        song = await worker.hash(task)
        first = await worker.make(task, song)
        second = await worker.make(task, song)
        assert worker.runs.save(task.lease, second) is Saved.published
        assert worker.runs.save(task.lease, first) is Saved.ended
        worker.files.tidy(task)
        return run_id, first, second

    _, first, second = work(desk, twice)
    keys = [{file.object_key for file in made.files} for made in (first, second)]
    assert not keys[0] & keys[1]
    assert desk.keys() == keys[1] | {"local/uploads/a"}


def test_nothing_is_tidied_up_while_the_run_lives(desk: Desk) -> None:
    async def tidy(worker: JobWorker, run_id: str, task: Task) -> None:
        made = await worker.make(task, await worker.hash(task))
        worker.files.tidy(task)
        assert len(desk.keys()) == 1 + len(made.files)
        worker.runs.fail(task.lease, code="timeout", message="m", forget_upload=False)
        worker.files.tidy(task)
        assert desk.keys() == {"local/uploads/a"}

    work(desk, tidy)


def test_draft_has_a_key_of_its_own_whatever_stems_are_wanted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def both(worker: JobWorker, run_id: str, task: Task) -> tuple[Any, Any]:
        monkeypatch.setattr("stemwright.studio.work.worker.identity", lambda name, **_: [name])
        task = task.model_copy(update={"options": task.options.model_copy(update={"model": "fine"})})
        song = await worker.hash(task)
        draft = await worker.make(task, song, preview=True)
        assert worker.runs.save(task.lease, draft, preview=True) is Saved.published
        return draft, await worker.make(task, song)

    draft, fine = work(desk, both, options={"stems": ["vocals"]})
    assert (draft.receipt.model.name, fine.receipt.model.name) == ("sketch", "fine")
    assert work(desk, make, options={"stems": ["vocals"]})[1].found is None  # the draft has all stems, this one not
    assert work(desk, make)[1] == Made(found=draft.id)
    assert len(draft.id) <= 32


def test_format_that_is_wanted_is_made_beside(desk: Desk) -> None:
    _, made = work(desk, make, options={"format": "mp3"})
    assert "vocals.mp3" in {file.name for file in made.files}


CHARTED = {"drums.json", "drums.mid"}


def test_chart_that_is_wanted_is_stored_with_the_stems(desk: Desk) -> None:
    run_id, made = work(desk, make, options={"transcribe": True}, stem="drums")
    assert {file.name for file in made.files} == CHARTED | {"drums.flac", "drums.peaks.dat", "receipt.json"}
    assert desk.runs.save(desk.lease(run_id), made) is Saved.published
    assert {file.name for file in desk.rows(File)} == {file.name for file in made.files}
    [separation] = desk.rows(Separation)
    assert (separation.receipt.drums.onsets, len(separation.receipt.warnings)) == (3, 1)
    assert work(desk, make, options={"transcribe": True}, stem="drums")[1] == Made(found=made.id)


def test_stems_that_are_there_get_their_chart_once_whoever_is_first(desk: Desk) -> None:
    run_id, plain = work(desk, make, stem="drums")
    assert desk.runs.save(desk.lease(run_id), plain) is Saved.published
    stems = {file.object_key for file in desk.rows(File)}
    first, second = (work(desk, make, options={"transcribe": True}, stem="drums") for _ in range(2))
    for run, made in (first, second):
        assert made.found == plain.id
        assert {file.name for file in made.files} == CHARTED
        assert desk.runs.save(desk.lease(run), made) is Saved.published
    [separation] = desk.rows(Separation)
    assert len(separation.receipt.warnings) == 1
    assert {file.object_key for file in desk.rows(File)} == stems | {file.object_key for file in first[1].files}


def test_equal_stems_that_somebody_published_meanwhile_get_the_chart_of_the_later_run(desk: Desk) -> None:
    later, charted = work(desk, make, options={"transcribe": True}, stem="drums")
    earlier, plain = work(desk, make, stem="drums")
    assert desk.runs.save(desk.lease(earlier), plain) is Saved.published
    assert desk.runs.save(desk.lease(later), charted) is Saved.published
    [separation] = desk.rows(Separation)
    assert separation.receipt.drums.onsets == 3
    kept = {file.name: file.object_key for file in desk.rows(File)}
    assert {name for name, key in kept.items() if later in key} == CHARTED


def test_chart_without_a_drum_stem_fails_by_name(desk: Desk) -> None:
    with pytest.raises(NoDrumStemError, match="vocals"):
        work(desk, make, options={"transcribe": True}, stem="vocals")


def test_engine_that_dies_twice_is_tried_again_and_a_third_time_is_the_end(desk: Desk, tmp_path: Path) -> None:
    run_id, made = work(desk, make, die=2, seen=str(tmp_path / "twice"))
    assert made.files
    assert desk.get(run_id).attempts == 3
    with pytest.raises(EngineCrashedError, match="SIGKILL"):
        work(desk, make, die=3, seen=str(tmp_path / "thrice"))
    assert sorted(run.attempts for run in desk.rows(Run)) == [3, 3]
    assert (tmp_path / "thrice").read_text() == "3"


def test_lack_of_memory_is_told_and_not_tried_again(desk: Desk) -> None:
    with pytest.raises(OutOfMemoryError):
        work(desk, make, error="out_of_memory")
    assert [run.attempts for run in desk.rows(Run)] == [1]


def test_recording_that_cannot_be_read_is_to_blame_itself(desk: Desk) -> None:
    with pytest.raises(CorruptInputError) as caught:
        work(desk, make, scan="corrupt")
    assert is_final(caught.value)


def test_work_that_takes_too_long_ends(desk: Desk) -> None:
    with pytest.raises(JobTimeoutError):
        work(desk, make, timeout=1.5, parts=1000, pause=0.1)


def test_recording_that_is_gone_is_no_fault_of_the_recording(desk: Desk) -> None:
    desk.song()
    desk.store.delete(["local/uploads/a"])
    with pytest.raises(NotFoundError) as caught:
        work(desk, make)
    assert not is_final(caught.value)


@pytest.mark.parametrize("how", ["task", "row"])
def test_work_that_is_cancelled_stops_its_engine_and_leaves_nothing(how: str, desk: Desk) -> None:
    async def cancel(worker: JobWorker, run_id: str, task: Task) -> None:
        making = asyncio.create_task(worker.make(task, await worker.hash(task)))
        while (await asyncio.to_thread(desk.get, run_id)).stage != "separating":
            await asyncio.sleep(0.05)
        with desk.db.session() as session:
            session.get_one(Run, run_id).status = "cancelled"
        if how == "task":
            making.cancel()
        began = time.monotonic()
        with pytest.raises(asyncio.CancelledError if how == "task" else CancelledError):
            await making
        assert time.monotonic() - began < 20
        worker.files.tidy(task)

    work(desk, cancel, parts=1000, pause=0.1)
    assert desk.keys() == {"local/uploads/a"}


def test_who_leaves_hands_back_and_begins_nothing_more(desk: Desk) -> None:
    pool = EnginePool(CHILD, max_rss=1 << 40, max_calls=100)
    worker = JobWorker(desk.runs, desk.store, desk.config, pool)
    under_way, next_one = desk.run(desk.song("a")), desk.run(desk.song("b"))
    assert worker.begin(under_way)
    worker.leave()
    late = threading.Thread(target=worker.begin, args=(next_one,), daemon=True)
    late.start()
    late.join(0.5)
    assert late.is_alive()
    assert [(run.status, run.attempts) for run in desk.rows(Run)] == [("queued", 0), ("queued", 0)]


def key(desk: Desk, *, device: str = "auto", repo: Path | None = None, **changes: Any) -> str:
    config = replace(desk.config, device=device, repo=repo)
    return separation_key("p" * 64, options(**changes), model="sketch", config=config)


def test_weights_that_change_change_the_key(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert key(desk) == key(desk, repo=tmp_path / "nowhere")
    weights = tmp_path / "weights"
    weights.mkdir()
    keys = {key(desk)}
    for content in (b"1", b"12"):
        (weights / "a.th").write_bytes(content)
        keys.add(key(desk, repo=weights))
    family, info = find_model("sketch")
    part = Remote(model="sketch", url="https://example.org/other", sha256="0" * 64)
    other = replace(info, publishers=(Publisher(name="other", parts=(part,), licence="MIT"),))
    monkeypatch.setattr("stemwright.engine.choice.catalogue.find_model", lambda *_, **__: (family, other))
    keys.add(key(desk))
    assert len(keys) == 4


def test_stems_of_an_older_pipeline_or_another_precision_are_not_those_that_are_wanted(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = key(desk)
    assert key(desk, device="cuda/half") != key(desk, device="cuda") == before
    monkeypatch.setattr("stemwright.engine.key.PIPELINE", -1)
    assert key(desk) != before


def test_every_setting_that_can_change_a_sample_is_in_the_key(desk: Desk) -> None:
    values: dict[str, Any] = {
        "stems": ("vocals",),
        "sample_rate": 8000,
        "overlap": 0.5,
        "shifts": 2,
        "segment": 5.0,
        "exact": False,
        "format": "flac24",
    }
    assert values.keys() >= SeparationSettings.model_fields.keys()
    keys = {key(desk, **{name: value}) for name, value in values.items()}
    assert len(keys | {key(desk)}) == len(values) + 1
    assert key(desk, format="mp3", preview=True, transcribe=True, max_duration=9.0) == key(desk)


def test_disk_without_room_for_the_work_is_told_as_that(desk: Desk, disk: Callable[[str], Path]) -> None:
    with pytest.raises(DiskFullError):
        work(replace(desk, config=replace(desk.config, work=disk("nr_inodes=1"))), make)
