"""The handler by itself, and behind the SDK's own local server."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest

from s3 import KEY, SECRET, free_ports
from sounds import level_db, read, sound, write_wav
from stemwright.doors.runpod.config import Config, WorkerConfig
from stemwright.doors.runpod.handler import make_handler
from stemwright.doors.runpod.results import ResultStore
from stemwright.studio.store.objects import ObjectStore, Storage
from stemwright.weights import config as weights
from studio.test_fetch import publisher

if TYPE_CHECKING:
    from collections.abc import Iterator

    from s3 import S3
    from stemwright.records import JsonObject

    Given = tuple[WorkerConfig, ResultStore]

WAIT = 240.0
RESULTS = "results/doors/runpod/jobs"
SECONDS = 4.0
FOUR: JsonObject = {"model": "spleeter", "modelVariant": "4stems"}


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_wav(tmp_path_factory.mktemp("song") / "song.wav", sound("song", seconds=SECONDS), bits=16)


def text_of(song: Path) -> str:
    return base64.b64encode(song.read_bytes()).decode()


def worker(folder: Path, *, max_bytes: int = 5_000_000, max_duration: float = 600.0) -> Given:
    door = Config(
        models={"2stems": "sketch", "4stems": "sketch"},
        max_duration=max_duration,
        allow=("127.0.0.1",),
    )
    store = ResultStore(ObjectStore(Storage(url=f"file://{folder / 'results'}")), door, home=folder / "home")
    return WorkerConfig(door=door, max_bytes=max_bytes), store


def run(given_worker: Given, /, *, job_id: str = "job-1", **given: Any) -> list[tuple[float, dict[str, Any]]]:
    """All that the handler says of a job, each with the time when it did."""

    async def listen() -> list[tuple[float, dict[str, Any]]]:
        return [(time.monotonic(), word) async for word in make_handler(*given_worker)({"id": job_id, "input": given})]

    return asyncio.run(listen())


def test_job_tells_each_second_how_far_it_is_and_at_last_where_the_stems_are(song: Path, tmp_path: Path) -> None:
    config = FOUR | {
        "stems": {"vocals": True, "drums": True, "other": False},
        "quality": {"sampleRate": 48000, "outputFormat": "mp3", "bitrate": 96},
    }
    said = run(worker(tmp_path), audio=text_of(song), config=config)
    times, words = [at for at, _ in said], [word for _, word in said]
    assert {word["id"] for word in words} == {"job-1"}
    assert all(word["config"] == config for word in words)
    assert [word["status"] for word in words] == ["processing"] * (len(words) - 1) + ["completed"]
    percents = [word["progress"] for word in words]
    assert percents == sorted(percents)
    assert (percents[0], percents[-1]) == (0, 100)
    assert all(b - a >= 1.0 for a, b in pairwise(times[:-2]))
    assert all(word.get("estimatedTimeRemaining", 0) >= 0 for word in words)
    results = words[-1]["results"]
    assert (results["model"], results["draft"]) == ("sketch", True)
    assert results["stems"].keys() == {"vocals", "drums"}
    for link in results["stems"].values():
        path = Path(urlsplit(link).path)
        assert path.parent == tmp_path / RESULTS / "job-1"
        assert read(path, channels=2).shape[1] == round(SECONDS * 48_000)
        assert 8 * path.stat().st_size / SECONDS == pytest.approx(96_000, rel=0.2)


def test_two_stems_are_the_vocals_and_all_the_rest_of_a_song_at_a_url(song: Path, tmp_path: Path) -> None:
    with publisher(song.read_bytes()) as address:
        url = f"{address}/songs/My%20song.wav"
        last = run(worker(tmp_path), audioUrl=url, config={"modelVariant": "2stems"})[-1][1]
    assert last["status"] == "completed", last
    paths = {name: Path(urlsplit(link).path) for name, link in last["results"]["stems"].items()}
    assert {name: path.name for name, path in paths.items()} == {"vocals": "vocals.wav", "other": "other.wav"}
    mix = read(song, channels=2)
    both = read(paths["vocals"], channels=2) + read(paths["other"], channels=2)
    assert level_db(both - mix, mix) < -60


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        ({}, "bad_option", "give audio (base64) or audioUrl"),
        ({"audio": "aGk=", "audioUrl": "http://x"}, "bad_option", "give audio (base64) or audioUrl"),
        ({"audio": "no base64!"}, "bad_option", "this is not base64"),
        ({"audio": "aGVsbG8="}, "not_audio", "not an audio file"),
        ({"audio": base64.encodebytes(b"hello" * 40).decode()}, "not_audio", "not an audio file"),  # in lines
        ({"audio": "aGk=", "config": {"modelVariant": "3stems"}}, "bad_option", "config.modelVariant"),
        ({"audio": "aGk=", "surprise": 1}, "bad_option", "surprise"),
        ({"audioUrl": "http://192.168.0.1/a"}, "bad_url", "not on the public internet"),
        ({"audioUrl": "file:///etc/passwd"}, "bad_url", "the URL must be http"),
        ({"audioUrl": "http://127.0.0.1:9/a"}, "unreachable", "could not be fetched"),
        ({"audio": "A" * 8_000_000}, "too_large", "5 MB"),
    ],
)
def test_what_cannot_be_done_is_the_last_word_without_a_traceback(
    tmp_path: Path, given: dict[str, Any], code: str, words: str
) -> None:
    last = run(worker(tmp_path), **given)[-1][1]
    assert (last["id"], last["status"]) == ("job-1", "failed")
    assert last["error"]
    assert words in last["error"]
    assert last["code"] == code
    assert "Traceback" not in str(last)
    assert str(tmp_path) not in str(last)
    assert not (tmp_path / RESULTS).exists()


def test_weights_that_are_not_here_are_an_error_and_never_another_model(song: Path, tmp_path: Path) -> None:
    before = weights.current()
    weights.configure(weights.Config(cache=tmp_path / "cache", offline=True))
    try:
        last = run(worker(tmp_path), audio=text_of(song), config={"modelVariant": "5stems"})[-1][1]
    finally:
        weights.configure(before)
    assert (last["status"], last["code"]) == ("failed", "model_unavailable")
    assert "spleeter:5stems" in last["error"]


def test_recording_that_is_too_long_is_refused(song: Path, tmp_path: Path) -> None:
    last = run(worker(tmp_path, max_duration=SECONDS - 0.1), audio=text_of(song), config=FOUR)[-1][1]
    assert (last["status"], last["code"]) == ("failed", "too_long")


def test_who_listens_no_more_leaves_nothing_behind(song: Path, tmp_path: Path) -> None:
    async def listen() -> None:
        words = make_handler(*worker(tmp_path))({"id": "job-1", "input": {"audio": text_of(song), "config": FOUR}})
        assert (await anext(words))["progress"] == 0
        await asyncio.wait_for(words.aclose(), WAIT)  # type: ignore[attr-defined]

    asyncio.run(listen())
    assert not (tmp_path / RESULTS).exists()


@pytest.fixture(scope="module")
def sdk(s3: S3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A worker behind the SDK's local server, its results in a bucket."""
    pytest.importorskip("runpod", reason="the RunPod SDK, stemwright[runpod], is not installed")
    folder, [port] = tmp_path_factory.mktemp("sdk"), free_ports(1)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("STEMWRIGHT_")},
        "STEMWRIGHT_DATA": str(folder / "data"),
        "STEMWRIGHT_RUNPOD_MODEL_4STEMS": "sketch",
        "STEMWRIGHT_STORAGE_URL": s3.storage().url,
        "BUCKET_ENDPOINT_URL": s3.endpoint,
        "BUCKET_ACCESS_KEY_ID": KEY,
        "BUCKET_SECRET_ACCESS_KEY": SECRET,
    }
    command = [
        sys.executable,
        "-P",
        "-m",
        "stemwright",
        "runpod-worker",
        "--rp_serve_api",
        "--rp_api_port",
        str(port),
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        end, url = time.monotonic() + WAIT, f"http://localhost:{port}"
        while True:
            try:
                httpx.get(f"{url}/openapi.json", timeout=WAIT)
            except httpx.TransportError:
                assert process.poll() is None, (folder / "log").read_text()[-2000:]
                assert time.monotonic() < end
                time.sleep(0.2)
            else:
                break
        yield url
    finally:
        process.kill()
        process.wait()


def post(url: str, **body: Any) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.post(url, json=body, timeout=WAIT).raise_for_status().json()
    return answer


def test_local_server_of_the_sdk_runs_jobs_and_streams_them(sdk: str, song: Path) -> None:
    given = {"audio": text_of(song), "config": FOUR}
    done = post(f"{sdk}/runsync", input=given)
    assert done["status"] == "COMPLETED"
    *under_way, last = done["output"]
    assert {word["status"] for word in under_way} == {"processing"}
    assert last["results"]["stems"].keys() == {"vocals", "drums", "bass", "other"}
    mix = read(song, channels=2)
    total = np.zeros_like(mix)
    for name, link in last["results"]["stems"].items():
        path = song.with_name(f"{done['id']}-{name}.wav")
        path.write_bytes(httpx.get(link).raise_for_status().content)
        total = total + read(path, channels=2)
    assert level_db(total - mix, mix) < -60

    begun = post(f"{sdk}/run", input=given)
    assert begun["status"] == "IN_PROGRESS"
    streamed = post(f"{sdk}/stream/{begun['id']}")
    assert streamed["stream"][-1]["output"]["status"] == "completed"
    begun = post(f"{sdk}/run", input={"audio": "aGVsbG8=", "config": FOUR})
    looked = post(f"{sdk}/status/{begun['id']}")
    assert looked["output"][-1]["code"] == "not_audio"
    assert "raceback" not in str(looked)
    assert post(f"{sdk}/status/nothing") == {"id": "nothing", "status": "FAILED", "error": "Job ID not found"}


@pytest.mark.parametrize("file_name", ["out", "../../out", "in", "\x1b[2J"])
def test_name_of_a_recording_is_in_nobodys_way(song: Path, tmp_path: Path, file_name: str) -> None:
    *_, (_, last) = run(worker(tmp_path), audio=text_of(song), fileName=file_name)
    assert last["status"] == "completed", last


def test_ids_that_look_alike_do_not_share_results(song: Path, tmp_path: Path) -> None:
    """`a/b` and `a_b` were one folder: the second job gave its stems to the first."""
    config, folders = worker(tmp_path), set()
    for job_id in ("a_b", "a/b", "../a_b", "a b", "a_b ", "", ""):
        *_, (_, last) = run(config, job_id=job_id, audio=text_of(song))
        assert last["status"] == "completed", last
        place = Path(urlsplit(last["results"]["stems"]["vocals"]).path).parent
        assert place.parent == tmp_path / RESULTS
        folders.add(place)
    assert len(folders) == 7


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:169.254.169.254]/a",
        "http://10.0.0.1/a",
        "http://localhost:1/a",
        "file:///etc/passwd",
        "http://me:pw@127.0.0.1/a",
    ],
)
def test_worker_fetches_from_no_address_of_its_own_network(tmp_path: Path, url: str) -> None:
    config, store = worker(tmp_path)
    closed = replace(config, door=replace(config.door, allow=()))
    *_, (_, last) = run((closed, store), audioUrl=url)
    assert last["code"] == "bad_url", last
    assert "pw" not in last["error"]
