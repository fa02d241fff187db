"""Files that are announced first: to a folder and to a bucket, on SQLite and on PostgreSQL."""

from __future__ import annotations

import dataclasses
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import pytest
from sqlalchemy import select, update

from sounds import sound, write_wav
from stemwright.disk import sha256_of
from stemwright.errors import (
    ConflictError,
    EmptyInputError,
    JobNotFoundError,
    NotAudioError,
    StorageUnavailableError,
    TooLargeError,
    UnknownModelError,
)
from stemwright.studio import uploads
from stemwright.studio.options import JobOptions
from stemwright.studio.store.objects import ObjectStore, Storage
from stemwright.studio.store.tables import Job, PendingUpload, Run, Song
from stemwright.studio.submit import JobRequest, Upload, submit_announced, submit_song, submit_upload
from stemwright.studio.uploads import (
    Announcement,
    Opened,
    TooManyUploadsError,
    UploadExpiredError,
    UploadIncompleteError,
    WrongDigestError,
    drop_upload,
    open_upload,
)
from stemwright.studio.work.retention import sweep
from studio.shelves import idle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from s3 import S3
    from stemwright.studio.studio import Studio

ME = "local"
DAY = 86_400.0


@pytest.fixture(params=["folder", "bucket"])
def studio(request: pytest.FixtureRequest, tmp_path: Path, database_url: str) -> Iterator[Studio]:
    """A studio whose queue nobody works on."""
    with idle(tmp_path, database_url) as made:
        given = {"upload_max_bytes": 10_000_000}
        if request.param == "bucket":
            s3: S3 = request.getfixturevalue("s3")
            given["store"] = ObjectStore(s3.storage())  # type: ignore[assignment]
        yield dataclasses.replace(made, **given)  # type: ignore[arg-type]


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write_wav(tmp_path / "song.wav", sound("song", seconds=1), bits=16)


def announced(studio: Studio, path: Path, *, owner: str = ME, name: str = "Träumerei.wav") -> Opened:
    file = Announcement(name=name, size_bytes=path.stat().st_size, sha256=sha256_of(path))
    return open_upload(studio, file, owner=owner)


def send(studio: Studio, opened: Opened, path: Path) -> None:
    """Send a file where it is to go, as the API does where that is the API."""
    if opened.url:
        httpx.put(opened.url, content=path.read_bytes(), headers=opened.headers).raise_for_status()
        return
    checksum = opened.headers["x-amz-checksum-sha256"]
    file = uploads.awaited(studio, str(opened.upload_id), owner=ME, checksum_sent=checksum)
    uploads.store_upload(studio, file, path, digest=sha256_of(path))


def request(*, key: str | None = None, **options: object) -> JobRequest:
    return JobRequest(options=JobOptions.model_validate(options), idempotency_key=key)


def keys(studio: Studio) -> set[str]:
    return {stored.key for stored in studio.store.list()}


def rows(studio: Studio, table: type[Job | PendingUpload | Run | Song]) -> int:
    with studio.db.session() as session:
        return len(session.scalars(select(table.id)).all())


def counts(studio: Studio) -> tuple[int, ...]:
    return tuple(rows(studio, table) for table in (PendingUpload, Song, Run, Job))


def test_announced_file_becomes_the_song_that_a_form_would_have_made(studio: Studio, song: Path) -> None:
    opened = announced(studio, song)
    assert opened.expires_at
    assert 3500 < opened.expires_at - time.time() < 3700
    send(studio, opened, song)
    job, new = submit_announced(studio, str(opened.upload_id), request(), owner=ME)
    assert new
    assert (job.status, job.position) == ("queued", 1)
    key = f"{ME}/uploads/{opened.upload_id}"
    assert keys(studio) == {key}  # the song has taken the object over
    assert counts(studio) == (0, 1, 1, 1)
    with studio.db.session() as session:
        made = session.scalars(select(Song)).one()
        facts = made.id, made.title, made.file_name, made.source_digest, made.size_bytes, made.upload_key
    assert facts[1:] == ("Träumerei", "Träumerei.wav", sha256_of(song), song.stat().st_size, key)
    again = studio.incoming / "again"
    again.write_bytes(song.read_bytes())
    form = Upload(path=again, name="x.wav", digest=facts[3], size_bytes=facts[4])
    same, _ = submit_upload(studio, form, request(), owner=ME)
    assert same.song_id == facts[0]
    assert counts(studio) == (0, 1, 1, 2)


def test_bytes_that_the_library_has_need_not_be_sent(studio: Studio, song: Path) -> None:
    opened = announced(studio, song)
    send(studio, opened, song)
    job, _ = submit_announced(studio, str(opened.upload_id), request(), owner=ME)
    known = announced(studio, song)
    assert (known.upload_id, known.song_id, known.url, known.headers) == (None, job.song_id, None, {})
    assert submit_song(studio, str(known.song_id), request(), owner=ME)[0].song_id == job.song_id
    assert announced(studio, song, owner="other").song_id is None
    track = Announcement(name="f.mkv", size_bytes=song.stat().st_size, sha256=sha256_of(song), track=2)
    assert open_upload(studio, track, owner=ME).song_id is None  # another track is another song


