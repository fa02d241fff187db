"""The API is as it is described: by the document, and under requests that nobody thought of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from server import WAIT, running
from stemwright.web.openapi import describe
from web.answers import faults, problem_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server import Server
    from web.answers import Prepared

DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.json"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]
BOUNDED = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[*HealthCheck],
    phases=[Phase.explicit, Phase.generate],
)
described = schemathesis.openapi.from_dict(json.loads(describe()))
schema = described.exclude(path_regex="/events$")  # without end


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose songs may be changed and deleted at random."""
    with running(tmp_path_factory.mktemp("fuzz") / "data") as server:
        yield server
        assert not faults(server)


@schema.parametrize()
@BOUNDED
def test_every_answer_is_as_documented(case: schemathesis.Case[Any], own: Server) -> None:
    case.call_and_validate(base_url=own.url, checks=CHECKS, timeout=WAIT)


@schema.include(method="GET", path_regex=r"\{(song|job)_id\}").parametrize()
@settings(BOUNDED, max_examples=6)
def test_every_answer_about_what_is_there_is_as_documented(case: schemathesis.Case[Any], prepared: Prepared) -> None:
    ids = {"song_id": prepared.job["song_id"], "job_id": prepared.job["id"]}
    given = {"file": "vocals.dat" if "/peaks/" in case.path else "vocals.mp3"}
    case.path_parameters |= {name: value for name, value in (ids | given).items() if name in case.path_parameters}
    case.call_and_validate(
        base_url=prepared.server.url,
        checks=[check for check in CHECKS if check is not negative_data_rejection],
        timeout=WAIT,
    )


def test_document_in_the_tree_is_current() -> None:
    """If this fails: python -m stemwright.web.openapi > docs/openapi.json."""
    assert DOCUMENT.read_text(encoding="utf-8") == describe()


def test_document_is_of_openapi_3_1_and_the_server_gives_it(server: Server) -> None:
    given = server.http.get("/openapi.json").json()
    assert given["openapi"].startswith("3.1")
    assert given["paths"] == json.loads(describe())["paths"]


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(f"{method} {path}", one) for path, item in document["paths"].items() for method, one in item.items()]


@pytest.mark.parametrize(("name", "operation"), operations(json.loads(describe())))
def test_operation_says_what_it_does_and_what_can_go_wrong(name: str, operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert operation["description"]
    for status, answer in operation["responses"].items():
        assert answer["description"]
        if int(status) >= 400:
            assert [*answer["content"]] == ["application/problem+json"], (name, status)


def test_models_have_examples() -> None:
    schemas = json.loads(describe())["components"]["schemas"]
    for name in ("SongJobRequest", "JobOut", "SongOut", "SongBrief", "SongChange", "Problem", "Results", "QueueOut"):
        assert schemas[name].get("examples"), name


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/api/v1/jobs/", 404, "not_found"),
        ("GET", "/api/v2/jobs", 404, "not_found"),
        ("PUT", "/api/v1/jobs", 405, "method_not_allowed"),
        ("BREW", "/api/v1/jobs", 405, "method_not_allowed"),
        ("DELETE", "/metrics", 405, "method_not_allowed"),
        ("GET", f"/api/v1/jobs/{'x' * 65}", 422, "invalid"),
        ("GET", "/api/v1/songs/%00", 400, "malformed"),
        ("GET", "/api/v1/songs?search=%00", 400, "malformed"),
        ("GET", "/api/v1/songs/../../../etc/passwd", 404, "not_found"),
        ("GET", "/api/v1/songs/x/stems/%2e%2e%2f%2e%2e%2fstudio.db", 404, "not_found"),
        ("GET", "/api/v1/songs/x/notes/%2e%2e", 404, "not_found"),
    ],
)
def test_every_error_is_a_problem(server: Server, method: str, path: str, status: int, code: str) -> None:
    problem_of(server.http.request(method, path), status, code)


def test_links_lead_somewhere(prepared: Prepared) -> None:
    """Every address in a job, a song and a list can be asked for."""
    http = prepared.server.http

    def addresses(value: Any) -> set[str]:
        if isinstance(value, dict | list):
            return {one for part in (value.values() if isinstance(value, dict) else value) for one in addresses(part)}
        return {value} if isinstance(value, str) and value.startswith("/api/") else set()

    found = addresses(http.get(prepared.job["links"]["self"]).json()) | addresses(http.get(prepared.url).json())
    assert len(found) > 12
    for url in found:
        assert http.get(url).status_code == 200, url


def test_nothing_went_wrong_on_the_servers_side(server: Server) -> None:
    assert not faults(server)
