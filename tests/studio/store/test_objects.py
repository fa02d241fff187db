from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemwright.errors import DiskFullError, NotFoundError, OutputError
from stemwright.studio.store.objects import ObjectStore, Storage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from s3 import S3


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    """A folder."""
    return ObjectStore(Storage(url=f"file://{tmp_path / 'objects'}"))


@pytest.fixture(params=["folder", "bucket"])
def either(request: pytest.FixtureRequest) -> ObjectStore:
    """A folder, then a bucket of a real server: both keep one contract."""
    if request.param == "folder":
        folder: ObjectStore = request.getfixturevalue("store")
        return folder
    server: S3 = request.getfixturevalue("s3")
    return ObjectStore(server.storage())


def read(store: ObjectStore, key: str, start: int, end: int) -> bytes:
    async def collect() -> bytes:
        return b"".join([piece async for piece in store.read(key, start=start, end=end)])

    return asyncio.run(collect())


def test_file_that_was_stored_is_read_back_and_stays_where_it_was(either: ObjectStore, tmp_path: Path) -> None:
    path = tmp_path / "song"
    path.write_bytes(os.urandom(3_000_000))
    assert either.put_file(path, "local/uploads/abc") == 3_000_000
    assert path.read_bytes() == either.get("local/uploads/abc") == b"".join(either.pieces("local/uploads/abc"))
    assert [(one.key, one.size_bytes) for one in either.list()] == [("local/uploads/abc", 3_000_000)]


