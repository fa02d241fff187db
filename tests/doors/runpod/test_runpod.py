"""The web app's job API: submit, poll each two seconds, fetch the stems (source 002)."""

from __future__ import annotations

import json
import shutil
import time
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest

from doors.notes import taken_out
from server import WAIT, Server, running
from sounds import level_db, read, sound, write_wav
from studio.test_fetch import publisher

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECONDS = 3.0
LONGEST = 6.0
WHOLE = {
    "model": "spleeter",
    "modelVariant": "4stems",
    "stems": {"drums": True, "bass": False, "vocals": True, "other": True},
    "quality": {"sampleRate": 48000, "outputFormat": "mp3", "bitrate": 128},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    own = {
        "STEMWRIGHT_DOORS": "runpod=0",
        "STEMWRIGHT_RUNPOD_MODEL_2STEMS": "sketch",
        "STEMWRIGHT_RUNPOD_MODEL_4STEMS": "sketch",
        "STEMWRIGHT_RUNPOD_MAX_DURATION": f"{LONGEST}",
        "STEMWRIGHT_UPLOAD_MAX_BYTES": "2MB",
        "STEMWRIGHT_MODEL_OFFLINE": "true",
        "STEMWRIGHT_MODEL_CACHE": str(tmp_path_factory.mktemp("cache")),
        "STEMWRIGHT_CALLBACKS_ALLOW": "127.0.0.1",
    }
    with running(tmp_path_factory.mktemp("runpod") / "data", **own) as server:
        yield server


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_wav(tmp_path_factory.mktemp("song") / "song.wav", sound("song", seconds=SECONDS), bits=16)


def submit(url: str, song: Path, config: dict[str, Any] | str = "") -> httpx.Response:
    text = config if isinstance(config, str) else json.dumps(config)
    files = {"file": ("../../My song.wav", song.read_bytes())}
    return httpx.post(f"{url}/jobs", files=files, data={"config": text}, timeout=WAIT)


def polled(url: str, job: dict[str, Any]) -> list[dict[str, Any]]:
    """Every state that polling shows, the last one final."""
    states, end = [job], time.monotonic() + WAIT
    while states[-1]["status"] in {"queued", "processing"}:
        assert time.monotonic() < end, states[-1]
        time.sleep(0.2)
        states.append(httpx.get(f"{url}/jobs/{job['id']}", timeout=WAIT).raise_for_status().json())
    return states


def test_job_is_queued_processed_and_completed_with_links_to_its_stems(
    server: Server, song: Path, tmp_path: Path
) -> None:
    url = server.doors["runpod"]
    answer = submit(url, song, WHOLE)
    assert answer.status_code == 202, answer.text
    states = polled(url, answer.json())
    assert all(state["config"] == WHOLE for state in states)
    assert {state["id"] for state in states} == {answer.json()["id"]}
    known = ["queued", "processing", "completed"]
    order = [known.index(state["status"]) for state in states]
    assert order == sorted(order)
    assert all(0 <= state["progress"] < 100 for state in states[:-1])
    last = states[-1]
    assert last["progress"] == 100
    assert (last["results"]["model"], last["results"]["draft"]) == ("sketch", True)
    assert last["results"]["stems"].keys() == {"drums", "vocals", "other"}
    for name, link in last["results"]["stems"].items():
        file = httpx.get(link)
        assert (file.status_code, file.headers["content-type"]) == (200, "audio/mpeg")
        path = tmp_path / f"{name}.mp3"
        path.write_bytes(file.content)
        assert read(path, channels=2).shape[1] == round(SECONDS * 48_000)
        assert 8 * len(file.content) / SECONDS == pytest.approx(128_000, rel=0.2)
        part = httpx.get(link, headers={"Range": "bytes=5-9"})
        assert (part.status_code, part.content) == (206, file.content[5:10])
        assert httpx.get(link, headers={"If-None-Match": file.headers["etag"]}).status_code == 304
        assert httpx.get(link.replace("expires=1", "expires=2")).status_code == 404
        assert httpx.get(link.partition("?")[0]).status_code == 404


def test_mounted_door_gives_links_below_itself_and_a_second_job_is_ready_at_once(server: Server, song: Path) -> None:
    url = f"{server.url}/doors/runpod"
    config = {"modelVariant": "2stems", "quality": {"sampleRate": 44100, "outputFormat": "wav"}}
    last = polled(url, submit(url, song, config).json())[-1]
    mix = read(song, channels=2)
    total = np.zeros_like(mix)
    for name, link in last["results"]["stems"].items():
        assert link.startswith(f"{url}/files/{last['id']}/{name}.wav?")
        path = song.with_name(f"{name}.wav")
        path.write_bytes(httpx.get(link).raise_for_status().content)
        total = total + read(path, channels=2)
    assert level_db(total - mix, mix) < -60
    again = submit(url, song, config).json()
    assert (again["status"], again["id"] == last["id"]) == ("completed", False)


def test_recording_elsewhere_is_fetched(server: Server, song: Path) -> None:
    url = server.doors["runpod"]
    with publisher(song.read_bytes()) as address:
        body = {"audioUrl": f"{address}/songs/My%20song.wav", "config": {"modelVariant": "2stems"}}
        answer = httpx.post(f"{url}/jobs", json=body, timeout=WAIT)
    assert answer.status_code == 202, answer.text
    assert polled(url, answer.json())[-1]["status"] == "completed"


def test_recording_that_is_too_long_has_failed_and_goes_no_further(server: Server, tmp_path: Path) -> None:
    url = server.doors["runpod"]
    long = write_wav(tmp_path / "long.wav", sound("noise", seconds=LONGEST + 0.5), bits=16)
    last = polled(url, submit(url, long, {"modelVariant": "2stems"}).json())[-1]
    assert (last["status"], last["code"], last.get("results")) == ("failed", "too_long", None)
    job = server.wait(last["id"])
    assert (job["status"], job["error"]["code"], job["preview"]) == ("failed", "too_long", None)
    assert httpx.get(f"{url}/jobs/{last['id']}").json() == last


def test_model_that_is_not_here_is_an_error_and_never_another_model(server: Server, song: Path) -> None:
    answer = submit(server.doors["runpod"], song, {"modelVariant": "5stems"})
    assert answer.status_code == 503, answer.text
    assert answer.json()["code"] == "model_unavailable"
    assert "spleeter:5stems" in answer.json()["error"]


def test_job_can_be_cancelled_once(server: Server, tmp_path: Path) -> None:
    url = server.doors["runpod"]
    songs = [write_wav(tmp_path / f"{n}.wav", sound("noise", seconds=2, seed=n), bits=16) for n in range(2)]
    first, second = (submit(url, one, {"modelVariant": "2stems"}).json() for one in songs)
    cancelled = httpx.delete(f"{url}/jobs/{second['id']}", timeout=WAIT)
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "failed")
    assert cancelled.json()["code"] == "cancelled"
    assert polled(url, first)[-1]["status"] == "completed"
    assert httpx.delete(f"{url}/jobs/{first['id']}").status_code == 409


