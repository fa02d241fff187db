"""A fleet on one machine: PostgreSQL, an S3 server, API replicas and workers, each with a folder of its own."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

import httpx
from sqlalchemy import select, text

from processes import alive
from server import CACHE, WAIT, Server
from stemwright.audio.decode import DecodeLimits
from stemwright.engine.process.processes import descendants
from stemwright.studio.config import JobsConfig
from stemwright.studio.store.database import Database
from stemwright.studio.store.objects import ObjectStore
from stemwright.studio.store.tables import LIVE, File, Run, Separation, Song, Worker
from stemwright.studio.work.queue import VERSION, prepare_jobs
from stemwright.studio.work.retention import sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from postgres import Postgres
    from s3 import S3

BEAT, DEAD = 0.5, 4.0  # seconds
WORKER = ("-P", "-m", "stemwright", "worker")  # what Python is told to run


class WorkerProcess:
    """`stemwright worker` as a process."""

    def __init__(
        self, folder: Path, environment: dict[str, str], *arguments: str, program: Sequence[str] = WORKER
    ) -> None:
        self.folder, self._arguments = folder, arguments
        self.log = folder.with_name(f"{folder.name}.log")
        with self.log.open("ab") as log:
            self._began = log.tell()
            self.process = subprocess.Popen(
                [sys.executable, *program, "--data", str(folder), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Of the process."""
        return self.process.pid

    def said(self, words: str) -> int:
        """How often its log has some words."""
        return self.log.read_bytes()[self._began :].decode().count(words)

    def metrics(self) -> str:
        """What its port says of it."""
        port = self._arguments[self._arguments.index("--port") + 1]
        assert httpx.get(f"http://127.0.0.1:{port}/livez").text == "ok\n"
        return httpx.get(f"http://127.0.0.1:{port}/metrics").raise_for_status().text

    def ready(self) -> WorkerProcess:
        """Wait until it takes runs."""
        until(lambda: self.said("executor ready") > 0 or self.process.poll() is not None)
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        return self

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit code."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)
            os.kill(self.pid, number)
        return self.process.wait(60)


