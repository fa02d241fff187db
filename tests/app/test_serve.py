"""The server's processes: one for each data folder, quick to start, and honest when they cannot."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from server import Server, running
from sounds import sound, write_wav
from stemwright import failpoints
from stemwright.app.executor import alone
from stemwright.app.process import prepare_failpoints
from stemwright.app.serve import Executor, _listening, _without
from stemwright.app.settings import Settings
from stemwright.errors import SetupError
from stemwright.studio.store import database

if TYPE_CHECKING:
    from collections.abc import Iterator

CPU_SECONDS = 3.0  # of the API until it listens; about 1.7 on the machine where this was written


def test_newest_migration_is_the_one_that_a_start_compares_with() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_current_head() == database.HEAD


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_start_takes_little_and_clears_away_what_a_killed_api_left(tmp_path: Path) -> None:
    server = Server(tmp_path / "data")
    try:
        server.start()
        assert server.stop() == 0
        (server.data / "incoming" / "upload-left").write_bytes(b"half a song")
        (server.data / "incoming" / "make-left").mkdir()
        server.start()
        assert server.process
        words = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
        assert (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK") < CPU_SECONDS
        assert list((server.data / "incoming").iterdir()) == []
        assert server.http.get("/livez").status_code == 200
        assert server.stop(signal.SIGINT) == 0
    finally:
        server.stop(signal.SIGKILL)


def test_port_that_is_taken_is_a_setup_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings = Settings(data=tmp_path, port=other.getsockname()[1])
        with (
            pytest.raises(SetupError, match="cannot be listened on"),
            _listening(settings.host, settings.port, open=False),
        ):
            pass
    with _listening("127.0.0.1", 0, open=False) as listener:
        socket.create_connection(listener.getsockname()).close()


def test_answers_do_not_wait_for_the_client_s_acknowledgement(tmp_path: Path) -> None:
    async def sends_at_once() -> bool:
        told: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def accepted(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            told.set_result(bool(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
            writer.close()

        with _listening("127.0.0.1", 0, open=False) as listener:
            async with await asyncio.start_server(accepted, sock=listener):
                _, writer = await asyncio.open_connection(*listener.getsockname())
                found = await told
                writer.close()
                await writer.wait_closed()
                return found

    assert asyncio.run(sends_at_once())


def test_packages_that_are_kept_out_can_be_loaded_later() -> None:
    sys.modules.pop("colorsys", None)
    with _without("colorsys", "os"), pytest.raises(ImportError):
        import colorsys
    import colorsys

    assert colorsys
    assert sys.modules["os"] is os


def test_executor_that_dies_is_started_again_and_after_a_stop_it_is_not(tmp_path: Path) -> None:
    code = f"open({str(tmp_path / 'starts')!r}, 'a').write('x'); input()"
    executor = Executor(Settings(data=tmp_path), command=[sys.executable, "-S", "-c", code])
    executor.start()
    for count in (1, 2):
        _until(lambda count=count: _starts(tmp_path) == count and executor.is_alive())
        assert executor._process
        if count == 1:
            executor._process.kill()
    began = time.monotonic()
    executor.stop()
    assert time.monotonic() - began < 8
    assert not executor.is_alive()
    executor._thread.join(10)
    assert _starts(tmp_path) == 2


def _starts(folder: Path) -> int:
    path = folder / "starts"
    return len(path.read_text()) if path.exists() else 0


def _until(holds: object) -> None:
    end = time.monotonic() + 60
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.02)


def test_executor_waits_for_its_predecessor_and_then_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "executor.lock"
    code = f"""
import pathlib, time
from stemwright.app.executor import alone
with alone(pathlib.Path({str(path)!r})):
    print("alone", flush=True)
    time.sleep(600)
"""
    predecessor = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert predecessor.stdout
        assert predecessor.stdout.readline() == b"alone\n"
        began = time.monotonic()
        with alone(path, timeout=0.5):
            assert time.monotonic() - began >= 0.5
            assert predecessor.wait(10) == -signal.SIGKILL
            assert path.read_text() == str(os.getpid())
    finally:
        predecessor.kill()
        predecessor.wait()
        if predecessor.stdout:
            predecessor.stdout.close()
    with path.open() as handle:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # let go again


@pytest.fixture
def _no_hook() -> Iterator[None]:
    yield
    failpoints.hook = None


@pytest.mark.usefixtures("_no_hook")
def test_process_stops_only_at_a_point_that_a_test_has_armed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STEMWRIGHT_STOP_AT", raising=False)
    prepare_failpoints("api")
    assert failpoints.hook is None
    monkeypatch.setenv("STEMWRIGHT_STOP_AT", str(tmp_path))
    prepare_failpoints("api")
    failpoints.reached("row")
    mark = tmp_path / "api.row"
    mark.touch()
    there = threading.Thread(target=failpoints.reached, args=("row",))
    there.start()
    _until(lambda: mark.read_text() == str(os.getpid()))
    failpoints.reached("row")  # another one passes
    assert there.is_alive()
    mark.unlink()
    there.join(10)
    assert not there.is_alive()


def test_open_streams_do_not_hold_up_the_end(tmp_path: Path) -> None:
    with running(tmp_path / "data") as server, server.http.stream("GET", "/api/v1/events") as stream:
        next(stream.iter_lines())
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 15  # uvicorn would wait 20 s


def test_auto_falls_back_to_a_draft_and_says_so_when_the_best_cannot_be_had(tmp_path: Path) -> None:
    nowhere = {
        "STEMWRIGHT_MODEL_OFFLINE": "false",
        "STEMWRIGHT_MODEL_CACHE": str(tmp_path / "cache"),
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "npm_config_registry": "http://127.0.0.1:9",
    }
    with running(tmp_path / "data", STEMWRIGHT_MODEL_DEFAULT="auto", **nowhere) as server:
        asked = [
            server.submit(write_wav(tmp_path / f"{seed}.wav", sound("song", seconds=2, seed=seed)), analysis="false")
            for seed in (1, 2)
        ]
        for job in [server.wait(one["id"]) for one in asked]:
            assert (job["status"], job["result"]["model"]) == ("succeeded", "sketch"), job
            receipt = server.http.get(job["result"]["receipt"]).json()
            assert (receipt["model"]["requested"], receipt["warnings"][0]["code"]) == ("auto", "draft")
            assert "auto uses sketch" in receipt["warnings"][0]["message"]
        tried = json.loads((tmp_path / "cache" / "trouble.json").read_text())
        assert len(tried) == 2  # both publishers, once: the second job waited for neither
        assert server.http.get("/api/v1/models").json()["default"] == "sketch"
