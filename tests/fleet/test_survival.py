"""The failure matrix of a fleet: whatever dies, hangs or is cut off, every accepted job ends once and nothing is left.

Two replicas of the API stay for the whole module; each test brings workers of its own.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest

from fleet.fleet import DEAD, Fleet, Link, WorkerProcess, clock, engines, until, wait
from needs import needs
from processes import alive
from sounds import write_wav
from stemwright.studio.store.tables import Run, Separation, Song
from studio.work.receivers import Receiver, listening

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postgres import Postgres
    from s3 import S3
    from server import Server

pytestmark = pytest.mark.slow
RATE = 44_100


@dataclass
class Pair:
    """A fleet with two replicas of the API."""

    fleet: Fleet
    here: Server
    there: Server
    folder: Path
    songs: int = 0

    def song(self, seconds: float = 3.0) -> Path:
        """A song that was never there before."""
        self.songs += 1
        noise = np.random.default_rng(self.songs).standard_normal((2, int(seconds * RATE)))
        return write_wav(self.folder / f"song-{self.songs}.wav", (0.1 * noise).astype(np.float32), RATE)

    def submit(self, seconds: float = 3.0, **fields: str) -> dict[str, Any]:
        """Upload such a song at the first replica."""
        return self.here.submit(self.song(seconds), analysis="false", **fields)

    def done(self, job: dict[str, Any], *, attempts: int | None = None) -> dict[str, Any]:
        """Wait at the other replica until it has succeeded, then look at its stems and its rows."""
        ended = wait(self.there, job["id"])
        assert ended["status"] == "succeeded", (ended, self.fleet.logs())
        assert attempts is None or ended["attempts"] == attempts, ended
        assert len(self.fleet.stems(ended)) == 4
        assert len([one for one in self.fleet.rows(Separation) if one.id == ended["result"]["separation"]]) == 1
        return ended


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    with listening(receiver):
        yield receiver


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, server: Postgres, s3: S3) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    with Fleet.opened(folder / "fleet", server, s3, STEMWRIGHT_CALLBACKS_ALLOW="127.0.0.1") as fleet:
        yield Pair(fleet, fleet.api(), fleet.api(), folder)


@pytest.fixture
def worker(pair: Pair) -> Iterator[WorkerProcess]:
    """A worker that is there at the beginning; all workers are gone at the end, and nothing is left behind."""
    yield pair.fleet.worker().ready()
    pair.fleet.assert_clean()
    pair.fleet.stop_workers()


def test_worker_that_is_killed_while_it_separates_is_replaced(pair: Pair, worker: WorkerProcess) -> None:
    pair.fleet.arm("engine.separating")
    job = pair.submit()
    pair.fleet.stopped("engine.separating")
    engine = engines(worker.pid)
    began = time.monotonic()
    os.kill(worker.pid, signal.SIGKILL)
    pair.fleet.release("engine.separating")
    assert [*worker.folder.glob("workers/*/runs/*")]
    pair.fleet.worker(folder=worker.folder).ready()
    assert not [path for path in worker.folder.glob("workers/*/runs/*") if str(worker.pid) in str(path)]
    until(lambda: not any(map(alive, engine)), seconds=5)
    until(lambda: pair.fleet.run_of(job).attempts == 2)
    assert time.monotonic() - began > DEAD - 1  # nobody is believed dead before
    pair.done(job, attempts=2)


@pytest.mark.parametrize("point", ["storing", "stored", "saving", "saved"])
def test_worker_that_is_killed_while_it_keeps_what_it_made_leaves_nothing(
    pair: Pair, worker: WorkerProcess, point: str
) -> None:
    pair.fleet.arm(f"worker.{point}")
    job = pair.submit()
    assert pair.fleet.stopped(f"worker.{point}") == worker.pid
    os.kill(worker.pid, signal.SIGKILL)
    pair.fleet.release(f"worker.{point}")
    pair.fleet.worker().ready()
    pair.done(job, attempts=1 if point == "saved" else 2)


def test_engine_that_is_killed_is_replaced_in_its_worker(pair: Pair, worker: WorkerProcess) -> None:
    pair.fleet.arm("engine.separating")
    job = pair.submit()
    os.kill(pair.fleet.stopped("engine.separating"), signal.SIGKILL)
    pair.fleet.release("engine.separating")
    pair.done(job, attempts=2)
    assert worker.process.poll() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_worker_that_is_told_to_leave_gives_its_run_back_untried(
    pair: Pair, worker: WorkerProcess, number: signal.Signals
) -> None:
    other = pair.fleet.worker()
    pair.fleet.arm("engine.separating")
    job = pair.submit()
    pair.fleet.stopped("engine.separating")
    other.ready()
    [mine] = [one for one in (worker, other) if f"-{one.pid}-" in str(pair.fleet.run_of(job).worker)]
    engine = engines(mine.pid)
    began = time.monotonic()
    assert mine.stop(number) == 0
    assert time.monotonic() - began < 10
    pair.fleet.release("engine.separating")
    assert not any(map(alive, engine))
    pair.done(job, attempts=1)
    assert time.monotonic() - began < 30
    assert not [*mine.folder.glob("workers/*/*")]


def test_worker_that_slept_while_others_took_its_run_changes_nothing(pair: Pair, worker: WorkerProcess) -> None:
    pair.fleet.arm("worker.storing")
    job = pair.submit()
    pair.fleet.stopped("worker.storing")
    os.killpg(worker.pid, signal.SIGSTOP)
    pair.fleet.release("worker.storing")
    pair.fleet.worker().ready()
    ended = pair.done(job, attempts=2)
    os.killpg(worker.pid, signal.SIGCONT)
    until(lambda: worker.said("joins again") > 0)
    after = pair.there.job(job["id"])
    assert after == ended
    job = pair.submit()  # it is a worker like any other again
    pair.done(job)


@pytest.fixture
def link(server: Postgres) -> Iterator[Link]:
    made = Link(server.port)
    yield made
    made.close()


def test_worker_that_is_cut_off_from_the_database_is_replaced(pair: Pair, link: Link) -> None:
    cut_off = pair.fleet.worker(DATABASE_URL=pair.fleet.url_at(link.port)).ready()
    pair.fleet.arm("engine.separating")
    job = pair.submit()
    pair.fleet.stopped("engine.separating")
    link.cut()
    pair.fleet.release("engine.separating")
    other = pair.fleet.worker().ready()
    ended = pair.done(job, attempts=2)
    until(lambda: cut_off.said("the engines are stopped") > 0)
    link.heal()
    until(lambda: cut_off.said("joins again") > 0)
    other.stop()
    second = pair.submit()
    pair.done(second)
    assert pair.there.job(job["id"]) == ended
    pair.fleet.assert_clean()
    pair.fleet.stop_workers()


def test_lone_worker_that_was_cut_off_for_long_does_its_run_again(pair: Pair, link: Link) -> None:
    lone = pair.fleet.worker(DATABASE_URL=pair.fleet.url_at(link.port)).ready()
    pair.fleet.arm("engine.separating")
    job = pair.submit()
    pair.fleet.stopped("engine.separating")
    link.cut()
    pair.fleet.release("engine.separating")
    until(lambda: pair.fleet.run_of(job).status == "queued")  # a keeper has taken it away
    link.heal()
    pair.done(job, attempts=2)
    assert lone.process.poll() is None
    pair.fleet.assert_clean()
    pair.fleet.stop_workers()


@pytest.mark.parametrize("seconds", [0.3, 1.5 * DEAD])
def test_database_that_restarts_costs_no_job_and_no_attempt(
    pair: Pair, worker: WorkerProcess, server: Postgres, seconds: float
) -> None:
    pair.fleet.arm("engine.separating")
    job, waiting = pair.submit(), pair.submit()
    pair.fleet.stopped("engine.separating")
    server.stop("immediate")
    began = time.monotonic()
    answer = pair.there.http.get(f"/api/v1/jobs/{job['id']}")
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert not [word for word in (str(server.port), "127.0.0.1", "psycopg") if word in answer.text]
    assert "retry-after" in answer.headers
    assert pair.there.http.get("/readyz").status_code == 503
    time.sleep(max(0.0, seconds - (time.monotonic() - began)))
    server.start()
    pair.fleet.release("engine.separating")
    pair.done(job, attempts=1)
    pair.done(waiting, attempts=1)
    assert worker.process.poll() is None
    assert worker.said("took over") == 0


@pytest.mark.parametrize("how", ["killed", "hung"])
def test_store_that_is_away_keeps_jobs_waiting_and_is_named(
    pair: Pair, worker: WorkerProcess, s3: S3, how: str
) -> None:
    pair.fleet.arm("worker.storing")
    job = pair.submit()
    pair.fleet.stopped("worker.storing")
    if how == "killed":
        s3.kill()
    else:
        s3.hang()
    pair.fleet.release("worker.storing")
    began = time.monotonic()
    with pair.song().open("rb") as file:
        answer = pair.here.http.post("/api/v1/jobs", files={"file": ("a.wav", file)})
    assert time.monotonic() - began < 9
    assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
    assert not [word for word in (s3.endpoint, "s3://", "tests/", "local/uploads") if word in answer.text]
    ready = pair.there.http.get("/readyz")
    assert ready.status_code == 503
    assert "storage" in ready.text
    until(lambda: worker.said("the object store is away") > 0)
    time.sleep(2)
    assert pair.there.job(job["id"])["status"] == "running"
    if how == "killed":
        s3.start()
    else:
        s3.go_on()
    pair.done(job, attempts=1)
    until(lambda: pair.there.http.get("/readyz").status_code == 200)


@pytest.mark.parametrize("point", ["uploaded", "row"])
def test_replica_that_is_killed_amid_a_submission_leaves_no_job(pair: Pair, worker: WorkerProcess, point: str) -> None:
    song = pair.song()
    third = pair.fleet.api()
    pair.fleet.arm(f"api.{point}")
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(third.submit, song)
        pair.fleet.stopped(f"api.{point}")
        assert third.process
        os.killpg(third.process.pid, signal.SIGKILL)
        with pytest.raises(httpx.TransportError):
            asked.result()
    pair.fleet.release(f"api.{point}")
    assert not [row for row in pair.fleet.rows(Song) if row.file_name == song.name]
    pair.done(pair.here.submit(song, analysis="false"), attempts=1)


def test_keeper_that_is_killed_is_started_again_and_owes_nothing(
    pair: Pair, worker: WorkerProcess, receiver: Receiver
) -> None:
    """The callback that it was sending goes out all the same, by a keeper of either replica, and once."""
    pair.fleet.arm("executor.callback")
    job = pair.submit(callback_url=receiver.url())
    keeper = pair.fleet.stopped("executor.callback")
    os.kill(keeper, signal.SIGKILL)
    pair.fleet.release("executor.callback")
    pair.done(job, attempts=1)

    def events() -> list[str]:
        return sorted({f"{json.loads(body)['type']} {headers['webhook-id']}" for _, headers, body in receiver.got})

    def has(event: str) -> bool:
        return any(event in one for one in events())

    for event in ("job.succeeded", "job.started"):  # what the killed one was to send, another sends after a while
        until(partial(has, event))
    time.sleep(1)
    assert [one.split()[0] for one in events()] == ["job.started", "job.succeeded"]
    until(lambda: all(server.http.get("/readyz").status_code == 200 for server in (pair.here, pair.there)))


def test_equal_submissions_at_two_replicas_are_one_run(pair: Pair, worker: WorkerProcess) -> None:
    song, before = pair.song(), len(pair.fleet.rows(Run))
    with ThreadPoolExecutor(32) as pool:
        asked = [pool.submit(server.submit, song, analysis="false") for server in [pair.here, pair.there] * 16]
        jobs = [one.result() for one in asked]
    assert len({job["song_id"] for job in jobs}) == 1
    for job in jobs:
        assert wait(pair.there, job["id"])["status"] == "succeeded"
    ended = [run for run in pair.fleet.rows(Run) if run.song_id == jobs[0]["song_id"] and run.attempts]
    assert len(ended) == 1, before


def test_job_that_is_cancelled_at_the_other_replica_stops(pair: Pair, worker: WorkerProcess) -> None:
    pair.fleet.arm("engine.separating")
    job = pair.submit()
    engine = pair.fleet.stopped("engine.separating")
    began = time.monotonic()
    assert pair.there.http.delete(f"/api/v1/jobs/{job['id']}").status_code == 200
    until(lambda: not alive(engine), seconds=10)
    assert time.monotonic() - began < 6
    pair.fleet.release("engine.separating")
    assert pair.here.job(job["id"])["status"] == "cancelled"
    pair.done(pair.submit())


def test_job_that_kills_each_worker_fails_after_its_attempts(pair: Pair, worker: WorkerProcess) -> None:
    job, workers = None, [worker]
    for attempt in (1, 2, 3):
        pair.fleet.arm("engine.separating")
        job = job or pair.submit()
        pair.fleet.stopped("engine.separating")
        assert pair.fleet.run_of(job).attempts == attempt
        os.kill(workers[-1].pid, signal.SIGKILL)
        pair.fleet.release("engine.separating")
        workers.append(pair.fleet.worker().ready())
    assert job
    ended = wait(pair.there, job["id"])
    assert (ended["status"], ended["error"]["code"], ended["attempts"]) == ("failed", "engine_crashed", 3)


@pytest.mark.parametrize("seconds", [-120, 120])
def test_worker_whose_clock_is_wrong_works_as_any_other(pair: Pair, tmp_path: Path, seconds: int) -> None:
    skewed = pair.fleet.worker(PYTHONPATH=clock(tmp_path, seconds)).ready()
    ended = pair.done(pair.submit(), attempts=1)
    [row] = [one for one in pair.fleet.live() if f"-{skewed.pid}-" in one.id]
    assert abs(row.seen_at - time.time()) < DEAD
    assert abs((pair.fleet.run_of(ended).finished_at or 0.0) - time.time()) < 60
    pair.fleet.assert_clean()
    pair.fleet.stop_workers()


def test_machine_whose_clock_the_store_would_refuse_does_not_start(pair: Pair, tmp_path: Path) -> None:
    late = pair.fleet.worker(PYTHONPATH=clock(tmp_path, -1200))
    assert late.process.wait(60) == 1
    assert "20 minutes behind" in late.log.read_text()
    assert "wrong_clock" in late.log.read_text()


@needs("ip", "unshare")
def test_packets_that_are_lost_without_a_word_are_noticed_in_time() -> None:
    """The route to the database becomes a black hole, in a network of its own; libpq alone waits more than a minute."""
    hole = Path(__file__).with_name("hole.py")
    done = subprocess.run(
        ["unshare", "-n", sys.executable, hole], capture_output=True, text=True, check=False, timeout=120
    )
    if "unshare failed" in done.stderr:
        pytest.skip(f"needs a network of its own: {done.stderr[:200]}")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["error"] == "DatabaseUnavailableError"
    assert 5 < said["seconds"] < 20
    assert said["afterwards"] == 1
