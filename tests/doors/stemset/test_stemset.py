"""The door by HTTP, as source 003 describes it: uploads, polling, files, workers that call back."""

from __future__ import annotations

import base64
import json
import shutil
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from standardwebhooks import Webhook

from doors.notes import entry, taken_out
from doors.stemset.test_waveform import alpha
from server import WAIT, Server, running
from sounds import read, sound, write_wav

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "whsec_" + base64.b64encode(b"between the worker and us, 32 by").decode()
SECONDS = 3.0
PLAYER = "https://stemset.pages.dev"
CONFIG = """
strategies:
  own: {{_: sketch, vocals: vocals, not_vocals: band}}
profiles:
  - {{name: h4n, source_folder: ./input, strategy: fast, output: {{format: opus, bitrate: 96}}}}
  - {{name: own, source_folder: ./input, strategy: own}}
  - {{name: gpu, source_folder: ./input, strategy: fast, remote: true, output: {{format: wav}}}}
gpu_worker_url: {worker}
"""


@dataclass(frozen=True)
class House:
    """The server with the door, the remote worker, and the folder of the configuration."""

    server: Server
    worker: Server
    folder: Path

    @property
    def url(self) -> str:
        return self.server.doors["stemset"]

    def get(self, path: str, **how: Any) -> httpx.Response:
        return httpx.get(self.url + path, timeout=WAIT, **how)

    def upload(self, profile: str, song: Path, *, name: str = "take 1.wav", base: str = "") -> httpx.Response:
        files = {"file": (name, song.read_bytes())}
        return httpx.post((base or self.url) + "/api/upload", files=files, data={"profile_name": profile}, timeout=WAIT)

    def ended(self, job: dict[str, Any], *, base: str = "") -> dict[str, Any]:
        """A job once it is done, by polling."""
        end = time.monotonic() + WAIT
        while job["status"] == "processing":
            assert time.monotonic() < end, self.server.log.read_text()[-3000:]
            time.sleep(0.2)
            job = httpx.get(f"{base or self.url}/api/jobs/{job['job_id']}/status", timeout=WAIT).json()
        return job


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("stemset")
    (folder / "input").mkdir()
    calls = {"STEMWRIGHT_CALLBACKS_SECRET": SECRET, "STEMWRIGHT_CALLBACKS_ALLOW": "127.0.0.1"}
    with running(folder / "worker", **calls) as worker:
        (folder / "config.yaml").write_text(CONFIG.format(worker=worker.url))
        own = {
            "STEMWRIGHT_DOORS": "stemset=0",
            "STEMWRIGHT_STEMSET_CONFIG": str(folder / "config.yaml"),
            "STEMWRIGHT_STEMSET_WORKER_SECRET": SECRET,
            "STEMWRIGHT_UPLOAD_MAX_BYTES": "1MB",
            "STEMWRIGHT_HTTP_CORS_ORIGINS": PLAYER,
        }
        with running(folder / "data", **own) as server:
            yield House(server, worker, folder)


@pytest.fixture(scope="module")
def done(house: House) -> dict[str, Any]:
    """The job of a recording that has been processed."""
    song = write_wav(house.folder / "done.wav", sound("song", seconds=SECONDS, seed=1), bits=16)
    return house.ended(house.upload("h4n", song).json())


