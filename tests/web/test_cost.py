"""What a request may cost: an end when its client leaves, limits for all of it together, and room for others."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from functools import partial
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from server import Server, running
from sounds import sound, write_wav
from stemwright.audio.ffmpeg import find_ffmpeg
from web.answers import problem_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LEFT = 20.0  # seconds that others stay at most: a mix that waits for that has failed
SILENCE = {"seconds": 600, "rate": 192_000}  # of the attack: 125 kB as FLAC, 922 MB decoded


def silence(path: Path, *, seconds: float = SILENCE["seconds"], rate: int = SILENCE["rate"]) -> Path:
    """A FLAC of nothing."""
    source = ["-f", "lavfi", "-i", f"anullsrc=r={rate}:cl=stereo:d={seconds}"]
    command = [find_ffmpeg(), "-v", "error", *source, "-c:a", "flac", "-frame_size", "65535", str(path)]
    subprocess.run(command, check=True)
    return path


@pytest.fixture(scope="module")
def bombs(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, tuple[str, bytes]]]:
    """The attack as it was found: four of them, half a megabyte in all."""
    content = silence(tmp_path_factory.mktemp("bombs") / "a.flac").read_bytes()
    files = [("files", (f"{name}.flac", content)) for name in ("vocals", "drums", "bass", "other")]
    assert sum(len(file[1][1]) for file in files) < 2_000_000
    return files


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server as on the machine of the attack, with two engines; its long work begins at ten minutes, not at 30."""
    limits = {"STEMWRIGHT_MAKING_SLOTS": "2", "STEMWRIGHT_MAKING_LONG_SECONDS": "600"}
    with running(tmp_path_factory.mktemp("cost") / "data", **limits) as server:
        yield server


@pytest.fixture(scope="module")
def song(house: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A short song with stems that others listen to."""
    path = write_wav(tmp_path_factory.mktemp("song") / "a.wav", sound("song", seconds=3.0), bits=16)
    job = house.wait(house.submit(path, model="sketch", analysis="false")["id"])
    return str(job["links"]["song"])


@pytest.fixture(scope="module")
def long_song(house: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Imported stems of four minutes: work on all four is long, on one it is not."""
    path = silence(tmp_path_factory.mktemp("long") / "a.flac", seconds=240, rate=44_100)
    files = [("files", (f"{name}.flac", path.read_bytes())) for name in ("vocals", "drums", "bass", "other")]
    answer = house.http.post("/api/v1/songs", files=files, timeout=600)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["links"]["self"])


def leave(server: Server, method: str, path: str, *, after: float, called: Event | None = None, **what: Any) -> None:
    """Ask, and hang up a while later without an answer, or when `called` away."""
    request = httpx.Request(method, server.url + path, **what)
    body = request.read()
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        connection.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        (called or Event()).wait(after)


@contextmanager
def at_once(server: Server, method: str, paths: list[str], **what: Any) -> Iterator[None]:
    """Ask for several things in the background while the block runs, at most for `_LEFT` seconds."""
    called = Event()
    asking = partial(leave, server, method, after=_LEFT, called=called, **what)
    threads = [Thread(target=asking, args=(path,), daemon=True) for path in paths]
    for thread in threads:
        thread.start()
    time.sleep(1.5)
    try:
        yield
    finally:
        called.set()
        for thread in threads:
            thread.join()


def working(server: Server) -> list[str]:
    """Folders and files of work that is under way."""
    return [path.name for path in (server.data / "incoming").iterdir()]


def idle(server: Server, *, within: float) -> None:
    """Wait until nothing is under way."""
    end = time.monotonic() + within
    while working(server):
        assert time.monotonic() < end, working(server)
        time.sleep(0.05)


def test_import_ends_when_its_client_hangs_up(house: Server, bombs: Any) -> None:
    before = house.http.get("/api/v1/songs").json()["total"]
    leave(house, "POST", "/api/v1/songs", after=3.0, files=bombs)
    idle(house, within=10.0)
    assert house.http.get("/api/v1/songs").json()["total"] == before


@pytest.mark.parametrize(
    "path",
    ["/stems/vocals.mp3", "/stems/drums.wav24", "/song.stem.mp4", "/stems.zip?format=opus", "/mix.mp3?vocals=-3"],
)
def test_what_is_made_on_demand_ends_when_its_client_hangs_up(house: Server, long_song: str, path: str) -> None:
    leave(house, "GET", long_song + path, after=0.4)
    idle(house, within=10.0)
    assert not [key for key in house.objects() if key.endswith((".mp3", ".wav24", ".mp4", ".opus"))]


def test_mix_of_another_client_is_not_held_up_by_imports(house: Server, song: str, bombs: Any) -> None:
    """As found: two imports made a mix of three seconds wait for 58.7 s instead of 0.93."""
    house.http.get(f"{song}/mix.flac?vocals=-3").raise_for_status()  # the engine is warm
    with at_once(house, "POST", ["/api/v1/songs"] * 3, files=bombs):
        began = time.monotonic()
        house.http.get(f"{song}/mix.flac?vocals=-4").raise_for_status()
        assert time.monotonic() - began < _LEFT - 3
    idle(house, within=10.0)


