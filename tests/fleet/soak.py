"""A soak of a fleet: jobs through two replicas and four workers, while one process after the other is killed."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
import numpy as np
from sqlalchemy import text

from fleet.fleet import Fleet, until
from server import WAIT
from sounds import write_wav
from stemwright.engine.process.processes import descendants
from stemwright.studio.store.objects import ObjectStore
from stemwright.studio.store.tables import File, Job, Run, Separation, Song

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fleet.fleet import WorkerProcess
    from server import Server
    from studio.work.receivers import Receiver

REPLICAS, WORKERS, CLIENTS = 2, 4, 8
KINDS: Final = ("worker", "keeper", "api")
RATE: Final = 44_100
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_MADE: Final = "SELECT worker FROM runs WHERE status = 'running' AND worker IS NOT NULL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much of what."""

    jobs: int
    every: float  # seconds between two submissions
    kills: float  # seconds between two kills
    seconds: float = 1.0  # of a song


@dataclass(slots=True)
class Memory:
    """What one process had at each look, in bytes."""

    kind: str
    looks: list[int] = field(default_factory=list)

    @property
    def growth(self) -> int:
        """The most of the last third beside the most of the second: start and warming up do not count."""
        third = len(self.looks) // 3
        return max(self.looks[-third:]) - max(self.looks[third : 2 * third]) if third else 0


@dataclass(slots=True)
class Found:
    """What came of it."""

    ended: list[dict[str, Any]] = field(default_factory=list)  # jobs, as the clients saw their end
    again: Counter[str] = field(default_factory=Counter)  # why clients tried again
    kills: Counter[str] = field(default_factory=Counter)
    memory: dict[int, Memory] = field(default_factory=dict)  # by process
    seconds: float = 0.0
    orphans: int = 0  # objects without a row, before the sweep
    connections: tuple[int, int] = (0, 0)  # before and after

    def peak(self, kind: str) -> int:
        """The largest that a process of a kind ever was, in bytes."""
        return max((max(one.looks) for one in self.memory.values() if one.kind == kind and one.looks), default=0)

    @property
    def growth(self) -> int:
        """The most that one of the processes grew which lived for half of the time, in bytes."""
        longest = max(len(one.looks) for one in self.memory.values())
        return max(one.growth for one in self.memory.values() if len(one.looks) >= longest / 2)


