"""The server that other tests use: it keeps what it had, and nothing of it outlives its user."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

import pytest

import databases
import postgres
from stemwright.errors import DatabaseUnavailableError
from stemwright.studio.store.database import Database

USER = """
import signal, sys
from postgres import Postgres

server = Postgres()
print(server.folder, flush=True)
signal.pause()
"""


@pytest.fixture(autouse=True)
def _here() -> None:
    postgres.require()


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_server_that_was_stopped_has_its_port_and_what_was_committed(mode: Literal["fast", "immediate"]) -> None:
    server = postgres.Postgres(tcp=True)
    try:
        db = Database(server.url())
        db.migrate()
        server.stop(mode)
        with pytest.raises(DatabaseUnavailableError), db.session() as session:
            session.connection()
        server.start()
        assert f":{server.port}/" in server.url()
        assert db.revision() is not None
        db.close()
    finally:
        server.remove()
    assert not server.folder.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_server_goes_with_the_process_that_has_it_however_that_ends(number: signal.Signals) -> None:
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", USER], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as user:
        assert user.stdout
        folder = Path(user.stdout.readline().strip())
        pid = int((folder / "data" / "postmaster.pid").read_text().split()[0])
        user.send_signal(number)
    until = time.monotonic() + 10
    while folder.exists() and time.monotonic() < until:
        time.sleep(0.02)
    assert not folder.exists()
    state = Path(f"/proc/{pid}/stat")
    assert not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] == "Z"


def test_fresh_databases_have_tables_or_none_and_go(tmp_path: Path) -> None:
    for tables in (True, False):
        with databases.fresh_url("postgres", tmp_path, tables=tables) as url:
            db = Database(url)
            assert (db.revision() is not None) is tables
            db.close()
        with pytest.raises(DatabaseUnavailableError), Database(url).session() as session:
            session.connection()
