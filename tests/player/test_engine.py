"""The audio proof: what the player's engine puts out in a real browser, sample for sample."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from player.browser import chromium
from player.engine_page import Front, Proof, Song, addresses, build, imported, served
from server import running
from sounds import level_db, read, sound, write_wav

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx
    import numpy.typing as npt
    from playwright.sync_api import Browser, Page

    from server import Server
    from sounds import Samples

RATE = 44_100
FADE = round(0.005 * RATE) + 1  # samples of a fade-in or -out
PLAY = "await engine.play(); await proof.wait(argument); engine.pause(); await proof.wait(0.1)"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("engine") / "data") as server:
        yield server


@pytest.fixture(scope="module")
def front(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with served(build(tmp_path_factory.mktemp("page")), server.http) as front:
        yield front


@pytest.fixture
def proof(page: Page, front: Front) -> Proof:
    return Proof(page, front.origin)


def stem_of(studio: httpx.Client, song: Song, name: str, folder: Path) -> Samples:
    """A stem's file, decoded by ffmpeg."""
    file = folder / "downloaded.flac"
    file.write_bytes(studio.get(next(stem["flac"] for stem in song.stems if stem["name"] == name)).content)
    return read(file, channels=2)


def place(heard: Samples, whole: Samples) -> int:
    """Where in a whole what was heard comes from: by its sample 4000 and those after it, which no fade touches."""
    window = heard[:, 4000:4512]
    size = whole.shape[1] + 1024
    spectrum = np.fft.rfft(whole, size, axis=1) * np.conj(np.fft.rfft(window, size, axis=1))
    energy = np.cumsum(np.concatenate([np.zeros(1), (whole.astype(float) ** 2).sum(axis=0)]))
    energy = energy[512:] - energy[:-512]
    likeness = np.fft.irfft(spectrum, size, axis=1).sum(axis=0)[: len(energy)]
    return int(np.argmax(likeness - energy / 2)) - 4000


def compared(heard: Samples, whole: Samples) -> tuple[Samples, Samples, int]:
    """What was heard between its fades, the same part of a whole, and where that begins."""
    start = place(heard, whole)
    middle = heard[:, FADE:-FADE]
    return middle, whole[:, start + FADE : start + heard.shape[1] - FADE], start


