"""The page in a real browser, against a real studio that separates with `sketch`."""

from __future__ import annotations

import re
import signal
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from playwright.sync_api import expect

from player.desk import Studio, Watch
from sounds import level_db, read, sound, write_wav
from stemwright.web.page import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Locator, Page

pytestmark = pytest.mark.slow
AXE = Path(__file__).parents[2] / "player" / "node_modules" / "axe-core" / "axe.min.js"
SECONDS = 8
MIDI = b"MThd\x00\x00\x00\x06\x00\x00\x00\x01\x00\x60MTrk\x00\x00\x00\x04\x00\xff\x2f\x00"
expect.set_options(timeout=40_000)  # the machine is shared


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def song(folder: Path) -> Path:
    return write_wav(folder / "Short Song.wav", sound("song", seconds=SECONDS), bits=16)


@pytest.fixture(scope="module")
def studio(folder: Path) -> Iterator[Studio]:
    assert (FOLDER / "index.html").is_file(), "the page is not built: make player"
    server = Studio(folder)
    try:
        yield server.start()
    finally:
        server.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def ready(studio: Studio, song: Path) -> str:
    """The id of a song that was taken apart, with its drum chart."""
    job = studio.wait(studio.submit(song, transcribe="true")["id"])
    assert job["status"] == "succeeded", job
    return str(job["song_id"])


@pytest.fixture
def page(browser: Browser, studio: Studio) -> Iterator[Page]:
    context = browser.new_context(base_url=studio.url, accept_downloads=True, reduced_motion="reduce")
    context.set_default_timeout(40_000)
    page = context.new_page()
    watch = Watch(page, studio.url)
    yield page
    context.close()
    watch.check()


def opened(page: Page, song: str) -> None:
    page.goto(f"/songs/{song}")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_enabled()


def position(page: Page) -> float:
    minutes, seconds = (page.get_by_test_id("time").text_content() or "0:0").split(":")
    return 60 * float(minutes) + float(seconds)


def passes(page: Page, second: float) -> None:
    page.wait_for_function(
        "(second) => { const [m, s] = document.querySelector('[data-testid=time]').textContent.split(':');"
        " return 60 * m + 1 * s >= second }",
        arg=second,
    )


def in_sight(page: Page) -> list[str]:
    """The times on the ruler."""
    return page.get_by_test_id("ruler").locator("span").filter(has_text=":").all_text_contents()


def painted(canvas: Locator) -> bool:
    """Whether anything is drawn away from a canvas's middle line."""
    return bool(
        canvas.evaluate(
            "(box) => { const pen = box.getContext('2d');"
            " return pen.getImageData(0, 0, box.width, box.height * 0.4).data.some((one) => one > 0) }"
        )
    )


def row(page: Page, title: str) -> Locator:
    return page.get_by_role("list", name="Songs").get_by_role("listitem").filter(has_text=title)


# Adding


def test_song_is_added_with_its_progress_in_sight_then_played(page: Page, folder: Path) -> None:
    first = write_wav(folder / "First Song.wav", sound("song", seconds=6, seed=5), bits=16)
    page.goto("/")
    page.get_by_role("link", name="Add").first.click()
    page.get_by_test_id("files").set_input_files(first)
    expect(page.get_by_text("0:06")).to_be_visible()  # the browser reads its length
    expect(page.get_by_role("radio", name=re.compile("Draft"))).to_be_checked()  # nothing finer is here
    expect(page.get_by_role("radio", name=re.compile("Fine .*Not installed here"))).to_be_attached()
    page.get_by_role("button", name="Take it apart").click()
    expect(page.get_by_role("progressbar").first).to_be_visible()
    expect(row(page, "First Song").get_by_text("Draft", exact=True)).to_be_visible()
    expect(page.get_by_role("progressbar")).to_have_count(0)
    row(page, "First Song").get_by_role("link").click()
    page.get_by_role("button", name="Play", exact=True).click()
    passes(page, 0.5)
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    page.goto("/add")
    page.get_by_test_id("files").set_input_files(first)
    page.get_by_role("button", name="Take it apart").click()
    expect(page.get_by_text("“First Song.wav” is here already, made in this way.")).to_be_visible()


