"""Mismo's own app server, a Node program written from the document, with Stemwright as its analysis server."""

from __future__ import annotations

import json
import re
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pyloudnorm
import pytest

from doors.mismo.node import Node, node
from server import Server, running
from sounds import Samples, level_db, read, sound, write_wav
from studio.work.receivers import Receiver, listening
from web.answers import faults

if TYPE_CHECKING:
    from collections.abc import Iterator

RATE, SECONDS = 44_100, 3.0
STEMS = ["bass", "drums", "other", "vocals"]
ALL = {"basic_features": True, "characteristics": True, "stems": True}
LIMIT = 3_000_000  # bytes of a recording
DIRECTORY = "9c1a"


@dataclass(frozen=True)
class Stage:
    """A server with a library of one folder, and what is in it."""

    server: Server
    library: Path
    samples: Samples

    @property
    def url(self) -> str:
        return self.server.doors["mismo"]

    def post(self, **changes: Any) -> httpx.Response:
        body = {
            "file_path": str(self.library / "song.wav"),
            "track_hash": "a1b2",
            "options": {"basic_features": False, "characteristics": False, "stems": True},
            "callback_url": None,
            "stem_delivery_mode": "path",
        }
        return httpx.post(f"{self.url}/jobs", json=body | changes)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    root = tmp_path_factory.mktemp("mismo")
    library = root / "Musik – Grüße"
    (library / "Album").mkdir(parents=True)
    samples = sound("song", seconds=SECONDS, rate=RATE)
    write_wav(library / "song.wav", samples, RATE, bits=16)
    write_wav(library / "Album" / "a “second” song.wav", sound("song", seconds=2.0, seed=3), RATE, bits=16)
    (library / "text.mp3").write_text("no song at all\n" * 100)
    (library / "large.wav").write_bytes(bytes(LIMIT + 1))
    (root / "outside.wav").write_bytes((library / "song.wav").read_bytes())
    (library / "link.wav").symlink_to(root / "outside.wav")
    (library / "away").symlink_to(root)
    environment = {
        "STEMWRIGHT_DOORS": "mismo=0",
        "STEMWRIGHT_MISMO_LIBRARY": str(library),
        "STEMWRIGHT_CALLBACKS_ALLOW": "127.0.0.1",
        "STEMWRIGHT_MAX_BYTES": str(LIMIT),
        "STEMWRIGHT_RETENTION_SWEEP_SECONDS": "1",
        "JOBS_DIR": str(root / "jobs"),
        "DEMUCS_MODEL": "sketch",
        "DEMUCS_DEVICE": "cpu",
    }
    with running(root / "data", **environment) as server:
        yield Stage(server, library, samples)
        assert faults(server) == []