@pytest.mark.parametrize("size", [0, 1, 300_000, (20 << 20) + 7])
def test_object_of_any_size_comes_back_as_it_was(either: ObjectStore, tmp_path: Path, size: int) -> None:
    path, again = tmp_path / "song", tmp_path / "again"
    path.write_bytes(os.urandom(size))
    assert either.put_file(path, "a/b") == size
    assert either.head("a/b").size_bytes == size
    either.fetch("a/b", again)
    assert again.read_bytes() == b"".join(either.pieces("a/b")) == path.read_bytes() == read(either, "a/b", 0, size)
    for start, end in ((0, 0), (size // 3, size // 2), (max(0, size - 1), size), (size * 3 // 4, size)):
        assert read(either, "a/b", start, end) == path.read_bytes()[start:end]


def test_put_replaces_and_head_says_when(either: ObjectStore) -> None:
    either.put("a", b"first")
    either.put("a", b"second")
    assert either.get("a") == b"second"
    assert (either.head("a").key, either.head("a").size_bytes) == ("a", 6)
    assert either.head("a").modified == pytest.approx(time.time(), abs=60)
    either.ping()


@pytest.mark.parametrize("key", ["a b", "a+b=c&d", "100%41", "ü/ñ", "~a/..b", "a@b,c;d!$", "(x)'*:", "x" * 200])
def test_key_is_what_it_says(either: ObjectStore, key: str) -> None:
    either.put(f"k/{key}", key.encode())
    assert either.get(f"k/{key}") == key.encode()
    assert either.head(f"k/{key}").size_bytes == len(key.encode())
    assert [one.key for one in either.list("k")] == [f"k/{key}"]
    either.delete([f"k/{key}"])
    assert not list(either.list())


def test_many_are_deleted_in_one_go_whether_they_are_there_or_not(either: ObjectStore) -> None:
    keys = [f"a/{number:03}" for number in range(450)]
    for key in keys[:430]:
        either.put(key, b"")
    either.put("kept", b"")
    either.delete(keys)
    either.delete(keys[:1])
    either.delete([])
    assert [one.key for one in either.list()] == ["kept"]


@pytest.mark.parametrize("name", ["Music #1", "what?", "100%41", "ü b"])
def test_folder_is_where_its_name_says_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    store = ObjectStore(Storage(url=f"file://{tmp_path / name}/objects"))
    store.put("a/b", b"sound")
    assert (tmp_path / name / "objects" / "a" / "b").read_bytes() == b"sound"
    assert [one.key for one in store.list()] == ["a/b"]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_object_is_as_young_as_its_storing(either: ObjectStore, tmp_path: Path) -> None:
    path = tmp_path / "song"
    path.write_bytes(b"sound")
    os.utime(path, (1e9, 1e9))
    either.put_file(path, "a/b")
    assert next(either.list()).modified > time.time() - 60


def test_what_a_kill_left_half_stored_is_forgotten_once_it_is_old(store: ObjectStore) -> None:
    store.put("a/b", b"sound")
    assert store.folder
    for name, age in (("b#4711", 100), ("c#1", 100), ("d#12", 0)):
        (store.folder / "a" / name).write_bytes(b"half")
        os.utime(store.folder / "a" / name, (time.time() - age,) * 2)
    assert store.forget_partials(before=time.time() - 50) == 2
    assert sorted(path.name for path in (store.folder / "a").iterdir()) == ["b", "d#12"]


def test_file_on_another_disk_is_copied(store: ObjectStore, tmp_path: Path) -> None:
    path = tmp_path / "song"
    path.write_bytes(b"sound")
    os.link(path, tmp_path / "second")  # what cannot be linked is copied; here both ways must give the same
    store.put_file(path, "a/b")
    path.write_bytes(b"")
    store.put("c/d", b"sound")
    assert store.get("c/d") == b"sound"


def test_stored_object_is_replaced_whole(either: ObjectStore, tmp_path: Path) -> None:
    for content in (b"one", b"second"):
        path = tmp_path / content.decode()
        path.write_bytes(content)
        either.put_file(path, "a/b")
    assert either.get("a/b") == b"second"
    assert (tmp_path / "one").read_bytes() == b"one"
    assert len(list(either.list())) == 1


@settings(deadline=None, max_examples=30)
@given(size=st.integers(0, 3 << 20), part=st.tuples(st.integers(0, 3 << 20), st.integers(0, 3 << 20)))
def test_any_part_of_an_object_can_be_read(
    tmp_path_factory: pytest.TempPathFactory, size: int, part: tuple[int, int]
) -> None:
    store = ObjectStore(Storage(url=f"file://{tmp_path_factory.mktemp('objects')}"))
    content = (bytes(range(251)) * (size // 251 + 1))[:size]
    store.put("x", content)
    start, end = sorted(min(place, size) for place in part)
    assert read(store, "x", start, end) == content[start:end]


def test_what_is_not_there_is_an_error_of_ours(either: ObjectStore, tmp_path: Path) -> None:
    for action in (
        lambda: either.get("a"),
        lambda: either.head("a"),
        lambda: either.fetch("a", tmp_path / "x"),
        lambda: list(either.pieces("a")),
        lambda: read(either, "a", 0, 1),
    ):
        with pytest.raises(NotFoundError):
            action()


def test_deleting_leaves_no_empty_folders_and_may_be_repeated(store: ObjectStore, tmp_path: Path) -> None:
    store.put("a/b/c", b"1")
    store.put("a/d", b"2")
    store.delete(["a/b/c", "a/b/c", "not/there"])
    assert [one.key for one in store.list()] == ["a/d"]
    store.delete(["a/d"])
    assert list((tmp_path / "objects").iterdir()) == []


def test_fetched_file_outlives_its_object(either: ObjectStore, tmp_path: Path) -> None:
    either.put("a", b"sound")
    either.fetch("a", tmp_path / "local")
    either.delete(["a"])
    assert (tmp_path / "local").read_bytes() == b"sound"


def test_listing_goes_by_folders(either: ObjectStore) -> None:
    for key in ("one/a", "one/b/c", "two/d"):
        either.put(key, b"")
    assert sorted(one.key for one in either.list("one")) == ["one/a", "one/b/c"]


def test_disk_without_room_is_told_as_that_whichever_step_finds_it(
    store: ObjectStore, tmp_path: Path, disk: Callable[[str], Path]
) -> None:
    (tmp_path / "song").write_bytes(b"x" * 100_000)
    store.put_file(tmp_path / "song", "song")
    with pytest.raises(DiskFullError):
        ObjectStore(Storage(url=f"file://{disk('nr_inodes=2')}/objects")).put_file(tmp_path / "song", "a/b")
    with pytest.raises(DiskFullError):
        ObjectStore(Storage(url=f"file://{disk('size=16k')}/objects")).put_file(tmp_path / "song", "a/b")
    with pytest.raises(DiskFullError):
        store.fetch("song", disk("size=16k") / "song")


def test_what_cannot_be_stored_or_fetched_is_an_error_of_ours(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "song").write_bytes(b"x")
    store.put_file(tmp_path / "song", "a")
    for action in (
        lambda: store.put_file(tmp_path / "gone", "b"),
        lambda: store.put_file(tmp_path / "song", "a/b"),
        lambda: store.fetch("a", tmp_path / "objects"),
    ):
        with pytest.raises(OutputError):
            action()
