"""For those who run it: health, figures, logs, limits, headers."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from server import Server, running
from web.answers import Prepared, problem_of

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = "https://app.example.org"
FAMILIES = {
    "stemwright_http_requests": {"method", "route", "status"},
    "stemwright_http_request_seconds": {"method", "route", "le"},
    "stemwright_queue_length": {"queue", "priority"},
    "stemwright_running": {"queue"},
    "stemwright_job_seconds": {"model", "stage", "status", "le"},
    "stemwright_cache_hits": set(),
    "stemwright_songs": set(),
    "stemwright_disk_bytes": {"kind"},
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server behind a proxy, with limits, for a page elsewhere."""
    settings = {
        "STEMWRIGHT_HTTP_RATE_PER_MINUTE": "30",
        "STEMWRIGHT_HTTP_UPLOADS_PER_MINUTE": "3",
        "STEMWRIGHT_HTTP_TRUSTED_PROXIES": "127.0.0.0/8",
        "STEMWRIGHT_HTTP_CORS_ORIGINS": PAGE,
    }
    with running(tmp_path_factory.mktemp("guarded") / "data", **settings) as server:
        yield server


def executors(server: Server) -> list[int]:
    """The process ids of a server's children."""
    assert server.process
    pids = [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208
    return [pid for pid in pids if parent_of(pid) == server.process.pid]


def parent_of(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return int(file.read().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def logged(server: Server) -> list[dict[str, Any]]:
    lines = [line for line in server.log.read_text().splitlines() if line.startswith("{")]
    return [json.loads(line) for line in lines]


def figures(server: Server) -> dict[str, Any]:
    text = server.http.get("/metrics").raise_for_status().text
    return {family.name: family for family in text_string_to_metric_families(text)}


def test_server_is_alive_ready_and_healthy(server: Server) -> None:
    assert server.http.get("/livez").json() == {"status": "ok"}
    for path in ("/readyz", "/health"):
        health = server.http.get(path).json()
        assert health["status"] == "ok"
        assert health["checks"] == dict.fromkeys(("database", "storage", "disk", "executor"), "ok")
        assert server.http.head(path).status_code == 200


def test_server_is_not_ready_while_its_executor_is_gone_and_then_is_again(guarded: Server) -> None:
    end, seen = time.monotonic() + 90, None
    while seen is None:
        assert time.monotonic() < end
        for pid in executors(guarded):
            os.kill(pid, signal.SIGKILL)
        for _ in range(10):
            answer = guarded.http.get("/readyz")
            if answer.status_code == 503:
                seen = answer
                break
    assert "executor" in problem_of(seen, 503, "not_ready")["detail"]
    assert seen.headers["retry-after"]
    while guarded.http.get("/readyz").status_code != 200:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert guarded.http.get("/health").json()["status"] == "ok"


def test_figures_have_all_families_with_bounded_labels(prepared: Prepared) -> None:
    server = prepared.server
    prepared.server.http.get(f"/api/v1/jobs/{prepared.job['id']}")
    server.http.get("/no/such/route")
    server.http.request("BREW", "/api/v1/jobs")
    server.http.post("/api/v1/jobs", json={"song_id": prepared.job["song_id"], "model": "sketch", "analysis": False})
    families = figures(server)
    for name, labels in FAMILIES.items():
        assert families[name].samples, name
        assert {label for sample in families[name].samples for label in sample.labels} <= labels
    requests = families["stemwright_http_requests"].samples
    assert {sample.labels["method"] for sample in requests} <= {
        "GET",
        "HEAD",
        "OPTIONS",
        "POST",
        "PUT",
        "PATCH",
        "DELETE",
        "WEBSOCKET",
        "other",
    }
    assert "/api/v1/jobs/{job_id}" in {sample.labels["route"] for sample in requests}
    values = {value for family in families.values() for sample in family.samples for value in sample.labels.values()}
    assert not {value for value in values if prepared.job["id"] in value or prepared.job["song_id"] in value}
    assert families["stemwright_cache_hits"].samples[0].value >= 1
    jobs = [sample.labels for sample in families["stemwright_job_seconds"].samples]
    assert {"model": "sketch", "stage": "working", "status": "succeeded"}.items() <= next(
        labels for labels in jobs if labels["stage"] == "working"
    ).items()


def test_figures_count_each_run_once_however_often_they_are_read(prepared: Prepared) -> None:
    def count() -> Any:
        return sum(
            s.value for s in figures(prepared.server)["stemwright_job_seconds"].samples if s.name.endswith("_count")
        )

    assert count() == count()


def test_request_id_is_in_answer_and_log(server: Server) -> None:
    given = server.http.get("/api/v1/queue", headers={"X-Request-ID": "my-id_42"})
    assert given.headers["x-request-id"] == "my-id_42"
    for bad in ("", "a b", "x" * 65, "<script>"):
        fresh = server.http.get("/api/v1/queue", headers={"X-Request-ID": bad}).headers["x-request-id"]
        assert fresh != bad
        assert fresh.isalnum()
    lines = [line for line in logged(server) if line.get("request_id") == "my-id_42"]
    assert [(line["method"], line["route"], line["status"]) for line in lines] == [("GET", "/api/v1/queue", 200)]


def test_log_names_the_job(prepared: Prepared) -> None:
    prepared.server.job(prepared.job["id"])
    assert prepared.job["id"] in {line.get("job_id") for line in logged(prepared.server)}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/health"),
        ("GET", "/openapi.json"),
        ("GET", "/api/v1/songs"),
        ("GET", "/nowhere"),
        ("PUT", "/api/v1/jobs"),
        ("POST", "/api/v1/jobs"),
        ("GET", "/api/v1/songs?limit=0"),
        ("GET", "/api/v1/songs/%00"),
        ("GET", "/socket.io/"),
        ("GET", "/metrics"),
    ],
)
def test_every_answer_has_the_headers_of_a_careful_server(server: Server, method: str, path: str) -> None:
    headers = server.http.request(method, path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert re.search("default-src '(self|none)'", headers["content-security-policy"])
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-request-id"]
    assert "server" not in headers


def test_json_is_sent_small_and_files_as_they_are(prepared: Prepared) -> None:
    http = prepared.server.http
    assert http.get(prepared.url).headers["content-encoding"] == "gzip"
    assert "content-encoding" not in http.get(prepared.url, headers={"Accept-Encoding": "identity"}).headers
    for path in ("stems/vocals.flac", "stems/vocals.wav", "peaks/vocals.dat", "stems.zip", "mix.wav"):
        assert "content-encoding" not in http.get(f"{prepared.url}/{path}").headers


def test_pages_of_other_origins_may_not_change_anything(prepared: Prepared) -> None:
    http, url = prepared.server.http, prepared.job["links"]["self"]
    problem_of(http.post(f"{url}/retry", headers={"Origin": PAGE}), 403, "foreign_origin")
    problem_of(http.post(f"{url}/retry", headers={"Origin": "null"}), 403, "foreign_origin")
    problem_of(http.post(f"{url}/retry", headers={"Origin": prepared.server.url}), 409, "conflict")
    same = {"Origin": PAGE, "Sec-Fetch-Site": "same-origin"}  # one that points its own name at a proxy says so, too
    refused = problem_of(http.post(f"{url}/retry", headers=same), 403, "foreign_origin")
    assert "proxy_set_header Host $http_host" in refused["detail"]
    read = http.get(url, headers={"Origin": PAGE})
    assert read.status_code == 200
    assert "access-control-allow-origin" not in read.headers


def client(guarded: Server, address: str) -> httpx.Client:
    return httpx.Client(base_url=guarded.url, headers={"X-Forwarded-For": address}, timeout=120)


def test_pages_that_were_listed_may_read_and_change(guarded: Server) -> None:
    with client(guarded, "198.51.100.1") as http:
        asked = http.options("/api/v1/jobs", headers={"Origin": PAGE, "Access-Control-Request-Method": "POST"})
        assert asked.status_code == 200
        assert asked.headers["access-control-allow-origin"] == PAGE
        assert asked.headers["x-content-type-options"] == "nosniff"
        answer = http.get("/api/v1/jobs/nothing", headers={"Origin": PAGE})
        assert answer.headers.get_list("access-control-allow-origin") == [PAGE]
        assert "Location" in answer.headers["access-control-expose-headers"]
        problem_of(http.post("/api/v1/jobs/nothing/retry", headers={"Origin": PAGE}), 404, "not_found")
        polled = http.get("/socket.io/?EIO=4&transport=polling", headers={"Origin": PAGE})
        assert polled.headers.get_list("access-control-allow-origin") == [PAGE]
        other = http.get("/api/v1/jobs/nothing", headers={"Origin": "https://other.example"})
        assert "access-control-allow-origin" not in other.headers


def test_each_client_has_its_own_limit(guarded: Server) -> None:
    with client(guarded, "203.0.113.1") as http:
        answers = [http.get("/api/v1/queue", headers={"Origin": PAGE}) for _ in range(60)]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert 10 <= len(refused) <= 30  # a bucket of 30 that refills meanwhile
    problem_of(refused[0], 429, "too_many_requests")
    assert 1 <= int(refused[0].headers["retry-after"]) <= 3
    assert refused[0].headers["x-content-type-options"] == "nosniff"
    assert refused[0].headers["access-control-allow-origin"] == PAGE
    with client(guarded, "203.0.113.2") as http:
        assert http.get("/api/v1/queue").status_code == 200


def test_uploads_have_a_limit_of_their_own(guarded: Server) -> None:
    with client(guarded, "203.0.113.3") as http:
        statuses = [http.post("/api/v1/jobs", json={"song_id": "x"}).status_code for _ in range(5)]
        assert statuses == [404, 404, 404, 429, 429]
        assert http.get("/api/v1/queue").status_code == 200


def test_health_and_figures_have_no_limit(guarded: Server) -> None:
    with client(guarded, "203.0.113.4") as http:
        assert {http.get(path).status_code for path in ("/livez", "/health") for _ in range(40)} == {200}


def test_addresses_that_nobody_vouches_for_are_not_believed(server: Server, guarded: Server) -> None:
    """The nearest address that is no trusted proxy counts, whatever the client wrote before it."""
    for number in range(40):
        with client(guarded, f"192.0.2.{number}, 203.0.113.5") as http:
            answer = http.get("/api/v1/queue")
    assert answer.status_code == 429


def test_page_that_points_a_name_of_its_own_at_the_server_is_turned_away(prepared: Prepared) -> None:
    http = prepared.server.http
    for host in ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", ""):
        problem_of(http.get("/api/v1/songs", headers={"Host": host}), 421, "unknown_host")
    for host in ("localhost", "localhost:9", "127.0.0.1", "[::1]:8000", "LOCALHOST"):
        assert http.get("/api/v1/songs", headers={"Host": host}).status_code == 200