@pytest.fixture(scope="module")
def separated(server: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[Song, Samples]:
    """A song that `sketch` took apart, and its samples."""
    samples = np.round(sound("song", seconds=8) * 32768) / np.float32(32768)
    path = write_wav(tmp_path_factory.mktemp("song") / "song.wav", samples, bits=16)
    job = server.wait(server.submit(path, model="sketch", analysis="false")["id"])
    assert job["status"] == "succeeded", job
    names = [stem["name"] for stem in server.http.get(job["links"]["song"]).json()["separations"][0]["stems"]]
    assert len(names) >= 4
    return Song(addresses(job["song_id"], names), RATE, samples.shape[1]), samples


def test_all_stems_of_a_separation_at_0_db_are_the_mix(proof: Proof, separated: tuple[Song, Samples]) -> None:
    song, mix = separated
    proof.open(song)
    middle, expected, start = compared(proof.record(PLAY, 3), mix)
    assert middle.shape[1] > 2.5 * RATE
    assert 0 <= start < 200
    assert level_db(middle - expected, expected) < -60


def test_a_soloed_stem_is_its_file_to_the_bit(
    proof: Proof, separated: tuple[Song, Samples], server: Server, tmp_path: Path
) -> None:
    song, _ = separated
    stem = stem_of(server.http, song, "vocals", tmp_path)
    proof.open(song)
    proof.run("engine.setStem('vocals', { solo: true })")
    middle, expected, _ = compared(proof.record(PLAY, 1.5), stem)
    np.testing.assert_array_equal(middle, expected)


def test_the_servers_mixdown_is_what_is_heard(
    proof: Proof, separated: tuple[Song, Samples], server: Server, tmp_path: Path
) -> None:
    song, _ = separated
    address = song.stems[0]["flac"].rpartition("/stems/")[0]
    file = tmp_path / "mix.wav"
    query = "vocals=-6&eq.vocals=3,-2,5.5&drums=2.5&pan.drums=0.4&eq.other=-24,12,0&pan.other=-1&bass=mute"
    file.write_bytes(server.http.get(f"{address}/mix.wav32f?{query}").content)
    mix = read(file, channels=2)
    proof.open(song)
    proof.run("""
        engine.setStem('vocals', { gain: -6, eq: { low: 3, mid: -2, high: 5.5 } })
        engine.setStem('drums', { gain: 2.5, pan: 0.4 })
        engine.setStem('other', { pan: -1, eq: { low: -24, mid: 12, high: 0 } })
        engine.setStem('bass', { mute: true })
    """)
    middle, expected, _ = compared(proof.record(PLAY, 2), mix)
    assert level_db(middle - expected, expected) < -60


def digits(seconds: float) -> tuple[dict[str, Samples], npt.NDArray[np.int64]]:
    """Three stems of chance, each in five bits of its own, so that a sum tells every sample of each; and that sum."""
    rng = np.random.default_rng(8)
    parts = rng.integers(0, 32, (3, 2, round(seconds * RATE))) * np.array([1, 32, 1024])[:, None, None]
    stems = {
        name: (part / 32768).astype(np.float32) for name, part in zip(("bass", "drums", "other"), parts, strict=True)
    }
    return stems, parts.sum(axis=0)


def test_after_twenty_seeks_all_stems_are_at_the_same_sample(proof: Proof, server: Server, tmp_path: Path) -> None:
    stems, whole = digits(8)
    proof.open(imported(server.http, tmp_path, stems))
    proof.run("await proof.wait(1); await engine.play()")
    targets = np.random.default_rng(3).integers(0, 7 * RATE, 20)
    for target in targets:
        heard = proof.record(
            "engine.seek(argument); await proof.until(() => engine.position() > argument + 0.15)", target / RATE
        )
        tail = np.rint(heard[:, -4000:] * 32768).astype(int)  # none of the fades
        assert (tail == heard[:, -4000:] * 32768).all()
        found = [at for at in range(target, target + RATE) if (whole[:, at] == tail[:, 0]).all()]
        assert any((whole[:, at : at + 4000] == tail).all() for at in found), f"not together after {target}"


def test_a_seek_begins_with_the_sample_that_was_asked_for(proof: Proof, server: Server, tmp_path: Path) -> None:
    stems, whole = digits(3)
    proof.open(imported(server.http, tmp_path, stems))
    proof.run("engine.seek(argument)", 54_321 / RATE)
    assert proof.run("return engine.position()") == pytest.approx(54_321 / RATE)
    middle, expected, start = compared(proof.record(PLAY, 0.5), (whole / 32768).astype(np.float32))
    np.testing.assert_array_equal(middle, expected)
    assert start == 54_321


def test_a_loop_of_four_seconds_repeats_exactly_and_in_time(proof: Proof, server: Server, tmp_path: Path) -> None:
    stems = {"vocals": sound("noise", seconds=20, seed=1), "other": sound("noise", seconds=20, seed=2)}
    proof.open(imported(server.http, tmp_path, stems))
    script = """
        engine.setLoop({ start: 9.1, end: 13.1 })
        engine.seek(9.1)
        await proof.wait(1.5)  /* five seconds are ahead then */
        await engine.play()
        await proof.until(() => engine.position() > 9.2)
        const [start, from] = [proof.context.currentTime, engine.position()]
        await proof.wait(12.5)
        proof.drift = (proof.context.currentTime - start - (engine.position() - from))
        engine.pause()
        await proof.wait(0.1)
    """
    heard = proof.record(script)
    length = 4 * RATE
    middle = heard[:, FADE:-FADE]
    assert middle.shape[1] > 3 * length
    np.testing.assert_array_equal(middle[:, length:], middle[:, :-length])
    whole = np.rint(sum(stems.values()) * 32768)
    assert (
        np.abs(middle[:, : length - FADE] * 32768 - whole[:, round(9.1 * RATE) + FADE : round(13.1 * RATE)]).max() <= 1
    )
    assert proof.run("return proof.statuses") == ["loading", "ready", "playing", "ready"]
    drift = proof.run("return proof.drift") % 4  # from the clock of the output, which a busy machine makes wait, too
    assert min(drift, 4 - drift) < 0.005


@pytest.mark.parametrize("drums", ["drums", "other"])
def test_finer_stems_take_over_while_it_plays_called_alike_or_not(
    drums: str, proof: Proof, server: Server, tmp_path: Path
) -> None:
    rng = np.random.default_rng(5)
    fine = {
        name: (np.round(0.2 * rng.standard_normal((2, 8 * RATE)) * 16384) / 32768).astype(np.float32)
        for name in ("drums", "vocals")
    }
    for kind in ("draft", "fine"):
        (tmp_path / kind).mkdir()
    halves = {drums: fine["drums"], "vocals": fine["vocals"]}
    draft = imported(
        server.http, tmp_path / "draft", {name: (samples / 2).astype(np.float32) for name, samples in halves.items()}
    )
    better = imported(server.http, tmp_path / "fine", fine)
    proof.open(draft)
    script = """
        engine.setStem('vocals', { gain: -6 })
        await engine.play()
        await proof.wait(0.7)
        await engine.replace(argument, null)
        await proof.wait(0.7)
        engine.pause()
        await proof.wait(0.1)
    """
    heard = proof.record(script, better.stems)
    whole = (fine["drums"] + 10 ** (-6 / 20) * fine["vocals"]).astype(np.float32)
    start = place(heard[:, 40_000:], whole) - 40_000  # from the fine part
    level = np.abs(heard[:, FADE:-FADE]).sum() / np.abs(whole[:, start + FADE : start + heard.shape[1] - FADE]).sum()
    assert 0.5 < level < 1
    shares = (heard[:, FADE:-FADE] * whole[:, start + FADE : start + heard.shape[1] - FADE]).sum(axis=0)
    shares = shares[: len(shares) // 441 * 441].reshape(-1, 441).sum(axis=1)
    powers = (whole[:, start + FADE :][:, : len(shares) * 441] ** 2).sum(axis=0).reshape(-1, 441).sum(axis=1)
    gains = shares / powers  # each 10 ms: 0.5, then within 30 ms 1
    assert np.abs(gains[:50] - 0.5).max() < 0.01
    assert np.abs(gains[-50:] - 1).max() < 1e-4
    between = np.flatnonzero((gains > 0.51) & (gains < 0.99))
    assert 2 <= len(between) <= 4
    assert between[-1] - between[0] < 4
    assert proof.run("return [engine.names, Object.keys(engine.state.stems)]") == [["drums", "vocals"]] * 2
    assert proof.run("return proof.statuses") == ["loading", "ready", "playing", "ready"]
    assert proof.run("return engine.state.stems.vocals.gain") == -6


def test_more_stems_take_over_once_the_song_has_ended(proof: Proof, server: Server, tmp_path: Path) -> None:
    errors: list[str] = []
    proof.page.on("pageerror", lambda error: errors.append(str(error)))
    for kind in ("draft", "fine"):
        (tmp_path / kind).mkdir()
    draft = imported(server.http, tmp_path / "draft", {"other": sound("noise", seconds=1.5, seed=1)})
    stems = {name: sound("noise", seconds=1.5, seed=at) for at, name in enumerate(("bass", "drums", "vocals"), 2)}
    better = imported(server.http, tmp_path / "fine", stems)
    proof.open(draft)
    proof.run("await engine.play(); await proof.until(() => engine.position() >= engine.duration)")
    proof.run("await engine.replace(argument, null)", better.stems)
    assert proof.run("return engine.names") == ["bass", "drums", "vocals"]
    heard = proof.record("await engine.play(); await proof.wait(0.7); engine.pause(); await proof.wait(0.1)")
    parts = [stem_of(server.http, better, name, tmp_path) for name in stems]
    middle, expected, _ = compared(heard, np.sum(parts, axis=0))
    assert level_db(middle - expected, expected) < -60
    assert sorted(proof.run("return Object.keys(engine.levels())")) == ["bass", "drums", "master", "vocals"]
    assert not errors


def test_the_original_takes_the_place_of_the_stems(proof: Proof, server: Server, tmp_path: Path) -> None:
    stems = {"vocals": sound("noise", seconds=4, seed=1), "other": sound("noise", seconds=4, seed=2)}
    for kind in ("stems", "whole"):
        (tmp_path / kind).mkdir()
    song = imported(server.http, tmp_path / "stems", stems)
    mix = imported(server.http, tmp_path / "whole", {"other": sound("song", seconds=4, seed=3)})
    original = stem_of(server.http, mix, "other", tmp_path)
    proof.open(Song(song.stems, RATE, song.samples, original=mix.stems[0]))
    proof.run("await engine.setOriginal(true); await proof.wait(0.5)")
    middle, expected, _ = compared(proof.record(PLAY, 1), original)
    np.testing.assert_array_equal(middle, expected)


def test_the_original_that_is_not_there_is_said_and_the_stems_are_heard_on(
    proof: Proof, separated: tuple[Song, Samples]
) -> None:
    song, _ = separated
    gone = {"name": "original", "flac": "/api/v1/songs/none/original.flac", "wav": "/api/v1/songs/none/original.wav"}
    proof.open(Song(song.stems, RATE, song.samples, original=gone))
    said = proof.run("""
        await engine.play()
        const said = await engine.setOriginal(true).catch((error) => error.message)
        const from = engine.position()
        await proof.until(() => engine.position() > from + 0.3)
        return [said, engine.state.original, engine.state.status]
    """)
    assert said[0]
    assert said[1:] == ["off", "playing"]


def test_speed_leaves_the_pitch_and_gives_every_bit_back(proof: Proof, server: Server, tmp_path: Path) -> None:
    time = np.arange(20 * RATE) / RATE
    tone = (0.3 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    noise = sound("noise", seconds=20, seed=4) * np.where(time > 8, 1, 0)
    stems = {"other": np.stack([np.where(time < 8, tone, 0)] * 2), "drums": noise.astype(np.float32)}
    proof.open(imported(server.http, tmp_path, stems))
    script = """
        engine.setSpeed(0.5)
        await engine.play()
        await proof.until(() => engine.position() > 1)
        const [from, start] = [engine.position(), proof.context.currentTime]
        await proof.until(() => engine.position() > from + 1)
        proof.rate = (engine.position() - from) / (proof.context.currentTime - start)
    """
    heard = proof.record(script)[0, -RATE:]
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(RATE)))
    assert abs(np.argmax(spectrum) - 440) <= 2  # Hz
    assert proof.run("return proof.rate") == pytest.approx(0.5, abs=0.02)
    again = proof.record("""
        engine.setSpeed(1)
        engine.seek(9)
        await proof.until(() => engine.position() > 9.9)
        engine.pause()
        await proof.wait(0.1)
    """)
    middle, expected, _ = compared(again[:, -RATE // 4 :], (np.rint(noise * 32768) / 32768).astype(np.float32))
    np.testing.assert_array_equal(middle, expected)


def test_a_studio_that_is_away_for_a_moment_makes_it_wait_not_fail(
    proof: Proof, server: Server, front: Front, tmp_path: Path
) -> None:
    stems, whole = digits(30)
    proof.open(imported(server.http, tmp_path, stems))
    front.away.set()
    try:
        proof.run("await engine.play(); engine.seek(20); await proof.until(() => engine.state.status === 'buffering')")
    finally:
        front.away.clear()
    heard = proof.record("await proof.until(() => engine.position() > 20.5); engine.pause(); await proof.wait(0.1)")
    middle, expected, start = compared(heard, (whole / 32768).astype(np.float32))
    np.testing.assert_array_equal(middle, expected)
    assert start == 20 * RATE


def test_a_stem_that_is_not_there_is_told(proof: Proof) -> None:
    song = Song(addresses("0" * 28, ["vocals"]), RATE, RATE)
    said = proof.run("return proof.open(argument).then(() => 'opened', (error) => error.message)", song.options())
    assert "answers 404" in said


def test_wav_serves_where_webcodecs_is_missing_and_nothing_plays_before_a_gesture(
    browser: Browser, front: Front, server: Server, tmp_path: Path
) -> None:
    stems, whole = digits(6)
    song = imported(server.http, tmp_path, stems)
    strict = browser.browser_type.launch(executable_path=chromium(), args=["--no-sandbox"])
    front.old.set()
    try:
        page = strict.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        states = "[proof.context.state, proof.engine.state.status]"
        opening = f"opening = proof.open({json.dumps(song.options())}).then(() => {states})"
        page.add_init_script(f"addEventListener('DOMContentLoaded', () => {{ {opening} }})")  # which is no gesture
        proof = Proof(page, front.origin)
        assert page.evaluate("opening") == ["suspended", "ready"]
        page.mouse.click(5, 5)
        middle, expected, start = compared(proof.record(PLAY, 1), (whole / 32768).astype(np.float32))
    finally:
        front.old.clear()
        strict.close()
    np.testing.assert_array_equal(middle, expected)
    assert start == 0
    assert {url.rpartition(".")[2] for url in asked if "/stems/" in url} == {"wav"}
