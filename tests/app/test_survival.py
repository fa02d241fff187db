"""A real server whose processes are killed at named points: every job ends once, and nothing is left behind.

One server for nearly all, with one data folder; processes stop where a test says so (`STEMWRIGHT_STOP_AT`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from sqlalchemy import select, text
from standardwebhooks import Webhook

from processes import alive
from recordings import FFMPEG, silent_flac, wav_header
from server import WAIT, Server
from sounds import sound, write_wav
from stemwright.audio.decode import DecodeLimits
from stemwright.engine.process.processes import descendants
from stemwright.studio.config import JobsConfig
from stemwright.studio.store.database import Database
from stemwright.studio.store.objects import ObjectStore, Storage
from stemwright.studio.store.tables import LIVE, File, Job, Run, Separation, Song
from stemwright.studio.work.retention import sweep
from studio.work.receivers import Receiver, listening

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")]
SECRET = "whsec_" + "c3RlbXdyaWdodCBpcyBhIHN0dWRpbyBmb3IgYWxs"
TESTS = Path(__file__).parent.parent


class Studio(Server):
    """A server with points at which its processes stop, and a look behind the scenes."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.points = folder / "points"
        self.points.mkdir()
        self.temp = folder / "temp"
        self.temp.mkdir()
        super().__init__(folder / "data", STEMWRIGHT_STOP_AT=str(self.points), TMPDIR=str(self.temp), **environment)

    def arm(self, point: str) -> None:
        """Let the next process that reaches a point (`engine.separating`) stop there."""
        (self.points / point).write_bytes(b"")

    def stopped(self, point: str, *, seconds: float = WAIT) -> int:
        """Wait until a process has stopped there; its id."""
        end = time.monotonic() + seconds
        while not (said := (self.points / point).read_text(encoding="ascii")):
            assert time.monotonic() < end, f"nobody came to {point}: {self.log.read_text()[-3000:]}"
            time.sleep(0.05)
        return int(said)

    def release(self, point: str) -> None:
        """Let it go on."""
        (self.points / point).unlink()

    def kill(self, point: str) -> int:
        """Wait until a process stops at a point, then kill it; its id."""
        pid = self.stopped(point)
        if pid == (self.process and self.process.pid):
            self.stop(signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
            until(lambda: not alive(pid))
        return pid

    @contextlib.contextmanager
    def database(self) -> Iterator[Database]:
        db = Database(f"sqlite:///{self.data / 'studio.db'}")
        try:
            yield db
        finally:
            db.close()

    def rows(self, table: type[Any]) -> list[Any]:
        with self.database() as db, db.session() as session:
            return list(session.scalars(select(table)))

    def again(self, song: Path, **fields: str) -> dict[str, Any]:
        """Upload a song once more, of which nothing is known any more."""
        self.forget()
        return self.submit(song, analysis="false", **fields)

    def forget(self) -> None:
        """Once all is quiet, delete all songs."""
        until(lambda: not [run for run in self.rows(Run) if run.status in LIVE])
        for one in self.http.get("/api/v1/songs").raise_for_status().json()["items"]:
            self.http.delete(f"/api/v1/songs/{one['id']}").raise_for_status()

    def stems(self, job: dict[str, Any]) -> dict[str, tuple[str, Any]]:
        """Of each stem the digest of its file and what the receipt says of it."""
        with self.database() as db, db.session() as session:
            made = session.get_one(Separation, job["result"]["separation"])
            files = session.scalars(select(File).where(File.separation_id == made.id, File.name.like("%.flac")))
            digests = {file.name: self.digest(file) for file in files}
            return {stem.name: (digests[f"{stem.name}.flac"], stem) for stem in made.receipt.stems}

    def digest(self, file: File) -> str:
        """Of the bytes on the disk, which must be those that the row tells."""
        found = hashlib.sha256((self.data / "objects" / file.object_key).read_bytes()).hexdigest()
        assert found == file.digest
        return found

    def assert_clean(self) -> None:
        """Once all is quiet, one sweep leaves no orphan of any kind."""
        until(lambda: self.workflows() == 0)
        config = JobsConfig(
            work=self.data / "work", engine_command=(), limits=DecodeLimits(), results_seconds=0, sweep_grace=-60
        )
        store = ObjectStore(Storage(url=f"file://{self.data / 'objects'}"))
        with self.database() as db:
            sweep(db, store, config)
            assert sweep(db, store, config) == {}
        named = {file.object_key for file in self.rows(File)}
        named |= {song.upload_key for song in self.rows(Song) if song.upload_key}
        assert {*self.objects()} == named
        assert not [*(self.data / "work").iterdir(), *(self.data / "incoming").iterdir(), *self.temp.iterdir()]
        assert not [*(self.data / "temp").glob("*/*/*")]  # engines that live have empty folders
        assert not [run for run in self.rows(Run) if run.status in LIVE]

    def workflows(self) -> int:
        """How many DBOS has not ended."""
        live = text("SELECT count(*) FROM workflow_status WHERE status IN ('PENDING', 'ENQUEUED', 'DELAYED')")
        with self.database() as db, db.engine.connect() as connection:
            return int(connection.execute(live).scalar() or 0)

    def children(self) -> list[int]:
        """All that descends from the API's process."""
        assert self.process
        return descendants(self.process.pid)


def until(holds: Any, *, seconds: float = WAIT) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bit more than a mebibyte, so that a part of the body is written before the rest has come."""
    return write_wav(tmp_path_factory.mktemp("songs") / "song.wav", sound("song", seconds=3.1))


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Short songs that nobody has sent."""
    folder = tmp_path_factory.mktemp("others")
    return [
        write_wav(folder / f"{seed}.wav", sound("song", seconds=2, seed=seed, rate=22_050), 22_050, bits=16)
        for seed in range(1, 6)
    ]


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    folder = tmp_path_factory.mktemp("studio")
    package = folder / "site" / "known_separators-1.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: known-separators\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[stemwright.separators]\nknown = separators_for_tests:FAMILY\n")
    server = Studio(
        folder,
        PYTHONPATH=os.pathsep.join([str(package.parent), str(TESTS)]),
        STEMWRIGHT_CALLBACKS_ALLOW="127.0.0.1",
        STEMWRIGHT_CALLBACKS_SECRET=SECRET,
        STEMWRIGHT_RETENTION_SWEEP_SECONDS="3600",
    )
    try:
        server.start()
        yield server
    finally:
        server.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def reference(studio: Studio, song: Path) -> dict[str, tuple[str, Any]]:
    """The stems of an undisturbed run, whichever tests were before: workers of xdist take them from one another."""
    if studio.process is None:
        studio.start()
    job = studio.wait(studio.again(song)["id"])
    assert (job["status"], job["attempts"]) == ("succeeded", 1), job
    return studio.stems(job)