@pytest.fixture(scope="module")
def app(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    names = {"t-1": "song.wav", "t-2": "Album/a “second” song.wav", "t-3": "text.mp3", "t-4": "gone.wav"}
    tracks = {
        track_id: {"library_directory_id": DIRECTORY, "relative_path": name, "track_hash": f"hash-{track_id}"}
        for track_id, name in names.items()
    }
    library = {"directories": {DIRECTORY: {"path": str(stage.library)}}, "tracks": tracks}
    with node(
        tmp_path_factory.mktemp("app"), "app_server.mjs", PYTHON_SERVER_URL=stage.url, LIBRARY=json.dumps(library)
    ) as program:
        program.wait("listening")
        yield program


def body_of(callback: dict[str, Any]) -> dict[str, Any]:
    """The body of a callback, with what all of them have."""
    assert (callback["method"], callback["path"]) == ("POST", "/api/analysis/callback")
    assert callback["type"] == "application/json"
    body: dict[str, Any] = callback["body"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", body["timestamp"])
    return body


def analysed(app: Node, track: str, options: dict[str, bool]) -> dict[str, dict[str, Any]]:
    """What the callbacks for a track say, by stage."""
    app.do("analyse", trackId=track, options=options)
    assert app.wait("submitted")["status"] == 202
    wanted = {stage for stage, on in options.items() if on}
    bodies: dict[str, dict[str, Any]] = {}
    while wanted - bodies.keys():
        body = body_of(app.wait("callback"))
        assert body["job_id"] == f"hash-{track}"
        bodies[body["stage"]] = body
    assert bodies.keys() == wanted
    return bodies


def test_health_names_model_and_device(stage: Stage) -> None:
    for url in (f"{stage.url}/health", f"{stage.server.url}/doors/mismo/health"):
        answer = httpx.get(url)
        assert answer.status_code == 200
        assert answer.json() == {
            "status": "healthy",
            "demucs_model": "sketch",
            "demucs_device": "cpu",
            "max_concurrent_jobs": 1,
        }


def test_app_server_gets_every_stage_and_finds_the_stems_in_the_jobs_folder(stage: Stage, app: Node) -> None:
    bodies = analysed(app, "t-1", ALL)
    assert {body["status"] for body in bodies.values()} == {"completed"}
    data = bodies["stems"]["data"]
    folder = stage.library.parent / "jobs" / "hash-t-1"
    assert data["delivery_mode"] == "path"
    assert data["stems"] == {name: str(folder / "stems" / f"{name}.wav") for name in STEMS}
    assert data["processing_time"] > 0
    heard = [read(Path(data["stems"][name]), channels=2) for name in STEMS]
    assert all(stem.shape == stage.samples.shape for stem in heard)
    assert level_db(sum(heard) - stage.samples, stage.samples) < -60
    with zipfile.ZipFile(folder / "stems.zip") as archive:
        assert sorted(archive.namelist()) == [f"{name}.wav" for name in STEMS]
        assert archive.read("bass.wav") == (folder / "stems" / "bass.wav").read_bytes()
    facts = json.loads((folder / "stems.json").read_text())
    assert (facts["job_id"], facts["model"], facts["stems"]) == ("hash-t-1", "sketch", data["stems"])
    assert sorted(path.name for path in folder.iterdir()) == ["stems", "stems.json", "stems.zip"]
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith(".")] == []


def test_characteristics_are_those_that_can_be_measured(stage: Stage, app: Node) -> None:
    """Without stems, for which nothing is separated; as loud as an independent meter says."""
    before = len(stage.server.http.get("/api/v1/songs").json()["items"])
    bodies = analysed(app, "t-2", {"basic_features": True, "characteristics": True, "stems": False})
    found = bodies["characteristics"]["data"]
    assert found.keys() == {"duration", "sample_rate", "channels", "loudness", "true_peak"}
    samples = read(stage.library / "Album" / "a “second” song.wav", channels=2)
    assert found["duration"] == samples.shape[1] / RATE
    assert (found["sample_rate"], found["channels"]) == (RATE, 2)
    assert found["loudness"] == pytest.approx(pyloudnorm.Meter(RATE).integrated_loudness(samples.T), abs=0.1)
    assert -20 < found["true_peak"] <= 1
    features = bodies["basic_features"]["data"]
    assert features["key"] in {None, *map(str, range(12))}
    assert features["mode"] in {None, "0", "1"}
    songs = stage.server.http.get("/api/v1/songs").json()["items"]
    assert len(songs) == before + 1
    assert next(song for song in songs if song["duration"] == found["duration"])["model"] is None
    assert not (stage.library.parent / "jobs" / "hash-t-2").exists()


def test_stems_that_are_there_are_delivered_at_once(stage: Stage, app: Node) -> None:
    analysed(app, "t-1", ALL)
    bodies = analysed(app, "t-1", ALL)
    assert bodies["stems"]["data"]["processing_time"] == 0
    assert bodies["characteristics"]["data"]["duration"] == SECONDS


def test_what_is_no_recording_is_told_by_a_failure_callback(app: Node, stage: Stage) -> None:
    app.do("analyse", trackId="t-3", options=ALL)
    assert app.wait("submitted")["status"] == 202
    bodies = [body_of(app.wait("callback")) for _ in range(3)]
    assert sorted(body["stage"] for body in bodies) == sorted(ALL)
    for body in bodies:
        assert body["status"] == "failed"
        assert "data" not in body
        assert body["error"] == {"code": "not_audio", "message": "text.mp3: not an audio file"}
    app.do("status", jobId="hash-t-3")
    job = app.wait("status")["body"]
    assert (job["status"], job["error"]["code"], job["results"]) == ("failed", "not_audio", {})
    assert not (stage.library.parent / "jobs" / "hash-t-3").exists()


def test_callback_is_tried_three_times_and_the_job_can_be_asked_for_after_that(app: Node, stage: Stage) -> None:
    app.do("answers", statuses=[500, 503, 500, 200])
    app.do("analyse", trackId="t-1", options={"stems": True})
    assert app.wait("submitted")["status"] == 202
    tries = [app.wait("callback") for _ in range(3)]
    assert [one["answered"] for one in tries] == [500, 503, 500]
    assert len({json.dumps(one["body"]) for one in tries}) == 1
    assert app.rest(8) == []
    app.do("answers", statuses=[])
    app.do("status", jobId="hash-t-1")
    job = app.wait("status")["body"]
    assert job["status"] == "completed"
    assert sorted(job["results"]["stems"]["stems"]) == STEMS
    assert job["results"]["stems"].keys() == {"delivery_mode", "stems", "zip", "processing_time", "model"}
    assert job["results"]["stems"]["delivery_mode"] == "path"


def test_back_off_between_the_tries_grows(stage: Stage) -> None:
    jobs = stage.server.http.get("/api/v1/jobs").json()["items"]
    tried = [stage.server.http.get(f"/api/v1/jobs/{job['id']}/callbacks").json()["items"] for job in jobs]
    failed = next(tries for tries in tried if len(tries) == 3 and not tries[0]["delivered"])
    assert [one["event"] for one in failed] == ["mismo.stems"] * 3
    moments = [_seconds(one["at"]) for one in failed]
    assert 0.5 < moments[1] - moments[0] < moments[2] - moments[1]


def _seconds(moment: str) -> float:
    hours, minutes, seconds = moment.split("T")[1].rstrip("Z").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def test_callback_to_an_address_that_nobody_allowed_is_not_sent(stage: Stage) -> None:
    assert stage.post(track_hash="private", callback_url="http://127.0.0.2:9/cb").status_code == 202
    job = stage.server.http.get("/api/v1/jobs").json()["items"][0]
    end = 60
    while not (tries := stage.server.http.get(f"/api/v1/jobs/{job['id']}/callbacks").json()["items"]) and end:
        end -= 1
        time.sleep(0.5)
    assert [(one["delivered"], one["error"]) for one in tries] == [(False, "refused_address")]


@pytest.mark.parametrize(
    "path",
    [
        "{library}/nothing.wav",
        "{library}/link.wav",
        "{library}/away/outside.wav",
        "{library}/../outside.wav",
        "{library}",
        "{root}/outside.wav",
        "/etc/passwd",
        "/dev/zero",
        "song.wav",
        "file:///etc/passwd",
        "{library}/song.wav\u0000.mp3",
        "/" + "a" * 4095,
    ],
)
def test_file_outside_the_library_is_answered_like_one_that_is_not_there(stage: Stage, path: str) -> None:
    answer = stage.post(file_path=path.format(library=stage.library, root=stage.library.parent))
    assert answer.status_code == 404
    assert answer.json() == {"detail": "there is no such file in the folders of the library", "code": "not_found"}


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"track_hash": "../../etc"}, 422, "invalid"),
        ({"track_hash": ""}, 422, "invalid"),
        ({"track_hash": ".hidden"}, 422, "invalid"),
        ({"track_hash": "a" * 129}, 422, "invalid"),
        ({"options": {"stems": False}}, 422, "bad_option"),
        ({"options": {"stems": "perhaps"}}, 422, "invalid"),
        ({"options": None}, 422, "invalid"),
        ({"stem_delivery_mode": "pigeon"}, 422, "invalid"),
        ({"callback_url": "ftp://127.0.0.1/"}, 422, "bad_callback_url"),
        ({"callback_url": "file:///etc/passwd"}, 422, "bad_callback_url"),
        ({"file_path": 7}, 422, "invalid"),
        ({"file_path": "x" * 70_000}, 413, "too_large"),
    ],
)
def test_wrong_request_is_answered_with_a_detail(stage: Stage, changes: dict[str, Any], status: int, code: str) -> None:
    answer = stage.post(**changes)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert isinstance(answer.json()["detail"], str)
    assert "Traceback" not in answer.text


