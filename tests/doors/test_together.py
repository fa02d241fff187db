"""All doors open on one server, twenty clients at them: nobody hears of the others' doors, and all get their stems."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx
import pytest

from doors.crowd import FRESH, NAMES, Crowd, prepared
from server import Server, running
from web.answers import faults

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLIENTS, SECONDS = 20, 3.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("together")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with running(folder / "data", **prepared(folder / "songs"), STEMWRIGHT_JOBS_CPU_SLOTS="2") as server:
        yield server


@pytest.mark.slow
def test_twenty_clients_of_five_doors_are_served_at_once(server: Server, folder: Path) -> None:
    crowd = Crowd(server.doors, folder / "songs", size=CLIENTS)

    async def watched() -> int:
        """The crowd, and who asks for the health all the while."""
        asked, crowding = 0, asyncio.create_task(crowd.stay(SECONDS))
        async with httpx.AsyncClient(base_url=server.url, timeout=60, limits=FRESH) as http:
            while not crowding.done():
                assert (await http.get("/health")).json()["status"] == "ok"
                asked += 1
                await asyncio.sleep(0.1)
        await crowding
        return asked

    assert asyncio.run(watched()) > 1
    assert crowd.visits.keys() == {*NAMES}
    assert sum(crowd.visits.values()) >= CLIENTS
    assert faults(server) == []
    jobs = server.http.get("/api/v1/jobs", params={"limit": 200}).json()
    assert {job["status"] for job in jobs["items"]} == {"succeeded"}
    made = [job for job in jobs["items"] if not job["cached"]]
    assert len({job["result"]["separation"] for job in made}) == len(NAMES)  # one song a door, separated once
