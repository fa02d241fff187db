"""How the studio answers while twenty clients use all doors: `python -m benchmarks.doors` writes DOORS.md."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks import HERE, machine
from doors.crowd import Crowd, prepared  # of tests/
from server import running

if TYPE_CHECKING:
    from collections import Counter

    from server import Server

RESULTS: Final = HERE / "DOORS.md"
CLIENTS, SECONDS, SONG = 20, 30.0, 10.0
ALONE: Final = 200  # questions before the crowd comes
PAUSE: Final = 0.05  # seconds between two questions


def main() -> None:
    """Measure, and write it down."""
    about = machine.describe(load=machine.load_average())
    with tempfile.TemporaryDirectory() as folder:
        songs = Path(folder) / "songs"
        environment, began = prepared(songs, seconds=SONG), time.perf_counter()
        with running(Path(folder) / "data", **environment) as server:
            ready = time.perf_counter() - began
            alone, crowded, late, visited = watch(server, songs)
    visits = ", ".join(f"{name} {visited[name]}" for name in sorted(visited))
    rows = [
        ("ready after the start, with all doors open on ports of their own", f"{ready:.2f} s", "3 s"),
        (f"/health alone, p50, p99 of {len(alone)}", percent(alone), ""),
        (
            f"/health while {CLIENTS} clients use the doors and an engine works, p50, p99 of {len(crowded)}",
            percent(crowded),
            "100 ms",
        ),
        ("the same, as a multiple of alone: p50", f"{statistics.median(crowded) / statistics.median(alone):.1f}×", ""),
        ("meanwhile, a thread that sleeps 50 ms wakes late by, p50, p99", percent(late), ""),
        (f"visits that ended well in {SECONDS:g} s and more", visits, "all"),
    ]
    machine.write_table(RESULTS, title="How the doors answer", about=about, rows=rows)


def watch(server: Server, songs: Path) -> tuple[list[float], list[float], list[float], Counter[str]]:
    """Seconds of `/health` before the crowd comes, and while it is there; what pauses were too long; the visits."""
    late: list[float] = []

    def ask() -> float:
        began = time.perf_counter()
        server.http.get("/health").raise_for_status()
        answered = time.perf_counter()
        time.sleep(PAUSE)
        late.append(time.perf_counter() - answered - PAUSE)
        return answered - began

    alone = [ask() for _ in range(ALONE)]
    late.clear()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        crowding = pool.submit(stay, server.doors, songs)
        crowded = []
        while not crowding.done():
            crowded.append(ask())
        return alone, crowded, late, crowding.result()


def stay(doors: dict[str, str], songs: Path) -> Counter[str]:
    """The crowd, in a process of its own; its visits."""
    os.setsid()  # as if on machines of their own: Linux weighs sessions, and who asks for /health is not of the crowd
    crowd = Crowd(doors, songs, size=CLIENTS)
    asyncio.run(crowd.stay(SECONDS))
    return crowd.visits


def percent(values: list[float]) -> str:
    """Median and 99th percentile."""
    return f"{statistics.median(values) * 1000:.0f}, {np.percentile(values, 99) * 1000:.0f} ms"


if __name__ == "__main__":
    main()
