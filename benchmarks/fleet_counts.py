"""What the parts of a fleet ask of database and bucket, counted while they do it, for `benchmarks.fleet_model`."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sqlalchemy import text

from benchmarks import HERE
from benchmarks.fleet_measures import rows_of
from benchmarks.fleet_place import IDLE_ENGINE, CountedLink, ask, postgres_seconds
from fleet.fleet import until, wait  # of tests/
from stemwright.studio.store.tables import Worker, new_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.fleet_place import Place
    from fleet.fleet import Fleet
    from stemwright.studio.store.database import Database

CONF: Final = ("shared_preload_libraries=pg_stat_statements", "pg_stat_statements.max=1000")
BEAT: Final = 5.0  # seconds, as it is where nobody sets it
ROWS: Final = 1000  # of workers, that beats and looks find
_REAL: Final = 8  # workers that do nothing, at once
_SECONDS: Final = 20.0
_RUNS: Final = 40
_ASKED: Final = (
    "SELECT query, calls FROM pg_stat_statements JOIN pg_database ON pg_database.oid = dbid"
    " WHERE datname = current_database()"
)
_NOTE: Final = "UPDATE runs SET stage="  # what a note of progress begins with
_STORED: Final = (
    "SELECT (songs.size_bytes + sum(files.size_bytes)) / duration FROM songs"
    " JOIN files ON files.separation_id = songs.separation_id WHERE songs.id = :song GROUP BY songs.id"
)
SONG: Final = HERE.parent / "demo" / "song.ogg"


@dataclass(slots=True)
class Asked:
    """What something asks of the database, in all or for each second."""

    reads: float = 0.0
    writes: float = 0.0
    transactions: float = 0.0
    notes: float = 0.0  # of progress, among the writes
    cpu: float = 0.0  # seconds of PostgreSQL's processor time

    def per(self, count: float) -> Asked:
        """For one of so many."""
        return Asked(*(value / count for value in (self.reads, self.writes, self.transactions, self.notes, self.cpu)))

    def less(self, other: Asked, times: float) -> Asked:
        """Without what something else asked so often meanwhile; never less than nothing."""
        mine = (self.reads, self.writes, self.transactions, self.notes, self.cpu)
        theirs = (other.reads, other.writes, other.transactions, other.notes, other.cpu)
        return Asked(*(max(0.0, one - times * two) for one, two in zip(mine, theirs, strict=True)))


@dataclass(slots=True, kw_only=True)
class Counts:
    """All that the model is made of."""

    worker: Asked = field(default_factory=Asked)  # a second of one that waits
    patient: Asked = field(default_factory=Asked)  # the same, when it looks into the queue each 3 s, not 0.3
    replica: Asked = field(default_factory=Asked)  # a second of one that nobody asks
    run: Asked = field(default_factory=Asked)  # without its notes
    note: Asked = field(default_factory=Asked)
    question: Asked = field(default_factory=Asked)  # GET of a job
    listening: Asked = field(default_factory=Asked)  # a second of a replica with somebody who listens
    submission: Asked = field(default_factory=Asked)
    bucket: dict[str, Counter[str]] = field(default_factory=dict)  # requests by what was done
    stored: float = 0.0  # bytes that a second of song leaves in the bucket
    connections: dict[int, int] = field(default_factory=dict)  # of a worker that waits, by `database.pool`


@contextlib.contextmanager
def _asked(place: Place, db: Database) -> Iterator[Asked]:
    """What is asked of a database in the time of a block."""
    found = Asked()
    with db.engine.begin() as connection:
        connection.execute(text("SELECT pg_stat_statements_reset()"))
    before = postgres_seconds(place.server)
    yield found
    found.cpu = postgres_seconds(place.server) - before
    for query, calls in ask(db, _ASKED):
        word = query.lstrip("( ").split(None, 1)[0].upper()
        found.notes += calls if query.startswith(_NOTE) else 0
        if word == "BEGIN":
            found.transactions += calls
        elif word in {"INSERT", "UPDATE", "DELETE"} or (word == "WITH" and "UPDATE" in query):
            found.writes += calls
        elif word in {"SELECT", "WITH"} and "pg_stat_" not in query:
            found.reads += calls


@contextlib.contextmanager
def _fleet(place: Place) -> Iterator[tuple[Fleet, Database]]:
    """A fleet with the beats that it has where nobody sets them, and PostgreSQL's own count of statements."""
    with place.fleet(STEMWRIGHT_FLEET_BEAT=f"{BEAT}", STEMWRIGHT_FLEET_DEAD="30") as fleet, fleet.database() as db:
        with db.engine.begin() as connection:
            connection.execute(text("CREATE EXTENSION pg_stat_statements"))
        yield fleet, db


def count(place: Place) -> Counts:
    """Count all of it; a few minutes."""
    counts = Counts()
    _idle(place, counts)
    _work(place, counts)
    _api(place, counts)
    _bucket(place, counts)
    return counts


