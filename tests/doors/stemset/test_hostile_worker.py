"""A remote worker is another machine: it gets a recording, and is believed in nothing that was not checked."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from cli.command import lines, run
from doors.stemset.hostile import API, SECRET, Answers, answering, honest, receipt, stem_files, tell
from server import WAIT, running
from sounds import read, sound, write_wav
from stemwright.doors.stemset.answers import RemoteJob
from stemwright.doors.stemset.config import Output, Profile
from stemwright.doors.stemset.jobs import encoded
from stemwright.doors.stemset.worker import RemoteWorker, WorkerRules
from stemwright.engine.process.pool import EngineProcess
from stemwright.errors import DiskFullError, StemwrightError, WorkerAnswerError, WorkerError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stemwright.engine.process.messages import Transcode
    from stemwright.engine.receipt import Receipt


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Answers]:
    with answering(honest(tmp_path)) as answers:
        yield answers


@pytest.fixture
def neighbour() -> Iterator[Answers]:
    """Another server in the network of ours, which nobody but us can reach."""
    with answering(Answers({"/secret": SECRET, "/api/v1/secret": SECRET})) as answers:
        yield answers


async def all_of(worker: Answers, song: Path, folder: Path, how: dict[str, Any], **rules: Any) -> Receipt:
    """Submit, wait, fetch and encode, as door and command line do."""
    there = RemoteWorker(worker.url, WorkerRules(**rules), **how)
    job = await there.submit(song, name=song.name, strategy="fast")
    job = await there.job(job.id)
    made, promises = await there.fetch(job, folder)
    profile = Profile(name="gpu", source_folder=".", strategy="fast", output=Output(format="flac"))

    async def encode(request: Transcode, _duration: float) -> None:
        engine = EngineProcess((sys.executable, "-P", "-m", "stemwright.app.engine"))
        try:
            await engine.call(request, timeout=WAIT)
        finally:
            await engine.kill()

    return await encoded(made, folder, profile, encode=encode, promises=promises)


def done(worker: Answers, tmp_path: Path, **rules: Any) -> Receipt:
    song = write_wav(tmp_path / "song.wav", sound("sine", seconds=0.2))
    (tmp_path / "out").mkdir()
    return asyncio.run(all_of(worker, song, tmp_path / "out", {}, **rules))


def test_honest_worker_gives_stems_that_were_encoded_here(worker: Answers, tmp_path: Path) -> None:
    theirs = worker.files[f"{API}/stems/vocals.flac"]
    made = done(worker, tmp_path)
    assert [stem.file for stem in made.stems] == ["vocals.flac"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"vocals.flac", "vocals.peaks.dat", "receipt.json"}
    (tmp_path / "theirs.flac").write_bytes(theirs)
    assert (read(tmp_path / "out" / "vocals.flac", channels=2) == read(tmp_path / "theirs.flac", channels=2)).all()


def test_worker_below_a_sub_path_names_files_with_it_or_without(worker: Answers, tmp_path: Path) -> None:
    for number, named in enumerate((b'"/stemwright/api/', b'"/api/')):
        below = {f"/stemwright{path}": data.replace(b'"/api/', named) for path, data in worker.files.items()}
        remote = Answers(below)
        (tmp_path / str(number)).mkdir()
        with answering(remote):
            remote.url += "/stemwright"
            made = done(remote, tmp_path / str(number))
        assert [stem.file for stem in made.stems] == ["vocals.flac"]
        assert {path[:19] for path in remote.asked} == {"/stemwright/api/v1/"}


def test_nothing_is_fetched_below_another_sub_path(worker: Answers, tmp_path: Path) -> None:
    tell(worker, receipt="/elsewhere/api/v1/secret")
    with pytest.raises(WorkerAnswerError, match="not below its address"):
        done(worker, tmp_path)
    assert {*worker.asked} == {"/api/v1/jobs", "/api/v1/jobs/j1"}


@pytest.mark.parametrize(
    "place",
    [
        "{neighbour}/secret",  # the attack as it was found
        "{neighbour}/api/v1/secret",
        "//{host}/api/v1/secret",
        "/api/v1/../../secret",
        "/api/v1/%2e%2e/%2e%2e/secret",
        "/api/v1/x@{host}/api/v1/secret",
        "/api/v1/x\r\nHost: {host}",
        "/api/v1/x#{neighbour}",
        "\\\\{host}\\api\\v1\\secret",
        "/metrics",
        "file:///etc/passwd",
    ],
)
@pytest.mark.parametrize("what", ["stems", "peaks", "receipt"])
def test_no_address_but_the_workers_own_is_fetched(
    worker: Answers, neighbour: Answers, tmp_path: Path, place: str, what: str
) -> None:
    place = place.format(neighbour=neighbour.url, host=neighbour.url.removeprefix("http://"))
    named: dict[str, Any] = {what: place if what == "receipt" else {"vocals": place}}
    tell(worker, **named)
    with pytest.raises(WorkerAnswerError):
        done(worker, tmp_path)
    assert neighbour.asked == []
    assert worker.asked == ["/api/v1/jobs"]


@pytest.mark.parametrize("path", ["/stems/vocals.flac", "/peaks/vocals.dat", "/receipt"])
def test_redirects_of_the_worker_are_not_followed(
    worker: Answers, neighbour: Answers, tmp_path: Path, path: str
) -> None:
    worker.moved[API + path] = f"{neighbour.url}/secret"
    with pytest.raises(WorkerError, match="answered 302"):
        done(worker, tmp_path)
    assert neighbour.asked == []


@pytest.mark.parametrize("job_id", ["../../secret", "j1?x=1", "j1#", "http://10.0.0.1/", "a" * 65, "", "j1\n"])
def test_id_of_a_job_is_no_path(worker: Answers, tmp_path: Path, job_id: str) -> None:
    tell(worker, job_id=job_id)
    with pytest.raises(WorkerAnswerError):
        done(worker, tmp_path)
    assert worker.asked == ["/api/v1/jobs"]


@pytest.mark.parametrize(
    "content",
    [SECRET, b"<html><script>alert(1)</script></html>", b"#EXTM3U\nfile:///etc/passwd\n", b"", b"fLaC" + bytes(9999)],
    ids=["text that begins as FLAC", "html", "playlist", "nothing", "zeros"],
)
def test_stem_that_is_no_sound_is_not_kept(worker: Answers, tmp_path: Path, content: bytes) -> None:
    worker.files[f"{API}/stems/vocals.flac"] = content
    with pytest.raises(StemwrightError) as caught:
        done(worker, tmp_path)
    assert caught.value.code in {"bad_worker_answer", "corrupt", "not_audio", "empty"}
    assert not (tmp_path / "out" / "receipt.json").exists()


@pytest.mark.parametrize(
    ("seconds", "rate", "channels"), [(60.0, 44_100, 2), (0.5, 44_100, 2), (1.0, 48_000, 2), (1.0, 44_100, 1)]
)
def test_stem_must_be_what_its_receipt_says(
    worker: Answers, tmp_path: Path, seconds: float, rate: int, channels: int
) -> None:
    """The first is a bomb: a minute of silence in place of a second."""
    samples = sound("sine", seconds=seconds, rate=rate, channels=channels) * 0
    worker.files[f"{API}/stems/vocals.flac"], _ = stem_files(tmp_path, samples, rate=rate)
    with pytest.raises(StemwrightError) as caught:
        done(worker, tmp_path)
    assert caught.value.code in {"corrupt", "too_long"}
    assert not (tmp_path / "out" / "vocals.flac").exists()


@pytest.mark.parametrize(
    "of_stem",
    [
        {"frames": 10**12},  # 8 TB, decoded
        {"frames": 0},
        {"sample_rate": 0},
        {"channels": 1000},
        {"gain_db": float("nan")},
        {"loudness": {"integrated_lufs": float("inf"), "true_peak_dbtp": 0.0}},
        {"loudness": {"integrated_lufs": 0.0, "true_peak_dbtp": 1e300}},
        {"name": "../../vocals"},
        {"name": "vocals\u202e"},
        {"file": "\x1b]0;owned\x07"},
        {"file": "x" * 5000},
    ],
)
def test_receipt_that_no_separation_writes_is_refused(worker: Answers, tmp_path: Path, of_stem: dict[str, Any]) -> None:
    worker.files[f"{API}/receipt"] = json.dumps(receipt(**of_stem)).encode()
    with pytest.raises(WorkerAnswerError):
        done(worker, tmp_path)
    assert not list((tmp_path / "out").iterdir())


def test_answers_without_end_are_not_read_to_it(worker: Answers, tmp_path: Path) -> None:
    worker.endless = {f"{API}/stems/vocals.flac"}
    with pytest.raises(WorkerAnswerError, match="1000000 bytes allowed"):
        done(worker, tmp_path, max_bytes=1_000_000)
    assert (tmp_path / "out" / "vocals.flac").stat().st_size <= 1_000_000
    for path in ("/api/v1/jobs", "/api/v1/jobs/j1", f"{API}/receipt"):
        worker.endless = {path}
        with pytest.raises(WorkerAnswerError):
            asyncio.run(all_of(worker, tmp_path / "song.wav", tmp_path / "out", {}))


def test_nested_answers_are_refused(worker: Answers, tmp_path: Path) -> None:
    worker.files["/api/v1/jobs"] = b'{"id":' + b"[" * 200_000
    with pytest.raises(WorkerAnswerError):
        done(worker, tmp_path)


def test_worker_that_sends_a_byte_now_and_then_ends(worker: Answers, tmp_path: Path) -> None:
    worker.endless = {f"{API}/stems/vocals.flac"}
    with pytest.raises(WorkerError, match="TimeoutError"):
        done(worker, tmp_path, timeout=0.3, max_bytes=1 << 50)


def test_disk_is_asked_before_stems_come(worker: Answers, tmp_path: Path) -> None:
    def full(_size: int) -> None:
        raise DiskFullError("the disk is full")

    there = RemoteWorker(worker.url, WorkerRules())
    job = RemoteJob.model_validate_json(worker.files["/api/v1/jobs"])
    with pytest.raises(DiskFullError):
        asyncio.run(there.fetch(job, tmp_path / "none", room=full))
    assert worker.asked == [f"{API}/receipt"]


@pytest.mark.parametrize("address", ["169.254.169.254", "127.0.0.1", "10.1.2.3", "::1", "64:ff9b::7f00:1"])
def test_public_name_whose_answers_change_to_a_private_address_is_refused(address: str) -> None:
    """A name is looked up once for each exchange, checked, and what was checked is connected to."""

    async def rebound(_host: str, _port: int) -> list[str]:
        return ["93.184.216.34", address]

    there = RemoteWorker("http://gpu.example.org:9", WorkerRules(), resolve=rebound)
    with pytest.raises(WorkerError, match=r"not public, nor in callbacks\.allow"):
        asyncio.run(there.job("j1"))


@pytest.mark.parametrize("host", ["gpu", "gpu.local", "gpu.lan", "127.0.0.1", "GPU.internal."])
def test_worker_of_the_local_network_needs_no_list(worker: Answers, host: str) -> None:
    async def here(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    there = RemoteWorker(worker.url.replace("127.0.0.1", host), WorkerRules(), resolve=here)
    assert asyncio.run(there.job("j1")).status == "succeeded"


def test_words_of_the_worker_are_one_plain_line(worker: Answers, tmp_path: Path) -> None:
    fault = {"code": "corrupt", "message": "\x1b[2J\x1b]0;owned\x07 " + "x" * 5000}
    job = {"id": "j1", "status": "failed", "error": fault}
    worker.files["/api/v1/jobs"] = json.dumps(job).encode()
    (tmp_path / "config.yaml").write_text(
        f"profiles: [{{name: gpu, source_folder: in, strategy: fast, remote: true}}]\ngpu_worker_url: {worker.url}\n"
    )
    (tmp_path / "in").mkdir()
    write_wav(tmp_path / "in" / "a.wav", sound("sine", seconds=0.2))
    [said] = lines(run("process", "gpu", "--json", cwd=tmp_path, code=1))
    assert said["error"]["code"] == "corrupt"
    assert said["error"]["message"].isprintable()
    assert len(said["error"]["message"]) <= 300


def test_command_line_asks_nobody_but_the_worker(worker: Answers, neighbour: Answers, tmp_path: Path) -> None:
    tell(worker, receipt=f"{neighbour.url}/api/v1/secret")
    (tmp_path / "config.yaml").write_text(
        f"profiles: [{{name: gpu, source_folder: in, strategy: fast, remote: true}}]\ngpu_worker_url: {worker.url}\n"
    )
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        write_wav(tmp_path / "in" / f"{name}.wav", sound("sine", seconds=0.2))
    [said] = lines(run("process", "gpu", "--json", cwd=tmp_path, code=1))
    assert said["error"]["code"] == "bad_worker_answer"
    assert neighbour.asked == []
    assert not list((tmp_path / "media" / "gpu").iterdir())


def test_door_ends_the_job_of_a_worker_that_lies(worker: Answers, neighbour: Answers, tmp_path: Path) -> None:
    """The attack as it was found, through the door: the neighbour's secret became `vocals.flac` of a recording."""
    tell(worker, stems={"vocals": f"{neighbour.url}/secret"})
    (tmp_path / "config.yaml").write_text(
        "profiles: [{name: gpu, source_folder: ., strategy: fast, remote: true, output: {format: flac}}]\n"
        f"gpu_worker_url: {worker.url}\n"
    )
    song = write_wav(tmp_path / "song.wav", sound("song", seconds=1.0, seed=9), bits=16)
    with running(tmp_path / "data", STEMWRIGHT_STEMSET_CONFIG=str(tmp_path / "config.yaml")) as server:
        base = f"{server.url}/doors/stemset"
        sent = httpx.post(f"{base}/api/upload/gpu", files={"file": ("a.wav", song.read_bytes())}, timeout=WAIT)
        assert (sent.status_code, sent.json()["code"]) == (502, "bad_worker_answer")
        tell(worker, status="queued")
        job = httpx.post(f"{base}/api/upload/gpu", files={"file": ("a.wav", song.read_bytes())}, timeout=WAIT).json()
        tell(worker, stems={"vocals": f"{neighbour.url}/secret"})
        for _ in range(100):
            job = httpx.get(f"{base}/api/jobs/{job['job_id']}/status", timeout=WAIT).json()
            if job["status"] != "processing":
                break
        assert job["status"] == "error", job
        assert not list((tmp_path / "media").rglob("*.flac"))
    assert neighbour.asked == []
