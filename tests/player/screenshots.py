"""Pictures of every view of the player for the docs: `PYTHONPATH=tests python -P -m player.screenshots [FOLDER]`.

A real studio, the demo song, Debian's Chromium, and ffmpeg for small files. Some minutes.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from player.browser import launched
from player.desk import Studio
from sounds import sound, write_wav
from stemwright.audio.ffmpeg import find_ffmpeg

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "demo" / "song.ogg"
SIZES = {"desktop": (1440, 900), "phone": (390, 844)}
OTHERS = (("Harbour Lights", "The Ferrymen", 190), ("Slow Machine", "Ida Quist", 243), ("Paper Boats", "Ida Quist", 27))


def fill(studio: Studio, folder: Path) -> str:
    """Songs as a library has them, one of them being taken apart; the id of the demo song."""
    for seed, (title, artist, seconds) in enumerate(OTHERS):
        path = write_wav(folder / f"{title}.wav", sound("song", seconds=seconds, seed=seed), bits=16)
        song = studio.wait(studio.submit(path)["id"])["song_id"]
        studio.http.patch(f"/api/v1/songs/{song}", json={"title": title, "artist": artist}).raise_for_status()
    demo = studio.wait(studio.submit(DEMO, transcribe="true")["id"])
    studio.arm("executor.saving")
    path = write_wav(folder / "Northbound.wav", sound("song", seconds=30, seed=9), bits=16)
    studio.submit(path, strategy="again", preview="true")
    return str(demo["song_id"])


def library(page: Page, _song: str) -> None:
    page.goto("/")
    page.get_by_text("Draft ready").wait_for()


def add(page: Page, _song: str) -> None:
    page.goto("/add")
    page.get_by_test_id("files").set_input_files(DEMO)
    page.get_by_text("0:31").wait_for()
    page.get_by_text("How fine?").wait_for()


def song(page: Page, song: str) -> None:
    page.goto(f"/songs/{song}")
    page.get_by_role("button", name="Play", exact=True).click()
    page.get_by_test_id("time").get_by_text(re.compile("0:04")).wait_for()
    page.get_by_role("button", name="Loop", exact=True).click()


def take(page: Page, song: str) -> None:
    page.goto(f"/songs/{song}")
    page.get_by_role("button", name="Mute Vocals").click()
    page.get_by_role("button", name="Take away").click()
    page.get_by_text("How it was made").wait_for()


VIEWS: dict[str, Callable[[Page, str], None]] = {"library": library, "add": add, "song": song, "take-away": take}


def pictures(browser: Browser, studio: Studio, demo: str, out: Path) -> None:
    """Every view, on both sizes, in both lights."""
    for size, (width, height) in SIZES.items():
        for theme in ("dark", "light"):
            context = browser.new_context(
                base_url=studio.url,
                viewport={"width": width, "height": height},
                color_scheme="dark" if theme == "dark" else "light",
                device_scale_factor=1 if size == "desktop" else 2,
                is_mobile=size == "phone",
                has_touch=size == "phone",
            )
            for name, show in VIEWS.items():
                page = context.new_page()
                show(page, demo)
                page.wait_for_timeout(600)
                shot = page.screenshot(type="png")
                page.close()
                target = out / f"{name}-{size}-{theme}.webp"
                command = [
                    find_ffmpeg(),
                    "-v",
                    "error",
                    "-y",
                    "-f",
                    "png_pipe",
                    "-i",
                    "-",
                    "-quality",
                    "82",
                    str(target),
                ]
                subprocess.run(command, input=shot, check=True)
            context.close()


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "player"
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        studio = Studio(folder).start()
        try:
            demo = fill(studio, folder)
            with launched() as browser:
                pictures(browser, studio, demo, out)
        finally:
            studio.stop()


if __name__ == "__main__":
    main()
