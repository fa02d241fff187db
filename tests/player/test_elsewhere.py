"""The page below a sub-path, and the studio's files in pages of other origins, in a real browser."""

from __future__ import annotations

import contextlib
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from player.desk import Studio, Watch
from sounds import sound, write_wav

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow
ROOT = "/stemwright"


class _Nothing(BaseHTTPRequestHandler):
    """An empty page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>elsewhere</title>")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def elsewhere() -> Iterator[str]:
    """The origin of an empty page."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Nothing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def listed() -> Iterator[str]:
    with elsewhere() as origin:
        yield origin


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, listed: str) -> Iterator[Studio]:
    """A studio below a sub-path, for a page elsewhere."""
    server = Studio(tmp_path_factory.mktemp("below"))
    try:
        yield server.start(STEMWRIGHT_HTTP_ROOT_PATH=ROOT, STEMWRIGHT_HTTP_CORS_ORIGINS=listed)
    finally:
        server.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def song(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = write_wav(tmp_path_factory.mktemp("song") / "Below.wav", sound("song", seconds=4), bits=16)
    job = studio.wait(studio.submit(path, transcribe="true")["id"])
    assert job["status"] == "succeeded", job
    return str(job["song_id"])


def test_page_works_below_a_sub_path(browser: Browser, studio: Studio, song: str) -> None:
    context = browser.new_context(base_url=studio.url, reduced_motion="reduce")
    context.set_default_timeout(40_000)
    page = context.new_page()
    watch, asked = Watch(page, studio.url), list[str]()
    page.on("request", lambda request: asked.append(request.url.removeprefix(studio.url)))
    page.on("websocket", lambda one: asked.append(one.url.removeprefix(studio.url.replace("http", "ws", 1))))
    page.goto(ROOT)  # without its slash
    page.get_by_role("link", name="Below").click()
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.get_by_role("button", name="Pause", exact=True)).to_be_visible()
    assert page.url == f"{studio.url}{ROOT}/songs/{song}"
    page.reload()
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_enabled()
    page.go_back()
    expect(page).to_have_url(f"{studio.url}{ROOT}/")
    page.get_by_role("link", name="Add").first.click()
    expect(page).to_have_url(f"{studio.url}{ROOT}/add")
    page.reload()
    expect(page.get_by_text("Stems I already have")).to_be_visible()
    here = [path for path in asked if path.startswith("/")]
    assert len(here) > 20
    assert not [path for path in here if not path.startswith(ROOT)]
    context.close()
    watch.check()


LOADED = """([tag, url]) => new Promise((done) => {
    const one = document.createElement(tag)
    one.onerror = () => done(false)
    one.onload = one.onloadedmetadata = () => done(true)
    one.src = url
})"""


def test_plain_elements_of_listed_origins_alone_show_files(
    browser: Browser, studio: Studio, song: str, listed: str
) -> None:
    result = studio.http.get(f"{ROOT}/api/v1/songs/{song}").json()
    stem, picture = f"{studio.url}{result['separations'][0]['stems'][0]['url']}", f"{studio.url}{ROOT}/icon.svg"
    with elsewhere() as other:
        for origin, shown in ((listed, True), (other, False)):
            context = browser.new_context()
            page = context.new_page()
            page.goto(origin)
            assert page.evaluate(LOADED, ["audio", stem]) is shown, origin
            assert page.evaluate(LOADED, ["img", picture]) is shown, origin
            context.close()
