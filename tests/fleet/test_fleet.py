"""Replicas and workers that share a database and a store: whatever one is told, the others know."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from fleet.fleet import clock, until
from stemwright.studio.store.tables import Run, Worker
from stemwright.studio.work.queue import VERSION
from web.answers import problem_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

    from fleet.fleet import Fleet
    from server import Server

pytestmark = pytest.mark.slow


def stems_of(server: Server, job: dict[str, Any]) -> dict[str, bytes]:
    """The stems of a job in one zip, as a replica gives them."""
    answer = server.http.get(f"/api/v1/songs/{job['song_id']}/stems.zip").raise_for_status()
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name.endswith(".flac")}


def test_job_that_one_replica_takes_is_made_by_a_worker_and_served_by_the_other(fleet: Fleet, song: Path) -> None:
    here, there = fleet.api(STEMWRIGHT_FLEET_PAGE="true"), fleet.api()
    worker = fleet.worker("--port", str(fleet.free_port())).ready()
    job = here.submit(song)
    assert there.wait(job["id"])["status"] == "succeeded"
    stems = stems_of(there, job)
    assert {name.removesuffix(".flac") for name in stems} == {"vocals", "drums", "bass", "other"}
    part = there.http.get(
        f"/api/v1/songs/{job['song_id']}/stems/vocals.flac", headers={"Range": "bytes=0-3"}, follow_redirects=True
    )
    assert (part.status_code, part.content) == (206, b"fLaC")
    again = there.submit(song)
    assert (again["status"], again["cached"]) == ("succeeded", True)

    counted = [line for line in worker.metrics().splitlines() if line.startswith("stemwright_job_seconds_count")]
    assert sorted(line.rsplit(" ", 1)[1] for line in counted) == ["1.0", "1.0"]  # waiting and working
    for server, own in ((here, 0), (there, 2)):  # the cached job, by who gave it
        found = server.http.get("/metrics").text
        assert found.count("stemwright_job_seconds_count{") == own
        assert 'stemwright_workers{queue="cpu"} 1.0' in found

    [row] = [one for one in fleet.live() if one.queue == "cpu"]
    assert "sketch" in row.models
    assert "htdemucs_ft" not in row.models  # tests are offline, and have no weights

    state = here.http.get("/api/v1/fleet").raise_for_status().json()
    assert (state["database"], state["storage"], state["runs"], state["failures"]) == ("postgresql", "bucket", [], [])
    assert sorted(one["queue"] for one in state["workers"]) == ["cpu", "keeper", "keeper"]
    assert {one["state"] for one in state["workers"]} == {"live"}
    assert state["ended_in_hour"] == {"succeeded": 2}
    problem_of(there.http.get("/api/v1/fleet"), 404, "not_found")

    assert worker.stop() == 0
    until(lambda: here.http.get("/api/v1/queue").json()["queues"]["cpu"]["slots"] == 0)
    fleet.assert_clean()


def test_replica_with_slots_works_alone_with_its_database(fleet: Fleet, song: Path) -> None:
    """Whoever gives an address of PostgreSQL to one machine finds a studio that works, as without it."""
    alone = fleet.api(STEMWRIGHT_JOBS_CPU_SLOTS="2")
    until(lambda: len([one for one in fleet.live() if one.queue == "cpu"]) == 2)
    assert alone.wait(alone.submit(song)["id"])["status"] == "succeeded"
    assert len(alone.http.get("/api/v1/songs").json()["items"]) == 1


def test_progress_is_seen_at_the_other_replica_whatever_its_clock_says(
    fleet: Fleet, song: Path, tmp_path: Path
) -> None:
    here, there = fleet.api(), fleet.api(PYTHONPATH=clock(tmp_path / "clock", 120))
    fleet.worker().ready()
    fleet.arm("engine.separating")
    job = here.submit(song)
    fleet.stopped("engine.separating")
    until(lambda: there.job(job["id"])["stage"] != "queued")
    stages = []
    with there.http.stream("GET", f"/api/v1/jobs/{job['id']}/events") as events:
        fleet.release("engine.separating")
        stages = [line for line in lines(events) if line.startswith("event:")]
    assert len(stages) > 1
    assert there.job(job["id"])["progress"] == 100.0


def lines(response: httpx.Response) -> Iterator[str]:
    yield from response.iter_lines()


def test_api_offers_what_its_workers_have(fleet: Fleet) -> None:
    """An image of the API has no torch: that must neither refuse what workers can do, nor turn `auto` into a draft."""
    fleet.announce(queue="cpu", models=["sketch", "spleeter:2stems"])
    fleet.announce(queue="gpu", models=["htdemucs", "htdemucs_ft", "sketch"])
    fleet.announce(queue="gpu", models=["htdemucs", "sketch"])
    api = fleet.api(STEMWRIGHT_MODEL_DEFAULT="auto")
    listed = api.http.get("/api/v1/models").json()
    states = {one["name"]: one["availability"] for one in listed["items"]}
    assert listed["default"] == "htdemucs"
    assert (states["htdemucs"], states["spleeter:2stems"], states["htdemucs_ft"]) == ("ready", "ready", "missing")
    slots = {name: queue["slots"] for name, queue in api.http.get("/api/v1/queue").json()["queues"].items()}
    assert slots == {"cpu": 1, "gpu": 2}


def test_run_goes_where_its_model_can_run(fleet: Fleet, song: Path) -> None:
    fleet.announce(queue="gpu", models=["htdemucs"])
    api = fleet.api(STEMWRIGHT_MODEL_DEFAULT="auto")
    fleet.worker().ready()
    fine = api.submit(song, analysis="false")
    small = api.submit(song, analysis="false", model="sketch")
    assert {run.options.resolved: run.queue for run in fleet.rows(Run)} == {"htdemucs": "gpu", "sketch": "cpu"}
    assert api.job(fine["id"])["status"] == "queued"
    assert api.wait(small["id"])["status"] == "succeeded"
    refused = api.http.post("/api/v1/jobs", files={"file": song.read_bytes()}, data={"model": "htdemucs_6s"})
    problem_of(refused, 503, "model_unavailable")


def test_idle_worker_ends_by_itself_and_gives_nothing_back(fleet: Fleet, song: Path) -> None:
    api = fleet.api()
    worker = fleet.worker("--idle", "3").ready()
    assert api.wait(api.submit(song)["id"])["attempts"] == 1
    assert worker.process.wait(30) == 0
    assert "there was nothing to do" in worker.log.read_text()
    assert not [one for one in fleet.live() if one.queue == "cpu"]


def test_many_workers_look_into_their_queue_more_rarely(fleet: Fleet) -> None:
    fleet.worker().ready()
    pause = "SELECT polling_interval_sec FROM dbos.queues WHERE name = 'cpu'"
    with fleet.database() as db:
        with db.session() as session:
            assert session.scalar(text(pause)) == pytest.approx(0.3)
            session.add_all(
                Worker(
                    id=f"w-{number}",
                    host="h",
                    queue="cpu",
                    device="cpu",
                    models=["sketch"],
                    release="0",
                    version=VERSION,
                    state="live",
                    seen_at=db.now() + 600,
                )
                for number in range(999)
            )
        fleet.worker().ready()
        with db.session() as session:
            assert session.scalar(text(pause)) == pytest.approx(2.0, abs=0.01)
