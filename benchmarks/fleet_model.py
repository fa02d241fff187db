"""A fleet of a thousand workers and a hundred thousand jobs a day, by what was counted of a small one.

The counts are real (`benchmarks.fleet_counts`); what follows from them is arithmetic, and a simulation of the queue.
"""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from benchmarks.fleet_counts import Asked, Counts

Row = tuple[str, str, str]
DAY: Final = 86_400.0
_EVERY: Final = 0.4  # seconds between two notes of progress
_GB: Final = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What such a fleet has to do."""

    workers: int = 1000
    replicas: int = 10
    jobs: float = 100_000.0  # a day
    work: float = 400.0  # seconds of a job
    song: float = 240.0  # seconds of a song
    swing: float = 0.6  # the busiest moment of a day has so much more than its mean
    kept: float = 7.0  # days
    fetched: float = 1.0  # how often stems leave the bucket


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """In dollars: a million requests that write or list, a million that read, a GB for a month, a GB that leaves."""

    name: str
    write: float
    read: float
    store: float
    leave: float


# As both publish them for their standard class (Amazon: us-east-1, the first tier), in 2025.
PRICES: Final = (
    Prices(name="R2", write=4.50, read=0.36, store=0.015, leave=0.0),
    Prices(name="S3", write=5.00, read=0.40, store=0.023, leave=0.09),
)
CONNECTIONS: Final = """\
PostgreSQL takes a hundred connections where nobody sets more, and has a process for each. This is the first wall that
a growing fleet meets."""
BUCKET: Final = """\
Requests of the demo song (a compressed upload, stems in FLAC), counted on their way. Prices are an assumption, as both
published them for their standard class in 2025; look again. R2: $4.50 a million requests that write or list, $0.36 that
read, $0.015 a GB and month, nothing for what leaves; S3 in us-east-1: $5.00, $0.40, $0.023, $0.09 a GB."""
WAITING: Final = """\
A simulated day. Jobs come by chance, most of them at noon. It shows that looking into the queue more rarely costs
nothing as long as some workers are idle, for one of them looks soon; and that too few workers cost all."""
WALLS: Final = """\
In the order in which a growing fleet meets them, by the tables of this page."""


def rows_of_walls(counts: Counts, load: Load) -> list[Row]:
    """Where it does not go on, and what helps."""
    each, lean = counts.connections[4], counts.connections[2]
    looking, calm = counts.worker.cpu * load.workers, _paced(counts, load.workers).cpu * load.workers
    notes = counts.note.cpu * load.jobs / DAY * load.work / _EVERY
    passing = load.jobs * load.song * counts.stored / DAY / 1e6
    walls = f"""
