"""How quickly the studio answers while it works: `python -m benchmarks.studio` writes benchmarks/STUDIO.md."""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
import numpy as np
import websockets

from benchmarks import HERE, machine
from server import Server, running  # of tests/
from sounds import sound, write_wav

if TYPE_CHECKING:
    from collections.abc import Callable

RESULTS: Final = HERE / "STUDIO.md"
SONGS: Final = 5000
CLIENTS: Final = 200


def main() -> None:
    """Measure all, and write it down."""
    rows: list[tuple[str, str, str]] = []
    about = machine.describe(load=machine.load_average())
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        rows += ready(place)
        with running(place / "data", STEMWRIGHT_JOBS_CPU_SLOTS="2") as server:
            rows += resubmitted(server, place)
            rows += under_load(server, place)
            rows += pushed(server, place)
        rows += library(place)
    machine.write_table(RESULTS, title="How the studio answers", about=about, rows=rows)


def told(what: str, measured: str, aim: str) -> list[tuple[str, str, str]]:
    print(f"{what}: {measured} (aim {aim})", flush=True)
    return [(what, measured, aim)]


def ready(place: Path) -> list[tuple[str, str, str]]:
    """Seconds from the start of the process until it answers, of five starts."""
    seconds = []
    for number in range(6):
        began = time.monotonic()
        with running(place / "ready") as server:
            server.http.get("/livez").raise_for_status()
            if number:  # the first makes the database, and warms the disk's cache
                seconds.append(time.monotonic() - began)
    return told("ready after the start, median and worst of 5", _two(seconds, 1, " s"), "3 s")


def _two(values: list[float], factor: float, unit: str) -> str:
    return f"{statistics.median(values) * factor:.2f}, {max(values) * factor:.2f}{unit}"


def song(place: Path, number: int, *, seconds: float) -> Path:
    path = place / f"song{number}.wav"
    if not path.exists():
        write_wav(path, sound("song", seconds=seconds, seed=number), bits=16)
    return path


def resubmitted(server: Server, place: Path) -> list[tuple[str, str, str]]:
    """The same song again: from the last byte to the answer, which is the result."""
    path = song(place, 1, seconds=30)
    server.wait(server.submit(path)["id"])
    data, took = path.read_bytes(), []
    for _ in range(30):
        sent = 0.0

        def body(head: bytes, tail: bytes) -> Any:
            nonlocal sent
            yield head + data
            sent = time.monotonic()
            yield tail

        head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="song.wav"\r\n\r\n'
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        answer = server.http.post("/api/v1/jobs", content=body(head, b"\r\n--b--\r\n"), headers=headers)
        took.append(time.monotonic() - sent)
        assert answer.json()["status"] == "succeeded"
    return told("cached song again, after the last byte, median and worst of 30", _two(took, 1000, " ms"), "100 ms")


def under_load(server: Server, place: Path) -> list[tuple[str, str, str]]:
    """While two songs are separated on two cores: /health, and uploads of 5 MB."""
    for number in range(40):
        server.submit(song(place, 100 + number % 2, seconds=240), priority="high", **_own(number))
    _until(lambda: server.http.get("/api/v1/queue").json()["queues"]["cpu"]["running"] == 2)
    health, posts = [], []
    five = song(place, 2, seconds=28.5)
    with httpx.Client(base_url=server.url, timeout=60) as http:
        for number in range(120):
            began = time.monotonic()
            http.get("/health").raise_for_status()
            health.append(time.monotonic() - began)
            if number % 2 == 0:
                began = time.monotonic()
                fields = {"priority": "low", **_own(1000 + number)}
                http.post("/api/v1/jobs", files={"file": ("s.wav", five.read_bytes())}, data=fields).raise_for_status()
                posts.append(time.monotonic() - began)
            time.sleep(0.1)
    _cancel_all(server)
    return [
        *told("/health while 2 engines work, p50, p99 of 120", _percent(health), "100 ms"),
        *told(f"upload of {five.stat().st_size / 1e6:.1f} MB then, p50, p99 of 60", _percent(posts), "500 ms"),
    ]


def _own(number: int) -> dict[str, str]:
    """Options that nobody asked for before, so that nothing is shared."""
    return {"sample_rate": str(32_000 + number)}


def _percent(values: list[float]) -> str:
    return f"{np.percentile(values, 50) * 1000:.0f}, {np.percentile(values, 99) * 1000:.0f} ms"


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not true():
        assert time.monotonic() < end
        time.sleep(0.2)


def _cancel_all(server: Server) -> None:
    for status in ("queued", "running"):
        while jobs := server.http.get("/api/v1/jobs", params={"status": status, "limit": 200}).json()["items"]:
            for job in jobs:
                server.http.delete(f"/api/v1/jobs/{job['id']}")


