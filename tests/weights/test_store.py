"""The cache: what is in it can be trusted, whatever was killed."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from typing import TYPE_CHECKING

import pytest

from stemwright import errors
from stemwright.weights import config, lock, store
from weights.publisher import Publisher

if TYPE_CHECKING:
    from pathlib import Path

FILES = {"model.index": b"index" * 50, "model.data": random.Random(2).randbytes(300_000)}


def archive(files: dict[str, bytes], *, extra: list[tarfile.TarInfo] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for member in extra or []:
            tar.addfile(member)
    return buffer.getvalue()


def remote(publisher: Publisher, body: bytes, *, sha256: str | None = "", name: str = "m.tar.gz") -> store.Remote:
    publisher.files[f"/{name}"] = body
    return store.Remote(
        model="some:model",
        url=f"{publisher.url}/{name}",
        sha256=hashlib.sha256(body).hexdigest() if sha256 == "" else sha256,
        members=tuple(FILES) if name.endswith("gz") else (),
        largest=1_000_000,
    )


def everything(folder: Path) -> set[str]:
    """Files, but those that hold the digests of others."""
    return {
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != store.DIGESTS
    }


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in everything(folder)}


def test_archive_is_fetched_unpacked_and_found_again(publisher: Publisher, cache: Path) -> None:
    body = archive({"./" + name: data for name, data in FILES.items()} | {"model.meta": b"not needed"})
    weights = remote(publisher, body)
    assert store.availability(weights) == "download"
    folder = store.fetch(weights)
    assert contents(folder) == FILES
    assert store.availability(weights) == "ready"
    assert store.fetch(weights) == store.find(weights) == folder
    assert len(publisher.asked) == 1
    assert everything(cache / "some-model") == {f"{folder.name}/{name}" for name in FILES} | {"lock"}


def test_single_file_is_kept_under_its_name(publisher: Publisher, cache: Path) -> None:
    folder = store.fetch(remote(publisher, b"weights", name="net.onnx"))
    assert contents(folder) == {"net.onnx": b"weights"}


def test_progress_is_told_to_who_asks_or_else_to_the_process(
    publisher: Publisher, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, int, int | None]] = []
    weights = remote(publisher, b"weights", name="net.onnx")
    store.fetch(weights, on_progress=lambda *what: told.append(what))
    assert told[-1] == ("some:model", 7, 7)
    told.clear()
    reporting = dataclasses.replace(config.current(), on_progress=lambda *what: told.append(what))
    monkeypatch.setattr(config, "_current", reporting)
    store.fetch(weights, again=True)
    assert told[-1] == ("some:model", 7, 7)


def test_offline_finds_what_is_here_and_names_the_command_for_what_is_not(
    publisher: Publisher, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = remote(publisher, archive(FILES))
    monkeypatch.setattr(config, "_current", dataclasses.replace(config.current(), offline=True))
    assert store.availability(weights) == "missing"
    with pytest.raises(errors.ModelUnavailableError, match="stemwright models pull some:model"):
        store.fetch(weights)
    assert publisher.asked == []
    monkeypatch.setattr(config, "_current", config.Config(cache=cache))
    folder = store.fetch(weights)
    monkeypatch.setattr(config, "_current", config.Config(cache=cache, offline=True))
    assert store.fetch(weights) == folder


def test_first_digest_is_pinned_and_another_is_refused_later(publisher: Publisher, cache: Path) -> None:
    weights = remote(publisher, archive(FILES), sha256=None)
    folder = store.fetch(weights)
    digest = hashlib.sha256(archive_of(publisher)).hexdigest()
    assert lock.pinned(cache, weights.url) == digest
    assert store.find(weights) == folder
    publisher.files["/m.tar.gz"] = archive({**FILES, "model.index": b"somebody else's"})
    with pytest.raises(errors.WeightsError, match=f"not {digest}"):
        store.fetch(weights, again=True)
    assert (folder / "model.index").read_bytes() == FILES["model.index"]


def archive_of(publisher: Publisher) -> bytes:
    return publisher.files["/m.tar.gz"]


def test_lock_that_makes_no_sense_is_an_error_not_a_fresh_start(publisher: Publisher, cache: Path) -> None:
    cache.mkdir()
    (cache / "models.lock").write_text("{")
    weights = remote(publisher, b"weights", sha256=None, name="net.onnx")
    assert store.availability(weights) == "download"
    with pytest.raises(errors.WeightsError, match=r"models\.lock"):
        store.fetch(weights)


@pytest.mark.parametrize("broken", ["digest", "cut", "gone"])
def test_failed_download_leaves_the_old_files(publisher: Publisher, cache: Path, broken: str) -> None:
    weights = remote(publisher, archive(FILES))
    folder = store.fetch(weights)
    if broken == "digest":
        publisher.files["/m.tar.gz"] = archive({**FILES, "model.index": b"somebody else's"})
    elif broken == "cut":
        publisher.cuts, publisher.cut_after = 9, 20_000
    else:
        del publisher.files["/m.tar.gz"]
    with pytest.raises((errors.WeightsError, errors.ModelUnavailableError)):
        store.fetch(weights, again=True)
    assert store.find(weights) == folder
    assert contents(folder) == FILES


def test_damaged_files_are_replaced_when_fetched_again(publisher: Publisher, cache: Path) -> None:
    weights = remote(publisher, archive(FILES))
    folder = store.fetch(weights)
    (folder / "model.data").write_bytes(b"bit rot")
    assert store.fetch(weights, again=True) == folder
    assert (folder / "model.data").read_bytes() == FILES["model.data"]
    assert everything(cache / "some-model") == {f"{folder.name}/{name}" for name in FILES} | {"lock"}


def hostile() -> dict[str, tuple[bytes, str]]:
    link = tarfile.TarInfo("model.index")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    bomb = io.BytesIO()
    with gzip.open(bomb, "wb") as file:
        for _ in range(20):
            file.write(bytes(1 << 20))
    data = {"model.data": FILES["model.data"]}
    many = [tarfile.TarInfo(f"{number}") for number in range(1001)]
    return {
        "link": (archive(data, extra=[link]), "lacks model.index"),
        "twice": (archive({**FILES, "more/model.index": b"other"}), "twice"),
        "zeros": (bomb.getvalue(), "lacks"),
        "big member": (archive({**FILES, "big": bytes(9_000_000)}), "too much"),
        "many": (archive(FILES, extra=many), "too many"),
        "cut": (archive(FILES)[:1000], "damaged"),
        "no archive": (b"<html>not found</html>", "damaged"),
        "missing": (archive(data), "lacks model.index"),
    }


@pytest.mark.parametrize("kind", hostile())
def test_hostile_archive_is_refused_and_leaves_nothing(publisher: Publisher, cache: Path, kind: str) -> None:
    body, words = hostile()[kind]
    weights = remote(publisher, body)
    with pytest.raises(errors.WeightsError, match=words):
        store.fetch(weights)
    assert store.find(weights) is None
    assert not {name for name in everything(cache) if name.endswith((".index", ".data", ".part"))}


def test_members_never_leave_the_folder(publisher: Publisher, cache: Path) -> None:
    files = {"../../../model.index": b"i", "/etc/model.data": b"d"}
    folder = store.fetch(remote(publisher, archive(files)))
    assert everything(folder) == {"model.index", "model.data"}
    assert not (cache.parent / "model.index").exists()


def child(weights: store.Remote, cache: Path) -> subprocess.Popen[bytes]:
    code = (
        "from pathlib import Path; from stemwright.weights import config, store;"
        f"config.configure(config.Config(cache=Path({str(cache)!r})));"
        f"store.fetch(store.{weights!r})"
    )
    return subprocess.Popen([sys.executable, "-P", "-c", code])


def test_kill_9_in_the_middle_leaves_nothing_to_trust_and_the_next_run_goes_on(cache: Path) -> None:
    with Publisher(hold=threading.Event()) as publisher:
        assert publisher.hold
        weights = remote(publisher, archive(FILES))
        process = child(weights, cache)
        try:
            deadline = time.monotonic() + 60
            while not any(path.stat().st_size for path in cache.rglob("*.part")):
                assert time.monotonic() < deadline
                time.sleep(0.01)
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        assert store.find(weights) is None
        assert store.availability(weights) == "download"
        publisher.hold.set()
        folder = store.fetch(weights)  # the lock went with the process
        assert contents(folder) == FILES
        assert publisher.asked[-1][1] is not None  # resumed


def test_two_at_once_download_once(cache: Path) -> None:
    with Publisher(hold=threading.Event()) as publisher:
        assert publisher.hold
        weights = remote(publisher, archive(FILES))
        processes = [child(weights, cache), child(weights, cache)]
        time.sleep(1)
        publisher.hold.set()
        assert [process.wait(60) for process in processes] == [0, 0]
        assert len(publisher.asked) == 1


def test_leftovers_of_a_killed_unpacking_are_swept(publisher: Publisher, cache: Path) -> None:
    left = cache / "some-model" / "new-abc"
    left.mkdir(parents=True)
    (left / "model.index").write_bytes(b"half")
    store.fetch(remote(publisher, archive(FILES)))
    assert not left.exists()


def test_weights_that_a_kill_left_taken_away_are_put_back(publisher: Publisher, cache: Path) -> None:
    weights = remote(publisher, archive(FILES))
    folder = store.fetch(weights)
    folder.rename(folder.with_name(f"{folder.name}.old"))
    publisher.files.clear()
    with pytest.raises(errors.ModelUnavailableError):
        store.fetch(dataclasses.replace(weights, url=f"{publisher.url}/other"))
    assert {path.name for path in folder.iterdir()} >= {*weights.files}


# --- what others may have laid there


def _given_to(path: Path, user: int = 12345) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs a second user, so it needs root")
    os.chown(path, user, user, follow_symlinks=False)


def test_a_planted_folder_of_another_user_is_not_believed(publisher: Publisher, cache: Path) -> None:
    weights = remote(publisher, archive(FILES))
    folder = store.fetch(weights)
    _given_to(folder)
    assert store.find(weights) is None
    assert store.fetch(weights).stat().st_uid == os.geteuid()
    assert contents(folder) == FILES


def test_a_planted_file_of_another_user_is_not_believed_and_is_replaced(publisher: Publisher, cache: Path) -> None:
    weights = remote(publisher, archive(FILES))
    folder = store.fetch(weights)
    _given_to(folder / "model.data")
    assert store.find(weights) is None
    assert (store.fetch(weights) / "model.data").stat().st_uid == os.geteuid()


def test_a_link_in_the_place_of_weights_is_not_followed(publisher: Publisher, cache: Path, tmp_path: Path) -> None:
    weights = remote(publisher, archive(FILES))
    folder = store.fetch(weights)
    elsewhere = tmp_path / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    assert store.find(weights) is None


def test_weights_that_changed_since_they_were_downloaded_are_refused(publisher: Publisher, cache: Path) -> None:
    weights = remote(publisher, archive(FILES))
    folder = store.fetch(weights)
    store.check(folder, weights.files)
    data = bytearray((folder / "model.data").read_bytes())
    data[1000] ^= 1
    (folder / "model.data").write_bytes(data)
    with pytest.raises(errors.WeightsError, match=r"model\.data has changed"):
        store.check(folder, weights.files)
    (folder / "digests.json").write_text("[" * 100_000)
    with pytest.raises(errors.WeightsError, match="cannot be checked"):
        store.check(folder, weights.files)


def test_a_sweep_leaves_what_is_anothers_and_follows_no_link(publisher: Publisher, cache: Path, tmp_path: Path) -> None:
    weights = remote(publisher, archive(FILES))
    place = store.fetch(weights).parent
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_text("mine")
    (place / "new-link").symlink_to(victim)
    (place / "foreign.old").symlink_to(victim)
    (place / "new-foreign").mkdir()
    _given_to(place / "new-foreign")
    store.fetch(weights, again=True)
    assert (victim / "file").read_text() == "mine"
    assert (place / "new-foreign").is_dir()
    assert not (place / "foreign").exists()


def test_parts_that_others_could_lay_in_an_open_cache_are_not_written_through(
    publisher: Publisher, cache: Path, tmp_path: Path
) -> None:
    weights = remote(publisher, archive(FILES))
    place = store.fetch(weights).parent
    victim = tmp_path / "bashrc"
    victim.write_text("precious")
    shutil.rmtree(place)
    place.mkdir()
    place.chmod(0o777)
    part = hashlib.sha256(weights.url.encode()).hexdigest()[:16]
    for name in (f"{part}.part", f"{part}.part.json", "lock"):
        (place / name).symlink_to(victim)
    store.fetch(weights)
    assert victim.read_text() == "precious"
    assert place.stat().st_mode & 0o022 == 0


def test_a_cache_of_another_user_is_refused_and_says_which_setting_to_change(publisher: Publisher, cache: Path) -> None:
    cache.mkdir()
    _given_to(cache)
    with pytest.raises(errors.OutputError, match=r"another user; set `model\.cache`"):
        store.fetch(remote(publisher, archive(FILES)))
