"""Songs that the page sends straight to the bucket, in a real browser, with a real S3 server of another origin."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from player.desk import Studio
from sounds import sound, write_wav

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page, Request

    from s3 import S3

pytestmark = pytest.mark.slow
expect.set_options(timeout=40_000)  # the machine is shared


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, s3: S3) -> Iterator[Studio]:
    """A studio over a bucket that is at another origin."""
    server = Studio(tmp_path_factory.mktemp("direct"))
    try:
        yield server.start(**s3.variables(s3.storage()))
    finally:
        server.stop(signal.SIGKILL)


@pytest.fixture
def page(browser: Browser, studio: Studio) -> Iterator[Page]:
    context = browser.new_context(base_url=studio.url, reduced_motion="reduce")
    page = context.new_page()
    yield page
    context.close()


def add(page: Page, song: Path) -> list[tuple[str, str, int]]:
    """Add a song; the requests that carry something: method, address, and bytes of the body."""
    sent: list[tuple[str, str, int]] = []

    def note(request: Request) -> None:
        if request.method in {"POST", "PUT", "DELETE"}:
            size = request.headers.get("content-length") or len(request.post_data_buffer or b"")
            sent.append((request.method, request.url.partition("?")[0], int(size)))

    page.on("request", note)
    page.goto("/add")
    page.get_by_test_id("files").set_input_files(song)
    page.get_by_role("button", name="Take it apart").click()
    row = page.get_by_role("list", name="Songs").get_by_role("listitem").filter(has_text=song.stem)
    expect(row.get_by_role("link").first).to_be_visible()
    return sent


def test_song_goes_to_the_bucket_and_not_through_the_studio(page: Page, studio: Studio, s3: S3, tmp_path: Path) -> None:
    song = write_wav(tmp_path / "Straight There.wav", sound("song", seconds=6, seed=3), bits=16)
    assert studio.http.get("/api/v1/limits").json()["direct_uploads"] is True
    sent = add(page, song)
    [(_, announced, _), (_, where, _), (_, submitted, size)] = sent
    assert [method for method, _, _ in sent] == ["POST", "PUT", "POST"]
    assert (announced, submitted) == (f"{studio.url}/api/v1/uploads", f"{studio.url}/api/v1/jobs")
    assert where.startswith(f"{s3.endpoint}/tests/")
    assert size < 1000 < song.stat().st_size
    [job] = studio.http.get("/api/v1/jobs").json()["items"]
    assert studio.wait(job["id"])["status"] == "succeeded"
    made = studio.http.get(f"/api/v1/songs/{job['song_id']}").json()
    assert (made["title"], made["size_bytes"]) == ("Straight There", song.stat().st_size)


def test_where_the_bucket_lets_no_page_in_the_song_goes_through_the_studio(
    page: Page, studio: Studio, s3: S3, tmp_path: Path
) -> None:
    song = write_wav(tmp_path / "Roundabout.wav", sound("song", seconds=4, seed=4), bits=16)
    page.route(f"{s3.endpoint}/**", lambda route: route.abort("accessdenied"))
    sent = add(page, song)
    assert [method for method, _, _ in sent[:2]] == ["POST", "PUT"]
    assert sorted(one[:2] for one in sent[2:]) == [
        ("DELETE", f"{sent[0][1]}/{sent[1][1].rpartition('/')[2]}"),
        ("POST", f"{studio.url}/api/v1/jobs"),
    ]
    job = next(job for job in studio.http.get("/api/v1/jobs").json()["items"])
    assert studio.wait(job["id"])["status"] == "succeeded"
    assert page.get_by_role("alert").count() == 0
    other = write_wav(tmp_path / "Second.wav", sound("song", seconds=4, seed=5), bits=16)
    page.get_by_role("link", name="Add").first.click()  # without loading the page anew: it knows by now
    page.get_by_test_id("files").set_input_files(other)
    sent.clear()
    page.get_by_role("button", name="Take it apart").click()
    expect(page.get_by_role("list", name="Songs").get_by_role("listitem").filter(has_text="Second")).to_be_visible()
    page.wait_for_timeout(500)
    assert [one[:2] for one in sent] == [("POST", f"{studio.url}/api/v1/jobs")]


def test_song_that_is_there_is_not_sent_again(page: Page, studio: Studio, s3: S3, tmp_path: Path) -> None:
    song = write_wav(tmp_path / "Known.wav", sound("song", seconds=4, seed=6), bits=16)
    studio.wait(studio.submit(song)["id"])
    sent = add(page, song)
    page.wait_for_timeout(500)
    assert [one[:2] for one in sent] == [
        ("POST", f"{studio.url}/api/v1/uploads"),
        ("POST", f"{studio.url}/api/v1/jobs"),
    ]


def test_upload_that_is_put_away_leaves_nothing(page: Page, studio: Studio, s3: S3, tmp_path: Path) -> None:
    song = write_wav(tmp_path / "Stopped.wav", sound("noise", seconds=20, seed=7), bits=16)
    page.route(f"{s3.endpoint}/**", lambda _: None)  # it never gets there
    page.goto("/add")
    page.get_by_test_id("files").set_input_files(song)
    with page.expect_request(f"{s3.endpoint}/**"):
        page.get_by_role("button", name="Take it apart").click()
    with page.expect_response(lambda answer: answer.request.method == "DELETE") as dropped:
        page.get_by_role("button", name="Put Stopped.wav away").click()
    assert dropped.value.status == 204
    expect(page.get_by_text("Stopped.wav")).to_have_count(0)
    assert "Stopped" not in {song["title"] for song in studio.http.get("/api/v1/songs").json()["items"]}