@pytest.mark.parametrize("what", ["mixes of a long song", "all formats of a song at once", "zips of formats"])
def test_mix_of_another_client_is_not_held_up_by_work_on_another_song(
    house: Server, song: str, long_song: str, what: str
) -> None:
    paths = {
        "mixes of a long song": [f"/mix.flac?vocals={-number}" for number in range(8)],
        "all formats of a song at once": [
            f"/stems/{stem}.{form}" for stem in ("vocals", "drums") for form in ("mp3", "opus", "m4a", "alac16")
        ],
        "zips of formats": [f"/stems.zip?format={form}" for form in ("mp3", "opus", "m4a", "alac16", "wav24")],
    }[what]
    with at_once(house, "GET", [long_song + path for path in paths]):
        began = time.monotonic()
        house.http.get(f"{song}/mix.flac?vocals=-5&drums=-{len(what)}").raise_for_status()
        assert time.monotonic() - began < _LEFT - 3
    idle(house, within=15.0)


def test_all_recordings_of_an_import_have_limits_together(tmp_path: Path, bombs: Any) -> None:
    limits = {"STEMWRIGHT_MAKING_MAX_IMPORT_DURATION": "20", "STEMWRIGHT_MAX_DECODED_BYTES": "30MB"}
    with running(tmp_path / "data", **limits, STEMWRIGHT_MAKING_MIDI_MAX_BYTES="100") as server:

        def sent(*seconds: float, rate: int = 44_100) -> httpx.Response:
            files = []
            for number, length in enumerate(seconds):
                content = silence(tmp_path / f"{number}-{time.monotonic_ns()}.flac", seconds=length, rate=rate)
                files.append(("files", (f"stem {number}.flac", content.read_bytes())))
            return server.http.post("/api/v1/songs", files=files)

        began = time.monotonic()
        problem_of(server.http.post("/api/v1/songs", files=bombs), 413, "too_long")
        assert time.monotonic() - began < 20
        problem_of(sent(9, 9, 9), 413, "too_long")
        assert "together" in sent(9, 9, 9.5).json()["detail"]
        problem_of(sent(9, 9, rate=384_000), 413, "too_large")
        mixed = [("files", ("a.flac", silence(tmp_path / "long.flac", seconds=15, rate=8_000).read_bytes()))]
        mixed.append(("files", ("b.flac", silence(tmp_path / "fine.flac", seconds=0.1, rate=384_000).read_bytes())))
        problem_of(server.http.post("/api/v1/songs", files=mixed), 413, "too_large")  # at one rate they are 92 MB
        assert sent(9, 9).status_code == 201
        notes = b"MThd\x00\x00\x00\x06\x00\x01\x00\x01\x00\x60" + bytes(200)
        mixed = [
            ("files", ("a.flac", silence(tmp_path / "c.flac", seconds=1).read_bytes())),
            ("files", ("n.mid", notes)),
        ]
        problem_of(server.http.post("/api/v1/songs", files=mixed), 413, "too_large")
        idle(server, within=5.0)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose library has a song, and whose disk has less room than the reserve."""
    data = tmp_path_factory.mktemp("full") / "data"
    path = write_wav(tmp_path_factory.mktemp("its song") / "a.wav", sound("song", seconds=2.0, seed=5), bits=16)
    with running(data) as server:
        job = server.wait(server.submit(path, model="sketch", transcribe="true")["id"])
        assert job["status"] == "succeeded", job
        song = str(job["links"]["song"])
        server.http.get(f"{song}/stems/bass.mp3").raise_for_status()
    free = shutil.disk_usage(data).free
    with running(data, STEMWRIGHT_RETENTION_DISK_RESERVE=str(2 * free)) as server:
        yield server


def song_of(server: Server) -> str:
    """The only song of a library."""
    [song] = server.http.get("/api/v1/songs").json()["items"]
    return f"/api/v1/songs/{song['id']}"


@pytest.mark.parametrize(
    "path",
    [
        "/stems/vocals.mp3",
        "/stems/vocals.wav",
        "/stems.zip?format=m4a",
        "/song.stem.mp4",
        "/original.flac",
        "/mix.flac?vocals=-3",
    ],
)
def test_nothing_is_made_for_a_get_while_the_reserve_is_not_free(full: Server, path: str) -> None:
    song = song_of(full)
    before = full.objects()
    problem_of(full.http.get(song + path), 507, "disk_full")
    assert full.objects() == before
    assert working(full) == []


@pytest.mark.parametrize(
    "path", ["/stems/vocals.flac", "/stems/bass.mp3", "/stems.zip", "/peaks/mix.dat", "/drums.mid"]
)
def test_what_is_there_is_given_on_a_full_disk(full: Server, path: str) -> None:
    song = song_of(full)
    assert full.http.get(song + path).status_code == 200


def test_doors_make_nothing_either_on_a_full_disk(full: Server) -> None:
    [known] = full.http.get("/doors/drumalong/api/v1/songs").json()
    answer = full.http.get(f"/doors/drumalong/api/v1/files/drums/{known['audio_hash']}.wav")
    assert (answer.status_code, answer.json()["code"]) == (507, "disk_full")


def test_work_stops_when_the_disk_runs_full_meanwhile(tmp_path: Path) -> None:
    """Four bombs of two minutes take 740 MB once decoded; the reserve is kept while it goes on."""
    content = silence(tmp_path / "a.flac", seconds=120).read_bytes()
    files = [("files", (f"{name}.flac", content)) for name in ("vocals", "drums", "bass", "other")]
    reserve = shutil.disk_usage(tmp_path).free - 300_000_000
    with running(tmp_path / "data", STEMWRIGHT_RETENTION_DISK_RESERVE=str(reserve)) as server:
        problem_of(server.http.post("/api/v1/songs", files=files, timeout=600), 507, "disk_full")
        idle(server, within=5.0)