@pytest.fixture(autouse=True)
def _nothing_armed(studio: Studio) -> Iterator[None]:
    """Each test finds a server that runs and is idle."""
    if studio.process is None:
        studio.start()
    yield
    for mark in studio.points.iterdir():
        mark.unlink()


# Killed at named points


@pytest.mark.parametrize(
    "points",
    [
        ("engine.hashing", "engine.separating"),
        ("engine.reading", "engine.encoding"),
        ("executor.storing", "executor.saving"),
        ("executor.stored", "executor.saved"),
    ],
)
def test_job_survives_two_kills(points: tuple[str, str], studio: Studio, song: Path, reference: dict[str, Any]) -> None:
    for point in points:
        studio.arm(point)
    job = studio.again(song)
    for point in points:
        studio.kill(point)
    job = studio.wait(job["id"])
    assert job["status"] == "succeeded", job["error"]
    assert job["attempts"] <= 3
    assert studio.stems(job) == reference
    studio.assert_clean()


@pytest.mark.parametrize("point", ["api.body", "api.uploaded", "api.row"])
def test_upload_survives_a_kill_or_was_never_accepted(
    point: str, studio: Studio, song: Path, reference: dict[str, Any]
) -> None:
    studio.forget()
    before = {job.id for job in studio.rows(Job)}
    studio.arm(point)

    def send() -> None:
        with contextlib.suppress(httpx.HTTPError), song.open("rb") as file, httpx.Client(timeout=WAIT) as client:
            client.post(f"{studio.url}/api/v1/jobs", files={"file": file}, data={"analysis": "false"})

    sender = threading.Thread(target=send)
    sender.start()
    studio.kill(point)
    sender.join()
    studio.start()
    accepted = [job.id for job in studio.rows(Job) if job.id not in before]
    assert not accepted  # the transaction had not ended
    studio.assert_clean()
    job = studio.wait(studio.submit(song, analysis="false")["id"])
    assert (job["status"], studio.stems(job)) == ("succeeded", reference)