def test_body_that_is_no_json_is_answered_with_a_detail(stage: Stage) -> None:
    answer = httpx.post(f"{stage.url}/jobs", content=b"{", headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")
    answer = httpx.post(f"{stage.url}/jobs", content=b"a=b")
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_recording_that_is_too_large_is_refused(stage: Stage) -> None:
    answer = stage.post(file_path=str(stage.library / "large.wav"))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert stage.server.http.get("/doors/mismo/jobs/large").status_code == 404
    assert list((stage.server.data / "incoming").iterdir()) == []


def test_unknown_job_and_unknown_path_are_404_in_the_form_of_each_server(stage: Stage) -> None:
    assert httpx.get(f"{stage.url}/jobs/nothing").json() == {"detail": "there is no such job", "code": "not_found"}
    answer = httpx.get(f"{stage.url}/api/analysis/jobs/nothing")
    assert answer.status_code == 404
    assert answer.json() == {"success": False, "error": "there is no such job", "code": "not_found"}
    assert httpx.get(f"{stage.url}/nothing").status_code == 404
    wrong = httpx.get(f"{stage.url}/jobs")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert wrong.json() == {"detail": "that cannot be done with it; see `Allow`", "code": "method_not_allowed"}


def test_same_hash_for_another_recording_replaces_the_folder_as_a_whole(stage: Stage, app: Node) -> None:
    folder = stage.library.parent / "jobs" / "shared"
    lengths = []
    for name in ("song.wav", "Album/a “second” song.wav"):
        assert stage.post(track_hash="shared", file_path=str(stage.library / name)).status_code == 202
        end = 240
        while httpx.get(f"{stage.url}/jobs/shared").json()["status"] != "completed" and end:
            end -= 1
            time.sleep(0.5)
        lengths.append(read(folder / "stems" / "vocals.wav", channels=2).shape[1])
    assert lengths == [round(SECONDS * RATE), 2 * RATE]


def test_same_request_while_it_is_under_way_is_one_job(stage: Stage) -> None:
    """As of an app server that was started anew and sends all of its queue again."""
    slow = write_wav(stage.library / "again.wav", sound("song", seconds=6.0, seed=10), RATE, bits=16)
    with listening(Receiver(status=200)) as receiver:
        for _ in range(2):
            answer = stage.post(track_hash="again", file_path=str(slow), callback_url=receiver.url())
            assert (answer.status_code, answer.json()["job_id"]) == (202, "again")
        end = time.monotonic() + 300
        while httpx.get(f"{stage.url}/jobs/again").json()["status"] != "completed" or not receiver.got:
            assert time.monotonic() < end
            time.sleep(0.1)
        time.sleep(2)
    assert len(receiver.got) == 1
    newest, *others = stage.server.http.get("/api/v1/jobs").json()["items"]
    assert newest["status"] == "succeeded"
    assert newest["song_id"] not in {job["song_id"] for job in others}


def test_job_whose_hash_was_given_away_meanwhile_fails(stage: Stage) -> None:
    """Else its callback would name files that hold another recording."""
    slow = write_wav(stage.library / "slow.wav", sound("song", seconds=8.0, seed=9), RATE, bits=16)
    with listening(Receiver(status=200)) as receiver:
        for path in (slow, stage.library / "song.wav"):
            assert stage.post(track_hash="twice", file_path=str(path), callback_url=receiver.url()).status_code == 202
        end = time.monotonic() + 300
        while len(receiver.got) < 2:
            assert time.monotonic() < end
            time.sleep(0.1)
    first, second = (json.loads(body) for _, _, body in receiver.got)
    assert (first["status"], second["status"], second["error"]["code"]) == ("completed", "failed", "conflict")
    assert httpx.get(f"{stage.url}/jobs/twice").json()["status"] == "completed"
    assert read(Path(first["data"]["stems"]["bass"]), channels=2).shape == stage.samples.shape


def test_folder_of_a_job_goes_when_the_studio_forgets_its_stems(stage: Stage, app: Node) -> None:
    """Until then it costs no room: its files are those of the studio under a second name, and can only be read."""
    analysed(app, "t-1", {"stems": True})
    analysed(app, "t-2", {"stems": True})
    kept, folder = (stage.library.parent / "jobs" / f"hash-{track}" for track in ("t-1", "t-2"))
    state = (folder / "stems" / "vocals.wav").stat()
    assert state.st_nlink >= 2
    assert state.st_mode & 0o222 == 0
    other = folder.with_name("of another program")
    other.mkdir()
    songs = stage.server.http.get("/api/v1/songs").json()["items"]
    song = next(song for song in songs if song["duration"] == 2.0)
    stage.server.http.delete(f"/api/v1/songs/{song['id']}").raise_for_status()
    end = time.monotonic() + 60
    while folder.exists():
        assert time.monotonic() < end
        time.sleep(0.1)
    job = httpx.get(f"{stage.url}/jobs/hash-t-2").json()
    assert (job["status"], job["results"]) == ("completed", {})
    assert (kept / "stems.json").exists()
    assert other.exists()
