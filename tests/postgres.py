"""A PostgreSQL server of the tests' own."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

import needs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# A locale whose order of letters is not that of their numbers: what relies on the order must say so.
_INITDB = ("-U", "stem", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US")
_CONF = ("fsync=off", "full_page_writes=off", "max_wal_size=64MB", "min_wal_size=32MB", "max_connections=200")
_MEMORY, _ROOM = Path("/dev/shm"), 1 << 30  # a database is hundreds of files: 10 ms there, up to 400 ms on a busy disk
# It outlives us, and clears away when its standard input ends: when we close it, or when we are killed.
_CLEAR = """
read -r _
if pid=$(head -n 1 data/postmaster.pid 2>/dev/null); then
  kill -QUIT "$pid" 2>/dev/null
  while [ -e data/postmaster.pid ] && kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
fi
rm -rf "$PWD"
"""


class Postgres:
    """A server in a folder of its own, with a Unix socket and, if `tcp`, a port of 127.0.0.1 that it keeps."""

    def __init__(self, *, tcp: bool = False, conf: Sequence[str] = ()) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir=_place()))
        self.port = _free_port() if tcp else 5432
        self._tcp, self._conf = tcp, (*_CONF, *conf)
        self._user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
        if self._user:
            shutil.chown(self.folder, self._user, self._user)
        self._env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(self.folder)}
        self._clearer = subprocess.Popen(
            ["bash", "-c", _CLEAR], cwd=self.folder, stdin=subprocess.PIPE, start_new_session=True
        )
        atexit.register(self.remove)
        self._run("initdb", "-D", "data", "--no-sync", "--no-instructions", *_INITDB)
        self.start()

    def url(self, database: str = "postgres") -> str:
        """Of one of its databases."""
        if self._tcp:
            return f"postgresql+psycopg://stem@127.0.0.1:{self.port}/{database}"
        return f"postgresql+psycopg://stem@/{database}?host={self.folder}"

    def start(self) -> None:
        """Let it answer; a server that was stopped has all that it had."""
        address = "127.0.0.1" if self._tcp else ""
        conf = (f"port={self.port}", f"unix_socket_directories={self.folder}", *self._conf)
        options = " ".join(f"-c {one}" for one in (*conf, f"listen_addresses='{address}'"))
        self._run("pg_ctl", "-D", "data", "-l", "log", "-w", "-o", options, "start")

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop it, `immediate` as a crash does; whoever was connected is cut off."""
        self._run("pg_ctl", "-D", "data", "-m", mode, "-w", "stop")

    def remove(self) -> None:
        """Stop it and delete its folder; at the end of the process that is done anyway."""
        atexit.unregister(self.remove)
        self._clearer.communicate()

    def execute(self, command: str) -> None:
        """Execute a command outside any transaction."""
        import psycopg

        with psycopg.connect(f"host={self.folder} port={self.port} user=stem dbname=postgres", autocommit=True) as one:
            one.execute(command.encode())

    def _run(self, program: str, *arguments: str) -> None:
        with (self.folder / "said").open("ab") as said:
            done = subprocess.run(
                [needs.INITDB.with_name(program), *arguments],
                check=False,
                stdout=said,
                stderr=said,
                cwd=self.folder,
                env=self._env,
                user=self._user,
                group=self._user,
            )
        if done.returncode:
            log = self.folder / "log"
            raise RuntimeError((self.folder / "said").read_text() + (log.read_text() if log.exists() else ""))


def require() -> None:
    """Skip the test that runs unless PostgreSQL and its driver are here."""
    needs.require("postgresql")
    pytest.importorskip("psycopg", reason="needs the extra `fleet`")


@functools.cache
def shared() -> Postgres:
    """The server that all tests of this process share; it begins when it is first asked for."""
    return Postgres()


@contextlib.contextmanager
def fresh_url(template: str) -> Iterator[str]:
    """The URL of a fresh database of the shared server, a copy of another one, for the time of a block."""
    server, name = shared(), f"t{uuid.uuid4().hex}"
    server.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    yield server.url(name)
    server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _place() -> str:
    """A folder that others than we may enter too, which pytest's own are not; in memory where there is room."""
    roomy = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM
    return str(_MEMORY) if roomy else tempfile.gettempdir()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
