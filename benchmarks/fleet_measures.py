"""What of a fleet is measured, each for itself: rates, take-over, progress, the cost of bytes, lists, connections."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import httpx
import numpy as np

from benchmarks.fleet_place import IDLE_ENGINE, Rows, ask, cpu_seconds
from fleet.fleet import until, wait  # of tests/
from stemwright.audio.decode import DecodeLimits
from stemwright.studio.config import JobsConfig
from stemwright.studio.work.queue import Queue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.fleet_place import Place
    from fleet.fleet import Fleet, WorkerProcess
    from server import Server

Row = tuple[str, str, str]
PROBE: Final = {1: "3.1", 2: "6.2", 4: "10.6"}  # jobs a second that the probe measured, at 2c74a7b
NAMES: Final = {"api": "a replica of the API with its keeper", "worker": "a worker"}
TAKE_OVERS: Final = ((8.0, 1.0, 3), (30.0, 5.0, 2))  # seconds of `dead` and of `beat`, and how often
QUEUED: Final = 1000
_MB: Final = 1e6


def told(what: str, measured: str, aim: str = "") -> list[Row]:
    print(f"{what}: {measured}" + (f" (aim {aim})" if aim else ""), flush=True)
    return [(what, measured, aim)]


@contextlib.contextmanager
def rows_of(fleet: Fleet) -> Iterator[Rows]:
    """What writes the rows of a fleet."""
    config = JobsConfig(work=fleet.folder, engine_command=(), limits=DecodeLimits())
    with fleet.database() as db:
        queue = Queue(db, config)
        yield Rows(fleet, db, queue)
        queue.close()


def rates(place: Place) -> list[Row]:
    """Jobs a second of one, two and four workers."""
    rows = []
    for count in (1, 2, 4):
        with place.fleet(STEMWRIGHT_FLEET_BEAT="5", STEMWRIGHT_FLEET_DEAD="30") as fleet, rows_of(fleet) as of:
            of.enqueue(of.song(), 60 * count)
            workers = [fleet.worker(program=IDLE_ENGINE) for _ in range(count)]
            rows += told(
                f"tiny jobs with an engine that does nothing, {count} worker(s)",
                _rate(of, workers),
                f"{PROBE[count]}/s",
            )
    for count in (1, 2, 4):
        with place.fleet(STEMWRIGHT_FLEET_BEAT="5", STEMWRIGHT_FLEET_DEAD="30") as fleet, rows_of(fleet) as of:
            api = fleet.api()
            for _ in range(20 + 10 * count):
                api.submit(place.song(seconds=1.0), analysis="false")
            workers = [fleet.worker() for _ in range(count)]
            rows += told(
                f"songs of one second through `sketch`, uploaded before, {count} worker(s)", _rate(of, workers), ""
            )
    return rows


def _rate(of: Rows, workers: list[WorkerProcess]) -> str:
    """Wait until all is done; jobs a second from when each worker had done one, and from the first begin on."""
    for worker in workers:
        worker.ready()
    until(lambda: not of.ask("SELECT 1 FROM runs WHERE status IN ('queued', 'running') LIMIT 1"), seconds=600)
    [(count, good, begun, ended)] = of.ask(
        "SELECT count(*), count(*) FILTER (WHERE status = 'succeeded'), min(started_at), max(finished_at) FROM runs"
    )
    assert good == count, f"{count - good} runs failed"
    warm = of.ask("SELECT max(first) FROM (SELECT min(finished_at) AS first FROM runs GROUP BY worker) AS firsts")[0][0]
    rest = of.ask("SELECT count(*) FROM runs WHERE finished_at > :warm", warm=warm)[0][0]
    return f"{rest / (ended - warm):.1f}/s ({count / (ended - begun):.1f}/s with the start of the engines)"


def take_overs(place: Place) -> list[Row]:
    """Seconds from kill -9 of a worker to the next begin of what it worked on."""
    with ThreadPoolExecutor(len(TAKE_OVERS)) as pool:
        found = [*pool.map(lambda one: _take_over(place, *one), TAKE_OVERS)]
    rows = []
    for (dead, beat, _), seconds in zip(TAKE_OVERS, found, strict=True):
        what = f"kill -9 of a worker until another has begun its run, `fleet.dead` {dead:g}, `beat` {beat:g}"
        rows += told(what, f"{', '.join(f'{one:.1f}' for one in sorted(seconds))} s", f"{dead + beat + 1:g} s")
    return rows


def _take_over(place: Place, dead: float, beat: float, times: int) -> list[float]:
    seconds = []
    with place.fleet(STEMWRIGHT_FLEET_BEAT=f"{beat}", STEMWRIGHT_FLEET_DEAD=f"{dead}") as fleet:
        api, workers = fleet.api(), [fleet.worker().ready() for _ in range(2)]
        time.sleep(dead + 2 * beat)  # before that nobody judges
        for _ in range(times):
            fleet.arm("engine.separating")
            job = api.submit(place.song(seconds=2.0), analysis="false")
            fleet.stopped("engine.separating")
            [victim] = [one for one in workers if f"-{one.pid}-" in str(fleet.run_of(job).worker)]
            os.kill(victim.pid, signal.SIGKILL)
            began = time.monotonic()
            fleet.release("engine.separating")
            with fleet.database() as db:
                attempts = "SELECT attempts FROM runs WHERE song_id = :song"
                until(lambda: ask(db, attempts, song=job["song_id"])[0][0] == 2)  # noqa: B023
                seconds.append(time.monotonic() - began)
            assert wait(api, job["id"])["status"] == "succeeded"
            workers.remove(victim)
            workers.append(fleet.worker().ready())
    return seconds


def progress(place: Place) -> list[Row]:
    """From the row that a worker writes to the event at the other replica, for songs that `sketch` separates."""
    lags: list[float] = []
    with place.fleet() as fleet:
        here, there = fleet.api(), fleet.api()
        fleet.worker().ready()
        wait(here, here.submit(place.song(seconds=2.0), analysis="false")["id"])
        for _ in range(3):
            job = here.submit(place.song(seconds=300.0), analysis="false")
            lags += _lags(fleet, there, job["id"])
    p50, p95 = np.percentile(lags, [50, 95]) * 1000
    what = f"progress: a worker's row to the event at another replica, p50, p95 of {len(lags)}"
    return told(what, f"{p50:.0f}, {p95:.0f} ms", "p95 300 ms")


def _lags(fleet: Fleet, server: Server, job_id: str) -> list[float]:
    """Of each state of a job, the time of its event after that of its row."""
    seen: dict[tuple[float, str], float] = {}
    over = threading.Event()

    def poll() -> None:
        query = "SELECT progress, stage FROM jobs JOIN runs ON runs.id = run_id WHERE jobs.id = :id"
        with fleet.database() as db:
            while not over.is_set():
                [row] = ask(db, query, id=job_id)
                seen.setdefault(tuple(row), time.monotonic())
                time.sleep(0.005)

    watching = threading.Thread(target=poll)
    watching.start()
    got: dict[tuple[float, str], float] = {}
    with server.http.stream("GET", f"/api/v1/jobs/{job_id}/events") as events:
        for line in events.iter_lines():
            if line.startswith("data: "):
                job = json.loads(line.removeprefix("data: "))
                got.setdefault((job["progress"], job["stage"]), time.monotonic())
    over.set()
    watching.join()
    shared = [state for state in got if state in seen][1:]  # the first was there before we listened
    return [max(0.0, got[state] - seen[state]) for state in shared]


def bytes_of_the_api(place: Place) -> list[Row]:
    """Processor seconds of the API's process a megabyte, by which way songs come in and stems go out."""
    rows = []
    with place.fleet() as fleet:
        plain, redirecting = fleet.api(), fleet.api(STEMWRIGHT_STORAGE_REDIRECT="true")
        fleet.worker().ready()
        songs = [place.song(seconds=120.0) for _ in range(5)]
        jobs: list[dict[str, Any]] = []
        cost = _cost(plain, lambda: jobs.extend(plain.submit(song, analysis="false") for song in songs))
        size = sum(song.stat().st_size for song in songs)
        rows += told("API: upload as a form", _per_mb(cost, size))
        rows += _presigned(plain, [place.song(seconds=120.0) for _ in range(5)])
        links = [*wait(plain, jobs[0]["id"])["result"]["stems"].values()]
        for name, server in (("through the API", plain), ("by a link to the bucket", redirecting)):
            sizes: list[int] = []
            cost = _cost(server, lambda: sizes.extend(_download(server, links)))  # noqa: B023
            rows += told(f"API: download of stems {name}", _per_mb(cost, sum(sizes)))
    return rows


