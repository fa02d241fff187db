"""The operator's page in a real browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from server import running
from sounds import sound, write_wav

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

pytestmark = pytest.mark.slow


def test_operator_sees_what_runs_and_what_failed_and_nobody_does_unless_it_is_set(page: Page, tmp_path: Path) -> None:
    silence = tmp_path / "Long silence.wav"
    write_wav(silence, sound("song", seconds=2.0))
    with running(tmp_path / "shown", STEMWRIGHT_FLEET_PAGE="true") as server:
        server.wait(server.submit(silence, max_duration="1")["id"], "failed")
        page.goto(f"{server.url}/fleet")
        expect(page.get_by_role("heading", name="Fleet")).to_be_visible()
        failure = page.get_by_role("region", name="Failures").get_by_role("row").nth(1)
        expect(failure).to_contain_text("too_long")
        expect(failure).to_contain_text("sketch")
        expect(page.get_by_text("One process beside the server does all the work.")).to_be_visible()
        expect(page.get_by_text("Rows are in SQLite, files in a folder.")).to_be_visible()
        assert page.title() == "Fleet · Stemwright"
    with running(tmp_path / "hidden") as server:
        page.goto(f"{server.url}/fleet")
        expect(page.get_by_role("alert")).to_contain_text("fleet.page: true")
