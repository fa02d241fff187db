"""The object store over a real S3 server: links, refusals, outages."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from s3 import KEY, SECRET, free_ports
from stemwright.errors import NotFoundError, StorageUnavailableError
from stemwright.studio.store.objects import ObjectStore, Storage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from s3 import S3

SOON = 8.0  # seconds within which a store that is away is told
NAME = "inline; filename=\"M_sic.flac\"; filename*=UTF-8''M%C3%BCsic.flac"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def works(store: ObjectStore, folder: Path) -> dict[str, Callable[[], object]]:
    """All that can be asked of a store. Other keys are written: a server that hung may do it all once it goes on."""
    small, large = folder / "small", folder / "large"
    small.write_bytes(b"x")
    large.write_bytes(b"x" * 7_000_000)

    async def read() -> list[bytes]:
        return [piece async for piece in store.read("local/uploads/k", start=0, end=3_000_000)]

    return {
        "ping": store.ping,
        "head": lambda: store.head("local/uploads/k"),
        "get": lambda: store.get("local/uploads/k"),
        "fetch": lambda: store.fetch("local/uploads/k", folder / "fetched"),
        "pieces": lambda: list(store.pieces("local/uploads/k")),
        "read": lambda: asyncio.run(read()),
        "list": lambda: list(store.list()),
        "put": lambda: store.put("local/uploads/w", b"x"),
        "put small": lambda: store.put_file(small, "local/uploads/w"),
        "put large": lambda: store.put_file(large, "local/uploads/w"),
        "delete": lambda: store.delete(["local/uploads/w"]),
        "delete many": lambda: store.delete(["local/uploads/w", "local/uploads/v"]),
    }


def refuses(storage: Storage, folder: Path, *names: str) -> None:
    """Whatever is asked, the store is told to be away, soon, and nothing of where it is."""
    parts = urlsplit(storage.url)
    hidden = {parts.netloc, parts.path, storage.endpoint or "", KEY, SECRET, "127.0.0.1", "uploads", str(folder)}
    asked = works(ObjectStore(storage), folder)

    def ask(name: str) -> None:
        began = time.monotonic()
        with pytest.raises(StorageUnavailableError) as caught:
            asked[name]()
        assert time.monotonic() - began < SOON, name
        assert (caught.value.code, caught.value.status, caught.value.retryable) == ("storage_unavailable", 503, True)
        assert not [word for word in hidden if word and word in caught.value.message], caught.value.message

    with ThreadPoolExecutor(len(asked)) as pool:
        list(pool.map(ask, names or asked))


def test_store_that_refuses_connections_is_away(s3: S3, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    refuses(s3.storage(endpoint=f"http://127.0.0.1:{free_ports(1)[0]}"), tmp_path)
    assert "127.0.0.1" in str([vars(record) for record in caplog.records])  # the operator is told
    assert SECRET not in str([vars(record) for record in caplog.records])


def test_store_that_hangs_is_away_within_seconds_and_back_when_it_goes_on(s3: S3, tmp_path: Path) -> None:
    storage = s3.storage()
    store = ObjectStore(storage)
    store.put("local/uploads/k", b"sound")
    s3.hang()
    try:
        refuses(storage, tmp_path)
    finally:
        s3.go_on()
    assert store.get("local/uploads/k") == b"sound"
    store.put("local/uploads/l", b"more")
    store.ping()


def test_store_that_was_killed_and_started_again_has_what_it_had(s3: S3, tmp_path: Path) -> None:
    storage = s3.storage()
    store = ObjectStore(storage)
    store.put("local/uploads/k", b"sound")
    s3.kill()
    try:
        refuses(storage, tmp_path)
    finally:
        s3.start()
    assert store.get("local/uploads/k") == b"sound"


def test_wrong_secret_and_unknown_key_are_no_missing_object(s3: S3, tmp_path: Path) -> None:
    refuses(s3.storage(secret="guessed"), tmp_path)
    refuses(replace(s3.storage(), access_key_id="AKIANOBODY"), tmp_path)


def test_bucket_that_is_not_there_is_no_missing_object(s3: S3, tmp_path: Path) -> None:
    refuses(
        s3.storage(bucket="no-such-bucket"),
        tmp_path,
        "ping",
        "head",
        "get",
        "fetch",
        "pieces",
        "read",
        "list",
        "put large",
    )


def test_object_that_goes_while_it_is_read_is_told(s3: S3) -> None:
    store = ObjectStore(s3.storage())
    store.put("a", bytes(3_000_000))

    async def read() -> None:
        pieces = store.read("a", start=0, end=3_000_000)
        assert len(await anext(pieces)) == 1 << 18
        await asyncio.to_thread(store.delete, ["a"])
        with pytest.raises(NotFoundError):
            async for _ in pieces:
                pass

    asyncio.run(read())


def test_bucket_without_a_prefix_and_one_with_a_longer_one_do_not_see_each_other(s3: S3) -> None:
    long = s3.storage()
    short = replace(long, url=long.url.rpartition("/")[0])
    ObjectStore(long).put("a", b"1")
    ObjectStore(short).put("b", b"2")
    assert [one.key for one in ObjectStore(long).list()] == ["a"]
    assert {one.key for one in ObjectStore(short).list()} == {"b", "studio/a"}


def test_link_gives_the_file_under_a_name_and_a_type(s3: S3) -> None:
    store = ObjectStore(s3.storage())
    for key in ("local/separations/r/1/vocals.flac", "local/x y/ü+1=2&3%41.flac"):
        store.put(key, b"0123456789")
        link = store.link(key, seconds=60, disposition=NAME, media_type="audio/flac")
        assert link
        assert SECRET not in link
        answer = httpx.get(link)
        assert (answer.status_code, answer.content) == (200, b"0123456789")
        assert (answer.headers["content-type"], answer.headers["content-disposition"]) == ("audio/flac", NAME)
        part = httpx.get(link, headers={"Range": "bytes=2-4"})
        assert (part.status_code, part.content) == (206, b"234")
        assert httpx.put(link, content=b"evil").status_code == 403
        assert httpx.delete(link).status_code == 403
        for changed in (
            link.replace("flac?", "wav?"),
            link.replace("X-Amz-Expires=60", "X-Amz-Expires=600"),
            link.replace("audio%2Fflac", "text%2Fhtml"),
            link.replace("filename", "attachment"),
            re.sub(r".$", lambda last: "0" if last[0] != "0" else "1", link),
            link.partition("?")[0],
        ):
            assert changed != link
            assert httpx.get(changed).status_code == 403, changed
        assert store.get(key) == b"0123456789"


def test_link_runs_out(s3: S3) -> None:
    store = ObjectStore(s3.storage())
    store.put("a", b"1")
    link = store.link("a", seconds=1, disposition=NAME, media_type="audio/flac")
    assert link
    assert httpx.get(link).status_code == 200
    time.sleep(2.5)
    assert httpx.get(link).status_code in {400, 403}


def test_upload_link_takes_one_content_and_no_other(s3: S3) -> None:
    store = ObjectStore(s3.storage())
    content = b"sound" * 1000
    made = store.upload_link("local/uploads/u", size_bytes=len(content), sha256=sha256(content), seconds=60)
    assert made
    url, headers = made
    assert headers.keys() == {"content-length", "x-amz-checksum-sha256"}
    assert parse_qs(urlsplit(url).query)["X-Amz-SignedHeaders"] == ["content-length;host;x-amz-checksum-sha256"]
    other = content[::-1]
    digest = {"x-amz-checksum-sha256": headers["x-amz-checksum-sha256"]}
    cases = [
        (403, httpx.put(url, content=content[1:], headers=digest)),  # another length
        (403, httpx.put(url, content=content + b"x", headers=digest)),
        (400, httpx.put(url, content=other, headers=headers)),  # other bytes
        (403, httpx.put(url, content=content)),  # no digest
        (403, httpx.put(url.replace("/uploads/u?", "/uploads/v?"), content=content, headers=headers)),
        (403, httpx.put(url.replace("Expires=60", "Expires=61"), content=content, headers=headers)),
        (403, httpx.get(url, headers=digest)),
    ]
    assert [answer.status_code for _, answer in cases] == [status for status, _ in cases]
    assert not list(store.list())
    assert httpx.put(url, content=content, headers=headers).status_code == 200
    assert store.get("local/uploads/u") == content


def test_upload_link_runs_out(s3: S3) -> None:
    made = ObjectStore(s3.storage()).upload_link("u", size_bytes=1, sha256=sha256(b"x"), seconds=1)
    assert made
    time.sleep(2.5)
    assert httpx.put(made[0], content=b"x", headers=made[1]).status_code in {400, 403}


def test_public_bucket_has_plain_links_and_a_folder_none(s3: S3, tmp_path: Path) -> None:
    storage = replace(s3.storage(), url="s3://tests/a", public_url="https://pub-1.r2.dev")
    link = ObjectStore(storage).link("local/ü b.flac", seconds=60, disposition=NAME, media_type="audio/flac")
    assert link == "https://pub-1.r2.dev/a/local/%C3%BC%20b.flac"
    folder = ObjectStore(Storage(url=f"file://{tmp_path}/objects"))
    assert folder.link("a", seconds=60, disposition=NAME, media_type="audio/flac") is None
    assert folder.upload_link("a", size_bytes=1, sha256=sha256(b"x"), seconds=60) is None


def test_key_of_amazon_s_own_variables_signs_plain_links_and_no_uploads(
    s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    store = ObjectStore(replace(s3.storage(), access_key_id=None, secret_access_key=None))
    store.put("a", b"sound")
    link = store.link("a", seconds=60, disposition=NAME, media_type="audio/flac")
    assert link
    assert httpx.get(link).content == b"sound"
    assert store.upload_link("a", size_bytes=1, sha256=sha256(b"x"), seconds=60) is None


def test_secret_is_not_shown_by_what_holds_it(s3: S3) -> None:
    assert SECRET not in repr(s3.storage())
