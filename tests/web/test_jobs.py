"""Jobs over HTTP: what may be asked, what is refused and how, and what becomes of a job."""

from __future__ import annotations

import itertools
import json
import socket
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from films import film, tone
from server import Server, running
from sounds import read, sound, write_wav
from web.answers import Prepared, faults, problem_of, wrong_fields

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WRONG = [
    ({"model": "no such model"}, "model"),
    ({"model": "nonesuch"}, "model"),
    ({"model": "best"}, "model"),  # a strategy
    ({"model": ""}, None),
    ({"strategy": "../x"}, "strategy"),
    ({"model": "sketch", "strategy": "sketch"}, "body"),
    ({"stems": "vocals,vocals"}, "stems"),
    ({"stems": "flute", "model": "sketch"}, "stems"),
    ({"stems": "two/words"}, "stems.0"),
    ({"overlap": "1"}, "overlap"),
    ({"shifts": "-1"}, "shifts"),
    ({"segment": "0"}, "segment"),
    ({"format": "ogg"}, "format"),
    ({"sample_rate": "fast"}, "sample_rate"),
    ({"sample_rate": "1"}, "sample_rate"),
    ({"transcribe": "perhaps"}, "transcribe"),
    ({"track": "0"}, "track"),
    ({"track": "first"}, "track"),
    ({"preview": "perhaps"}, "preview"),
    ({"analysis": "2"}, "analysis"),
    ({"priority": "urgent"}, "priority"),
    ({"callback_url": "ftp://example.org/"}, "callback_url"),
    ({"callback_url": "http://user@example.org/"}, "callback_url"),
    ({"callback_url": "https://example.org/" + "x" * 3000}, "callback_url"),
    ({"colour": "red"}, "colour"),
    ({"song_id": "x"}, "song_id"),
]


def left(server: Server) -> tuple[list[str], list[str]]:
    """All objects, and all files of uploads in the making."""
    return server.objects(), sorted(str(path) for path in server.data.rglob("upload-*"))


@pytest.mark.parametrize(("fields", "field"), [case for case in WRONG if case[1]])
def test_wrong_form_field_is_422_and_named_and_leaves_nothing(
    server: Server, fresh_song: Path, fields: dict[str, str], field: str
) -> None:
    before = left(server)
    answer = server.http.post("/api/v1/jobs", files={"file": ("a.wav", fresh_song.read_bytes())}, data=fields)
    assert wrong_fields(answer) == {field}
    assert left(server) == before


def test_wrong_fields_are_all_named_at_once(server: Server, fresh_song: Path) -> None:
    data = {"format": "ogg", "priority": "urgent", "preview": "perhaps"}
    answer = server.http.post("/api/v1/jobs", files={"file": ("a.wav", fresh_song.read_bytes())}, data=data)
    assert wrong_fields(answer) == {"format", "priority", "preview"}


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"body"}),
        ({"song_id": "x", "upload_id": "y"}, {"body"}),
        ({"song_id": 5}, {"song_id"}),
        ({"song_id": "x", "stems": "vocals"}, {"stems"}),
        ({"song_id": "x", "stems": []}, {"stems"}),
        ({"song_id": "x", "preview": "true"}, {"preview"}),
        ({"song_id": "x", "sample_rate": "44100"}, {"sample_rate"}),
        ({"song_id": "x", "sample_rate": 1}, {"sample_rate"}),
        ({"song_id": "x", "priority": None}, {"priority"}),
        ({"song_id": "x", "file": "y"}, {"file"}),
        ({"song_id": "x", "callback_url": "nothing"}, {"callback_url"}),
        ([], {"body"}),
        ("x", {"body"}),
    ],
)
def test_wrong_json_field_is_422_and_named(server: Server, body: Any, fields: set[str]) -> None:
    assert wrong_fields(server.http.post("/api/v1/jobs", json=body)) == fields


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b'{"song_id": "x"} y'])
def test_broken_json_is_400(server: Server, body: bytes) -> None:
    answer = server.http.post("/api/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    problem_of(answer, 400, "malformed")


def test_large_json_is_413(server: Server) -> None:
    problem_of(server.http.post("/api/v1/jobs", json={"song_id": "x" * 70_000}), 413, "too_large")


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "audio/wav"])
def test_other_kind_of_body_is_415(server: Server, kind: str) -> None:
    answer = server.http.post("/api/v1/jobs", content=b"a=b", headers={"Content-Type": kind} if kind else {})
    problem_of(answer, 415, "unsupported_media_type")


