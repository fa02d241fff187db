"""A studio whose objects are in a bucket: its answers while the bucket is there, hangs, and is away."""

from __future__ import annotations

import io
import sqlite3
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from s3 import KEY, SECRET
from server import running
from sounds import sound, write_wav
from stemwright.studio.store.objects import ObjectStore
from web.answers import RATE, SECONDS, Prepared, problem_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from s3 import S3
    from stemwright.studio.store.objects import Storage

DOOR = {"STEMWRIGHT_DOORS": "runpod=0", "STEMWRIGHT_RUNPOD_MODEL_4STEMS": "sketch"}
SOON = 8.0  # seconds within which a request is answered though the bucket is away


@pytest.fixture(scope="module")
def storage(s3: S3) -> Storage:
    return s3.storage()


@pytest.fixture(scope="module")
def prepared(s3: S3, storage: Storage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prepared]:
    """A studio over a bucket, with a song that `sketch` has taken apart."""
    folder, samples = tmp_path_factory.mktemp("bucket"), sound("song", seconds=SECONDS, rate=RATE)
    path = write_wav(folder / "Grüße.wav", samples, RATE, bits=16)
    with running(folder / "data", **s3.variables(storage), **DOOR) as server:
        job = server.wait(server.submit(path, model="sketch", analysis="false")["id"])
        assert job["status"] == "succeeded", job
        yield Prepared(server, path, samples, job)


@pytest.fixture(params=["hangs", "killed"])
def away(request: pytest.FixtureRequest, s3: S3, prepared: Prepared) -> Iterator[None]:
    """The bucket is away for the time of a test; then the studio is ready again, and the song plays."""
    if request.param == "hangs":
        s3.hang()
    else:
        s3.kill()
    yield
    if request.param == "hangs":
        s3.go_on()
    else:
        s3.start()
    end = time.monotonic() + 30
    while prepared.server.http.get("/readyz").status_code != 200:
        assert time.monotonic() < end
        time.sleep(0.2)
    assert prepared.server.http.get(prepared.stem("vocals.flac")).status_code == 200
    assert SECRET not in prepared.server.log.read_text()


def rows(prepared: Prepared) -> dict[str, int]:
    """How many songs, jobs and runs there are."""
    db = sqlite3.connect(prepared.server.data / "studio.db")
    try:
        return {name: db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("songs", "jobs", "runs")}
    finally:
        db.close()


def test_all_is_in_the_bucket_and_nothing_in_the_data_folder(prepared: Prepared, storage: Storage) -> None:
    keys = [one.key for one in ObjectStore(storage).list()]
    assert len([key for key in keys if key.startswith("local/uploads/")]) == 1
    assert {key.rpartition("/")[2] for key in keys} >= {"vocals.flac", "drums.flac", "vocals.peaks.dat"}
    assert not (prepared.server.data / "objects").exists()
    assert not list((prepared.server.data / "incoming").iterdir())
    health = prepared.server.http.get("/health").json()
    assert (health["status"], health["checks"]["storage"]) == ("ok", "ok")


