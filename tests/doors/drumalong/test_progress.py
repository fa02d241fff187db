"""A job's stages as Drumalong names them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from doors.drumalong.game import RANGES, stages
from doors.snapshots import snapshot
from stemwright.doors.drumalong.progress import SPANS, StageMessage, Telling, stage_of, status_of
from stemwright.studio.stages import SHARES

if TYPE_CHECKING:
    from stemwright.studio.snapshot import JobSnapshot


def job(stage: str, progress: float, **more: Any) -> JobSnapshot:
    return snapshot(stage=stage, progress=progress, **more)


DONE = job("done", 100.0, status="succeeded")


def test_every_stage_of_a_job_has_its_place_and_percent_never_leaves_the_documents_ranges() -> None:
    assert SPANS.keys() == SHARES.keys() | {"queued"}
    last = 0
    for stage, (low, high) in SHARES.items():
        if stage == "preview":  # jobs of this door have none
            continue
        for step in range(101):
            name, percent = stage_of(job(stage, low + (high - low) * step / 100))
            assert RANGES[name][0] <= percent <= RANGES[name][1]
            assert percent >= last, (stage, step)
            last = percent
    assert last == 100


def test_ranges_are_the_documents_at_their_ends() -> None:
    assert stage_of(job("hashing", 4.0)) == ("hashing", 10)
    assert stage_of(job("separating", 12.0)) == ("separating", 10)
    assert stage_of(job("encoding", 95.0)) == ("separating", 70)
    assert stage_of(job("transcribing", 98.0)) == ("transcribing", 90)
    assert stage_of(job("transcribing", 20.0)) == ("transcribing", 70)  # a chart for stems that were there
    assert stage_of(job("saving", 98.0)) == ("saving", 90)
    assert stage_of(DONE) == ("complete", 100)


def test_stages_that_were_too_quick_to_be_seen_are_told_in_order() -> None:
    telling = Telling()
    told = telling.messages(job("separating", 50.0)) + telling.messages(DONE)
    assert stages([message.model_dump() for message in told]) == [*RANGES]
    assert [message.progress for message in told] == [0, 37, 70, 90, 100]
    assert telling.messages(DONE)[0].stage == "complete"


def test_song_that_was_known_skips_the_work() -> None:
    told = Telling().messages(DONE, cached=True)
    assert [(message.stage, message.progress) for message in told] == [("hashing", 0), ("complete", 100)]
    assert told[-1].cached is True
    assert Telling().messages(DONE)[-1].cached is False


def test_failure_says_why_but_not_what_is_ours_alone() -> None:
    bad = job("hashing", 2.0, status="failed", error={"code": "corrupt", "message": "song.mp3: it is damaged"})
    assert Telling().messages(bad) == [StageMessage(stage="failed", progress=5, message="song.mp3: it is damaged")]
    for code in ("internal", "engine_crashed", "out_of_memory"):
        bug = job("hashing", 2.0, status="failed", error={"code": code, "message": "KeyError: /srv/secret"})
        assert "secret" not in Telling().messages(bug)[0].message
    gone = job("cancelled", 2.0, status="cancelled", error=None)
    assert Telling().messages(gone)[0].message == "the job was cancelled"
    assert {status_of(one) for one in (bad, bug, gone)} == {"failed"}