def test_multipart_without_the_recording_names_the_field(server: Server, fresh_song: Path) -> None:
    content = fresh_song.read_bytes()
    before = left(server)
    for files in ([("song", ("a.wav", content))], [("model", (None, "sketch"))], [("file", (None, "text"))]):
        assert "file" in wrong_fields(server.http.post("/api/v1/jobs", files=files))
    two = [("file", ("a.wav", content)), ("file", ("b.wav", content))]
    assert wrong_fields(server.http.post("/api/v1/jobs", files=two)) == {"file"}
    assert left(server) == before


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 422, "empty"),
        (b"just text, no sound" * 100, 415, "not_audio"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", 415, "not_audio"),
        (b"\x89PNG\r\n\x1a\n" + bytes(1000), 415, "not_audio"),
        (b"%PDF-1.7" + bytes(1000), 415, "not_audio"),
    ],
)
def test_what_is_no_song_is_refused_at_once_and_leaves_nothing(
    server: Server, content: bytes, status: int, code: str
) -> None:
    before = left(server)
    jobs = server.http.get("/api/v1/jobs").json()["total"]
    answer = server.http.post("/api/v1/jobs", files={"file": ("song.mp3", content)})
    problem_of(answer, status, code)
    assert left(server) == before
    assert server.http.get("/api/v1/jobs").json()["total"] == jobs


def test_job_is_accepted_with_its_place_and_ends_in_stems(server: Server, fresh_song: Path) -> None:
    with fresh_song.open("rb") as file:
        answer = server.http.post(
            "/api/v1/jobs",
            files={"file": ("a.wav", file)},
            data={"model": "sketch", "analysis": "0", "stems": "vocals, no_vocals"},
        )
    job = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == job["links"]["self"]
    assert server.http.get(answer.headers["location"]).json()["id"] == job["id"]
    assert job["options"] == {"model": "sketch", "analysis": False, "stems": ["vocals", "no_vocals"]}
    assert {*server.wait(job["id"])["result"]["stems"]} == {"vocals", "no_vocals"}


def test_settings_of_the_separation_reach_the_engine_and_make_another_result(server: Server, fresh_song: Path) -> None:
    receipts = []
    for fields in ({}, {"overlap": "0.5", "exact": "false", "sample_rate": "22050"}):
        data = {"model": "sketch", "analysis": "0", **fields}
        answer = server.http.post("/api/v1/jobs", files={"file": ("a.wav", fresh_song.read_bytes())}, data=data)
        assert answer.status_code == 202, answer.text  # and not 200: nothing of the other job will do
        receipts.append(server.http.get(server.wait(answer.json()["id"])["result"]["receipt"]).json())
    plain, changed = (receipt["settings"] for receipt in receipts)
    assert (plain["overlap"], plain["exact"]) == (0.0, True)  # as sketch has it
    assert (changed["overlap"], changed["exact"], changed["sample_rate"]) == (0.5, False, 22_050)
    assert [receipt["residual_added_to"] for receipt in receipts] == ["other", None]


def test_each_track_of_a_film_is_a_song_of_its_own(server: Server, tmp_path: Path) -> None:
    path = film(
        tmp_path / "film.mkv",
        sounds=[tone(11), tone(12, seconds=1.5)],
        more=["-disposition:a:0", "0", "-disposition:a:1", "default"],
    )
    first = server.wait(server.submit(path, model="sketch", track="1")["id"])
    own = server.wait(server.submit(path, model="sketch")["id"])
    assert (first["status"], own["status"]) == ("succeeded", "succeeded"), (first, own)
    assert first["song_id"] != own["song_id"]
    for job, seconds in ((first, 1), (own, 1.5)):
        url = f"/api/v1/songs/{job['song_id']}"
        for name in ("original.wav", "stems/drums.wav"):
            answer = server.http.get(f"{url}/{name}")
            assert answer.status_code == 200, answer.text
            (tmp_path / "x.wav").write_bytes(answer.content)
            assert read(tmp_path / "x.wav", channels=2).shape[1] == seconds * 44_100
        assert server.http.get(url).json()["duration"] == seconds
    again = server.http.post("/api/v1/jobs", json={"song_id": first["song_id"], "model": "sketch", "track": 1})
    assert again.status_code == 200  # it is there already
    other = server.http.post("/api/v1/jobs", json={"song_id": first["song_id"], "model": "sketch", "track": 2})
    problem_of(other, 422, "bad_option")
    wrong = server.wait(server.submit(path, model="sketch", track="3")["id"])
    assert (wrong["status"], wrong["error"]["code"]) == ("failed", "no_such_track")
    assert "film.mkv: there is no track 3: it has 2 tracks" in wrong["error"]["message"]