def test_what_is_wrong_is_refused_with_one_status_and_nothing_stays(server: Server, song: Path, tmp_path: Path) -> None:
    url = server.doors["runpod"]
    (tmp_path / "text.wav").write_text("no audio")
    large = write_wav(tmp_path / "large.wav", sound("noise", seconds=8.0))
    jobs = f"{url}/jobs"
    cases = [
        (400, submit(url, tmp_path / "text.wav")),
        (400, submit(url, song, "{")),
        (400, submit(url, song, {"modelVariant": "2stems", "stems": {"drums": True}})),
        (400, submit(url, song, {"quality": {"sampleRate": 22050}})),
        (400, httpx.post(jobs, data={"config": "{}"}, files={"other": ("a", b"x")})),
        (400, httpx.post(jobs, json={"audioUrl": "http://169.254.169.254/a"})),
        (400, httpx.post(jobs, json={"audioUrl": "file:///etc/passwd"})),
        (400, httpx.post(jobs, json={})),
        (502, httpx.post(jobs, json={"audioUrl": "http://127.0.0.1:9/a", "config": {"modelVariant": "2stems"}})),
        (413, submit(url, large)),
        (404, httpx.get(f"{jobs}/nothing")),
        (404, httpx.get(f"{jobs}/..%2F..%2Fstudio.db")),
        (404, httpx.delete(f"{jobs}/nothing")),
        (404, httpx.get(f"{url}/files/..%2F..%2Fsigning.key?expires=9999999999&signature=00")),
        (404, httpx.get(f"{url}/nothing")),
    ]
    for status, answer in cases:
        assert answer.status_code == status, (answer.request.url, answer.text)
        assert answer.json().keys() == {"error", "code"}
        assert str(server.data) not in answer.text
    assert not list((server.data / "incoming").iterdir())