def _idle(place: Place, counts: Counts) -> None:
    """Workers that wait, among the rows of a thousand."""
    with _fleet(place) as (fleet, db):
        with db.session() as session:
            session.add_all(
                Worker(
                    id=f"other-{new_id()}",
                    host="h",
                    queue="cpu",
                    device="cpu",
                    models=["sketch"],
                    release="0",
                    version="2",
                    state="live",
                    seen_at=db.now() + 3600,
                )
                for _ in range(ROWS)
            )
        for worker in [fleet.worker() for _ in range(_REAL)]:
            worker.ready()
        counts.worker, counts.patient = [_looking(place, db, pause) for pause in (0.3, 3.0)]
    for pool in (2, 4):
        with _fleet(place) as (fleet, db):
            fleet.worker(STEMWRIGHT_DATABASE_POOL=f"{pool}", DATABASE_URL=f"{fleet.url}?application_name=w").ready()
            time.sleep(3 * BEAT)
            query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'w'"
            counts.connections[pool] = max(int(ask(db, query)[0][0]) for _ in range(200))


def _looking(place: Place, db: Database, pause: float) -> Asked:
    """A second of a worker that waits, when it looks into the queue each so many seconds."""
    pace = text("UPDATE dbos.queues SET polling_interval_sec = :pause WHERE name = 'cpu'")
    with db.engine.begin() as connection:
        connection.execute(pace, {"pause": pause})  # all workers read that at each look
    time.sleep(2 * BEAT)
    with _asked(place, db) as asked:
        time.sleep(_SECONDS)
    return asked.per(_REAL * _SECONDS)


def _work(place: Place, counts: Counts) -> None:
    """Runs with an engine that does nothing: all that is asked is the queue's and the rows' own."""
    with _fleet(place) as (fleet, db), rows_of(fleet) as of:
        song = of.song()
        fleet.worker(program=IDLE_ENGINE).ready()
        of.enqueue(song, 2)
        live = "SELECT 1 FROM runs WHERE status IN ('queued', 'running') LIMIT 1"
        until(lambda: not ask(db, live))
        began = time.monotonic()
        with _asked(place, db) as asked:
            of.enqueue(song, _RUNS)
            until(lambda: not of.ask("SELECT 1 FROM runs WHERE status IN ('queued', 'running') LIMIT 1"))
        work = asked.less(counts.worker, time.monotonic() - began)
        notes = work.notes / _RUNS
        counts.run = work.per(_RUNS)
        counts.run.writes -= notes
        counts.run.transactions -= notes
        counts.run.notes = notes
        counts.note = Asked(writes=1, transactions=1, cpu=_cpu_of_notes(place, db))


def _cpu_of_notes(place: Place, db: Database) -> float:
    """PostgreSQL's seconds for one note of progress."""
    [(number,)] = ask(db, "SELECT id FROM runs LIMIT 1")
    note = text("UPDATE runs SET stage='separating', progress=:p, eta=:p, updated_at=:p WHERE id=:id AND lease > 0")
    before = postgres_seconds(place.server)
    for progress in range(2000):
        with db.engine.begin() as connection:
            connection.execute(note, {"id": number, "p": float(progress)})
    return (postgres_seconds(place.server) - before) / 2000


def _api(place: Place, counts: Counts) -> None:
    """A replica that nobody asks, then one that is asked, listened to, and given songs."""
    with _fleet(place) as (fleet, db):
        api = fleet.api()
        time.sleep(2 * BEAT)
        with _asked(place, db) as asked:
            time.sleep(_SECONDS)
        counts.replica = asked.per(_SECONDS)
        songs, began = [place.song(seconds=1.0) for _ in range(20)], time.monotonic()
        with _asked(place, db) as asked:
            jobs = [api.submit(song, analysis="false") for song in songs]
        counts.submission = asked.less(counts.replica, time.monotonic() - began).per(len(jobs))
        began = time.monotonic()
        with _asked(place, db) as asked:
            for _ in range(200):
                api.job(jobs[-1]["id"])
        counts.question = asked.less(counts.replica, time.monotonic() - began).per(200)
        over = threading.Event()
        listening = threading.Thread(target=_listen, args=(f"{api.url}/api/v1/events", over))
        listening.start()
        time.sleep(2)
        with _asked(place, db) as asked:
            time.sleep(_SECONDS)
        over.set()
        listening.join()
        counts.listening = asked.less(counts.replica, _SECONDS).per(_SECONDS)


def _listen(url: str, over: threading.Event) -> None:
    import httpx

    with httpx.stream("GET", url, timeout=30) as events:
        for _ in events.iter_lines():
            if over.is_set():
                return


def _bucket(place: Place, counts: Counts) -> None:
    """A song that comes in, is taken apart, and goes out again, over a way on which requests are counted."""
    link = CountedLink(place.bucket.ports[0])
    try:
        with place.fleet(STEMWRIGHT_STORAGE_ENDPOINT=f"http://127.0.0.1:{link.port}") as fleet, fleet.database() as db:
            api, worker = fleet.api(), fleet.worker().ready()
            time.sleep(3)
            job = api.submit(place.song(seconds=1.0), analysis="false")
            wait(api, job["id"])
            time.sleep(2)  # it tidies up
            link.seen.clear()
            job = api.submit(SONG)
            counts.bucket["a song comes in, and is taken apart"] = link.seen
            stems = wait(api, job["id"])["result"]["stems"]
            time.sleep(2)
            link.seen = Counter()
            for path in stems.values():
                api.http.get(path).raise_for_status()
            counts.bucket["its stems are fetched once, through the API"] = link.seen
            counts.stored = float(ask(db, _STORED, song=job["song_id"])[0][0])
            worker.stop()
    finally:
        link.close()
