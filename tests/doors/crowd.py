"""Clients of all five doors at once, each in its own protocol."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import httpx
import socketio
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from sounds import sound, write_wav

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAMES: Final = ("drumalong", "mismo", "runpod", "stemset", "demucs-web")
FRESH: Final = httpx.Limits(max_keepalive_connections=0)  # a loop that was held up finds idle connections closed
PATIENCE: Final = 600.0  # seconds for a job: twenty clients share what the machine has
PROFILES: Final = """
profiles:
  - {name: band, source_folder: ./input, strategy: fast}
"""


def prepared(folder: Path, *, seconds: float = 1.0) -> dict[str, str]:
    """Write a song for each door, of so many seconds, and give what a server needs for all doors to be of use."""
    folder.mkdir()
    for at, name in enumerate(NAMES):
        write_wav(folder / f"{name}.wav", sound("song", seconds=seconds, seed=70 + at), bits=16)
    (folder / "config.yaml").write_text(PROFILES)
    return {
        "STEMWRIGHT_DOORS": ",".join(f"{name}=0" for name in NAMES),
        "STEMWRIGHT_MISMO_LIBRARY": str(folder),
        "STEMWRIGHT_RUNPOD_MODEL_4STEMS": "sketch",
        "STEMWRIGHT_STEMSET_CONFIG": str(folder / "config.yaml"),
    }


@dataclass
class Crowd:
    """`size` clients, as many of each door, who come again and again with the song of their door in `folder`."""

    doors: Mapping[str, str]
    folder: Path
    size: int = 20
    visits: Counter[str] = field(default_factory=Counter)  # that ended well, by door

    async def stay(self, seconds: float) -> None:
        """All clients at once; each ends the visit that it began. Raises what any of them meets."""
        end = time.monotonic() + seconds

        async def client(number: int) -> None:
            name = NAMES[number % len(NAMES)]
            async with httpx.AsyncClient(base_url=self.doors[name], timeout=PATIENCE, limits=FRESH) as http:
                while True:
                    await getattr(self, name.replace("-", "_"))(http, self.folder / f"{name}.wav")
                    self.visits[name] += 1
                    if time.monotonic() > end:
                        return

        async with asyncio.TaskGroup() as group:
            for number in range(self.size):
                group.create_task(client(number))

    async def drumalong(self, http: httpx.AsyncClient, song: Path) -> None:
        """Upload, follow the socket to its end, take the drums."""
        job = good(await http.post("/api/v1/process", files={"file": song.read_bytes()}))
        if "websocket_url" in job:
            messages = []
            async with connect(job["websocket_url"]) as socket, asyncio.timeout(PATIENCE):
                with contextlib.suppress(ConnectionClosed):
                    while True:
                        messages.append(json.loads(await socket.recv()))
            assert messages[-1]["stage"] == "complete", messages[-1]
        status = good(await http.get(f"/api/v1/status/{job['job_id']}"))
        drums = await http.get(status["results"]["drums_url"], headers={"Range": "bytes=0-999"})
        assert (drums.status_code, len(drums.content)) == (206, 1000)

    async def demucs_web(self, http: httpx.AsyncClient, song: Path) -> None:
        """Upload, hear of the end by Socket.IO, download."""
        job = good(await http.post("/api/upload", files={"audio_file": song.read_bytes()}))
        async with asyncio.timeout(PATIENCE), socketio.AsyncSimpleClient() as socket:
            await socket.connect(str(http.base_url), namespace="/progress", transports=["websocket"])
            await socket.emit("subscribe", {"job_id": job["job_id"]})
            event, data = "", {}
            while event != "completed":
                event, data = await socket.receive()
                assert event != "error", data
        assert (await http.get(data["download_url"])).content[:2] == b"PK"

    async def mismo(self, http: httpx.AsyncClient, song: Path) -> None:
        """Ask for a track as the audio engine does, and have it analysed as the app server does."""
        tracks = good(await http.get("/api/tracks", params={"search": song.stem}))["tracks"]
        asked = {"command": "getTrackInfo", "trackId": tracks[0]["id"], "requestId": "1"}
        async with asyncio.timeout(PATIENCE), connect(f"{self.doors['mismo'].replace('http', 'ws', 1)}/ws") as socket:
            await socket.send(json.dumps(asked))
            assert json.loads(await socket.recv())["requestId"] == "1"
        order = {"file_path": str(song), "track_hash": "crowd", "options": {"stems": True}}
        job = good(await http.post("/jobs", json=order))
        await ended(http, f"/jobs/{job['job_id']}")

    async def runpod(self, http: httpx.AsyncClient, song: Path) -> None:
        """Submit and poll."""
        job = good(await http.post("/jobs", files={"file": song.read_bytes()}, data={"config": "{}"}))
        job = await ended(http, f"/jobs/{job['id']}")
        assert {*job["results"]["stems"]} == {"vocals", "drums", "bass", "other"}

    async def stemset(self, http: httpx.AsyncClient, song: Path) -> None:
        """Look at the profiles, upload for one, poll."""
        assert [one["name"] for one in good(await http.get("/api/profiles"))] == ["band"]
        files = {"file": (song.name, song.read_bytes())}
        job = good(await http.post("/api/upload", files=files, data={"profile_name": "band"}))
        await ended(http, f"/api/jobs/{job['job_id']}/status")


def good(answer: httpx.Response) -> Any:
    """What a request that went well was answered."""
    assert answer.status_code < 300, f"{answer.request.url}: {answer.status_code} {answer.text[:500]}"
    return answer.json()


async def ended(http: httpx.AsyncClient, path: str) -> dict[str, Any]:
    """A job, once it has completed."""
    end = time.monotonic() + PATIENCE
    while (job := good(await http.get(path)))["status"] in {"queued", "processing"}:
        assert time.monotonic() < end, job
        await asyncio.sleep(0.2)
    assert job["status"] in {"completed", "complete"}, job
    return dict(job)