def test_job_of_the_studio_is_none_of_the_door(server: Server, song: Path) -> None:
    job = server.wait(server.submit(song, model="sketch", analysis="false")["id"])
    assert httpx.get(f"{server.doors['runpod']}/jobs/{job['id']}").status_code == 404


def test_results_are_there_after_a_restart(server: Server, song: Path) -> None:
    job = polled(server.doors["runpod"], submit(server.doors["runpod"], song, WHOLE).json())[-1]
    server.stop(9)
    server.start()
    again = httpx.get(f"{server.doors['runpod']}/jobs/{job['id']}").json()
    assert again["status"] == "completed"
    assert httpx.get(again["results"]["stems"]["vocals"]).status_code == 200
    old = job["results"]["stems"]["vocals"].partition("/files/")[2]
    assert httpx.get(f"{server.doors['runpod']}/files/{old}").status_code == 200


def test_what_an_earlier_edition_kept_in_its_folder_is_found_after_the_start_and_answers_as_before(
    server: Server, song: Path
) -> None:
    url = server.doors["runpod"]
    job = polled(url, submit(url, song, WHOLE).json())[-1]
    ended = polled(url, submit(url, song, {"modelVariant": "2stems"}).json())[-1]
    server.stop(9)
    jobs, kept = server.data / "runpod" / "jobs", server.data / "objects" / "doors" / "runpod"
    shutil.rmtree(server.data / "runpod", ignore_errors=True)
    kept.rename(server.data / "runpod")  # results and the key that signs links
    known, fresh = (taken_out(server, one["id"]) for one in (job, ended))
    old = {"owner": "local", "files": None, "error": None}
    done = {name: known[name] for name in ("stems", "files", "model", "draft")}
    notes = {
        job["id"]: old | done | {"config": job["config"]},
        ended["id"]: old | {"config": ended["config"], "stems": fresh["stems"]},  # not looked at since it was done
        "abc1": old | {"config": WHOLE, "stems": {}, "error": {"error": "it is damaged", "code": "corrupt"}},
        "abc2": {"what": "this is not ours"},
    }
    for name, note in notes.items():
        (jobs / name).mkdir(exist_ok=True)
        (jobs / name / "job.json").write_text(json.dumps(note))
    url = server.start().doors["runpod"]
    end = time.monotonic() + WAIT
    while [path.relative_to(jobs).as_posix() for path in jobs.glob("*/*")] != ["abc2/job.json"]:
        assert time.monotonic() < end
        time.sleep(0.1)
    for before in (job, ended):
        now = polled(url, httpx.get(f"{url}/jobs/{before['id']}").json())[-1]
        assert (now | {"results": None}) == (before | {"results": None})
        assert (now["results"] | {"stems": None}) == (before["results"] | {"stems": None})
        assert now["results"]["stems"].keys() == before["results"]["stems"].keys()
        assert {httpx.get(link).status_code for link in now["results"]["stems"].values()} == {200}
    for given in job["results"]["stems"].values():
        assert httpx.get(f"{url}/files/{given.partition('/files/')[2]}").status_code == 200
    failed = {"id": "abc1", "status": "failed", "config": WHOLE, "progress": 0.0}
    assert httpx.get(f"{url}/jobs/abc1").json() == failed | {"error": "it is damaged", "code": "corrupt"}
    assert httpx.get(f"{url}/jobs/abc2").status_code == 404