def test_accepted_job_survives_the_kill_of_the_api(studio: Studio, song: Path, reference: dict[str, Any]) -> None:
    studio.arm("engine.separating")
    job = studio.again(song)
    engine = studio.stopped("engine.separating")
    family = studio.children()
    assert engine in family
    studio.stop(signal.SIGKILL)
    until(lambda: not any(alive(pid) for pid in family))  # nobody is left without a parent
    studio.start()
    job = studio.wait(job["id"])
    assert (job["status"], studio.stems(job)) == ("succeeded", reference)
    assert job["attempts"] <= 2
    studio.assert_clean()


@pytest.mark.parametrize("point", ["engine.separating", "executor.storing"])
def test_job_that_kills_its_process_each_time_fails_and_the_next_one_runs(
    point: str, studio: Studio, song: Path, others: list[Path]
) -> None:
    studio.arm(point)
    poison = studio.again(song)
    following = studio.submit(others[0], analysis="false", stems="vocals" if point[:2] == "en" else "bass")
    for _ in range(3):
        studio.kill(point)
        studio.arm(point)
    job = studio.wait(poison["id"])
    assert (job["status"], job["error"]["code"], job["attempts"]) == ("failed", "engine_crashed", 3)
    studio.stopped(point)  # the next one came as far
    studio.release(point)
    assert studio.wait(following["id"])["status"] == "succeeded"
    studio.assert_clean()


# Stopped politely


def test_graceful_stop_hands_the_job_back(studio: Studio, song: Path, reference: dict[str, Any]) -> None:
    studio.arm("engine.separating")
    job = studio.again(song)
    studio.stopped("engine.separating")
    family, began = studio.children(), time.monotonic()
    assert studio.stop(signal.SIGTERM) == 0
    assert time.monotonic() - began < 30
    until(lambda: not any(alive(pid) for pid in family))
    assert [run.status for run in studio.rows(Run) if run.status in LIVE] == ["queued"]
    studio.start()
    job = studio.wait(job["id"])
    assert (job["status"], job["attempts"], studio.stems(job)) == ("succeeded", 1, reference)
    studio.assert_clean()


def test_second_server_on_the_same_folder_refuses(studio: Studio) -> None:
    command = [sys.executable, "-P", "-m", "stemwright", "serve", "--port", "0", "--data", str(studio.data)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=WAIT, check=False)
    assert ended.returncode == 1
    assert "[data_in_use]" in ended.stderr


# Cancelled


def test_job_that_waits_is_cancelled_at_once_and_one_that_runs_loses_its_engine_and_can_be_retried(
    studio: Studio, song: Path, others: list[Path], reference: dict[str, Any]
) -> None:
    studio.arm("engine.separating")
    running = studio.again(song)
    engine = studio.stopped("engine.separating")
    waiting = studio.submit(others[0], analysis="false")
    for job in (waiting, running):
        assert studio.http.delete(f"/api/v1/jobs/{job['id']}").json()["status"] == "cancelled"
    began = time.monotonic()
    assert studio.http.post(f"/api/v1/jobs/{running['id']}/retry").status_code == 202  # the old run still ends
    until(lambda: not alive(engine))
    assert time.monotonic() - began < 10  # about one, on a machine that is not busy
    job = studio.wait(running["id"])
    assert (job["status"], studio.stems(job)) == ("succeeded", reference)
    assert studio.job(waiting["id"])["status"] == "cancelled"
    studio.assert_clean()


@pytest.mark.parametrize("point", ["executor.storing", "executor.saving"])
def test_job_that_is_cancelled_when_its_stems_are_ready_leaves_none(point: str, studio: Studio, song: Path) -> None:
    studio.arm(point)
    job = studio.again(song)
    studio.stopped(point)
    assert studio.http.delete(f"/api/v1/jobs/{job['id']}").json()["status"] == "cancelled"
    studio.release(point)
    until(lambda: not [*(studio.data / "work").iterdir()])
    until(lambda: len(studio.objects()) == 1)  # the recording: stems go without a sweep
    assert studio.job(job["id"])["status"] == "cancelled"
    assert studio.rows(File) == []
    studio.assert_clean()