class Fleet:
    """Processes that share a database and a store, and a look behind the scenes."""

    def __init__(self, folder: Path, postgres: Postgres, s3: S3, url: str, **environment: str) -> None:
        self.folder, self.postgres, self.s3, self.url = folder, postgres, s3, url
        self.points = folder / "points"
        self.points.mkdir(parents=True)
        self.storage = s3.storage()
        self.environment = {
            "DATABASE_URL": url,
            "STEMWRIGHT_STORAGE_URL": self.storage.url,
            "STEMWRIGHT_STORAGE_ENDPOINT": str(self.storage.endpoint),
            "STEMWRIGHT_STORAGE_REGION": self.storage.region,
            "STEMWRIGHT_STORAGE_ACCESS_KEY_ID": str(self.storage.access_key_id),
            "STEMWRIGHT_STORAGE_SECRET_ACCESS_KEY": str(self.storage.secret_access_key),
            "STEMWRIGHT_FLEET_BEAT": f"{BEAT}",
            "STEMWRIGHT_FLEET_DEAD": f"{DEAD}",
            "STEMWRIGHT_JOBS_CPU_SLOTS": "0",
            "STEMWRIGHT_RETENTION_DISK_RESERVE": "0",
            "STEMWRIGHT_STOP_AT": str(self.points),
            **environment,
        }
        self._stack = contextlib.ExitStack()
        self._workers: list[WorkerProcess] = []
        self._count = 0

    @classmethod
    @contextlib.contextmanager
    def opened(
        cls, folder: Path, postgres: Postgres, s3: S3, *, tables: bool = True, **environment: str
    ) -> Iterator[Fleet]:
        """A fleet without processes yet, over a database without rows and an empty place in the store."""
        name = f"t{uuid.uuid4().hex}"
        postgres.execute(f"CREATE DATABASE {name}")
        db = Database(postgres.url(name))
        if tables:
            db.migrate()
            prepare_jobs(db)
        db.close()
        fleet = cls(folder, postgres, s3, postgres.url(name), **environment)
        try:
            yield fleet
        finally:
            fleet.close()
            postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def url_at(self, port: int) -> str:
        """The URL of its database at another port."""
        return self.url.replace(f":{self.postgres.port}/", f":{port}/")

    def api(self, **environment: str) -> Server:
        """One more replica of the API, with its keeper."""
        self._count += 1
        server = Server(self.folder / f"api-{self._count}", **(self.environment | environment)).start()
        self._stack.callback(server.stop, signal.SIGKILL)
        return server

    def worker(
        self, *arguments: str, folder: Path | None = None, program: Sequence[str] = WORKER, **environment: str
    ) -> WorkerProcess:
        """One more worker, in a folder of its own unless one is given; `program` works like `stemwright worker`."""
        self._count += 1
        ours = {
            "STEMWRIGHT_MODEL_DEFAULT": "sketch",
            "STEMWRIGHT_LOG_FORMAT": "json",
            "STEMWRIGHT_MODEL_OFFLINE": "true",
        }
        worker = WorkerProcess(
            folder or self.folder / f"worker-{self._count}",
            self._plain() | ours | self.environment | environment,
            *arguments,
            program=program,
        )
        self._stack.callback(worker.stop, signal.SIGKILL)
        self._workers.append(worker)
        return worker

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of ours that ends by itself."""
        return subprocess.run(
            [sys.executable, "-P", "-m", "stemwright", *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=WAIT,
            env=self._plain() | self.environment,
            cwd=self.folder,
        )

    def _plain(self) -> dict[str, str]:
        """This process's environment without settings."""
        return {
            name: value for name, value in os.environ.items() if not name.startswith("STEMWRIGHT_") or name == CACHE
        }

    def config(self, **changes: Any) -> JobsConfig:
        """What a sweep needs to know."""
        plain: dict[str, Any] = {"work": self.folder / "none", "engine_command": (), "limits": DecodeLimits()}
        return JobsConfig(**(plain | changes))

    def stop_workers(self) -> None:
        """End all workers politely."""
        for worker in self._workers:
            worker.stop()
        self._workers.clear()

    def close(self) -> None:
        """End all processes."""
        self._stack.close()

    def arm(self, point: str) -> None:
        """Let the next process that reaches a point (`engine.separating`) stop there."""
        (self.points / point).write_bytes(b"")

    def stopped(self, point: str) -> int:
        """Wait until a process has stopped there; its id."""
        until(lambda: (self.points / point).stat().st_size > 0, why=lambda: f"nobody came to {point}: {self.logs()}")
        return int((self.points / point).read_text(encoding="ascii"))

    def release(self, point: str) -> None:
        """Let it go on."""
        (self.points / point).unlink()

    def logs(self) -> str:
        """The end of what all of them said."""
        return "\n".join(path.read_text()[-1500:] for path in sorted(self.folder.glob("*.log")))

    @contextlib.contextmanager
    def database(self) -> Iterator[Database]:
        """The database, as a process of the fleet has it."""
        db = Database(self.url)
        try:
            yield db
        finally:
            db.close()

    def rows(self, table: type[Any]) -> list[Any]:
        """All rows of a table."""
        with self.database() as db, db.session() as session:
            return list(session.scalars(select(table)))

    def run_of(self, job: dict[str, Any]) -> Run:
        """The run of a job; there is one alone with its song."""
        with self.database() as db, db.session() as session:
            return session.scalars(select(Run).where(Run.song_id == job["song_id"])).one()

    def stems(self, job: dict[str, Any]) -> dict[str, str]:
        """The digests of a job's stems, by what the store has; they must be those that the rows tell."""
        store, found = ObjectStore(self.storage), {}
        with self.database() as db, db.session() as session:
            made = session.get_one(Separation, job["result"]["separation"])
            for file in session.scalars(select(File).where(File.separation_id == made.id, File.name.like("%.flac"))):
                found[file.name] = hashlib.sha256(b"".join(store.pieces(file.object_key))).hexdigest()
                assert found[file.name] == file.digest
        return found

    def workflows(self) -> int:
        """How many DBOS has not ended."""
        live = text("SELECT count(*) FROM dbos.workflow_status WHERE status IN ('PENDING', 'ENQUEUED', 'DELAYED')")
        with self.database() as db, db.engine.connect() as connection:
            return int(connection.execute(live).scalar() or 0)

    def connections(self) -> int:
        """How many connections the database has, but for that which asks."""
        count = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        with self.database() as db, db.engine.connect() as connection:
            return int(connection.execute(count).scalar() or 0) - 1

    def assert_clean(self) -> None:
        """Once all is quiet, one sweep leaves no object without a row, and no row without its object."""
        until(lambda: self.workflows() == 0, why=self.logs)
        config = self.config(results_seconds=0, sweep_grace=-60)
        store = ObjectStore(self.storage)
        with self.database() as db:
            sweep(db, store, config)
            assert sweep(db, store, config) == {}
        named = {file.object_key for file in self.rows(File)}
        named |= {song.upload_key for song in self.rows(Song) if song.upload_key}
        assert {stored.key for stored in store.list()} == named
        assert not [run for run in self.rows(Run) if run.status in LIVE]
        live = [worker.folder for worker in self._workers if worker.process.poll() is None]
        until(lambda: not [path for folder in live for path in folder.glob("workers/*/runs/*")], seconds=20)

    def announce(self, *, queue: str, models: list[str]) -> None:
        """Say that there is a worker, which nobody sees as long as it takes no run."""
        with self.database() as db, db.session() as session:
            row = Worker(id=uuid.uuid4().hex, host="far", queue=queue, device=queue, models=models, release="1")
            row.version, row.seen_at = VERSION, db.now() + WAIT
            session.add(row)

    def free_port(self) -> int:
        """A port that nobody has."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            return int(listener.getsockname()[1])

    def live(self) -> list[Worker]:
        """The rows of processes that are believed alive."""
        return [row for row in self.rows(Worker) if row.state == "live"]


class Link:
    """A TCP link that can be cut: connections stay open, and nothing passes."""

    def __init__(self, port: int) -> None:
        self._to, self._open = port, threading.Event()
        self._open.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Let nothing pass any more."""
        self._open.clear()

    def heal(self) -> None:
        """Let all pass again, what was on its way too."""
        self._open.set()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        self._open.wait()
        try:
            far = socket.create_connection(("127.0.0.1", self._to))
        except OSError:
            near.close()
            return
        for one, other in ((near, far), (far, near)):
            threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65_536):
                self._open.wait()
                other.sendall(data)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def wait(server: Server, job_id: str, *statuses: str, seconds: float = WAIT) -> dict[str, Any]:
    """Wait until a job is in one of these states, though the server may be away in between."""
    wanted = statuses or ("succeeded", "failed", "cancelled")
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(httpx.HTTPError):
            job = server.job(job_id)
            if job["status"] in wanted:
                return job
        assert time.monotonic() < end, server.log.read_text()[-3000:]
        time.sleep(0.1)


def until(holds: Callable[[], Any], *, seconds: float = WAIT, why: Callable[[], str] = str) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, why()
        time.sleep(0.05)


def clock(folder: Path, seconds: int) -> str:
    """A `PYTHONPATH` with which Python's clocks are wrong; obstore, which signs, has the machine's own."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(
        f"import time\nreal, ns = time.time, time.time_ns\ntime.time = lambda: real() + {seconds}\n"
        f"time.time_ns = lambda: ns() + {seconds} * 10**9\n"
    )
    return f"{folder}:{os.environ.get('PYTHONPATH', '')}"


def engines(pid: int) -> list[int]:
    """The engine processes of a worker that live."""
    return [child for child in descendants(pid) if alive(child)]
