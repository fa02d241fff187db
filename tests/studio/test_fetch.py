from __future__ import annotations

import asyncio
import hashlib
import socket
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from stemwright.errors import DiskFullError, OutputError, TooLargeError
from stemwright.studio.fetch import SourceUrlError, UnreachableError, fetch_upload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from stemwright.studio.submit import Upload

BODY = bytes(range(256)) * 1000
HERE = ("127.0.0.1",)


@contextmanager
def publisher(body: bytes = BODY, *, announce: bool = True) -> Iterator[str]:
    """A web server with one recording; `/moved` leads to it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = {"/songs/My%20song.wav": 200, "/moved": 302}.get(self.path.partition("?")[0], 404)
            self.send_response(known)
            if known == 302:
                self.send_header("Location", "/songs/My%20song.wav")
            if announce:
                self.send_header("Content-Length", str(len(body) if known == 200 else 0))
            self.end_headers()
            if known == 200:
                with suppress(OSError):  # who hangs up
                    self.wfile.write(body)

        def log_message(self, *arguments: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def fetch(url: str, folder: Path, **how: Any) -> Upload:
    given: dict[str, Any] = {"max_bytes": len(BODY), "allow": HERE, "timeout": 10.0}
    return asyncio.run(fetch_upload(url, folder, **given | how))


def test_recording_is_fetched_with_its_name_and_digest(tmp_path: Path) -> None:
    with publisher() as address:
        upload = fetch(f"{address}/songs/My%20song.wav?token=1", tmp_path)
    assert upload.path.read_bytes() == BODY
    assert (upload.name, upload.size_bytes) == ("My song.wav", len(BODY))
    assert upload.digest == hashlib.sha256(BODY).hexdigest()


@pytest.mark.parametrize("announce", [True, False], ids=["announced", "not announced"])
def test_what_is_too_large_is_not_read_to_its_end(tmp_path: Path, announce: bool) -> None:
    with publisher(announce=announce) as address, pytest.raises(TooLargeError):
        fetch(f"{address}/songs/My%20song.wav", tmp_path, max_bytes=len(BODY) - 1)
    assert not list(tmp_path.iterdir())


def test_redirects_and_errors_are_no_recordings(tmp_path: Path) -> None:
    with publisher() as address:
        for path, status in (("/moved", 302), ("/nothing", 404)):
            with pytest.raises(UnreachableError, match=f"answered {status}"):
                fetch(address + path, tmp_path)
    with pytest.raises(UnreachableError, match="ConnectError"):
        fetch(f"{address}/songs/My%20song.wav", tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/a",
        "http://[::1]/a",
        "http://[::ffff:10.0.0.1]/a",
        "http://169.254.169.254/latest/meta-data",
        "http://192.168.1.1/a",
        "http://0.0.0.0/a",
        "file:///etc/passwd",
        "ftp://example.org/a",
        "http://user@example.org/a",
        "http://2130706433/a",
        "gopher://x",
        "",
    ],
)
def test_addresses_that_are_not_public_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises((SourceUrlError, UnreachableError)) as caught:
        fetch(url, tmp_path, allow=())
    assert "callback URL" not in caught.value.message
    assert not list(tmp_path.iterdir())


def test_every_address_of_a_name_must_be_allowed_and_the_one_that_was_checked_is_called(tmp_path: Path) -> None:
    asked = []

    async def both(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return ["127.0.0.1", "10.0.0.1"]

    async def here(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return ["127.0.0.1"]

    with publisher() as address:
        url = f"http://songs.example.org:{address.rpartition(':')[2]}/songs/My%20song.wav"
        with pytest.raises(SourceUrlError, match=r"songs\.example\.org is not on the public internet"):
            fetch(url, tmp_path, resolve=both)
        assert fetch(url, tmp_path, resolve=here).size_bytes == len(BODY)
    assert [host for host, _ in asked] == ["songs.example.org"] * 2


def test_server_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(UnreachableError, match="TimeoutError"):
        fetch(f"http://127.0.0.1:{silent.getsockname()[1]}/a", tmp_path, timeout=0.5)
    assert not list(tmp_path.iterdir())


def test_disk_that_is_full_or_fills_up_is_told_as_that(disk: Callable[[str], Path], tmp_path: Path) -> None:
    with publisher() as address:
        url = f"{address}/songs/My%20song.wav"
        for options in ("size=16k", "nr_inodes=1"):
            full = disk(options)
            with pytest.raises(DiskFullError):
                fetch(url, full)
            assert not list(full.iterdir())
        with pytest.raises(OutputError):
            fetch(url, tmp_path / "gone")


@pytest.mark.parametrize(("announce", "first"), [(True, 5 << 20), (False, 0)], ids=["announced", "not announced"])
def test_room_is_asked_for_what_is_announced_and_again_for_each_megabyte(
    tmp_path: Path, announce: bool, first: int
) -> None:
    asked: list[int] = []

    def room(size_bytes: int) -> None:
        asked.append(size_bytes)
        if len(asked) > 2:
            raise DiskFullError("no more")

    with publisher(bytes(5 << 20), announce=announce) as address, pytest.raises(DiskFullError, match="no more"):
        fetch(f"{address}/songs/My%20song.wav", tmp_path, max_bytes=10 << 20, room=room)
    assert asked == [first, 0, 0]
    assert not list(tmp_path.iterdir())
