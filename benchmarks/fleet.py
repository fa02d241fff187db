"""What a fleet does and costs: `python -m benchmarks.fleet` writes benchmarks/FLEET.md, and takes half an hour.

It starts a PostgreSQL and an S3 server of its own. `--only rates,model` measures some parts anew, `--soak 500` is the
soak with so many jobs.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks import HERE, fleet_counts, fleet_measures, fleet_model, machine
from benchmarks.fleet_place import Place, opened
from fleet.soak import KINDS, Plan, Soak  # of tests/
from studio.work.receivers import Receiver, listening

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.fleet_counts import Counts

RESULTS: Final = HERE / "FLEET.md"
_INTRODUCTION: Final = """\
# What a fleet does and costs

Written by `python -m benchmarks.fleet`, which starts all of it on one machine: PostgreSQL (15, without fsync, on a disk
in memory), SeaweedFS as the bucket, replicas of the API and workers. On two cores they are in each other's way, so that
figures of more than one worker say what the queue can do, not what more machines would. Each part says when it was
measured, and how busy the machine was before."""


class Part(NamedTuple):
    """One heading of the page."""

    title: str
    words: str
    head: tuple[str, str, str] = ("what", "measured", "aim")


PARTS: Final = {
    "rates": Part(
        "Jobs a second",
        "*Probe* is what the probe of the design measured, on an earlier edition, with the start of the engines. No "
        "figure has the start of the workers in it. A worker takes one job at each look into the queue, every 0.3 s; "
        "real jobs take far longer. Engines step back behind all else (`nice`): a machine that is busy with other "
        "things slows `sketch` down first.",
        ("what", "measured", "probe"),
    ),
    "takeover": Part(
        "Take-over",
        "A worker's engine works; the worker is killed; others must find out by its silence.",
    ),
    "progress": Part(
        "Progress across replicas",
        "A job is submitted at one replica, a client listens at the other.",
    ),
    "bytes": Part(
        "What songs and stems cost the API",
        "Processor time of the API's process, user and system.",
    ),
    "lists": Part("A long queue", "The API is asked by one client."),
    "connections": Part(
        "Connections to the database",
        "`database.pool` is at its 4; a process that works uses up to twice as many, for a moment.",
    ),
}
MEASURES: Final[dict[str, Callable[[Place], list[tuple[str, str, str]]]]] = {
    "rates": fleet_measures.rates,
    "takeover": fleet_measures.take_overs,
    "progress": fleet_measures.progress,
    "bytes": fleet_measures.bytes_of_the_api,
    "lists": fleet_measures.lists,
    "connections": fleet_measures.connections,
}
MODEL: Final = {
    name: f"Model: {title}"
    for name, title in (
        ("database", "the database of a large fleet"),
        ("connections", "its connections"),
        ("bucket", "its bucket"),
        ("waiting", "how long its jobs wait"),
        ("walls", "its walls, and what to do"),
    )
}
_SOAK: Final = Part(
    "Soak",
    "Jobs through two replicas and four workers with callbacks, while one process after the other (a worker that "
    "works, a keeper, a replica) is killed with -9 and started again; `fleet.beat` 0.5, `fleet.dead` 4. Clients that "
    "are cut off try again with their Idempotency-Key. Each job succeeded once, with one separation and one callback.",
)
TITLES: Final = [*(part.title for part in PARTS.values()), _SOAK.title, *MODEL.values()]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write it down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="PARTS", help=f"some of {', '.join([*PARTS, 'model'])}, with commas between")
    parser.add_argument("--soak", type=int, metavar="JOBS", help="only the soak, with a kill each twenty seconds")
    given = parser.parse_args(arguments)
    if given.soak:
        with tempfile.TemporaryDirectory() as folder, opened(Path(folder)) as place:
            load = machine.load_average()
            write(_SOAK, soak(place, given.soak), load=load)
        return
    wanted = given.only.split(",") if given.only else [*PARTS, "model"]
    for name in wanted:
        if name not in {*PARTS, "model"}:
            parser.error(f"there is no part {name!r}")
        load, conf = machine.load_average(), fleet_counts.CONF if name == "model" else ()
        with tempfile.TemporaryDirectory() as folder, opened(Path(folder), conf=conf) as place:
            if name == "model":
                model(fleet_counts.count(place), load=load)
            else:
                write(PARTS[name], MEASURES[name](place), load=load)


def soak(place: Place, jobs: int) -> list[tuple[str, str, str]]:
    """The soak, and its figures."""
    receiver = Receiver()
    with listening(receiver), place.fleet(STEMWRIGHT_FLEET_BEAT="0.5", STEMWRIGHT_FLEET_DEAD="4") as fleet:
        one = Soak(fleet, receiver, Plan(jobs=jobs, every=1.2, kills=20.0), place.folder)
        found = one.run()
        one.check()
    before, after = found.connections
    kills = ", ".join(f"{found.kills[kind]} of {kind}" for kind in KINDS)
    again = ", ".join(f"{count} {why}" for why, count in found.again.most_common()) or "none"
    tries = [job["attempts"] for job in found.ended]
    memory = ", ".join(f"{kind} {found.peak(kind) / 1e6:.0f}" for kind in KINDS)
    return [
        ("jobs that were accepted, and succeeded once", f"{len(found.ended)} in {found.seconds:.0f} s", "all"),
        ("processes killed", kills, ""),
        ("times that clients tried again", again, ""),
        ("attempts of a job, the most", f"{max(tries)} ({sum(one > 1 for one in tries)} jobs had more than one)", "3"),
        ("objects without a row before the sweep, after it", f"{found.orphans}, 0", "0 after it"),
        ("connections to the database before and after", f"{before}, {after}", "no more than the pools keep"),
        ("largest memory of a process, MB", memory, "400"),
        ("growth of a process that lived for half of the time", f"{found.growth / 1e6:.1f} MB", "40 MB"),
    ]


def model(counts: Counts, *, load: float) -> None:
    """Write down what the counts mean for a large fleet."""
    of = fleet_model.Load()
    connections = [
        (f"a worker that waits, `database.pool: {pool}`", str(count), f"{count * of.workers:,} for {of.workers}")
        for pool, count in counts.connections.items()
    ]
    head = ("what", "a second", "cores of PostgreSQL")
    what = (
        f"{of.workers} workers, {of.jobs:,.0f} jobs a day of {of.song:g} s of song and {of.work:g} s of work each, at "
        f"noon {100 * of.swing:.0f} % more than on average. Statements are PostgreSQL's own count "
        "(pg_stat_statements) of real processes, its processor time is that of this machine."
    )
    write(Part(MODEL["database"], what, head),
          fleet_model.rows_of_model(counts, of), load=load)  # fmt: skip
    write(Part(MODEL["connections"], fleet_model.CONNECTIONS, ("what", "connections", "in all")),
          connections, load=load)  # fmt: skip
    write(Part(MODEL["bucket"], fleet_model.BUCKET, ("what", "requests or dollars", "is")),
          fleet_model.rows_of_bucket(counts, of), load=load)  # fmt: skip
    write(Part(MODEL["waiting"], fleet_model.WAITING, ("what", "wait p50, p95, longest", "busy")),
          fleet_model.rows_of_waiting(of), load=load)  # fmt: skip
    write(Part(MODEL["walls"], fleet_model.WALLS, ("wall", "where", "what to do")),
          fleet_model.rows_of_walls(counts, of), load=load)  # fmt: skip


def write(part: Part, rows: list[tuple[str, str, str]], *, load: float) -> None:
    """Put a part into the page, in the place of what it said before."""
    old = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    parts = dict(re.findall(r"^## (.+)\n\n((?:(?!## ).*\n?)*)", old, re.MULTILINE))
    about = f"Measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, load average before: {load:.1f}."
    head, line = " | ".join(part.head), "|".join(["---"] * len(part.head))
    table = "\n".join([f"| {head} |", f"|{line}|", *(f"| {' | '.join(row)} |" for row in rows)])
    parts[part.title] = f"{part.words}\n\n{table}\n\n{about}\n"
    ordered = [title for title in TITLES if title in parts]
    body = "\n".join(f"## {title}\n\n{parts[title].strip()}\n" for title in ordered)
    page = "\n\n".join([_INTRODUCTION, "\n".join(machine.describe(load=0.0)[:2]), body])
    RESULTS.write_text(page, encoding="utf-8")
    print(f"## {part.title}\n\n{table}", flush=True)


if __name__ == "__main__":
    main()
