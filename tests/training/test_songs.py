"""Composed songs: what is written keeps the rules of music, what sounds is what was written."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from training.corpus import RATE, exists, own_rng, to_int16, write_song
from training.levels import lufs
from training.songs import drumsynth, effects, fonts, kits, oneshots, render, synths
from training.songs.compose import compose
from training.songs.drumming import GROOVES, METERS, PIECES, Grid
from training.songs.plan import Hit, Note, Song, Track, Voice
from training.songs.render import Renderer
from training.songs.styles import STYLES
from training.songs.theory import NAMES, SCALES

from needs import needs

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Sound = npt.NDArray[np.floating]

ROOT = Path(__file__).parents[2]
KNOBS = dict.fromkeys("abcde", 0.3)
SEEDS = (1, 2, 3, 4)


@cache
def song(seed: int, style: str | None = None) -> Song:
    return compose(seed, style_name=style)


def small(*, seed: int = 1, hits: tuple[Hit, ...] | None = None, ducked: float = 0.0) -> Song:
    """Four seconds of a chord, a bass and a drum machine, all of them synthesizers."""
    chord = tuple(Note(0.5 * bar, 0.45, pitch, 0.7) for bar in range(6) for pitch in (60, 64, 67))
    line = tuple(Note(0.5 * bar, 0.4, 36, 0.8) for bar in range(6))
    wet = (("room", 0.3), ("echo", 0.3), ("chorus", 0.5), ("phaser", 0.5), ("drive", 0.4), ("tilt", 0.4))
    tracks = (
        Track("other", "pad", Voice("poly", "supersaw", KNOBS), chord, effects=wet),
        Track("bass", "bass", Voice("mono", "saw", KNOBS), line),
    )
    if hits is None:
        hits = tuple(Hit(0.25 * n, ("kick", "hat", "snare", "open")[n % 4], 0.9) for n in range(14))
    kit = Voice("kit", "synth", KNOBS)
    return Song(seed, "house", 120.0, (4, 4), "C major", 4.0, tracks, hits, kit, (), ((0.0, "verse"),), ducked)


def pitch_of(sound: Sound) -> float:
    """Hz of the lowest strong partial of [2, T]."""
    mono = sound.mean(axis=0)
    spectrum = np.abs(np.fft.rfft(mono * np.hanning(len(mono)), 1 << 19))
    hertz = np.fft.rfftfreq(1 << 19, 1 / RATE)
    first = int(np.argmax(spectrum > 0.25 * spectrum.max()))
    around = slice(first, first + int(15 / hertz[1]))
    return float(hertz[first + np.argmax(spectrum[around])])


def cents(heard: float, wanted: float) -> float:
    return abs(1200 * float(np.log2(heard / wanted)))


def test_one_seed_is_one_song() -> None:
    assert compose(SEEDS[0]) == song(SEEDS[0])
    assert song(SEEDS[0]) != song(SEEDS[1])


def test_songs_do_not_depend_on_the_order_of_sets() -> None:
    code = (
        "import hashlib; from training.songs.compose import compose;"
        "print(hashlib.sha1(repr(compose(1)).encode()).hexdigest())"
    )
    for hashing in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hashing}
        said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True, capture_output=True)
        assert said.stdout.decode().strip() == hashlib.sha1(repr(song(1)).encode()).hexdigest()


@pytest.mark.parametrize("kit", ["synth", pytest.param("sonic", marks=needs("sonic-pi-samples"))])
def test_one_seed_is_one_sound(kit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "MIXED", (kit,))  # seed 2 takes pieces of it
    first, again = (Renderer(small(), held_out=False).stems() for _ in range(2))
    other = Renderer(small(seed=2), held_out=False).stems()
    for stem, sound in first.items():
        np.testing.assert_array_equal(sound, again[stem])
        assert not np.array_equal(sound, other[stem])


def test_stems_are_of_one_length_finite_and_below_full_scale() -> None:
    renderer = Renderer(small(ducked=0.8), held_out=False)
    stems = renderer.stems()
    assert set(stems) == {"drums", "bass", "other"}
    for sound in stems.values():
        assert sound.shape == (2, 4 * RATE)
        assert sound.dtype == np.float32
        assert np.isfinite(sound).all()
        assert 0.02 < np.abs(sound).max() < 1
    assert renderer.sources == {kits.CREDITS["synth"]}


def test_a_kit_that_is_not_here_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, kits_of in (("sonic", kits.DRAWN), ("muldjord", kits.LAYERED)):
        monkeypatch.setitem(kits_of, name, (tmp_path / "nowhere", kits_of[name][1]))
        with pytest.raises(FileNotFoundError, match=r"nowhere.*make train"):
            oneshots.kit(name, np.random.default_rng(0))


def test_who_does_not_play_has_no_stem() -> None:
    assert "drums" not in Renderer(small(hits=()), held_out=False).stems()


@pytest.mark.parametrize("seed", SEEDS)
def test_melody_stays_in_its_key_and_in_a_voice_s_range(seed: int) -> None:
    written = song(seed)
    name, third = written.key.split()
    tonic = NAMES.index(name)
    sung = {(pitch - tonic) % 12 for *_, pitch, _ in written.melody}
    scales = [set(scale) for scale in SCALES.values() if scale[2] == (3 if third == "minor" else 4)]
    assert any(sung <= scale for scale in scales)
    assert all(45 <= pitch <= 84 for *_, pitch, _ in written.melody)
    assert all(start < end for start, end, *_ in written.melody)


@pytest.mark.parametrize("seed", SEEDS)
def test_chords_and_lines_stay_in_the_key(seed: int) -> None:
    written = song(seed)
    tonic = NAMES.index(written.key.split()[0])
    roles = {"pad", "arp", "riff", "lead", "strum", "broken", "stab", "beats", "loose", "gated", "skank", "organ"}
    played = {(note.pitch - tonic) % 12 for track in written.tracks if track.role in roles for note in track.notes}
    assert any(played <= set(scale) for scale in SCALES.values())


@pytest.mark.parametrize("seed", SEEDS)
def test_notes_and_strokes_are_playable(seed: int) -> None:
    written = song(seed)
    assert 75 < written.seconds < 115
    for track in written.tracks:
        assert track.stem in {"bass", "other"}
        assert all(12 <= note.pitch <= 115 and 0 < note.loud <= 1 and note.length > 0 for note in track.notes)
        assert [note.start for note in track.notes] == sorted(note.start for note in track.notes)
        if track.stem == "bass":
            assert np.median([note.pitch for note in track.notes] or [36]) < 56
    assert {hit.piece for hit in written.hits} <= set(PIECES)
    assert all(0 <= hit.start <= written.seconds for hit in written.hits)


def test_bars_are_as_long_as_their_meter_says() -> None:
    for meter, options in METERS.items():
        beats, unit = (int(part) for part in meter.split("/"))
        assert {sum(groups) for groups in options} == {16 * beats // unit}


def test_sections_of_an_odd_meter_start_on_its_bars() -> None:
    odd = [song(seed, "prog") for seed in range(4)]
    assert {written.meter for written in odd} & {(5, 4), (7, 8)}
    for written in odd:
        bar = written.meter[0] * 4 / written.meter[1] * 60 / written.tempo
        bars = np.diff([start for start, _ in written.sections]) / bar
        np.testing.assert_allclose(bars, np.round(bars), atol=0.01)
        assert (np.round(bars) >= 2).all()


@pytest.mark.parametrize("groove", GROOVES)
def test_grooves_fit_any_bar(groove: str) -> None:
    for options in METERS.values():
        grid = Grid(sum(options[0]), options[0])
        strokes = GROOVES[groove](np.random.default_rng(3), grid, 0.9)
        assert strokes
        assert all(-1 < step < grid.steps + 4 and piece in PIECES for step, piece, _ in strokes)


def test_recordings_held_out_are_in_no_style() -> None:
    held_out = {*render.TEST_KITS.values(), "millo"}
    trained = {kit for style in STYLES.values() for kit in style.kits} | {*render.MIXED}
    assert not held_out & trained
    recorded = trained & {*kits.LAYERED, *kits.DRAWN}
    assert recorded <= render.TEST_KITS.keys()  # each of them has another one for test songs
    sampled = {
        name.removeprefix("sampled:")
        for style in STYLES.values()
        for sounds in [sounds for _, sounds in style.basses] + [sounds for _, sounds, _ in style.parts]
        for name in sounds
        if name.startswith("sampled:")
    }
    assert {name for name in sampled if not name.startswith("sonic-")} <= render.TEST_PROGRAMS.keys()


def test_fonts_held_out_are_never_drawn_for_training() -> None:
    evaluation = {credit for _, credit in fonts.FONTS.values() if "evaluation only" in credit}
    drawn: dict[bool, set[str]] = {}
    for held_out in (False, True):
        renderer = Renderer(small(), held_out=held_out)
        for _ in range(50):
            renderer._font()
        drawn[held_out] = renderer.sources
    assert drawn[True] == evaluation
    assert not drawn[False] & evaluation


@needs("libfluidsynth", "timgm6mb-soundfont")
def test_test_songs_sound_of_nothing_that_training_songs_sound_of() -> None:
    notes = tuple(Note(0.5 * n, 0.4, 60, 0.8) for n in range(4))
    tracks = (
        Track("other", "pad", Voice("font", "0", KNOBS), notes),
        Track("bass", "bass", Voice("sampled", "bass-yr", KNOBS), notes),
    )
    base = small(hits=())
    written = Song(9, base.style, 120.0, (4, 4), base.key, 3.0, tracks, (), None, (), ((0.0, "verse"),), 0.0)
    renderer = Renderer(written, held_out=True)
    renderer.stems()
    assert renderer.sources == {"TimGM6mb (GPL-2, evaluation only)"}


@needs("libfluidsynth", "fluid-soundfont-gm")
def test_a_soundfont_s_note_does_not_depend_on_what_was_played_before() -> None:
    first = fonts.play("FluidR3", (Note(0.0, 0.5, 57, 0.8),), program=0, frames=RATE)
    fonts.play("FluidR3", (Note(0.0, 0.9, 40, 1.0),), program=48, frames=RATE // 2)
    again = fonts.play("FluidR3", (Note(0.0, 0.5, 57, 0.8),), program=0, frames=RATE)
    np.testing.assert_array_equal(first, again)
    assert cents(pitch_of(first), 220) < 10


@pytest.mark.parametrize("pitch", [45, 57, 76])
@pytest.mark.parametrize("name", ["saw", "square", "triangle", "organ", "pad", "fmkeys"])
def test_synthesizer_plays_the_note_that_it_was_given(name: str, pitch: int) -> None:
    knobs = {**KNOBS, "a": 0.0, "b": 0.0}
    sound = synths.poly(name, knobs, [Note(0.0, 0.9, pitch, 0.8)], frames=RATE)
    wanted = 440 * 2 ** ((pitch - 69) / 12)
    assert cents(pitch_of(sound[:, RATE // 4 :]), wanted) < 20  # copies that are detuned beat


@pytest.mark.parametrize("name", ["sub", "saw", "square", "acid"])
def test_mono_synthesizer_plays_the_note_that_it_was_given(name: str) -> None:
    sound = synths.mono(name, {**KNOBS, "b": 0.0}, [Note(0.0, 0.9, 45, 0.8)], frames=RATE, beat=0.5)
    assert cents(pitch_of(sound[:, RATE // 4 : RATE * 3 // 4]), 110) < 15


def test_notes_of_a_synthesizer_do_not_alias() -> None:
    sound = synths.poly("saw", {**KNOBS, "a": 0.0, "c": 1.0}, [Note(0.0, 0.9, 96, 0.8)], frames=RATE)
    mono = sound.mean(axis=0)[RATE // 4 : RATE * 3 // 4]
    spectrum = np.abs(np.fft.rfft(mono * np.blackman(len(mono)))) ** 2
    hertz = np.fft.rfftfreq(len(mono), 1 / RATE)
    fundamental = 440 * 2 ** ((96 - 69) / 12)
    away = np.abs(hertz / fundamental - np.round(hertz / fundamental)) > 0.1
    assert 10 * np.log10(spectrum[away].sum() / spectrum.sum()) < -50


@pytest.mark.parametrize("piece", PIECES)
def test_drum_machine_has_every_piece(piece: str) -> None:
    sound = drumsynth.piece(piece, np.random.default_rng(1))
    assert sound.shape[0] == 2
    assert 0.02 * RATE < sound.shape[1] < 3 * RATE
    assert np.abs(sound).max() == pytest.approx(1, abs=1e-3)
    np.testing.assert_array_equal(sound, drumsynth.piece(piece, np.random.default_rng(1)))


EFFECTS: dict[str, Callable[[effects.Sound], effects.Sound]] = {
    "room": lambda sound: effects.room(sound, seconds=0.8),
    "echo": lambda sound: effects.echo(sound, seconds=0.2, fall=0.5),
    "chorus": lambda sound: effects.chorus(sound, depth=0.5, rate=0.6),
    "drive": lambda sound: effects.drive(sound, amount=0.5),
    "amplifier": lambda sound: effects.amplifier(sound, gain=0.7, tone=0.5),
    "compress": lambda sound: effects.compress(sound, ratio=4),
    "sweep": lambda sound: effects.sweep(sound, np.geomspace(300, 9000, 100), quality=2),
    "tilt": lambda sound: effects.tilt(sound, db=6),
    "tremolo": lambda sound: effects.tremolo(sound, hertz=5, depth=0.6, panned=True),
    "phaser": lambda sound: effects.phaser(sound, hertz=0.4, depth=0.8),
    "crush": lambda sound: effects.crush(sound, every=3, bits=8),
    "pan": lambda sound: effects.pan(sound, place=-0.5),
    "limit": effects.limit,
}


@pytest.mark.parametrize("name", EFFECTS)
@pytest.mark.parametrize("silent", [False, True], ids=["noise", "silence"])
def test_effects_keep_the_length_and_stay_finite(name: str, silent: bool) -> None:
    noise = np.random.default_rng(1).standard_normal((2, RATE + 17)).astype(np.float32) * 0.2
    sound = noise * np.float32(not silent)
    out = EFFECTS[name](sound)
    assert out.shape == sound.shape
    assert np.isfinite(out).all()
    assert silent or np.abs(out).max() > 0.01


def test_limiter_leaves_what_is_quiet_and_holds_what_is_loud() -> None:
    sound = np.array([[0.1, -0.5, 3.0, -40.0]] * 2, np.float32)
    out = effects.limit(sound)
    np.testing.assert_array_equal(out[:, :2], sound[:, :2])
    assert np.abs(out).max() <= 0.97


def test_ducking_is_deepest_on_the_kick_and_over_after_the_release() -> None:
    gain = effects.duck([0.5], depth=0.8, release=0.2, frames=RATE)
    assert gain[RATE // 2] == pytest.approx(0.2, abs=1e-3)
    assert (gain[: RATE // 2 - 1] == 1).all()
    assert (gain[int(0.7 * RATE) + 1 :] == 1).all()


def test_loudness_of_a_tone_is_what_the_standard_says() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(3 * RATE) / RATE) * 10 ** (-23 / 20)
    assert lufs(np.stack([tone, tone]).astype(np.float32)) == pytest.approx(-23, abs=0.1)
    paused = np.concatenate([tone, np.zeros(5 * RATE)])
    assert lufs(np.stack([paused, paused]).astype(np.float32)) == pytest.approx(-23, abs=0.5)
    assert lufs(np.zeros((2, RATE), np.float32)) == float("-inf")


def test_a_song_is_on_disk_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "train" / "song"
    stem = to_int16(np.full((RATE, 2), 0.5, np.float32))
    assert write_song(folder, stems={"bass": stem}, facts={"key": "C minor"}) == 1
    assert exists(folder)
    assert json.loads((folder / "song.json").read_text()) == {"stems": ["bass"], "seconds": 1.0, "key": "C minor"}
    np.testing.assert_array_equal(np.load(folder / "bass.npy"), stem)
    with pytest.raises(TypeError):
        write_song(tmp_path / "train" / "other", stems={"bass": stem}, facts={"key": object()})
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["bass.npy", "song", "song.json", "train"]


def test_samples_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="not every sample"):
        to_int16(np.array([[0.0, np.nan]], np.float32))


def test_random_numbers_of_a_recording_are_its_own() -> None:
    assert own_rng(1, "voice", 2).random() == own_rng(1, "voice", 2).random()
    assert len({own_rng(*key).random() for key in ((1, "a", 0), (1, "b", 0), (1, "a", 1), (2, "a", 0))}) == 4