@pytest.fixture
def song(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A recording that no other test has."""
    seed = sum(request.node.nodeid.encode())
    return write_wav(tmp_path / "song.wav", sound("song", seconds=SECONDS, seed=seed), bits=16)


def test_profiles_are_listed_and_known_by_name(house: House) -> None:
    profiles = house.get("/api/profiles").json()
    assert profiles[0] == {"name": "h4n", "source_folder": "./input"}
    assert [profile["name"] for profile in profiles] == ["h4n", "own", "gpu"]
    assert house.get("/api/profiles/gpu").json() == profiles[2]
    for path in ("/api/profiles/x", "/api/profiles/x/files", "/api/profiles/../files"):
        assert house.get(path).status_code == 404
    missing = house.get("/api/profiles/x").json()
    assert (missing["status_code"], missing["detail"]) == (404, "Profile 'x' not found")


def test_everybody_is_signed_in_while_sign_in_is_bypassed(house: House) -> None:
    status = house.get("/auth/status").json()
    assert status["authenticated"] is True
    assert status["user"].keys() == {"id", "name", "email", "picture"}
    assert house.get("/auth/login").status_code == 302
    assert house.get("/auth/logout").json() == {"success": True}


@pytest.mark.parametrize("mounted", [False, True], ids=["own port", "/doors/stemset"])
def test_upload_becomes_a_recording_with_stems_waveforms_and_metadata(
    house: House, done: dict[str, Any], song: Path, mounted: bool
) -> None:
    base, root = (f"{house.server.url}/doors/stemset", "/doors/stemset") if mounted else (house.url, "")
    job = done
    if mounted:
        answer = house.upload("h4n", song, name="Grüße 1.wav", base=base)
        assert answer.status_code == 201, answer.text
        first = answer.json()
        assert first.keys() == {"job_id", "profile_name", "output_name", "filename", "status", "stems", "error"}
        assert (first["profile_name"], first["filename"], first["status"]) == ("h4n", "Grüße 1.wav", "processing")
        job = house.ended(first, base=base)
    assert (job["status"], job["error"]) == ("complete", None), job
    assert job["stems"] == ["vocals", "drums", "bass", "other"]

    files = httpx.get(f"{base}/api/profiles/h4n/files").json()
    [recording] = [one for one in files if one["name"] == job["output_name"]]
    assert uuid.UUID(recording["id"])
    assert (recording["display_name"], recording["status"]) == (job["output_name"], None)
    datetime.fromisoformat(recording["created_at"])
    metadata = httpx.get(f"{base}/api/profiles/h4n/files/{job['output_name']}/metadata").json()
    assert list(metadata["stems"]) == job["stems"]
    folder = house.folder / "media" / "h4n" / job["output_name"]
    assert json.loads((folder / "metadata.json").read_text()) == metadata
    for stem in recording["stems"]:
        facts = metadata["stems"][stem["stem_type"]]
        shared = ("measured_lufs", "peak_amplitude", "stem_gain_adjustment_db", "file_size_bytes", "duration_seconds")
        assert {name: stem[name] for name in shared} == {name: facts[name] for name in shared}
        assert stem["audio_url"].startswith(f"{root}/media/h4n/")
        audio = httpx.get(base.removesuffix(root) + stem["audio_url"])
        assert (audio.status_code, audio.headers["content-type"]) == (200, "audio/ogg")
        assert audio.content == (folder / facts["stem_url"]).read_bytes()
        picture = httpx.get(base.removesuffix(root) + stem["waveform_url"])
        assert (picture.status_code, picture.headers["content-type"]) == (200, "image/png")
        assert alpha(picture.content).any()
    samples = read(folder / "vocals.opus", channels=2)
    assert samples.shape[1] == round(SECONDS * 48_000)
    assert 0.5 < 8 * (folder / "vocals.opus").stat().st_size / SECONDS / 96_000 < 1.5


def test_recording_sent_again_is_complete_at_once_whatever_it_is_called(house: House, done: dict[str, Any]) -> None:
    again = house.upload("h4n", house.folder / "done.wav", name="renamed by the recorder.wav").json()
    assert (again["status"], again["output_name"], again["stems"]) == ("complete", done["output_name"], done["stems"])
    assert house.get(f"/api/jobs/{again['job_id']}/status").json() == again


def test_player_of_another_origin_asks_with_credentials_and_shows_what_it_is_told(
    house: House, done: dict[str, Any]
) -> None:
    """Source 003: its `fetch` is called with `credentials: 'include'`, its pictures and stems are plain addresses."""
    answer = house.get("/api/profiles/h4n/files", headers={"Origin": PLAYER})
    assert answer.headers["access-control-allow-origin"] == PLAYER
    assert answer.headers["access-control-allow-credentials"] == "true"
    stem = next(one for one in answer.json() if one["name"] == done["output_name"])["stems"][0]
    for url in (stem["audio_url"], stem["waveform_url"]):
        assert house.get(url).headers["cross-origin-resource-policy"] == "cross-origin"


def test_files_are_sent_in_part_and_not_twice(house: House, done: dict[str, Any]) -> None:
    path = f"/media/h4n/{done['output_name']}/vocals.opus"
    whole = house.get(path)
    part = house.get(path, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert house.get(path, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304


def test_remote_profile_is_processed_by_the_worker_which_calls_back(house: House, song: Path) -> None:
    job = house.ended(house.upload("gpu", song).json())
    assert job["status"] == "complete", job
    theirs = house.worker.http.get("/api/v1/jobs").json()["items"]
    assert [one["status"] for one in theirs[:1]] == ["succeeded"]
    assert house.server.http.get("/api/v1/jobs", params={"status": "running"}).json()["total"] == 0
    folder = house.folder / "media" / "gpu" / job["output_name"]
    mix = sum(read(folder / f"{stem}.wav", channels=2) for stem in job["stems"])
    original = read(song, channels=2)
    assert mix.shape == original.shape  # type: ignore[union-attr]
    assert abs(mix - original).max() < 1e-3
    calls = house.worker.http.get(f"/api/v1/jobs/{theirs[0]['id']}/callbacks").json()["items"]
    end = time.monotonic() + 20
    while not any(call["delivered"] for call in calls) and time.monotonic() < end:
        time.sleep(0.2)
        calls = house.worker.http.get(f"/api/v1/jobs/{theirs[0]['id']}/callbacks").json()["items"]
    assert {call["status"] for call in calls} == {201}


def signed(body: bytes, *, secret: str = SECRET, at: float | None = None) -> dict[str, str]:
    moment = datetime.fromtimestamp(at or time.time(), UTC)
    signature = Webhook(secret).sign("msg_1", moment, body.decode())
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": signature,
        "content-type": "application/json",
    }


def test_only_the_worker_may_say_that_a_job_has_ended(house: House, song: Path) -> None:
    job = house.upload("gpu", song).json()
    url = f"{house.url}/api/jobs/{job['job_id']}/complete"
    body = json.dumps({"job_id": job["job_id"], "status": "error", "error": "made up"}).encode()
    good = signed(body)
    other = signed(body, secret="whsec_" + base64.b64encode(b"x" * 32).decode())
    old = signed(body, at=time.time() - 3600)
    garbled = [good | {"webhook-signature": text} for text in ("", "x", "v1", "v1,!", "v2,abc", "a,b,c")]
    for headers in ({}, other, old, good | {"webhook-id": "msg_2"}, good | {"webhook-timestamp": "soon"}, *garbled):
        answer = httpx.post(url, content=body, headers=headers)
        assert answer.status_code == 401, headers
        assert answer.json()["detail"] == "the call-back is not signed by the worker"
    assert httpx.post(url, content=b"\xff", headers=good).status_code == 401
    assert httpx.post(url, content=b"x" * 100_000, headers=good).status_code == 413
    answer = httpx.post(url, content=body, headers=good)
    assert (answer.status_code, answer.json()) == (201, {"status": "ok"})
    unknown = f"{house.url}/api/jobs/nothing/complete"
    assert httpx.post(unknown, content=body, headers=good).status_code == 404
    assert house.ended(job)["status"] == "complete"  # what there is, is looked up, not believed


def test_failed_job_says_why_and_is_listed(house: House, song: Path) -> None:
    broken = song.with_name("broken.wav")
    broken.write_bytes(song.read_bytes()[:44])
    for _ in range(2):  # sent again it is one recording still
        job = house.ended(house.upload("h4n", broken, name="broken.wav").json())
        assert job["status"] == "error", job
    assert job["error"]
    assert str(house.folder) not in job["error"]
    [listed] = [one for one in house.get("/api/profiles/h4n/files").json() if one["name"] == job["output_name"]]
    assert (listed["status"], listed["stems"]) == ("error", [])


def test_what_cannot_be_processed_is_refused(house: House, song: Path, tmp_path: Path) -> None:
    cases = {
        404: [house.upload("nobody", song)],
        400: [
            house.upload("h4n", write_text(tmp_path / "a.wav", "not audio")),
            house.upload("own", song),  # a tree of config.yaml alone
            httpx.post(f"{house.url}/api/upload", files={"file": ("a.wav", b"x")}),
            httpx.post(f"{house.url}/api/upload/h4n", files={"nothing": (None, "x")}),
            httpx.post(f"{house.url}/api/upload", json={}),
        ],
        413: [house.upload("h4n", write_wav(tmp_path / "long.wav", sound("noise", seconds=8.0)))],
    }
    for status, answers in cases.items():
        for answer in answers:
            assert answer.status_code == status, answer.text
            said = answer.json()
            assert said["status_code"] == status
            assert said["detail"]
            assert str(house.folder) not in answer.text
    assert not list((house.folder / "data" / "incoming").iterdir())


def test_wrong_names_are_not_found(house: House, done: dict[str, Any]) -> None:
    name = done["output_name"]
    for path in (
        "/api/jobs/nothing/status",
        "/api/jobs/..%2F..%2Fstudio/status",
        "/api/profiles/h4n/files/nothing/metadata",
        "/api/profiles/h4n/files/..%2F..%2Fconfig.yaml/metadata",
        f"/api/profiles/h4n/songs/{name}/stems/guitar/waveform",
        f"/api/profiles/gpu/songs/{name}/stems/vocals/waveform",
        f"/media/h4n/{name}/receipt.json",
        f"/media/h4n/{name}/..%2F..%2F..%2Fconfig.yaml",
        "/media/h4n/../../config.yaml",
        f"/media/nobody/{name}/vocals.opus",
        "/nothing",
    ):
        answer = house.get(path)
        assert answer.status_code == 404, path
        assert answer.json()["status_code"] == 404


def write_text(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize("what", ["the job", "the stems"])
def test_job_whose_worker_has_forgotten_it_ends_with_an_error(house: House, tmp_path: Path, what: str) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG.format(worker=house.worker.url))
    server = Server(
        tmp_path / "data",
        STEMWRIGHT_DOORS="stemset=0",
        STEMWRIGHT_STEMSET_CONFIG=str(tmp_path / "config.yaml"),
        STEMWRIGHT_STEMSET_WORKER_SECRET=SECRET,  # so that the worker is not asked each second
    )
    song = write_wav(tmp_path / "song.wav", sound("song", seconds=SECONDS, seed=80 + len(what)), bits=16)
    try:
        job = House(server.start(), house.worker, tmp_path).upload("gpu", song).json()
        server.stop(9)
        with entry(server, job["job_id"]) as note:
            theirs = house.worker.wait(str(note.facts["worker_job"]))
            if what == "the job":
                note.facts = note.facts | {"worker_job": "nothing"}
        if what == "the stems":
            house.worker.http.delete(f"/api/v1/songs/{theirs['song_id']}").raise_for_status()
        ended = House(server.start(), house.worker, tmp_path).ended(job)
        assert ended["status"] == "error", ended
        assert ended["error"]
        assert "Traceback" not in server.log.read_text()
    finally:
        server.stop(9)


def test_half_made_recordings_go_and_jobs_end_after_a_server_was_killed(house: House, tmp_path: Path) -> None:
    shutil.copytree(house.folder / "media", tmp_path / "media")
    (tmp_path / "media" / "h4n" / ".partial-dead").mkdir(parents=True)
    (tmp_path / "config.yaml").write_text(CONFIG.format(worker="http://127.0.0.1:9"))
    own = {"STEMWRIGHT_DOORS": "stemset=0", "STEMWRIGHT_STEMSET_CONFIG": str(tmp_path / "config.yaml")}
    server = Server(tmp_path / "data", STEMWRIGHT_STEMSET_BYPASS_AUTH="true", **own)
    song = write_wav(tmp_path / "song.wav", sound("song", seconds=SECONDS, seed=77), bits=16)
    try:
        other = House(server.start(), house.worker, tmp_path)
        refused = other.upload("gpu", song)
        assert (refused.status_code, refused.json()["code"]) == (502, "worker_failed")
        assert "127.0.0.1:9" not in refused.text
        job = other.upload("h4n", song).json()
        server.stop(9)
        server.start()
        assert other.ended(job)["status"] == "complete"
        assert not list((tmp_path / "media" / "h4n").glob(".partial-*"))
    finally:
        server.stop(9)


def test_notes_that_lay_in_files_are_in_the_outbox_after_the_start_and_answer_as_before(
    house: House, tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG.format(worker="http://127.0.0.1:9"))
    own = {"STEMWRIGHT_DOORS": "stemset=0", "STEMWRIGHT_STEMSET_CONFIG": str(tmp_path / "config.yaml")}
    server = Server(tmp_path / "data", STEMWRIGHT_STEMSET_BYPASS_AUTH="true", **own)
    song = write_wav(tmp_path / "song.wav", sound("song", seconds=SECONDS, seed=78), bits=16)
    try:
        door = House(server.start(), house.worker, tmp_path)
        job = door.upload("h4n", song).json()
        server.stop(9)
        notes = server.data / "stemset"
        notes.mkdir(exist_ok=True)
        going = taken_out(server, job["job_id"])
        old: dict[str, dict[str, Any]] = {
            job["job_id"]: {},
            "a" * 32: {"status": "error", "output_name": "bad_01234567", "error": "it is damaged"},
            "b" * 32: {"status": "complete", "output_name": "good_01234567", "stems": ["vocals", "drums"]},
        }
        for name, changes in old.items():
            (notes / f"{name}.json").write_text(json.dumps(going | {"job_id": name} | changes))
        (notes / "nonsense.json").write_text("[")
        server.start()
        end = time.monotonic() + WAIT
        while [path.name for path in notes.glob("*.json")] != ["nonsense.json"]:
            assert time.monotonic() < end
            time.sleep(0.1)
        for name, changes in list(old.items())[1:]:
            assert door.get(f"/api/jobs/{name}/status").json() == job | {"job_id": name} | changes
        listed = {one["name"]: one["status"] for one in door.get("/api/profiles/h4n/files").json()}
        assert (listed["bad_01234567"], "good_01234567" in listed) == ("error", False)
        assert door.ended(job)["status"] == "complete"
    finally:
        server.stop(9)