def test_run_that_a_second_client_waits_for_goes_on(studio: Studio, song: Path) -> None:
    studio.arm("engine.separating")
    first = studio.again(song)
    engine = studio.stopped("engine.separating")
    second = studio.submit(song, analysis="false")
    assert studio.http.delete(f"/api/v1/jobs/{first['id']}").json()["status"] == "cancelled"
    time.sleep(2)
    assert alive(engine)
    studio.release("engine.separating")
    assert studio.wait(second["id"])["status"] == "succeeded"
    assert studio.job(first["id"])["status"] == "cancelled"
    assert {job["attempts"] for job in (studio.job(first["id"]), studio.job(second["id"]))} == {1}


# Shared, ordered


def test_twenty_uploads_of_one_song_are_one_run_and_later_ones_are_answered_at_once(
    studio: Studio, song: Path, others: list[Path]
) -> None:
    runs, separations = len(studio.rows(Run)), len(studio.rows(Separation))
    with ThreadPoolExecutor(20) as pool:
        jobs = list(pool.map(lambda _: studio.submit(others[1], analysis="false"), range(20)))
    assert len({job["id"] for job in jobs}) == 20
    assert {studio.wait(job["id"])["status"] for job in jobs} == {"succeeded"}
    assert len(studio.rows(Run)) == runs + 1
    assert len(studio.rows(Separation)) == separations + 1
    with others[1].open("rb") as file:
        answer = studio.http.post("/api/v1/jobs", files={"file": file}, data={"analysis": "false"})
    assert (answer.status_code, answer.json()["status"], answer.json()["cached"]) == (200, "succeeded", True)
    flac = others[1].with_suffix(".flac")
    subprocess.run([FFMPEG, "-v", "error", "-y", "-i", str(others[1]), str(flac)], check=True)
    job = studio.wait(studio.submit(flac, analysis="false")["id"])
    assert job["result"]["separation"] == answer.json()["result"]["separation"]
    assert len(studio.rows(Separation)) == separations + 1
    studio.assert_clean()


def test_urgent_jobs_go_first_and_equals_in_their_order(studio: Studio, song: Path, others: list[Path]) -> None:
    studio.arm("engine.separating")
    first = studio.again(song, model="half")
    studio.stopped("engine.separating")
    wishes = [("low", "vocals"), ("normal", "other"), ("normal", "no_other"), ("high", "no_vocals")]
    jobs = [
        studio.http.post(
            "/api/v1/jobs",
            json={
                "song_id": first["song_id"],
                "model": "half",
                "analysis": False,
                "stems": [stem],
                "priority": priority,
            },
        ).json()
        for priority, stem in wishes
    ]
    assert [studio.job(job["id"])["position"] for job in jobs] == [4, 2, 3, 1]
    studio.release("engine.separating")
    ended = [studio.wait(job["id"]) for job in jobs]
    assert {job["status"] for job in ended} == {"succeeded"}
    begun = sorted(range(4), key=lambda number: ended[number]["started_at"])
    assert begun == [3, 1, 2, 0]


# Songs that are none


def test_recordings_that_cannot_be_decoded_fail_with_a_code_and_leave_nothing(studio: Studio, tmp_path: Path) -> None:
    hostile = {
        "nothing.wav": (wav_header(data=0), {"empty", "corrupt"}),
        "noise.flac": (b"fLaC" + os.urandom(3000), {"corrupt", "unsupported", "no_audio_stream", "not_audio"}),
        "long.flac": (silent_flac(seconds=3700), {"too_long"}),
        "nan.wav": (wav_header(data=80_000, kind=3, bits=32) + b"\xff\xff\xff\x7f" * 20_000, {"corrupt"}),
    }
    studio.again(next(iter(_written(tmp_path, "whole.wav"))))
    jobs = {}
    for name, (content, _) in hostile.items():
        path = tmp_path / name
        path.write_bytes(content)
        jobs[name] = studio.submit(path, analysis="false")
    for name, (_, codes) in hostile.items():
        job = studio.wait(jobs[name]["id"])
        assert (job["status"], job["song_id"]) == ("failed", None), job
        assert job["error"]["code"] in codes
        assert job["error"]["message"].startswith(name)
        assert studio.http.get(f"/api/v1/songs/{jobs[name]['song_id']}").status_code == 404
    assert [song.file_name for song in studio.rows(Song)] == ["whole.wav"]
    assert len([key for key in studio.objects() if "/uploads/" in key]) == 1
    studio.assert_clean()