def test_settings_of_a_model_are_refused_for_a_strategy(server: Server, fresh_song: Path) -> None:
    data = {"strategy": "fast", "overlap": "0.5"}
    answer = server.http.post("/api/v1/jobs", files={"file": ("a.wav", fresh_song.read_bytes())}, data=data)
    problem_of(answer, 422, "bad_option")


def test_same_song_and_options_again_are_ready_at_once(prepared: Prepared) -> None:
    again = prepared.server.http.post(
        "/api/v1/jobs",
        files={"file": ("other name.wav", prepared.path.read_bytes())},
        data={"model": "sketch", "analysis": "no"},
    )
    assert again.status_code == 200
    assert again.json()["cached"]
    assert again.json()["status"] == "succeeded"
    assert again.json()["result"] == prepared.job["result"]
    named = prepared.server.http.post(
        "/api/v1/jobs", json={"song_id": prepared.job["song_id"], "model": "sketch", "analysis": False}
    )
    assert (named.status_code, named.json()["result"]) == (200, prepared.job["result"])


def test_recording_longer_than_the_client_wants_has_failed_known_or_not(server: Server, tmp_path: Path) -> None:
    path = write_wav(tmp_path / "new.wav", sound("noise", seconds=0.8, seed=77))
    new = server.submit(path, model="sketch", analysis="false", max_duration="0.7")
    known = server.wait(server.submit(path, separate="false")["id"])
    assert known["status"] == "succeeded"
    wanted = {"song_id": known["song_id"], "model": "sketch", "analysis": False, "max_duration": 0.7}
    for job in (new, server.http.post("/api/v1/jobs", json=wanted).json()):
        ended = server.wait(job["id"])
        assert (ended["status"], ended["error"]["code"]) == ("failed", "too_long")
        assert "0.7 s" in ended["error"]["message"]
    kept = server.http.get(f"/api/v1/songs/{known['song_id']}").json()
    assert "original" in kept["links"]  # the limit was one client's


def test_same_key_and_request_is_the_same_job_and_another_request_a_conflict(prepared: Prepared) -> None:
    http, body = prepared.server.http, {"song_id": prepared.job["song_id"], "model": "sketch", "analysis": False}
    headers = {"Idempotency-Key": "a key"}
    first, second = (http.post("/api/v1/jobs", json=body, headers=headers) for _ in range(2))
    assert first.json()["id"] == second.json()["id"]
    assert second.status_code == 200
    problem_of(http.post("/api/v1/jobs", json=body | {"preview": True}, headers=headers), 409, "conflict")
    other = http.post("/api/v1/jobs", json=body, headers={"Idempotency-Key": "another"})
    assert other.json()["id"] != first.json()["id"]


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_key_that_is_none_is_422(server: Server, key: str) -> None:
    answer = server.http.post("/api/v1/jobs", json={"song_id": "x"}, headers={"Idempotency-Key": key})
    assert wrong_fields(answer) == {"header.idempotency-key"}


def test_jobs_are_listed_newest_first_in_pages_by_song_and_status(prepared: Prepared) -> None:
    http, song = prepared.server.http, prepared.job["song_id"]
    for priority in ("high", "low"):
        body = {"song_id": song, "model": "sketch", "analysis": False, "priority": priority}
        assert http.post("/api/v1/jobs", json=body).json()["cached"]
    listed = http.get("/api/v1/jobs", params={"song_id": song}).json()
    assert listed["total"] == len(listed["items"]) >= 3
    assert {job["song_id"] for job in listed["items"]} == {song}
    times = [job["created_at"] for job in listed["items"]]
    assert times == sorted(times, reverse=True)
    pages = [http.get("/api/v1/jobs", params={"song_id": song, "limit": 1, "offset": n}).json() for n in range(3)]
    assert [page["items"][0]["id"] for page in pages] == [job["id"] for job in listed["items"][:3]]
    assert http.get("/api/v1/jobs", params={"song_id": song, "status": "succeeded"}).json()["total"] == listed["total"]
    assert http.get("/api/v1/jobs", params={"song_id": song, "status": "failed"}).json() == {"items": [], "total": 0}


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "offset=-1", "status=done"])
def test_wrong_page_is_422_and_named(server: Server, query: str) -> None:
    assert wrong_fields(server.http.get(f"/api/v1/jobs?{query}")) == {f"query.{query.partition('=')[0]}"}


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("DELETE", ""), ("POST", "/retry"), ("GET", "/callbacks"), ("GET", "/events")]
)
def test_job_that_is_not_there_is_404(server: Server, method: str, path: str) -> None:
    problem_of(server.http.request(method, f"/api/v1/jobs/nothing{path}"), 404, "not_found")


