"""Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

_FLAGS = ("--no-sandbox", "--autoplay-policy=no-user-gesture-required", "--enable-precise-memory-info")


def chromium() -> str:
    """The path of the browser; `LookupError` names the package that has it."""
    path = shutil.which("chromium")
    if path is None:
        raise LookupError("the player's tests need Chromium: apt-get install chromium")
    return path


@contextlib.contextmanager
def launched(*flags: str) -> Iterator[Browser]:
    """A browser without a window for the time of a block; not within another such block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=[*_FLAGS, *flags])
        try:
            yield browser
        finally:
            browser.close()