def test_files_come_through_the_api_with_ranges_and_etags(prepared: Prepared) -> None:
    http, url = prepared.server.http, prepared.stem("vocals.flac")
    whole = http.get(url)
    assert whole.status_code == 200
    assert len(whole.content) == int(whole.headers["content-length"])
    part = http.get(url, headers={"Range": "bytes=1000-1999"})
    assert (part.status_code, part.content) == (206, whole.content[1000:2000])
    assert http.get(url, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
    packed = zipfile.ZipFile(io.BytesIO(http.get(f"{prepared.url}/stems.zip").content))
    assert packed.testzip() is None
    assert packed.read("vocals.flac") == whole.content
    assert http.get(prepared.stem("vocals.mp3")).status_code == 200  # fetched, encoded, stored
    assert http.get(f"{prepared.url}/mix.flac?vocals=-6").status_code == 200
    assert http.get(f"{prepared.url}/peaks/vocals.dat").status_code == 200


def test_whatever_needs_the_bucket_is_503_soon_while_it_is_away_and_nothing_stays(
    prepared: Prepared, away: None, tmp_path: Path
) -> None:
    server, http = prepared.server, prepared.server.http
    other = write_wav(tmp_path / "other.wav", sound("noise", seconds=2.0, seed=time.time_ns() % 1000), bits=16)
    before = rows(prepared)
    url = httpx.URL(server.doors["runpod"])

    def upload() -> Any:
        return http.post("/api/v1/jobs", files={"file": ("other.wav", other.read_bytes())}, data={"model": "sketch"})

    def at_door() -> Any:
        return httpx.post(f"{url}/jobs", files={"file": ("other.wav", other.read_bytes())}, timeout=60)

    asked: dict[str, Callable[[], Any]] = {
        "stem": lambda: http.get(prepared.stem("vocals.flac")),
        "range": lambda: http.get(prepared.stem("vocals.flac"), headers={"Range": "bytes=9-99"}),
        "another format": lambda: http.get(prepared.stem("drums.wav24")),
        "peaks": lambda: http.get(f"{prepared.url}/peaks/vocals.dat"),
        "zip": lambda: http.get(f"{prepared.url}/stems.zip"),
        "mix": lambda: http.get(f"{prepared.url}/mix.flac?vocals=-3"),
        "upload": upload,
    }

    def ask(name: str) -> tuple[str, float, Any]:
        began = time.monotonic()
        answer = asked[name]()
        return name, time.monotonic() - began, answer

    with ThreadPoolExecutor(len(asked)) as pool:
        answers = list(pool.map(ask, asked))
    for name, took, answer in answers:
        problem_of(answer, 503, "storage_unavailable")
        assert answer.headers["retry-after"] == "5"
        assert took < SOON, (name, took)
        for secret in (KEY, SECRET, "127.0.0.1", "tests/", "local/", str(server.data)):
            assert secret not in answer.text
    end = time.monotonic() + 10
    while (ready := http.get("/readyz")).status_code == 200:  # a state is told for three seconds
        assert time.monotonic() < end
        time.sleep(0.2)
    assert problem_of(ready, 503, "not_ready")["detail"] == "storage is away"
    health = http.get("/health")
    assert (health.status_code, health.json()["checks"]["storage"]) == (200, "is away")
    assert http.get("/livez").status_code == 200
    assert http.get(prepared.url).status_code == 200  # rows are in the database
    refused = at_door()
    assert (refused.status_code, refused.json()["code"]) == (503, "storage_unavailable")
    assert refused.headers["retry-after"] == "5"
    assert rows(prepared) == before
    assert not list((server.data / "incoming").iterdir())


def test_with_redirects_stems_are_read_from_the_bucket_and_all_else_through_the_api(s3: S3, tmp_path: Path) -> None:
    path = write_wav(tmp_path / "Grüße.wav", sound("song", seconds=2.0), bits=16)
    given = {
        **s3.variables(s3.storage()),
        "STEMWRIGHT_STORAGE_REDIRECT": "true",
        "STEMWRIGHT_STORAGE_LINK_SECONDS": "60",
    }
    with running(tmp_path / "data", **given) as server:
        job = server.wait(server.submit(path, model="sketch", analysis="false")["id"])
        song = job["links"]["song"]
        for name, media in (
            ("stems/vocals.flac", "audio/flac"),
            ("stems/vocals.mp3", "audio/mpeg"),
            ("original.wav", "audio/wav"),
        ):
            answer = server.http.get(f"{song}/{name}")
            assert answer.status_code == 307, answer.text
            assert answer.headers["cache-control"] == "no-store"
            link = answer.headers["location"]
            assert link.startswith(f"{s3.endpoint}/tests/")
            assert "X-Amz-Expires=60" in link
            file = httpx.get(link)
            assert file.status_code == 200
            assert file.headers["content-type"] == media
            assert "filename*=UTF-8''Gr%C3%BC%C3%9Fe" in file.headers["content-disposition"]
            head = server.http.head(f"{song}/{name}")
            assert (head.status_code, head.headers["content-length"]) == (200, str(len(file.content)))
            part = server.http.get(f"{song}/{name}", headers={"Range": "bytes=5-9"}, follow_redirects=True)
            assert (part.status_code, part.content) == (206, file.content[5:10])
            same = server.http.get(f"{song}/{name}", headers={"If-None-Match": head.headers["etag"]})
            assert same.status_code == 304
        for name in ("peaks/vocals.dat", "receipt", "stems.zip", "mix.flac?vocals=-6"):
            assert server.http.get(f"{song}/{name}").status_code == 200
        assert server.http.get(f"{song}/stems/nothing.flac").status_code in {404, 422}
        policy = server.http.get("/").headers["content-security-policy"]
        assert f"connect-src 'self' {s3.endpoint};" in policy
        assert f"media-src 'self' {s3.endpoint} blob:" in policy
