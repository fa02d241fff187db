"""A job in the words of the Demucs web server."""

from __future__ import annotations

import re
import uuid
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doors.snapshots import CREATED, snapshot
from stemwright.doors.demucs_web import words
from stemwright.studio.store.tables import new_id

job = partial(snapshot, progress=45.7)


def test_ids_are_uuids_of_version_4_and_come_back() -> None:
    for _ in range(50):
        plain = new_id()
        text = words.uuid_of(plain)
        assert str(uuid.UUID(text)) == text
        assert (uuid.UUID(text).version, uuid.UUID(text).variant) == (4, uuid.RFC_4122)
        assert words.job_id_of(text) == plain


@given(st.text(max_size=80) | st.none() | st.integers() | st.uuids(version=4).map(str))
def test_no_other_id_is_taken_for_one(text: object) -> None:
    found = words.job_id_of(text)
    assert not found or words.uuid_of(found) == text


@pytest.mark.parametrize("wrong", ["01A20096-D4F3-4076-A540-0CD27D593D00", "01a20096d4f30765400cd27d593d", "../x", 7])
def test_ids_that_are_not_ours_are_none(wrong: object) -> None:
    assert words.job_id_of(wrong) == ""


def test_percent_is_whole_and_a_hundred_only_when_all_is_there() -> None:
    assert words.progress_of(job()) == 45
    assert words.progress_of(job(progress=99.9, stage="saving")) == 99
    assert words.progress_of(job(progress=100.0)) == 99
    assert words.progress_of(job(status="succeeded", progress=100.0)) == 100


def test_times_are_as_in_the_document() -> None:
    assert words.whole(CREATED) == "2025-10-26T10:30:00Z"
    assert words.whole(CREATED + 15.487) == "2025-10-26T10:30:15Z"
    assert words.whole(None) is None
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", words.end_of(job(eta_seconds=90.0)) or "")
    assert words.end_of(job()) is None


def test_statuses_are_the_documents_four() -> None:
    known = {one: words.status_of(job(status=one)) for one in ("queued", "running", "succeeded", "failed", "cancelled")}
    assert [*known.values()] == ["queued", "processing", "completed", "failed", "failed"]
    assert words.message_of(job(status="cancelled")) == "the job was cancelled"
    assert words.message_of(job(status="queued", position=3)) == "Waiting; 2 before it"