def test_stems_are_added_as_one_song_under_names_that_can_be_changed(page: Page, folder: Path) -> None:
    for name in ("Song - Vox.wav", "Song - Kit.wav"):
        write_wav(folder / name, sound("song", seconds=2, seed=len(name)), bits=16)
    page.goto("/add")
    page.get_by_text("Stems I already have").click()
    page.get_by_test_id("files").set_input_files([folder / "Song - Vox.wav", folder / "Song - Kit.wav"])
    expect(page.get_by_label("Name of the stem in Song - Vox.wav")).to_have_value("vocals")
    page.get_by_label("Name of the stem in Song - Kit.wav").fill("vocals")
    expect(page.get_by_text("Two stems are called vocals")).to_be_visible()
    page.get_by_label("Name of the stem in Song - Kit.wav").fill("drums")
    page.get_by_label("Title").fill("Mine")
    page.get_by_role("button", name="Add 2 stems as a song").click()
    row(page, "Mine").get_by_role("link").click()
    for name in ("Vocals", "Drums"):
        expect(page.get_by_role("region", name=name)).to_be_visible()
    overview = page.get_by_role("slider", name="Position in the song").locator("canvas")
    page.wait_for_timeout(500)
    assert painted(overview)


def test_stems_of_one_kind_are_called_as_their_files_are(page: Page, folder: Path) -> None:
    names = ("Night - 01 Lead Vox.wav", "Night - 02 Backing Vox.wav", "Night - 03 Bass DI.wav")
    for name in names:
        write_wav(folder / name, sound("sine", seconds=1, seed=len(name)), bits=16)
    page.goto("/add")
    page.get_by_text("Stems I already have").click()
    page.get_by_test_id("files").set_input_files([folder / name for name in names])
    for name, stem in zip(names, ("lead_vox", "backing_vox", "bass"), strict=True):
        expect(page.get_by_label(f"Name of the stem in {name}")).to_have_value(stem)


def test_any_way_is_found_by_its_name_or_its_stems(page: Page, folder: Path) -> None:
    song = write_wav(folder / "Any.wav", sound("sine", seconds=1), bits=16)
    page.goto("/add")
    page.get_by_test_id("files").set_input_files(song)
    ways = page.get_by_role("radiogroup", name="How fine?").get_by_role("radio")
    expect(ways).to_have_count(5)
    page.get_by_role("button", name="Karaoke, drums only, and every model").click()
    search = page.get_by_label("Search ways")
    search.fill("piano guitar")
    expect(page.get_by_role("radio", name=re.compile("^Six stems"))).to_be_attached()
    expect(page.get_by_role("radio", name=re.compile("^Draft"))).to_have_count(0)
    search.fill("theremin")
    expect(page.get_by_text("No way like that.")).to_be_visible()
    page.get_by_role("button", name="Fewer ways").click()
    expect(ways).to_have_count(5)


def test_midi_goes_to_a_song_of_the_library(page: Page, ready: str, folder: Path) -> None:
    notes = folder / "Lead.mid"
    notes.write_bytes(MIDI)
    page.goto("/add")
    page.get_by_test_id("files").set_input_files(notes)
    page.get_by_text("MIDI stems").click()
    page.get_by_role("searchbox").fill("short")
    page.get_by_role("radio", name=re.compile("Short Song")).check()
    page.get_by_role("button", name="Add 1 MIDI file").click()
    page.get_by_role("button", name="Take away").click()
    expect(page.get_by_role("link", name="Lead.mid")).to_be_visible()


def test_folder_is_opened_and_what_is_no_music_is_left_out(page: Page, folder: Path) -> None:
    album = folder / "album"
    (album / "disc").mkdir(parents=True)
    write_wav(album / "disc" / "Two.wav", sound("sine", seconds=1), bits=16)
    write_wav(album / "One.wav", sound("sine", seconds=1), bits=16)
    (album / "cover.txt").write_text("no music")
    page.goto("/add")
    page.get_by_test_id("folder").set_input_files(album)
    expect(page.get_by_role("button", name="Take 2 songs apart")).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("1 file left out")


