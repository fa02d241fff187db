from __future__ import annotations

import hashlib
import hmac
import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from s3 import free_ports
from stemwright.doors.runpod.config import Config
from stemwright.doors.runpod.results import ResultStore
from stemwright.errors import NotFoundError, StorageUnavailableError
from stemwright.studio.store.objects import ObjectStore, Storage

if TYPE_CHECKING:
    from pathlib import Path

    from s3 import S3


def local(folder: Path, **how: float | str) -> ResultStore:
    objects = ObjectStore(Storage(url=f"file://{folder / 'objects'}"))
    return ResultStore(objects, Config(**how), home=folder / "home")  # type: ignore[arg-type]


def asked(link: str) -> tuple[str, str, str]:
    """Key, expiry and signature of a link."""
    parts = urlsplit(link)
    query = parse_qs(parts.query)
    return parts.path.removeprefix("/files/"), query["expires"][0], query["signature"][0]


def put(store: ResultStore, *keys: str, content: bytes = b"sound") -> None:
    for key in keys:
        store.objects.put(f"doors/runpod/jobs/{key}", content)


def finds(store: ResultStore, key: str, expires: str, signature: str) -> str | None:
    found = store.find(key, expires=expires, signature=signature)
    return found.object_key if found else None


def test_link_to_a_folder_is_good_as_it_is_and_no_other(tmp_path: Path) -> None:
    store = local(tmp_path)
    put(store, "a/vocals.wav", "a/drums.wav")
    link = store.link("a/vocals.wav", base="http://door:1")
    assert link.startswith("http://door:1/files/a/vocals.wav?")
    key, expires, signature = asked(link)
    assert finds(store, key, expires, signature) == "doors/runpod/jobs/a/vocals.wav"
    again = local(tmp_path)  # another process, the same key
    assert finds(again, key, expires, signature) == "doors/runpod/jobs/a/vocals.wav"
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
        assert finds(store, *other) is None
    assert finds(local(tmp_path / "elsewhere"), key, expires, signature) is None


def test_link_to_a_result_that_has_expired_leads_nowhere(tmp_path: Path) -> None:
    store = local(tmp_path)
    with pytest.raises(NotFoundError):
        finds(store, *asked(store.link("a/b.wav", base="http://d")))


def test_link_runs_out(tmp_path: Path) -> None:
    store = local(tmp_path, link_seconds=-1.0)
    put(store, "a/b.wav")
    assert finds(store, *asked(store.link("a/b.wav", base="http://d"))) is None


def test_folder_has_links_of_its_public_address_or_of_its_disk(tmp_path: Path) -> None:
    store = local(tmp_path, public_url="https://stems.example.org")
    assert store.link("a/b.wav", base="http://inside").startswith("https://stems.example.org/files/a/b.wav?")
    assert local(tmp_path).link("a/b.wav") == f"file://{tmp_path}/objects/doors/runpod/jobs/a/b.wav"


def test_only_what_is_old_is_swept_and_the_key_stays(tmp_path: Path) -> None:
    store = local(tmp_path)
    put(store, "a/vocals.wav", "a/drums.wav")
    store.link("a/vocals.wav", base="http://d")
    store.objects.put("local/uploads/other", b"sound")
    assert store.sweep(older_than=time.time() - 60) == 0
    assert store.sweep(older_than=time.time() + 60) == 2
    assert [one.key for one in store.objects.list()] == ["doors/runpod/signing.key", "local/uploads/other"]


def earlier(home: Path, **results: bytes) -> tuple[str, str, str]:
    """The folder as earlier editions left it, with a link that they gave: key, expiry and signature."""
    for name, content in results.items():
        path = home / "jobs" / "job-1" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (home / "signing.key").write_bytes(bytes(range(32)))
    expires = str(int(time.time()) + 600)
    signature = hmac.new(bytes(range(32)), f"{expires}\njob-1/vocals.wav".encode(), hashlib.sha256).hexdigest()
    return "job-1/vocals.wav", expires, signature


@pytest.mark.parametrize("where", ["folder", "bucket"])
def test_results_of_an_earlier_edition_are_moved_and_links_to_them_stay_good(
    where: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    home = tmp_path / "home"
    given = earlier(home, vocals=b"sound" * 100, drums=b"beat")
    (home / "jobs" / "job-2").mkdir()
    (home / "jobs" / "job-2" / "job.json").write_text("{}")  # no note that we know
    store = local(tmp_path)
    if where == "bucket":
        server: S3 = request.getfixturevalue("s3")
        store = ResultStore(ObjectStore(server.storage()), Config(), home=home)
    assert store.adopt() == 2
    assert store.adopt() == 0
    assert sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()) == [
        "jobs/job-2/job.json",
        "signing.key",
    ]
    found = store.find(given[0], expires=given[1], signature=given[2])
    assert found
    assert (found.size_bytes, found.media_type, found.file_name) == (500, "audio/wav", "vocals.wav")
    assert store.objects.get(found.object_key) == b"sound" * 100
    if where == "bucket":
        assert httpx.get(store.link("job-1/drums.wav")).content == b"beat"
        return
    assert finds(store, *asked(store.link("job-1/drums.wav", base="http://d"))) == "doors/runpod/jobs/job-1/drums.wav"


def test_results_that_cannot_be_moved_now_stay_for_the_next_time(s3: S3, tmp_path: Path) -> None:
    home = tmp_path / "home"
    earlier(home, vocals=b"sound")
    nowhere = s3.storage(endpoint=f"http://127.0.0.1:{free_ports(1)[0]}")
    with pytest.raises(StorageUnavailableError):
        ResultStore(ObjectStore(nowhere), Config(), home=home).adopt()
    assert (home / "jobs" / "job-1" / "vocals.wav").read_bytes() == b"sound"
    assert ResultStore(ObjectStore(s3.storage()), Config(), home=home).adopt() == 1


def test_bucket_holds_results_behind_links_that_s3_signs(s3: S3, tmp_path: Path) -> None:
    storage = s3.storage()
    store = ResultStore(ObjectStore(storage), Config(link_seconds=600), home=tmp_path / "home")
    path = tmp_path / "vocals.wav"
    path.write_bytes(b"sound" * 1000)
    store.put_file(path, "job-1/vocals.wav")
    link = store.link("job-1/vocals.wav")
    assert link.startswith(f"{s3.endpoint}/{storage.url.removeprefix('s3://')}/doors/runpod/jobs/job-1/vocals.wav?")
    assert parse_qs(urlsplit(link).query)["X-Amz-Expires"] == ["600"]
    answer = httpx.get(link)
    assert answer.content == path.read_bytes()
    assert answer.headers["content-type"] == "audio/wav"
    assert 'filename="vocals.wav"' in answer.headers["content-disposition"]
    assert store.find("job-1/vocals.wav", expires="9999999999", signature="") is None
    assert store.sweep(older_than=time.time() + 60) == 1
    assert httpx.get(link).status_code == 404