def test_song_that_is_not_there_is_404(server: Server) -> None:
    problem_of(server.http.post("/api/v1/jobs", json={"song_id": "nothing"}), 404, "not_found")


def test_job_that_ended_can_be_neither_cancelled_nor_tried_again(prepared: Prepared) -> None:
    job = f"/api/v1/jobs/{prepared.job['id']}"
    problem_of(prepared.server.http.delete(job), 409, "conflict")
    problem_of(prepared.server.http.post(f"{job}/retry"), 409, "conflict")


def test_cancelled_job_stays_so_and_can_be_tried_again(server: Server, tmp_path: Path) -> None:
    long = server.submit(write_wav(tmp_path / "long.wav", sound("song", seconds=60, seed=3), bits=16), analysis="0")
    url = long["links"]["self"]
    problem_of(server.http.post(f"{url}/retry"), 409, "conflict")
    assert server.http.delete(url).json()["status"] == "cancelled"
    assert server.http.delete(url).json()["status"] == "cancelled"
    assert server.job(long["id"])["stage"] == "cancelled"
    again = server.http.post(f"{url}/retry")
    assert (again.status_code, again.headers["location"]) == (202, url)
    assert again.json()["id"] == long["id"]
    assert again.json()["status"] in {"queued", "running"}
    assert server.http.delete(url).json()["status"] == "cancelled"


def test_callbacks_of_a_job_without_a_url_are_none(prepared: Prepared) -> None:
    assert prepared.server.http.get(f"/api/v1/jobs/{prepared.job['id']}/callbacks").json() == {"items": []}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("small") / "data", STEMWRIGHT_UPLOAD_MAX_BYTES="100000") as server:
        yield server  # takes uploads of 100 kB


def test_announced_length_is_refused_before_the_body_is_sent(small: Server) -> None:
    head = (
        b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n"
        b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    )
    address = httpx.URL(small.url)
    with socket.create_connection((address.host, address.port or 0), timeout=60) as client:
        client.sendall(head)
        answer = client.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"code":"too_large"' in answer


def test_client_that_hangs_up_amid_its_upload_leaves_nothing(small: Server) -> None:
    address = httpx.URL(small.url)
    head = (
        b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90000\r\n"
        b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + bytes(30_000)
    )
    with socket.create_connection((address.host, address.port or 0), timeout=60) as client:
        client.sendall(head)
    end = time.monotonic() + 60
    while "/api/v1/jobs" not in small.log.read_text():
        assert time.monotonic() < end
        time.sleep(0.1)
    assert left(small) == ([], [])
    assert not faults(small)


def test_whole_body_that_is_too_large_is_answered_413(small: Server) -> None:
    for size in (100_001, 170_000, 30_000_000):
        answer = small.http.post("/api/v1/jobs", files={"file": ("a.wav", bytes(size))})
        problem_of(answer, 413, "too_large")
        assert "(setting upload_max_bytes)" in answer.json()["detail"]
    assert left(small) == ([], [])


def test_limits_are_told_before_anything_is_sent(small: Server, server: Server) -> None:
    assert small.http.get("/api/v1/limits").json()["upload_max_bytes"] == 100_000
    assert server.http.get("/api/v1/limits").json() == {
        "upload_max_bytes": 500_000_000,
        "midi_max_bytes": 10_000_000,
        "max_duration": 3600.0,
        "direct_uploads": False,
    }


def test_chunked_body_is_refused_while_it_comes(small: Server) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    chunks = itertools.chain([head], itertools.repeat(bytes(65_536), 300))
    answer = small.http.post(
        "/api/v1/jobs", content=chunks, headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    problem_of(answer, 413, "too_large")
    assert left(small) == ([], [])


def test_file_of_the_allowed_size_is_taken(small: Server, tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", sound("noise", seconds=0.5), bits=16)
    path.write_bytes(path.read_bytes()[:100_000].ljust(100_000, b"\0"))
    answer = small.http.post("/api/v1/jobs", files={"file": ("a.wav", path.read_bytes())})
    assert answer.status_code == 202, json.dumps(answer.json())


def test_strategies_say_what_they_give_and_what_they_would_download(server: Server) -> None:
    found = {one["name"]: one for one in server.http.get("/api/v1/strategies").raise_for_status().json()["items"]}
    fast = found["fast"]
    assert (fast["state"], fast["download_bytes"], fast["origin"]) == ("ready", 0, "built in")
    assert fast["stems"] == ["vocals", "drums", "bass", "other"]
    assert fast["tree"]["source"]["model"] == "sketch"
    assert found["best"]["download_bytes"] > 100e6
    assert {model["name"] for model in found["best"]["models"]} == {"htdemucs_ft", "hdemucs_mmi"}