def pushed(server: Server, place: Path) -> list[tuple[str, str, str]]:
    """How far behind the database 200 WebSocket clients of two running jobs are."""
    ids = [server.submit(song(place, 100 + n, seconds=240), **_own(5000 + n))["id"] for n in range(2)]
    lags = asyncio.run(_listen(server, ids))
    _cancel_all(server)
    return told(
        f"a change's way to {CLIENTS} WebSocket clients, p50, p99, worst",
        f"{_percent(lags)}, {max(lags) * 1000:.0f} ms",
        "1 s",
    )


async def _listen(server: Server, ids: list[str]) -> list[float]:
    """Each event's time at each client, against the first moment at which polling saw that state."""
    seen: dict[tuple[str, float, str], float] = {}
    got: list[tuple[tuple[str, float, str], float]] = []
    stop = threading.Event()

    def poll() -> None:
        import sqlite3

        base = sqlite3.connect(f"file:{server.data / 'studio.db'}?mode=ro", uri=True)
        query = "SELECT jobs.id, progress, stage FROM jobs JOIN runs ON runs.id = run_id WHERE jobs.id IN (?, ?)"
        while not stop.is_set():
            for row in base.execute(query, ids):
                seen.setdefault(tuple(row), time.monotonic())
            time.sleep(0.01)

    async def client(job_id: str) -> None:
        async with websockets.connect(f"{server.url.replace('http', 'ws')}/api/v1/jobs/{job_id}/ws") as socket:
            async for message in socket:
                job = json.loads(message)
                got.append(((job["id"], job["progress"], job["stage"]), time.monotonic()))

    threading.Thread(target=poll, daemon=True).start()
    tasks = [asyncio.create_task(client(ids[n % 2])) for n in range(CLIENTS)]
    await asyncio.sleep(25)
    stop.set()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    first: dict[tuple[str, float, str], list[float]] = {}
    for state, at in got:
        if state in seen:
            first.setdefault(state, []).append(at)
    lags = []
    for state, times in list(first.items())[2:]:  # the states before all were connected do not count
        lags += [max(0.0, at - seen[state]) for at in sorted(times)[: CLIENTS // 2]]
    return lags


def library(place: Path) -> list[tuple[str, str, str]]:
    """List and search of 5,000 finished songs."""
    with running(place / "library", STEMWRIGHT_RETENTION_SWEEP_SECONDS="86400") as server:
        server.stop()
        _fill(server)
        server.start()
        listed: list[float] = []
        searched: list[float] = []
        for number in range(60):
            for times, query in (
                (listed, f"limit=50&offset={50 * number}&sort=title"),
                (searched, f"limit=50&search=song {number}"),
            ):
                began = time.monotonic()
                found = server.http.get(f"/api/v1/songs?{query}").json()
                times.append(time.monotonic() - began)
                assert found["total"] >= 1
    p95 = [
        f"{np.percentile(times, 50) * 1000:.0f}, {np.percentile(times, 95) * 1000:.0f} ms"
        for times in (listed, searched)
    ]
    return [
        *told(f"a page of {SONGS} songs, p50, p95 of 60", p95[0], "50 ms"),
        *told(f"a search in {SONGS} songs, p50, p95 of 60", p95[1], "50 ms"),
    ]


def _fill(server: Server) -> None:
    """Rows as 5,000 separated songs leave them."""
    from stemwright.studio.store.database import Database
    from stemwright.studio.store.tables import File, Separation, Song

    db = Database(f"sqlite:///{server.data / 'studio.db'}")
    stems: list[dict[str, Any]] = [{"name": name, "loudness": {}} for name in ("vocals", "drums", "bass", "other")]
    with db.session() as session:
        for number in range(SONGS):
            digest = f"{number:064x}"
            made = Separation(
                owner="local",
                key=digest,
                pcm_digest=digest,
                model="sketch",
                draft=True,
                duration=200.0,
                elapsed=9.0,
                receipt={"stems": stems, "gain_db": 0.0, "warnings": []},
            )
            session.add(made)
            session.flush()
            title, artist = f"Song {number}", f"Artist {number % 300}"
            session.add(
                Song(
                    owner="local",
                    title=title,
                    artist=artist,
                    search=f"{title} {artist}".lower(),
                    file_name="s.mp3",
                    source_digest=digest,
                    pcm_digest=digest,
                    size_bytes=1,
                    upload_key="x",
                    separation_id=made.id,
                    duration=200.0,
                )
            )
            session.add_all(
                File(
                    owner="local",
                    separation_id=made.id,
                    name=f"{stem['name']}.flac",
                    object_key=f"local/{number}/{stem['name']}",
                    size_bytes=1,
                    digest="",
                )
                for stem in stems
            )
    db.close()


if __name__ == "__main__":
    main()