def test_drop_anywhere_leads_to_where_it_is_added(page: Page) -> None:
    page.goto("/")
    page.evaluate(
        """() => {
            const data = new DataTransfer()
            data.items.add(new File([new Uint8Array(64)], 'dropped.wav', { type: 'audio/wav' }))
            const how = { dataTransfer: data, bubbles: true, cancelable: true }
            for (const type of ['dragenter', 'dragover', 'drop']) document.body.dispatchEvent(new DragEvent(type, how))
        }"""
    )
    expect(page.get_by_text("dropped.wav")).to_be_visible()
    expect(page).to_have_url(re.compile("/add$"))


def test_bad_file_is_refused_with_what_to_do(page: Page, folder: Path) -> None:
    bad = folder / "words.mp3"
    bad.write_text("These are only words. " * 50)
    page.goto("/add")
    page.get_by_test_id("files").set_input_files(bad)
    page.get_by_role("button", name="Take it apart").click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("words.mp3Not an audio file.")
    expect(alert).to_contain_text("Choose a WAV, FLAC, MP3")
    page.get_by_role("button", name="Put words.mp3 away").click()
    expect(alert).to_have_count(0)


@pytest.fixture
def strict(browser: Browser, tmp_path: Path) -> Iterator[tuple[Page, Studio]]:
    """A page of a studio that takes little and seldom."""
    server = Studio(tmp_path)
    limits = {"STEMWRIGHT_HTTP_UPLOADS_PER_MINUTE": "12", "STEMWRIGHT_UPLOAD_MAX_BYTES": "300000"}
    try:
        server.start(**limits)
        context = browser.new_context(base_url=server.url)
        context.set_default_timeout(40_000)
        yield context.new_page(), server
        context.close()
    finally:
        server.stop(signal.SIGKILL)


def test_page_knows_the_limits_of_its_studio(strict: tuple[Page, Studio], tmp_path: Path) -> None:
    page, studio = strict
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    page.goto("/add")
    page.get_by_test_id("files").set_input_files(write_wav(tmp_path / "large.wav", sound("noise", seconds=2), bits=16))
    page.get_by_role("button", name="Take it apart").click()
    expect(page.get_by_role("alert")).to_contain_text("large.wavIt has 353 kB, and this studio takes 300 kB.")
    assert not sent  # it is told before a byte is on its way
    for _ in range(12):
        assert studio.http.post("/api/v1/jobs", files={"file": b"no song"}).status_code == 415
    assert studio.http.post("/api/v1/jobs", files={"file": b"no song"}).status_code == 429
    page.goto("/add")
    page.get_by_test_id("files").set_input_files(write_wav(tmp_path / "Small.wav", sound("noise", seconds=1), bits=16))
    page.get_by_role("button", name="Take it apart").click()
    expect(row(page, "Small")).to_be_visible()  # it waited as long as it was asked to
    assert len(sent) > 1


# Playing