def _download(server: Server, links: list[str]) -> Iterator[int]:
    for _ in range(5):
        for link in links:
            with httpx.stream("GET", f"{server.url}{link}", follow_redirects=True, timeout=60) as answer:
                answer.raise_for_status()
                yield sum(len(piece) for piece in answer.iter_raw())


def _cost(server: Server, work: Callable[[], None]) -> float:
    assert server.process
    time.sleep(1)
    before = cpu_seconds(server.process.pid)
    work()
    return cpu_seconds(server.process.pid) - before


def _per_mb(seconds: float, size: int) -> str:
    return f"{1000 * seconds / (size / _MB):.2f} ms a MB ({seconds:.2f} s for {size / _MB:.0f} MB)"


def _presigned(server: Server, songs: list[Path]) -> list[Row]:
    """Uploads that go to the bucket itself, where the API offers that."""
    what = "API: upload by a link to the bucket"
    if "/api/v1/uploads" not in server.http.get("/openapi.json").json()["paths"]:
        return told(what, "not measured: this edition has no POST /api/v1/uploads")

    def send() -> None:
        for song in songs:
            data = song.read_bytes()
            wanted = {"name": song.name, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            upload = server.http.post("/api/v1/uploads", json=wanted).raise_for_status().json()
            httpx.put(upload["url"], content=data, headers=upload["headers"], timeout=60).raise_for_status()
            server.http.post(
                "/api/v1/jobs", json={"upload_id": upload["upload_id"], "analysis": False}
            ).raise_for_status()

    return told(what, _per_mb(_cost(server, send), sum(song.stat().st_size for song in songs)))


def lists(place: Place) -> list[Row]:
    """What the API takes to tell of a queue of a thousand jobs."""
    rows = []
    with place.fleet() as fleet, rows_of(fleet) as of:
        api = fleet.api()
        for _ in range(QUEUED):
            of.enqueue(of.song(), 1)
        job = api.http.get("/api/v1/jobs").json()["items"][0]["id"]
        paths = ("/api/v1/jobs", "/api/v1/jobs?limit=200", "/api/v1/queue", f"/api/v1/jobs/{job}")
        for path in paths:
            took = []
            for _ in range(40):
                began = time.perf_counter()
                api.http.get(path).raise_for_status()
                took.append(1000 * (time.perf_counter() - began))
            shown = path.replace(job, "{id}")
            figures = f"{statistics.median(took):.0f}, {np.percentile(took, 95):.0f} ms"
            rows += told(f"GET {shown} with {QUEUED} queued jobs, p50, p95 of 40", figures, "50 ms")
    return rows


def connections(place: Place) -> list[Row]:
    """Connections to the database of processes that have nothing to do."""
    with place.fleet() as fleet, fleet.database() as db:
        fleet.api(DATABASE_URL=f"{fleet.url}?application_name=api")
        fleet.worker(DATABASE_URL=f"{fleet.url}?application_name=worker").ready()
        time.sleep(12)
        most: dict[str, int] = {}
        query = "SELECT application_name, count(*) FROM pg_stat_activity WHERE application_name <> '' GROUP BY 1"
        for _ in range(20):
            for name, count in ask(db, query):
                most[name] = max(most.get(name, 0), count)
            time.sleep(0.2)
    rows = []
    for name, aim in (("worker", "5"), ("api", "")):
        rows += told(f"connections of {NAMES[name]} that has nothing to do", str(most[name]), aim)
    return rows