connections
{100 // each} workers with PostgreSQL as it comes; {load.workers} ask for {each * load.workers:,}
`max_connections`, with `database.pool: 2` for {lean} a worker; for a thousand workers pgbouncer in transaction mode \
between (nothing prepares statements or listens; not measured here)

looks into the queue
{looking:.1f} cores of PostgreSQL for {load.workers} workers that wait, if each looked every 0.3 s; {calm:.1f} as it is
nothing: beyond 150 workers of a queue they look more rarely, 500 times a second together. The rest is DBOS's own \
housekeeping once a second, and beats: `fleet.beat`, `fleet.dead`

notes of progress
{notes:.1f} cores on average
nothing: one row by its key, and autovacuum

bytes through the API
{passing:.0f} MB/s of stems on average
`storage.redirect: true`; what a MB costs is above

what leaves the bucket
the largest part of the bill at S3
a bucket that takes nothing for it, such as R2; shorter `retention.results_days`
"""
    split = [wall.split("\n") for wall in walls.strip().split("\n\n")]
    return [(wall, where, what) for wall, where, what in split]


def rows_of_model(counts: Counts, load: Load) -> list[Row]:
    """What the whole asks of the database and of the bucket."""
    mean, peak = load.jobs / DAY, load.jobs / DAY * (1 + load.swing)
    rows = []
    for name, worker in (("each 0.3 s", counts.worker), ("each 3 s", counts.patient)):
        idle = _sum((worker, float(load.workers)))
        rows.append((f"{load.workers} workers that look into the queue {name}", *_of(idle)))
    parts: list[tuple[str, Asked]] = [
        (f"{load.replicas} replicas, each with somebody who listens",
         _sum((counts.replica, load.replicas), (counts.listening, load.replicas))),
        (f"{peak:.1f} jobs a second, with their submission", _sum((counts.run, peak), (counts.submission, peak))),
        (f"progress of {peak * load.work:.0f} running jobs, a note each {_EVERY} s",
         _sum((counts.note, peak * load.work / _EVERY))),
        ("100 questions a second for a job", _sum((counts.question, 100.0))),
    ]  # fmt: skip
    rows += [(name, *_of(asked)) for name, asked in parts]
    whole = _sum(*((asked, 1.0) for _, asked in parts), (_paced(counts, load.workers), float(load.workers)))
    rows.append((f"**all at the busiest moment** (mean: {mean:.2f} jobs/s), workers at their pace", *_of(whole)))
    return rows


def _paced(counts: Counts, workers: int) -> Asked:
    """A worker at the pace that the workflow sets for so many: between those of 0.3 and of 3 s, by looks a second."""
    pause = max(0.3, workers / 500.0)
    share = (1 / pause - 1 / 3.0) / (1 / 0.3 - 1 / 3.0)
    return _sum((counts.worker, share), (counts.patient, 1 - share))


def _sum(*parts: tuple[Asked, float]) -> Asked:
    from benchmarks.fleet_counts import Asked

    return Asked(
        reads=sum(one.reads * times for one, times in parts),
        writes=sum(one.writes * times for one, times in parts),
        transactions=sum(one.transactions * times for one, times in parts),
        cpu=sum(one.cpu * times for one, times in parts),
    )


def _of(asked: Asked) -> tuple[str, str]:
    figures = f"{asked.reads:,.0f} reads, {asked.writes:,.0f} writes, {asked.transactions:,.0f} transactions"
    return figures, f"{asked.cpu:.2f}"


def rows_of_bucket(counts: Counts, load: Load) -> list[Row]:
    """Requests, and what they cost in a month of thirty days."""
    jobs, rows = load.jobs * 30, []
    writes = reads = 0.0
    for what, seen in counts.bucket.items():
        times = load.fetched if "fetched" in what else 1.0
        writes += times * sum(seen[word] for word in ("PUT", "POST", "LIST"))
        reads += times * sum(seen[word] for word in ("GET", "HEAD"))
        rows.append((what, ", ".join(f"{count} {word}" for word, count in sorted(seen.items())), ""))
    size = counts.stored * load.song / _GB  # of a job
    for price in PRICES:
        asked = jobs * (writes * price.write + reads * price.read) / 1e6
        store = load.jobs * load.kept * size * price.store
        leave = jobs * load.fetched * size * price.leave
        lies, leaves = load.jobs * load.kept * size / 1000, jobs * load.fetched * size / 1000
        rows.append(
            (
                f"{price.name}, a month: requests, {lies:.0f} TB that lie there, {leaves:.0f} TB that leave",
                f"${asked:,.0f} + ${store:,.0f} + ${leave:,.0f} = **${asked + store + leave:,.0f}**",
                f"${1000 * (asked + store + leave) / jobs:.2f} a thousand jobs",
            )
        )
    return rows


def rows_of_waiting(load: Load) -> list[Row]:
    """How long jobs wait for a worker, by a simulated day."""
    rows = []
    for workers in (load.workers, round(load.workers * 0.8), round(load.workers * 0.6)):
        for pause in (0.3, 2.0):
            waits, busy = simulate(load, workers=workers, pause=pause)
            middle, late = waits[len(waits) // 2], waits[len(waits) * 95 // 100]
            what = f"{workers} workers that look each {pause:g} s"
            rows.append((what, f"{_seconds(middle)}, {_seconds(late)}, {_seconds(waits[-1])}", f"{100 * busy:.0f} %"))
    return rows


def simulate(load: Load, *, workers: int, pause: float, seed: int = 1) -> tuple[list[float], float]:
    """A day: the waits of its jobs, in order of their length, and which share of their time the workers work.

    Jobs come by chance, most of them at noon. An idle worker looks into the queue each `pause` seconds, one that has
    ended its job at some moment within the next `pause`.
    """
    chance = random.Random(seed)
    looks: list[float] = []  # when the busy ones will first look again
    idle, at, waits, worked = workers, 0.0, [], 0.0
    highest = load.jobs / DAY * (1 + load.swing)
    while (at := at + chance.expovariate(highest)) < DAY:
        now = load.jobs / DAY * (1 - load.swing * math.cos(2 * math.pi * at / DAY))
        if chance.random() * highest > now:
            continue
        while looks and looks[0] <= at:
            heapq.heappop(looks)
            idle += 1
        if idle:
            start = at + pause * (1 - chance.random() ** (1 / idle))  # the first of so many that look
            idle -= 1
        else:
            start = heapq.heappop(looks)
        work = load.work * chance.lognormvariate(-0.125, 0.5)  # its mean is `work`
        worked += work
        heapq.heappush(looks, start + work + chance.random() * pause)
        waits.append(start - at)
    return sorted(waits), worked / DAY / workers


def _seconds(value: float) -> str:
    return f"{1000 * value:.0f} ms" if value < 1 else f"{value:.1f} s" if value < 120 else f"{value / 60:.0f} min"
