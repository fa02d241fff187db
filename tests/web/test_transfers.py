"""Uploads that are announced, by HTTP: one client code for a folder and for a bucket."""

from __future__ import annotations

import hashlib
import socket
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from server import running
from sounds import sound, write_wav
from stemwright.studio.store.objects import ObjectStore
from stemwright.studio.uploads import checksum
from web.answers import faults, problem_of, wrong_fields

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from s3 import S3
    from server import Server
    from stemwright.studio.store.objects import Storage

MOST = 3_000_000


@pytest.fixture(scope="module")
def storage(s3: S3) -> Storage:
    return s3.storage()


@pytest.fixture(scope="module", params=["folder", "bucket"])
def studio(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A studio over a folder, and one over a bucket."""
    given = {"STEMWRIGHT_UPLOAD_MAX_BYTES": f"{MOST}"}
    if request.param == "bucket":
        given |= request.getfixturevalue("s3").variables(request.getfixturevalue("storage"))
    with running(tmp_path_factory.mktemp("transfers") / "data", **given) as server:
        yield server
        assert not faults(server)
        assert not list((server.data / "incoming").iterdir())


def announce(studio: Server, content: bytes, **changes: object) -> httpx.Response:
    facts = {"name": "Grüße.wav", "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return studio.http.post("/api/v1/uploads", json=facts | changes)


def put(studio: Server, upload: dict[str, Any], content: bytes, **headers: str) -> httpx.Response:
    """Send a file as a client does that knows nothing of where it goes."""
    sent = upload["headers"] | headers
    return httpx.request(upload["method"], urljoin(studio.url, upload["url"]), content=content, headers=sent)


def in_bucket(studio: Server, upload: dict[str, Any]) -> bool:
    return str(upload["url"]).startswith("http")


def submit(studio: Server, **fields: object) -> httpx.Response:
    return studio.http.post("/api/v1/jobs", json={"model": "sketch", "analysis": False} | fields)


def test_file_that_is_announced_and_sent_is_taken_apart(studio: Server, fresh_song: Path) -> None:
    content = fresh_song.read_bytes()
    answer = announce(studio, content)
    assert answer.status_code == 201, answer.text
    upload = answer.json()
    direct = studio.http.get("/api/v1/limits").json()["direct_uploads"]
    assert in_bucket(studio, upload) == direct
    assert upload["song_id"] is None
    assert upload["headers"].keys() == {"content-length", "x-amz-checksum-sha256"}
    problem_of(submit(studio, upload_id=upload["upload_id"]), 409, "upload_incomplete")
    assert put(studio, upload, content).is_success
    accepted = submit(studio, upload_id=upload["upload_id"])
    assert accepted.status_code == 202, accepted.text
    job = studio.wait(accepted.json()["id"])
    assert job["status"] == "succeeded", job
    song = studio.http.get(job["links"]["song"]).json()
    assert (song["title"], song["file_name"], song["size_bytes"]) == ("Grüße", "Grüße.wav", len(content))
    assert studio.http.get(song["links"]["original"]).status_code == 200  # the song has the recording
    problem_of(submit(studio, upload_id=upload["upload_id"]), 404, "not_found")
    known = announce(studio, content)
    assert (known.status_code, known.json()["song_id"], known.json()["upload_id"]) == (200, song["id"], None)
    cached = submit(studio, song_id=song["id"])
    assert (cached.status_code, cached.json()["cached"]) == (200, True)
    assert studio.submit(fresh_song)["song_id"] == song["id"]  # by a form it is the same one


def test_other_bytes_are_refused_wherever_they_go(studio: Server) -> None:
    content = b"RIFF" + bytes(5000)
    upload = announce(studio, content).json()
    other = b"RIFX" + bytes(5000)
    for refused in (
        put(studio, upload, other),
        put(studio, upload, other, **{"x-amz-checksum-sha256": checksum(hashlib.sha256(other).hexdigest())}),
        put(studio, upload, content + b"!", **{"content-length": "5005"}),
        put(studio, upload, content[:-1], **{"content-length": "5003"}),
        httpx.put(urljoin(studio.url, upload["url"]), content=content),  # without the headers
    ):
        assert refused.status_code in {400, 403}, refused.text
        if not in_bucket(studio, upload):
            assert refused.json()["code"] in {"wrong_digest", "malformed"}
    problem_of(submit(studio, upload_id=upload["upload_id"]), 409, "upload_incomplete")
    assert studio.http.delete(f"/api/v1/uploads/{upload['upload_id']}").status_code == 204
    problem_of(studio.http.delete(f"/api/v1/uploads/{upload['upload_id']}"), 404, "not_found")


def test_codes_of_what_the_api_itself_refuses(studio: Server) -> None:
    """The API takes a file too where there is a bucket, for clients that do not reach that."""
    content = b"RIFF\x00\x00\x00\x00WAVE" + bytes(2992)
    upload = announce(studio, content).json()
    url, headers = f"/api/v1/uploads/{upload['upload_id']}", upload["headers"]
    http = studio.http
    problem_of(http.put(url, content=bytes(3004), headers=headers), 400, "wrong_digest")
    problem_of(http.put(url, content=content, headers={"x-amz-checksum-sha256": "x"}), 400, "wrong_digest")
    short = {"x-amz-checksum-sha256": headers["x-amz-checksum-sha256"]}
    problem_of(http.put(url, content=content[1:], headers=short), 400, "malformed")
    problem_of(http.put(url, content=iter([content]), headers=short), 400, "malformed")  # in chunks, no length
    problem_of(http.put("/api/v1/uploads/nothing", content=content, headers=headers), 404, "not_found")
    with socket.create_connection((urlsplit(studio.url).hostname, urlsplit(studio.url).port)) as cut:
        lines = [f"PUT {url} HTTP/1.1", "host: 127.0.0.1", *(f"{name}: {text}" for name, text in headers.items())]
        cut.sendall("\r\n".join([*lines, "", ""]).encode() + content[:2000])
    assert http.put(url, content=content, headers=headers).status_code == 204
    assert http.put(url, content=content, headers=headers).status_code == 204  # again: the same bytes
    problem_of(submit(studio, upload_id=upload["upload_id"], model="nothing"), 422, "unknown_model")
    assert submit(studio, upload_id=upload["upload_id"]).status_code == 202
    problem_of(http.put(url, content=content, headers=headers), 404, "not_found")


def test_limits_hold_before_a_byte_is_sent(studio: Server) -> None:
    problem_of(announce(studio, b"x", size_bytes=MOST + 1), 413, "too_large")
    problem_of(announce(studio, b""), 422, "empty")
    for field, wrong in (
        ("sha256", "E3" * 32),
        ("sha256", "e3"),
        ("size_bytes", -1),
        ("size_bytes", "1"),
        ("name", ""),
    ):
        assert wrong_fields(announce(studio, b"x", **{field: wrong})) == {field}
    assert wrong_fields(announce(studio, b"x", name="a\nb")) == {"name"}
    assert wrong_fields(announce(studio, b"x", owner="me")) == {"owner"}
    named = announce(studio, b"x", name="C:\\music/../a.wav").json()
    assert studio.http.delete(f"/api/v1/uploads/{named['upload_id']}").status_code == 204


@pytest.mark.parametrize("fields", [{}, {"song_id": "a", "upload_id": "b"}, {"song_id": ""}, {"upload_id": None}])
def test_job_is_for_a_song_or_an_upload(studio: Server, fields: dict[str, object]) -> None:
    problem_of(submit(studio, **fields), 422, "invalid")


def test_what_is_not_audio_is_refused_by_its_first_bytes(studio: Server) -> None:
    content = f"words, not sound {time.time()}".encode()
    upload = announce(studio, content, name="dir/notes.wav").json()
    assert put(studio, upload, content).is_success
    refused = problem_of(submit(studio, upload_id=upload["upload_id"]), 415, "not_audio")
    assert refused["detail"].startswith("notes.wav: ")
    problem_of(submit(studio, upload_id=upload["upload_id"]), 404, "not_found")


def test_link_to_the_bucket_ends_and_the_page_may_send_there(s3: S3, storage: Storage, tmp_path: Path) -> None:
    store, content = ObjectStore(storage), b"RIFF" + bytes(100)
    link = store.upload_link(
        "local/uploads/late", size_bytes=104, sha256=hashlib.sha256(content).hexdigest(), seconds=1
    )
    assert link
    time.sleep(2.5)
    assert httpx.put(link[0], content=content, headers=link[1]).status_code == 403
    assert "local/uploads/late" not in {one.key for one in store.list()}
    with running(tmp_path / "data", **s3.variables(storage)) as server:
        policy = server.http.get("/").headers["content-security-policy"]
    assert f"connect-src 'self' {s3.endpoint};" in policy
    assert "media-src 'self' blob:" in policy  # stems come from the studio


def test_while_the_bucket_is_away_a_submission_is_503_and_the_upload_stays(s3: S3, tmp_path: Path) -> None:
    path = write_wav(tmp_path / "song.wav", sound("noise", seconds=0.5, seed=77), bits=16)
    with running(tmp_path / "data", **s3.variables(s3.storage())) as server:
        upload = announce(server, path.read_bytes()).json()
        assert put(server, upload, path.read_bytes()).is_success
        s3.kill()
        try:
            problem_of(submit(server, upload_id=upload["upload_id"]), 503, "storage_unavailable")
            url = f"/api/v1/uploads/{upload['upload_id']}"
            problem_of(
                server.http.put(url, content=path.read_bytes(), headers=upload["headers"]), 503, "storage_unavailable"
            )
            assert server.http.get("/api/v1/jobs").json()["total"] == 0
            assert server.http.get("/api/v1/songs").json()["total"] == 0
        finally:
            s3.start()
        assert submit(server, upload_id=upload["upload_id"]).status_code == 202
