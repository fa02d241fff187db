from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from doors.runpod.s3 import bucket
from stemwright.doors.runpod.config import Storage
from stemwright.doors.runpod.results import ResultStore
from stemwright.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with bucket("results") as address:
        yield address


def local(folder: Path, **how: float | str) -> ResultStore:
    return ResultStore(Storage(url=f"file://{folder}", **how))  # type: ignore[arg-type]


def asked(link: str) -> tuple[str, str, str]:
    """Key, expiry and signature of a link."""
    parts = urlsplit(link)
    query = parse_qs(parts.query)
    return parts.path.removeprefix("/files/"), query["expires"][0], query["signature"][0]


def test_link_to_a_folder_is_good_as_it_is_and_no_other(tmp_path: Path) -> None:
    store = local(tmp_path)
    link = store.link("a/vocals.wav", base="http://door:1")
    assert link.startswith("http://door:1/files/a/vocals.wav?")
    key, expires, signature = asked(link)
    assert store.object_of(key, expires=expires, signature=signature) == "jobs/a/vocals.wav"
    again = local(tmp_path)  # another process, the same key
    assert again.object_of(key, expires=expires, signature=signature) == "jobs/a/vocals.wav"
    for other in (
        ("a/drums.wav", expires, signature),
        ("../signing.key", expires, signature),
        (key, str(int(expires) + 1), signature),
        (key, expires, signature[:-1] + "0" * (signature[-1] != "0") + "1" * (signature[-1] == "0")),
        (key, expires, ""),
        (key, expires, "é"),
        (key, "", signature),
        (key, "9" * 30, signature),
        (key, "-1", signature),
    ):
        assert store.object_of(other[0], expires=other[1], signature=other[2]) is None
    assert local(tmp_path / "elsewhere").object_of(key, expires=expires, signature=signature) is None


def test_link_runs_out(tmp_path: Path) -> None:
    key, expires, signature = asked(local(tmp_path, link_seconds=-1.0).link("a/b.wav", base="http://d"))
    assert local(tmp_path).object_of(key, expires=expires, signature=signature) is None


def test_folder_has_links_of_its_public_address_or_of_its_disk(tmp_path: Path) -> None:
    store = local(tmp_path, public_url="https://stems.example.org")
    assert store.link("a/b.wav", base="http://inside").startswith("https://stems.example.org/files/a/b.wav?")
    assert local(tmp_path).link("a/b.wav") == f"file://{tmp_path}/jobs/a/b.wav"


def test_only_what_is_old_is_swept_and_the_key_stays(tmp_path: Path) -> None:
    store = local(tmp_path)
    (tmp_path / "song.wav").write_bytes(b"sound")
    for name in ("vocals", "drums"):
        store.put_file(tmp_path / "song.wav", f"a/{name}.wav")
    assert store.sweep(older_than=time.time() - 60) == 0
    assert (tmp_path / "jobs" / "a" / "vocals.wav").read_bytes() == b"sound"
    assert store.sweep(older_than=time.time() + 60) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["jobs", "signing.key", "song.wav"]
    assert not list((tmp_path / "jobs").iterdir())


def test_bucket_holds_results_behind_links_that_s3_signs(s3: str, tmp_path: Path) -> None:
    storage = Storage(
        url="s3://results/some/prefix",
        endpoint=s3,
        region="us-east-1",
        access_key_id="key",
        secret_access_key="secret",
        link_seconds=600,
    )
    store = ResultStore(storage)
    path = tmp_path / "vocals.wav"
    path.write_bytes(b"sound" * 1000)
    store.put_file(path, "job-1/vocals.wav")
    note = tmp_path / "job.json"
    note.write_text("{}")
    store.put_file(note, "job-1/job.json")
    link = store.link("job-1/vocals.wav")
    assert link.startswith(f"{s3}/results/some/prefix/jobs/job-1/vocals.wav?")
    query = parse_qs(urlsplit(link).query)
    assert query["X-Amz-Expires"] == ["600"]
    assert {"X-Amz-Signature", "X-Amz-Credential"} <= query.keys()
    assert "secret" not in link
    assert httpx.get(link).content == path.read_bytes()
    [(job_id, content, at)] = store.old_notes()
    assert (job_id, content) == ("job-1", b"{}")
    assert at == pytest.approx(time.time(), abs=60)
    store.forget_note("job-1")
    assert not list(store.old_notes())
    assert store.object_of("job-1/vocals.wav", expires="9999999999", signature="") is None
    assert store.sweep(older_than=time.time() + 60) == 1
    assert httpx.get(link).status_code == 404


def test_failure_of_the_storage_says_nothing_of_its_keys(s3: str, tmp_path: Path) -> None:
    path = tmp_path / "vocals.wav"
    path.write_bytes(b"sound")
    for place in (Storage(url="s3://nothing", endpoint=s3, access_key_id="key", secret_access_key="hidden"),):
        with pytest.raises(OutputError) as caught:
            ResultStore(place).put_file(path, "job/vocals.wav")
        assert caught.value.message == "the object storage failed; the log says why"
