"""One browser for the tests of a module, and a page of its own for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from needs import require
from player.browser import launched

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; not for longer than a module, as `asyncio.run` of other tests fails while Playwright runs here."""
    require("chromium")
    with launched() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh page with empty storage; what goes wrong in it fails the test."""
    context = browser.new_context()
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    context.close()
    assert not faults, faults
