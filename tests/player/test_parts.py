"""Parts of the page that do not arrive: while the studio restarts, and after it was upgraded."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from player.desk import Studio, Watch
from sounds import sound, write_wav

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow
VIEW = re.compile(r"/assets/SongView-")
PARTS = (VIEW, re.compile(r"/assets/engine-"))


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    server = Studio(tmp_path_factory.mktemp("parts"))
    try:
        yield server.start()
    finally:
        server.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def song(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = write_wav(tmp_path_factory.mktemp("song") / "Parts.wav", sound("song", seconds=2), bits=16)
    job = studio.wait(studio.submit(path)["id"])
    assert job["status"] == "succeeded", job
    return str(job["song_id"])


@pytest.fixture
def page(browser: Browser, studio: Studio) -> Iterator[Page]:
    context = browser.new_context(base_url=studio.url, reduced_motion="reduce")
    context.set_default_timeout(40_000)
    page = context.new_page()
    watch = Watch(page, studio.url)
    page.goto("/")
    yield page
    context.close()
    watch.check()


@pytest.mark.parametrize("part", PARTS, ids=["view", "engine"])
def test_part_that_does_not_arrive_once_is_fetched_again(page: Page, song: str, part: re.Pattern[str]) -> None:
    failed: list[str] = []
    page.on("requestfailed", lambda request: failed.append(request.url))
    page.route(part, lambda route: route.abort(), times=1)
    page.get_by_role("link", name="Parts").click()
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_enabled(timeout=40_000)
    assert [url for url in failed if part.search(url)]
    assert page.url.endswith(f"/songs/{song}")


def test_page_says_what_happened_and_goes_on_when_told_to(page: Page, song: str) -> None:
    page.route(VIEW, lambda route: route.abort())
    page.get_by_role("link", name="Parts").click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("A part of the page did not arrive", timeout=40_000)
    expect(alert).to_contain_text("Your songs and jobs are safe")
    page.get_by_role("button", name="Try again").click()
    expect(alert).to_contain_text("A part of the page did not arrive", timeout=40_000)  # it is still away
    page.unroute(VIEW)
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_enabled(timeout=40_000)
    assert page.url.endswith(f"/songs/{song}")


def test_page_of_an_older_build_is_loaded_anew_once(page: Page, song: str) -> None:
    documents: list[str] = []
    page.on("request", lambda request: documents.append(request.url) if request.is_navigation_request() else None)
    newer = '<!doctype html><script type="module" crossorigin src="./assets/index-newer.js"></script>'
    page.route(VIEW, lambda route: route.fulfill(status=404, body=""))

    def newest(route: object) -> None:
        if route.request.resource_type == "fetch":  # type: ignore[attr-defined]
            route.fulfill(body=newer, content_type="text/html")  # type: ignore[attr-defined]
        else:
            route.fallback()  # type: ignore[attr-defined]

    page.route(re.compile(r":\d+/$"), newest)
    page.get_by_role("link", name="Parts").click()
    expect(page.get_by_role("alert")).to_contain_text("A part of the page did not arrive", timeout=40_000)
    assert len(documents) == 1
    assert documents[0].endswith(f"/songs/{song}")