def _written(folder: Path, name: str) -> Iterator[Path]:
    yield write_wav(folder / name, sound("sine", seconds=1))


# Callbacks


def test_callbacks_come_signed_and_again_until_they_are_taken(studio: Studio, song: Path, tmp_path: Path) -> None:
    with listening(Receiver(status=500)) as receiver:
        job = studio.again(song, model="half", preview="true", callback_url=receiver.url())
        until(lambda: receiver.got)
        receiver.status = 204
        broken = tmp_path / "broken.flac"
        broken.write_bytes(b"fLaC" + bytes(3000))
        failed = studio.submit(broken, analysis="false", callback_url=receiver.url("/failed"))
        studio.wait(job["id"])
        until(lambda: studio.workflows() == 0)
        tries = studio.http.get(f"/api/v1/jobs/{job['id']}/callbacks").json()["items"]
        sent = [Webhook(SECRET).verify(body, _lower(headers)) for _, headers, body in receiver.got]
    assert {one["event"] for one in tries if one["delivered"]} == {"job.started", "job.preview_ready", "job.succeeded"}
    refused = [one for one in tries if not one["delivered"]]
    assert refused
    assert {one["status"] for one in refused} == {500}
    for one in refused:
        assert [two["attempt"] for two in tries if two["message_id"] == one["message_id"]] == [1, 2]
    assert len(sent) >= len(tries)
    assert studio.wait(failed["id"])["status"] == "failed"
    assert "job.failed" in json.dumps(sent)
    studio.assert_clean()


def _lower(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def test_callback_is_sent_though_the_executor_was_killed_before(studio: Studio, song: Path) -> None:
    with listening(Receiver()) as receiver:
        studio.arm("executor.callback")
        job = studio.again(song, model="half", callback_url=receiver.url())
        studio.kill("executor.callback")
        assert studio.wait(job["id"])["status"] == "succeeded"
        until(lambda: studio.workflows() == 0)
    events = [one["event"] for one in studio.http.get(f"/api/v1/jobs/{job['id']}/callbacks").json()["items"]]
    assert sorted(events) == ["job.started", "job.succeeded"]
    assert len(receiver.got) == 2


def test_executor_that_is_killed_after_the_preview_goes_on_with_the_strategy(studio: Studio, song: Path) -> None:
    studio.arm("executor.saving")
    job = studio.again(song, model="half", preview="true")
    studio.stopped("executor.saving")
    assert studio.job(job["id"])["preview"]["model"] == "sketch"
    studio.kill("executor.saving")
    job = studio.wait(job["id"])
    assert (job["status"], job["attempts"], job["result"]["model"]) == ("succeeded", 2, "half")
    assert studio.http.get(job["links"]["song"]).json()["model"] == "half"
    studio.assert_clean()


# Refused, and too slow (the last tests: they start the server with other settings)


def test_full_disk_refuses_and_later_accepts_and_a_slow_job_is_ended(
    studio: Studio, song: Path, others: list[Path]
) -> None:
    studio.stop()
    studio.start(STEMWRIGHT_RETENTION_DISK_RESERVE="900TB")
    with others[2].open("rb") as file:
        answer = studio.http.post("/api/v1/jobs", files={"file": file})
    assert (answer.status_code, answer.json()["code"]) == (507, "disk_full")
    assert not [*(studio.data / "incoming").iterdir()]
    studio.stop()
    studio.start(STEMWRIGHT_JOBS_TIMEOUT_MIN="0.01", STEMWRIGHT_JOBS_TIMEOUT_FACTOR="0")
    job = studio.wait(studio.submit(others[2], analysis="false")["id"])
    assert (job["status"], job["error"]["code"]) == ("failed", "timeout")
    assert not [pid for pid in studio.children() if "app.engine" in Path(f"/proc/{pid}/cmdline").read_text()]
    studio.assert_clean()