def test_file_of_a_song_that_came_meanwhile_goes(studio: Studio, song: Path) -> None:
    first, second = announced(studio, song), announced(studio, song)
    for one in (first, second):
        send(studio, one, song)
    jobs = [submit_announced(studio, str(one.upload_id), request(), owner=ME)[0] for one in (first, second)]
    assert len({job.song_id for job in jobs}) == 1
    assert keys(studio) == {f"{ME}/uploads/{first.upload_id}"}
    assert counts(studio) == (0, 1, 1, 2)


def test_what_is_not_there_is_incomplete_and_can_still_come(studio: Studio, song: Path) -> None:
    opened = announced(studio, song)
    with pytest.raises(UploadIncompleteError) as caught:
        submit_announced(studio, str(opened.upload_id), request(), owner=ME)
    assert (caught.value.code, caught.value.status) == ("upload_incomplete", 409)
    studio.store.put(f"{ME}/uploads/{opened.upload_id}", song.read_bytes()[:-1])  # as a bucket never lets it come
    with pytest.raises(UploadIncompleteError):
        submit_announced(studio, str(opened.upload_id), request(), owner=ME)
    assert counts(studio) == (1, 0, 0, 0)
    send(studio, opened, song)
    assert submit_announced(studio, str(opened.upload_id), request(), owner=ME)[1]


def test_upload_of_another_owner_is_not_there(studio: Studio, song: Path) -> None:
    opened = announced(studio, song)
    send(studio, opened, song)
    for ours in (str(opened.upload_id), "nothing"):
        with pytest.raises(JobNotFoundError):
            submit_announced(studio, ours, request(), owner="other")
        with pytest.raises(JobNotFoundError):
            uploads.awaited(studio, ours, owner="other", checksum_sent=opened.headers["x-amz-checksum-sha256"])
        with pytest.raises(JobNotFoundError):
            drop_upload(studio, ours, owner="other")
    assert len(keys(studio)) == 1
    drop_upload(studio, str(opened.upload_id), owner=ME)
    assert keys(studio) == set()
    assert counts(studio) == (0, 0, 0, 0)


def test_what_is_not_audio_leaves_nothing(studio: Studio, tmp_path: Path) -> None:
    path = tmp_path / "words"
    path.write_bytes(b"No sound at all. " * 100)
    opened = announced(studio, path, name="words.wav")
    send(studio, opened, path)
    with pytest.raises(NotAudioError, match=r"words\.wav"):
        submit_announced(studio, str(opened.upload_id), request(), owner=ME)
    assert keys(studio) == set()
    assert counts(studio) == (0, 0, 0, 0)


def test_long_tag_before_the_audio_is_passed_over(studio: Studio, tmp_path: Path) -> None:
    """Of an MP3 with a large cover the first 64 KiB hold no audio."""
    path, cover = tmp_path / "cover.mp3", 300_000
    size = bytes((cover >> shift) & 0x7F for shift in (21, 14, 7, 0))
    frame = b"\xff\xfb\x90\x00" + bytes(413)
    path.write_bytes(b"ID3\x04\x00\x00" + size + bytes(cover) + frame * 20)
    opened = announced(studio, path)
    send(studio, opened, path)
    assert submit_announced(studio, str(opened.upload_id), request(), owner=ME)[1]


def test_request_that_cannot_work_leaves_the_upload_for_another_try(studio: Studio, song: Path) -> None:
    opened = announced(studio, song)
    send(studio, opened, song)
    with pytest.raises(UnknownModelError):
        submit_announced(studio, str(opened.upload_id), request(model="nothing"), owner=ME)
    assert submit_announced(studio, str(opened.upload_id), request(), owner=ME)[1]


def test_second_submission_is_not_found_unless_it_repeats_the_first(studio: Studio, song: Path) -> None:
    opened = announced(studio, song)
    send(studio, opened, song)
    first, new = submit_announced(studio, str(opened.upload_id), request(key="once"), owner=ME)
    again, repeated = submit_announced(studio, str(opened.upload_id), request(key="once"), owner=ME)
    assert (new, repeated, again.id) == (True, False, first.id)
    with pytest.raises(ConflictError):
        submit_announced(studio, "another", request(key="once"), owner=ME)
    with pytest.raises(JobNotFoundError):
        submit_announced(studio, str(opened.upload_id), request(), owner=ME)


@pytest.mark.parametrize("key", [None, "same"])
def test_of_sixteen_at_once_one_gets_the_upload(studio: Studio, song: Path, key: str | None) -> None:
    opened = announced(studio, song)
    send(studio, opened, song)

    def submit(_: int) -> str | None:
        try:
            return submit_announced(studio, str(opened.upload_id), request(key=key), owner=ME)[0].id
        except JobNotFoundError:
            return None

    with ThreadPoolExecutor(16) as pool:
        jobs = list(pool.map(submit, range(16)))
    assert len({job for job in jobs if job}) == 1
    assert (None in jobs) == (key is None)
    assert counts(studio) == (0, 1, 1, 1)
    assert len(keys(studio)) == 1