def test_song_is_sought_soloed_looped_and_slowed(page: Page, ready: str) -> None:
    opened(page, ready)
    box = page.get_by_role("slider", name="Position in the song").bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 10)
    expect(page.get_by_test_id("time")).to_have_text(re.compile(r"0:0(3\.9|4\.0)"))
    page.keyboard.press("ArrowRight")
    expect(page.get_by_test_id("time")).to_have_text(re.compile(r"0:0[78]"))  # five seconds on, or the end
    page.keyboard.press("Home")
    page.keyboard.press("2")
    expect(page.get_by_role("button", name="Solo Drums")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("2")
    page.keyboard.press("m")
    expect(page.get_by_role("button", name="Mute Drums")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("m")
    ruler = page.get_by_test_id("ruler").bounding_box()
    assert ruler
    page.mouse.move(ruler["x"] + ruler["width"] * 0.25, ruler["y"] + 8)
    page.mouse.down()
    page.mouse.move(ruler["x"] + ruler["width"] * 0.4, ruler["y"] + 8, steps=4)
    page.mouse.up()
    expect(page.get_by_role("button", name="Loop", exact=True)).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Home")  # to the loop's start
    expect(page.get_by_test_id("time")).to_have_text(re.compile(r"0:0(1\.[4-9]|2\.)"))
    page.get_by_role("button", name="Speed and pitch").click()
    page.get_by_role("slider", name="Speed").press("ArrowLeft")
    expect(page.get_by_role("button", name="Speed and pitch")).to_contain_text("99 %")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Play", exact=True).click()
    seen = []
    for _ in range(12):
        page.wait_for_timeout(250)
        seen.append(position(page))
    assert max(seen) < 4.4  # it stays in the loop, for longer than the loop lasts
    assert any(later < earlier for earlier, later in pairwise(seen))
    page.keyboard.press("l")
    expect(page.get_by_test_id("loop")).to_have_count(0)


def test_loop_is_set_from_here_to_here_on_the_beat(page: Page, ready: str) -> None:
    opened(page, ready)
    expect(page.get_by_text("Drum chart")).to_be_visible()
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("a")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("b")
    page.get_by_role("button", name="Take away").click()
    said = page.get_by_text(re.compile(r"^0:0\d\.\d to 0:0\d\.\d$")).text_content() or ""
    start, end = (float(time.split(":")[1]) for time in said.split(" to "))
    assert abs(start - 1) <= 0.3  # beats are 0.5 s apart
    assert abs(end - 6) <= 0.3


def test_who_looks_elsewhere_stays_there_and_the_playhead_is_followed_once_it_is_in_sight(
    page: Page, ready: str
) -> None:
    opened(page, ready)
    for _ in range(2):
        page.keyboard.press("+")
    ruler, playhead = page.get_by_test_id("ruler"), page.get_by_test_id("playhead")
    expect(ruler).to_contain_text("0:01.8")
    first = ruler.text_content() or ""
    page.keyboard.press("ArrowRight")  # out of sight, though nothing plays
    expect(ruler).not_to_have_text(first)
    expect(playhead).to_be_visible()
    page.keyboard.press("Home")
    expect(ruler).to_have_text(first)
    box = ruler.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60)
    page.mouse.wheel(box["width"] * 2, 0)
    expect(playhead).to_be_hidden()
    there = ruler.text_content() or ""
    page.get_by_role("button", name="Play", exact=True).click()
    passes(page, 0.5)
    expect(playhead).to_be_hidden()
    expect(ruler).to_have_text(there)


def test_mix_is_remembered_and_the_original_is_heard_without_losing_it(page: Page, ready: str) -> None:
    opened(page, ready)
    fader = page.get_by_role("slider", name="Volume of Bass")
    for _ in range(6):
        fader.press("ArrowLeft")
    expect(fader).to_have_attribute("aria-valuetext", "−3 dB")
    page.get_by_role("button", name="Original", exact=True).click()
    with page.expect_response(lambda answer: "/original.flac" in answer.url and answer.ok):
        expect(page.get_by_role("button", name="Original", exact=True)).to_have_attribute("aria-pressed", "true")
    expect(fader).to_have_attribute("aria-valuetext", "−3 dB")
    page.get_by_role("button", name="Your mix").click()
    page.wait_for_timeout(500)
    page.reload()
    expect(page.get_by_role("slider", name="Volume of Bass")).to_have_attribute("aria-valuetext", "−3 dB")


def test_drums_are_heard_as_midi_in_the_place_of_their_stem(page: Page, ready: str) -> None:
    opened(page, ready)
    drums = page.get_by_role("region", name="Drums")
    expect(drums.get_by_role("listitem")).to_have_count(8)
    expect(drums.get_by_text(re.compile(r"^\d+ hits"))).to_be_visible()
    drums.get_by_role("button", name="MIDI").click()
    expect(page.get_by_role("button", name="Mute Drums")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Play", exact=True).click()
    passes(page, 1)
    drums.get_by_role("button", name="Stem").click()
    expect(page.get_by_role("button", name="Mute Drums")).to_have_attribute("aria-pressed", "false")


def test_address_of_a_song_that_is_not_there_says_so(page: Page) -> None:
    page.goto("/songs/nothing")
    expect(page.get_by_text("This song is not here")).to_be_visible()


def test_tab_is_named_after_the_view_and_the_keyboard_goes_to_it(page: Page, ready: str) -> None:
    page.goto("/")
    expect(page).to_have_title("Your songs · Stemwright")
    row(page, "Short Song").get_by_role("link").press("Enter")
    expect(page).to_have_url(re.compile(ready))
    expect(page).to_have_title("Short Song · Stemwright")
    expect(page.get_by_role("main")).to_be_focused()


# Taking away


def test_mix_and_stems_are_taken_away_as_they_are_heard(page: Page, ready: str, studio: Studio, folder: Path) -> None:
    opened(page, ready)
    page.get_by_role("button", name="Mute Vocals").click()
    page.get_by_role("button", name="Pan and equaliser of Drums").click()
    page.get_by_role("slider", name="Pan of Drums").press("End")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Take away").click()
    expect(page.get_by_text("Without vocals")).to_be_visible()
    expect(page.get_by_text(re.compile(r"Separated by sketch on cpu in \d+ s\."))).to_be_visible()
    page.get_by_label("Format").select_option("wav24")
    with page.expect_download() as mixed:
        page.get_by_role("button", name="Download the mix").click()
    mixed.value.save_as(folder / "mix.wav")
    assert mixed.value.suggested_filename.endswith("mix.wav")
    base = f"/api/v1/songs/{ready}/stems"
    stems = []
    for name in ("drums", "bass", "other"):
        (folder / f"{name}.flac").write_bytes(studio.http.get(f"{base}/{name}.flac").raise_for_status().content)
        stems.append(read(folder / f"{name}.flac", channels=2))
    heard = np.sum([stems[0] * np.array([[0.0], [1.0]]), *stems[1:]], axis=0)
    assert level_db(read(folder / "mix.wav", channels=2) - heard, heard) < -60
    with page.expect_download() as packed:
        page.get_by_role("button", name="All in one zip").click()
    packed.value.save_as(folder / "stems.zip")
    with zipfile.ZipFile(folder / "stems.zip") as archive:
        assert {"vocals.wav", "drums.wav", "bass.wav", "other.wav", "receipt.json"} <= {*archive.namelist()}


# While things happen


def test_draft_is_played_at_once_and_the_fine_stems_take_its_place_without_a_stop(
    page: Page, studio: Studio, folder: Path
) -> None:
    path = write_wav(folder / "Twice.wav", sound("song", seconds=60, seed=9), bits=16)
    studio.arm("executor.saving")
    job = studio.submit(path, strategy="again", preview="true")
    opened(page, job["song_id"])
    expect(page.get_by_text("Playing a draft.")).to_be_visible()
    page.get_by_role("button", name="Play", exact=True).click()
    passes(page, 0.3)
    before = position(page)
    studio.release("executor.saving")
    fine = studio.wait(job["id"])["result"]["separation"]
    with page.expect_response(lambda answer: f"drums.flac?separation={fine}" in answer.url and answer.ok):
        pass
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    passes(page, before + 1)
    expect(page.get_by_text("Playing a draft.")).to_have_count(0)


def test_progress_goes_on_after_a_reload_and_after_the_studio_was_restarted(
    page: Page, studio: Studio, folder: Path
) -> None:
    path = write_wav(folder / "Interrupted.wav", sound("song", seconds=5, seed=3), bits=16)
    studio.arm("executor.saving")
    studio.submit(path)
    page.goto("/")
    bar = row(page, "Interrupted").get_by_role("progressbar")
    expect(bar).to_be_visible()
    page.reload()
    expect(bar).to_be_visible()
    (studio.points / "executor.saving").unlink()
    studio.stop()
    expect(page.get_by_text("The studio does not answer")).to_be_visible()
    studio.start()
    expect(page.get_by_text("The studio does not answer")).to_have_count(0)
    expect(row(page, "Interrupted").get_by_text("Draft", exact=True)).to_be_visible()
    expect(bar).to_have_count(0)


def test_song_that_is_being_taken_apart_is_left_alone_or_cancelled_from_its_own_page(
    page: Page, studio: Studio, folder: Path
) -> None:
    path = write_wav(folder / "Halfway.wav", sound("song", seconds=4, seed=8), bits=16)
    studio.arm("executor.saving")
    song = studio.submit(path)["song_id"]
    page.goto(f"/songs/{song}")
    expect(page.get_by_text("You can leave this page: the work goes on.")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Not taken apart yet")).to_be_visible()
    studio.release("executor.saving")


def test_song_is_searched_renamed_and_deleted(page: Page, studio: Studio, folder: Path) -> None:
    path = write_wav(folder / "Passing.wav", sound("sine", seconds=1, seed=4), bits=16)
    studio.wait(studio.submit(path, analysis="false")["id"])
    page.goto("/")
    page.get_by_role("searchbox").fill("passing")
    expect(page.get_by_text("1 song.")).to_be_visible()
    page.get_by_role("button", name="More for Passing").click()
    page.get_by_role("menuitem", name="Rename").click()
    page.get_by_label("Title").fill("Passing by")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("button", name="More for Passing by").click()
    page.get_by_role("menuitem", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("Nothing is called “passing”.")).to_be_visible()


# For everyone


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_every_view_is_free_of_barriers(page: Page, ready: str, theme: str, folder: Path) -> None:
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce")
    page.goto("/")
    expect(row(page, "Short Song")).to_be_visible()
    assert_clean(page)
    page.goto("/add")
    page.get_by_test_id("files").set_input_files(folder / "Short Song.wav")
    expect(page.get_by_text("How fine?")).to_be_visible()
    assert_clean(page)
    opened(page, ready)
    expect(page.get_by_text("Drum chart")).to_be_visible()
    assert_clean(page)
    page.get_by_role("button", name="Take away").click()
    expect(page.get_by_text("How it was made")).to_be_visible()
    assert_clean(page)


def assert_clean(page: Page) -> None:
    page.wait_for_timeout(300)  # what fades in has its colours then
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    assert not [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found["violations"]]


def test_phone_has_no_sideways_scroll_and_nothing_moves_while_it_loads(
    browser: Browser, studio: Studio, ready: str
) -> None:
    context = browser.new_context(base_url=studio.url, viewport={"width": 390, "height": 844}, has_touch=True)
    page = context.new_page()
    page.add_init_script(
        "window.shifts = 0; new PerformanceObserver((list) => list.getEntries().forEach((one) => window.shifts +="
        " one.value)).observe({ type: 'layout-shift', buffered: true })"
    )
    for path in ("/", "/add", f"/songs/{ready}"):
        page.goto(path)
        page.wait_for_timeout(1500)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert page.evaluate("window.shifts") < 0.02, path
    context.close()


def test_failure_leaves_room_for_the_song_on_a_phone(browser: Browser, studio: Studio, ready: str) -> None:
    context = browser.new_context(base_url=studio.url, viewport={"width": 390, "height": 844})
    page = context.new_page()
    [job] = studio.http.get("/api/v1/jobs", params={"song_id": ready}).json()["items"]
    message = f"https://example.org/{'models/' * 12}weights.pth could not be fetched"
    failed = {**job, "status": "failed", "result": None, "error": {"code": "model_unavailable", "message": message}}
    page.route("**/api/v1/jobs?*", lambda route: route.fulfill(json={"items": [failed], "total": 1}))
    page.goto("/")
    alert = row(page, "Short Song").get_by_role("alert")
    expect(alert).to_contain_text("Choose another way of separating")
    expect(row(page, "Short Song").get_by_role("button", name="Try again")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for text, least in ((alert, 300), (row(page, "Short Song").get_by_role("link"), 70)):
        box = text.bounding_box()
        assert box
        assert box["width"] >= least
    context.close()


def test_two_fingers_zoom_around_what_is_between_them(browser: Browser, studio: Studio, ready: str) -> None:
    context = browser.new_context(
        base_url=studio.url, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    page = context.new_page()
    opened(page, ready)
    box = page.get_by_role("region", name="Vocals").locator("canvas").bounding_box()
    assert box
    touch = context.new_cdp_session(page)

    def fingers(kind: str, *shares: float) -> None:
        points = [
            {"x": box["x"] + share * box["width"], "y": box["y"] + 30, "id": number}
            for number, share in enumerate(shares)
        ]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    before = in_sight(page)
    fingers("touchStart", 0.4)
    fingers("touchStart", 0.4, 0.6)
    for step in range(1, 9):
        fingers("touchMove", 0.4 - 0.05 * step, 0.6 + 0.05 * step)
    fingers("touchEnd")
    page.wait_for_timeout(300)
    seen = in_sight(page)
    assert seen != before
    first, last = (float(time.split(":")[1]) for time in (seen[0], seen[-1]))
    assert first >= SECONDS * 0.4 - 0.1  # what lay under the fingers lies at the edges now
    assert last <= SECONDS * 0.6 + 0.1
    assert position(page) == 0  # and the playhead stays where it was
    context.close()
