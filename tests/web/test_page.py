"""The player's page as it is served."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from stemwright.web import page

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>Stemwright</title>")
    (tmp_path / "icon.svg").write_text("<svg/>")
    (tmp_path / "assets" / "index-abc.js").write_text("1")
    return tmp_path


@pytest.fixture
def http(folder: Path) -> TestClient:
    app = FastAPI()

    @app.get("/api/v1/songs")
    def songs() -> list[str]:
        return []

    page.install(app, folder)
    return TestClient(app)


@pytest.mark.parametrize("path", ["/", "/add", "/songs/019a8c0f2b00"])
def test_views_are_the_page_never_kept_and_under_its_policy(http: TestClient, path: str) -> None:
    answer = http.get(path)
    assert "<title>Stemwright" in answer.text
    assert answer.headers["cache-control"] == "no-cache"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self' 'wasm-unsafe-eval';")
    assert "unsafe-inline" not in policy
    assert http.head(path).status_code == 200


def test_files_of_the_build_are_kept_for_ever_and_workers_have_the_policy_too(http: TestClient) -> None:
    answer = http.get("/assets/index-abc.js")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-security-policy"] == page.POLICY
    assert "javascript" in answer.headers["content-type"]
    assert http.get("/icon.svg").headers["content-type"] == "image/svg+xml"


@pytest.mark.parametrize(
    "path", ["/assets/../index.html", "/assets/%2e%2e/index.html", "/assets/nothing.js", "/elsewhere"]
)
def test_nothing_else_is_served(http: TestClient, path: str) -> None:
    assert http.get(path).status_code == 404


def test_the_api_is_not_shadowed(http: TestClient) -> None:
    assert http.get("/api/v1/songs").json() == []


def test_without_a_build_it_says_how_to_make_one(tmp_path: Path) -> None:
    app = FastAPI()
    page.install(app, tmp_path)
    http = TestClient(app)
    answer = http.get("/")
    assert answer.status_code == 503
    assert "make player" in answer.text
    assert http.get("/icon.svg").status_code == 404