def test_two_replicas_that_share_all_take_the_same_song_at_once(studio: Studio, song: Path) -> None:
    other = dataclasses.replace(studio, store=ObjectStore(studio.store._storage))

    def one(replica: Studio) -> str | None:
        opened = announced(replica, song)
        if opened.song_id:
            return submit_song(replica, opened.song_id, request(), owner=ME)[0].song_id
        send(replica, opened, song)
        return submit_announced(replica, str(opened.upload_id), request(), owner=ME)[0].song_id

    with ThreadPoolExecutor(8) as pool:
        songs = set(pool.map(one, [studio, other] * 4))
    assert len(songs) == 1
    assert counts(studio) == (0, 1, 1, 8)
    assert len(keys(studio)) == 1


def test_limits_hold_before_anything_comes(studio: Studio, song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = "a" * 64
    with pytest.raises(TooLargeError):
        open_upload(studio, Announcement(name="a", size_bytes=10_000_001, sha256=digest), owner=ME)
    with pytest.raises(EmptyInputError):
        open_upload(studio, Announcement(name="a", size_bytes=0, sha256=digest), owner=ME)
    monkeypatch.setattr(uploads, "MOST_OPEN", 3)
    opened = [announced(studio, song) for _ in range(3)]
    with pytest.raises(TooManyUploadsError) as caught:
        announced(studio, song)
    assert (caught.value.status, caught.value.retryable) == (429, True)
    assert announced(studio, song, owner="other").upload_id  # each owner has its own
    drop_upload(studio, str(opened[0].upload_id), owner=ME)
    assert announced(studio, song).upload_id


def test_api_takes_no_other_bytes_and_none_too_late(studio: Studio, song: Path, tmp_path: Path) -> None:
    opened = announced(studio, song)
    upload, checksum = str(opened.upload_id), opened.headers["x-amz-checksum-sha256"]
    for wrong in (None, "", uploads.checksum("b" * 64)):
        with pytest.raises(WrongDigestError):
            uploads.awaited(studio, upload, owner=ME, checksum_sent=wrong)
    file = uploads.awaited(studio, upload, owner=ME, checksum_sent=checksum)
    with pytest.raises(WrongDigestError):
        uploads.store_upload(studio, file, song, digest="b" * 64)
    assert keys(studio) == set()
    _age(studio, 3601)
    with pytest.raises(UploadExpiredError) as caught:
        uploads.awaited(studio, upload, owner=ME, checksum_sent=checksum)
    assert caught.value.status == 403


def _age(studio: Studio, seconds: float) -> None:
    """Let all uploads have been announced so long ago."""
    with studio.db.session() as session:
        session.execute(update(PendingUpload).values(created_at=PendingUpload.created_at - seconds))


def test_upload_that_is_never_submitted_goes_after_a_day_and_not_before(studio: Studio, song: Path) -> None:
    sent, bare = announced(studio, song), announced(studio, song)
    send(studio, sent, song)
    config = replace(studio.config, sweep_grace=-60)  # all that no row knows is old
    assert sweep(studio.db, studio.store, config) == {}
    assert len(keys(studio)) == 1
    _age(studio, DAY - 60)
    assert sweep(studio.db, studio.store, config) == {}
    job, _ = submit_announced(studio, str(sent.upload_id), request(), owner=ME)
    assert job.song_id
    late = announced(studio, song, owner="other")
    send_as(studio, late, song, owner="other")
    _age(studio, 120)
    assert sweep(studio.db, studio.store, config) == {"uploads": 1}  # `bare`
    with pytest.raises(JobNotFoundError):
        submit_announced(studio, str(bare.upload_id), request(), owner=ME)
    _age(studio, DAY)
    assert sweep(studio.db, studio.store, config) == {"uploads": 1}
    assert keys(studio) == {f"{ME}/uploads/{sent.upload_id}"}  # the song's


def send_as(studio: Studio, opened: Opened, path: Path, *, owner: str) -> None:
    studio.store.put_file(path, f"{owner}/uploads/{opened.upload_id}")


def test_while_the_store_is_away_nothing_is_made_and_the_upload_stays(
    studio: Studio, song: Path, tmp_path: Path
) -> None:
    opened = announced(studio, song)
    send(studio, opened, song)
    nowhere = ObjectStore(
        Storage(url="s3://b/p", endpoint="http://127.0.0.1:9", access_key_id="a", secret_access_key="b")
    )
    with pytest.raises(StorageUnavailableError):
        submit_announced(dataclasses.replace(studio, store=nowhere), str(opened.upload_id), request(), owner=ME)
    assert counts(studio) == (1, 0, 0, 0)
    assert submit_announced(studio, str(opened.upload_id), request(), owner=ME)[1]