class Soak:
    """Submits, kills, looks on; then says whether all is as it should be."""

    def __init__(self, fleet: Fleet, receiver: Receiver, plan: Plan, folder: Path) -> None:
        """`receiver` is told of the end of each job."""
        self._fleet, self._receiver, self._plan, self._folder = fleet, receiver, plan, folder
        self._replicas: list[Server] = []
        self._workers: list[WorkerProcess] = []
        self._over = threading.Event()
        self._chance = random.Random(7)
        self._http = httpx.Client(timeout=30)
        self.found = Found()

    def run(self) -> Found:
        """All of it."""
        self._replicas = [
            self._fleet.api(DATABASE_URL=self._url(f"api-{number}"), STEMWRIGHT_CALLBACKS_ALLOW="127.0.0.1")
            for number in range(REPLICAS)
        ]
        self._workers = [self._worker(number) for number in range(WORKERS)]
        for worker in self._workers:
            worker.ready()
        self._job(self._song(0))  # all is loaded once
        before, began = self._quiet(), time.monotonic()
        watching = [threading.Thread(target=target) for target in (self._kill, self._look)]
        for thread in watching:
            thread.start()
        try:
            with ThreadPoolExecutor(CLIENTS) as clients:
                self.found.ended = [*clients.map(self._client, range(self._plan.jobs), itertools.repeat(began))]
        finally:
            self._over.set()
            for thread in watching:
                thread.join()
        self.found.seconds = time.monotonic() - began
        until(lambda: self._fleet.workflows() == 0, why=self._fleet.logs)
        self.found.orphans = self._orphans()
        self.found.connections = before, self._quiet()
        self._http.close()
        return self.found

    def check(self) -> None:
        """Each job that was accepted succeeded once, and nothing is left over."""
        count = self._plan.jobs + 1
        jobs, runs = self._fleet.rows(Job), self._fleet.rows(Run)
        assert [job["status"] for job in self.found.ended] == ["succeeded"] * self._plan.jobs, self.found.ended
        assert len(jobs) == len({job.idempotency_key for job in jobs}) == count
        assert (len(runs), {run.status for run in runs}) == (count, {"succeeded"})
        assert len(self._fleet.rows(Song)) == len(self._fleet.rows(Separation)) == count
        assert max(run.attempts for run in runs) <= 3
        until(lambda: self._told() == dict.fromkeys((job.id for job in jobs), 1), why=lambda: str(self._told()))
        names = [f"api-{number}" for number in range(REPLICAS)] + [f"worker-{number}" for number in range(WORKERS)]
        for name in names:  # one pool for each process: the API and its keeper, or a worker
            assert self._connections(name) <= (9 if name.startswith("api") else 5), name
        self._fleet.assert_clean()

    def _url(self, name: str) -> str:
        return f"{self._fleet.url}?application_name={name}"

    def _worker(self, number: int) -> WorkerProcess:
        folder = self._fleet.folder / f"worker-{number}"
        return self._fleet.worker(folder=folder, DATABASE_URL=self._url(f"worker-{number}"))

    def _song(self, number: int) -> Path:
        path = self._folder / f"soak-{number}.wav"
        noise = np.random.default_rng([7, number]).standard_normal((2, int(self._plan.seconds * RATE)))
        return write_wav(path, (0.1 * noise).astype(np.float32), RATE, bits=16)

    def _client(self, number: int, began: float) -> dict[str, Any]:
        time.sleep(max(0.0, began + number * self._plan.every - time.monotonic()))
        return self._job(self._song(number + 1))

    def _job(self, song: Path) -> dict[str, Any]:
        """Submit a song and wait for its end; whenever that is cut off, try again at the other replica."""
        data, key = song.read_bytes(), uuid.uuid4().hex
        fields = {"analysis": "false", "callback_url": self._receiver.url()}

        def submit(url: str) -> httpx.Response:
            files, headers = {"file": (song.name, data)}, {"Idempotency-Key": key}
            return self._http.post(f"{url}/api/v1/jobs", files=files, data=fields, headers=headers)

        job = self._patiently(submit)
        while job["status"] not in {"succeeded", "failed", "cancelled"}:
            time.sleep(0.3)
            job = self._patiently(partial(self._ask, job["id"]))
        song.unlink()
        return job

    def _ask(self, job_id: str, url: str) -> httpx.Response:
        return self._http.get(f"{url}/api/v1/jobs/{job_id}")

    def _patiently(self, ask: Callable[[str], httpx.Response]) -> dict[str, Any]:
        """Ask one replica after the other, as long as they are away or say that they are busy."""
        end = time.monotonic() + WAIT
        for turn in self._turns():
            try:
                answer = ask(self._replicas[turn].url)
            except httpx.TransportError as error:
                self.found.again[type(error).__name__] += 1
            else:
                if answer.status_code != 503:
                    assert answer.status_code in {200, 202}, answer.text
                    job: dict[str, Any] = answer.json()
                    return job
                self.found.again["503"] += 1
            assert time.monotonic() < end, self._fleet.logs()
            time.sleep(0.2)
        raise AssertionError

    def _turns(self) -> Iterator[int]:
        return itertools.islice(itertools.cycle(range(REPLICAS)), self._chance.randrange(REPLICAS), None)

    def _kill(self) -> None:
        """Kill one process after the other, and start it again."""
        for kind in itertools.cycle(KINDS):
            if self._over.wait(self._plan.kills):
                return
            getattr(self, f"_kill_{kind}")()
            self.found.kills[kind] += 1

    def _kill_worker(self) -> None:
        """One that works, if any does."""
        with self._fleet.database() as db, db.engine.connect() as connection:
            busy = " ".join(connection.execute(text(_MADE)).scalars())
        number = max(range(WORKERS), key=lambda one: (f"-{self._workers[one].pid}-" in busy, self._chance.random()))
        self._workers[number].stop(signal.SIGKILL)
        self._workers[number] = self._worker(number)

    def _kill_keeper(self) -> None:
        """Its replica starts another."""
        server = self._chance.choice(self._replicas)
        assert server.process
        for pid in _keepers(server.process.pid):
            os.kill(pid, signal.SIGKILL)

    def _kill_api(self) -> None:
        """Its keeper sees that, and ends too."""
        server = self._chance.choice(self._replicas)
        server.stop(signal.SIGKILL)
        server.start()

    def _look(self) -> None:
        """Note the memory of all processes each second."""
        while not self._over.wait(1.0):
            with suppress(OSError, AttributeError):  # one is being killed
                for server in self._replicas:
                    pid = server.process.pid  # type: ignore[union-attr]
                    self._note(pid, "api")
                    for keeper in _keepers(pid):
                        self._note(keeper, "keeper")
                for worker in self._workers:
                    self._note(worker.pid, "worker")

    def _note(self, pid: int, kind: str) -> None:
        size = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE
        self.found.memory.setdefault(pid, Memory(kind)).looks.append(size)

    def _told(self) -> dict[str, int]:
        """By job, how many ends the receiver was told of: one, though it may be told so twice."""
        ends: dict[str, set[str]] = {}
        for _, headers, body in [*self._receiver.got]:
            event = json.loads(body)
            if event["type"] in {"job.succeeded", "job.failed", "job.cancelled"}:
                ends.setdefault(event["data"]["id"], set()).add(headers["webhook-id"])
        return {job: len(messages) for job, messages in ends.items()}

    def _quiet(self) -> int:
        """The connections of all processes together once their number stays."""
        last, since = -1, time.monotonic()
        end = since + 30
        while time.monotonic() < end and time.monotonic() - since < 3:
            count = self._fleet.connections()
            if count != last:
                last, since = count, time.monotonic()
            time.sleep(0.25)
        return last

    def _connections(self, name: str) -> int:
        count = text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = :n"
        )
        with self._fleet.database() as db, db.engine.connect() as connection:
            return int(connection.execute(count, {"n": name}).scalar_one())

    def _orphans(self) -> int:
        named = {file.object_key for file in self._fleet.rows(File)}
        named |= {song.upload_key for song in self._fleet.rows(Song)}
        return sum(stored.key not in named for stored in ObjectStore(self._fleet.storage).list())


def _keepers(pid: int) -> list[int]:
    """The executors of a replica of the API."""
    found = []
    for child in descendants(pid):
        with suppress(OSError):
            if b"stemwright.app.executor" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
    return found
