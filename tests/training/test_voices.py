"""Synthetic singers: they sing what they were given; what is done to a voice leaves the rest of it alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from training.corpus import RATE, exists
from training.levels import lufs
from training.voices import effects, formants, melody, real, singing, world
from training.voices.vocals import PEAK, levelled, limited, read_vocals, stereo, write_vocals

from needs import needs

if TYPE_CHECKING:
    from pathlib import Path

    from training.voices.vocals import Audio

PLAIN = melody.Manner(
    vibrato_hz=5.0,
    vibrato_semitones=0.0,
    vibrato_after_s=0.3,
    glide_s=0.02,
    scoop_semitones=0.0,
    drift_semitones=0.0,
)
THROAT = formants.Throat(person=0.5, size=1.0, tilt_hz=4000.0, breath_db=-30.0, air_db=-40.0, ring_db=0.0, focus=1.0)


@pytest.fixture
def vocoder() -> None:
    pytest.importorskip("pyworld", reason="needs pyworld, of the extra [training]")


def singer(vowel: str = "a") -> singing.Singer:
    return singing.Singer(THROAT, PLAIN, (("", vowel, ""),), 48, 64)


def score(*pitches: float, seconds: float = 0.8) -> melody.Score:
    notes = [melody.Note(n * seconds, (n + 0.9) * seconds, pitch, n) for n, pitch in enumerate(pitches)]
    return melody.Score(tuple(notes), 120.0, "C major")


def voice(*, seconds: float = 1.0, hertz: float = 220.0) -> world.Voice:
    count = int(seconds / world.FRAME_S)
    f0 = np.full(count, hertz)
    f0[: count // 10] = 0
    rng = np.random.default_rng(3)
    envelope = rng.normal(-8, 1, (count, world.BINS)).astype(np.float32)
    return world.Voice(f0, envelope, np.full((count, world.BINS), 0.1, np.float32))


def noise(seconds: float = 1.0) -> Audio:
    return np.random.default_rng(1).standard_normal((int(seconds * RATE), 2)).astype(np.float32) * 0.1


def pitch_of(mono: np.ndarray) -> float:
    """Hz of [T] by autocorrelation, 60 to 700 Hz."""
    power = np.abs(np.fft.rfft(mono, 2 * len(mono))) ** 2
    likeness = np.fft.irfft(power)[: RATE // 60]
    lag = RATE // 700 + int(np.argmax(likeness[RATE // 700 :]))
    before, here, after = likeness[lag - 1 : lag + 2]
    return float(RATE / (lag + 0.5 * (before - after) / (before - 2 * here + after)))


@pytest.mark.usefixtures("vocoder")
@pytest.mark.parametrize("vowel", ["a", "i", "u"])
def test_formant_singer_sings_the_pitch_that_it_was_given(vowel: str) -> None:
    pitches = (48.0, 55.0, 64.0)
    sound = singing.sung(score(*pitches), singer(vowel), np.random.default_rng(1))
    for number, pitch in enumerate(pitches):
        middle = int((0.8 * number + 0.4) * RATE)
        heard = 69 + 12 * np.log2(pitch_of(sound[middle - 6000 : middle + 6000]) / 440)
        assert abs(heard - pitch) < 0.3, f"{heard:.2f} for {pitch}"


@pytest.mark.usefixtures("vocoder")
def test_one_seed_is_one_voice_on_the_score_s_time_axis() -> None:
    tune = score(55, 57)
    one, again = (singing.sung(tune, singing.singer(rng), rng) for rng in map(np.random.default_rng, (4, 4)))
    np.testing.assert_array_equal(one, again)
    assert len(one) == int((tune.seconds + 0.5) * RATE)
    assert np.isfinite(one).all()


@pytest.mark.usefixtures("vocoder")
def test_vowels_differ_where_their_formants_do() -> None:
    rng = np.random.default_rng(1)
    levels = {}
    for vowel in ("i", "a"):
        sound = singing.sung(score(48), singer(vowel), rng)[RATE // 4 : RATE // 2]
        power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
        hertz = np.fft.rfftfreq(len(sound), 1 / RATE)
        bands = [power[(hertz > low) & (hertz < high)].sum() for low, high in ((700, 1500), (2000, 3200))]
        levels[vowel] = 10 * np.log10(bands[0] / bands[1])
    assert levels["a"] > levels["i"] + 10


@pytest.mark.usefixtures("vocoder")
def test_vocoder_gives_a_voice_back_at_its_pitch() -> None:
    at = np.arange(RATE) / RATE
    tone = sum(np.sin(2 * np.pi * 200 * n * at) / n for n in range(1, 20))
    heard = world.analyse((0.1 * np.asarray(tone)).astype(np.float32), lowest=100, highest=400)
    assert np.median(heard.f0[heard.f0 > 0]) == pytest.approx(200, rel=0.01)
    back = world.synthesise(world.shifted(heard, 7.0))
    assert pitch_of(back[RATE // 4 : RATE // 2]) == pytest.approx(200 * 2 ** (7 / 12), rel=0.015)


@pytest.mark.usefixtures("vocoder")
@needs("espeak-ng")
def test_speaking_voice_sings_on_the_score_s_time_axis() -> None:
    pytest.importorskip("soundfile", reason="needs soundfile, of the extra [training]")
    from training.voices import speech

    spoken = speech._word("moon", "en-us+m3", 150)
    spoken = world.Voice(np.where(spoken.f0 > 0, 120.0, 0.0), spoken.envelope, spoken.aperiodicity)
    who = speech.Speaker("en-us+m3", (spoken,), PLAIN, 45, 60)
    sound = speech.sung(score(50), who, np.random.default_rng(1))
    assert len(sound) == int((0.72 + 0.5) * RATE)
    heard = 69 + 12 * np.log2(pitch_of(sound[int(0.3 * RATE) : int(0.5 * RATE)]) / 440)
    assert heard == pytest.approx(50, abs=0.4)


@pytest.mark.parametrize("silent", [False, True], ids=["noise", "silence"])
@pytest.mark.parametrize(
    "name", ["compress", "telephone", "saturate", "widen", "tone", "delay", "room", "plate", "hall"]
)
def test_effects_keep_the_length_and_stay_finite(name: str, silent: bool) -> None:
    rng, audio = np.random.default_rng(2), noise() * np.float32(not silent)
    if name in effects.ROOMS:
        out = effects.reverb(audio, rng, kind=name)
    elif name == "delay":
        out = effects.delay(audio, rng, tempo=120.0)
    else:
        out = getattr(effects, name)(audio, rng)
    assert out.shape == audio.shape
    assert np.isfinite(out).all()
    assert np.abs(out).max() > 0.01 or silent


def test_printed_chain_says_what_it_used_and_is_the_same_for_one_seed() -> None:
    audio = noise(0.5)
    one, used = effects.printed(audio, np.random.default_rng(5), tempo=None)
    again, same = effects.printed(audio, np.random.default_rng(5), tempo=None)
    np.testing.assert_array_equal(one, again)
    assert used == same
    assert set(used) <= {"tone", "compress", "saturate", "telephone", "widen", "delay", *effects.ROOMS}


def test_pitch_curve_follows_the_notes() -> None:
    tune = score(57, 60, 52, seconds=1.0)
    curve = melody.pitch_curve(tune.notes, PLAIN, np.random.default_rng(1), start=0.0, count=580)
    for number, note in enumerate(tune.notes):
        middle = np.median(curve[200 * number + 60 : 200 * number + 140])
        assert 69 + 12 * np.log2(middle / 440) == pytest.approx(note.pitch, abs=0.05)


def test_composed_melody_stays_in_its_key_and_its_singer_s_range() -> None:
    for seed in range(10):
        tune = melody.composed(np.random.default_rng(seed), seconds=30, lowest=48, highest=62)
        tonic, scale = melody.parse_key(tune.key)
        assert all((note.pitch - tonic) % 12 in scale and 48 <= note.pitch <= 62 for note in tune.notes)
        assert all(after.start >= note.end - 1e-9 for note, after in zip(tune.notes, tune.notes[1:], strict=False))


def test_second_voice_is_a_third_below_in_the_key() -> None:
    below = singing.second_voice(score(60, 62, 64, 65), steps=-2)
    assert [note.pitch for note in below.notes] == [57, 59, 60, 62]


def test_melody_of_a_song_has_no_two_notes_at_once() -> None:
    rows = [[0.0, 1.2, 60, 0], [1.0, 2.0, 62, 1], [2.5, 2.51, 64, 2]]
    tune = melody.from_song({"melody": rows, "tempo": 90, "key": "D minor"})
    assert tune is not None
    assert [(note.start, note.end) for note in tune.notes] == [(0.0, 1.0), (1.0, 2.0)]
    assert melody.from_song({"tempo": 90}) is None


def test_keys_are_read_with_their_accidentals() -> None:
    assert [melody.parse_key(key)[0] for key in ("C minor", "F# major", "Eb major", "Bb minor")] == [0, 6, 3, 10]
    assert melody.parse_key(None) == (0, tuple(range(12)))


def test_moving_the_pitch_leaves_the_formants_and_the_other_way_round() -> None:
    before = voice()
    higher, longer = world.shifted(before, 12.0), world.with_formants(before, 0.9)
    np.testing.assert_allclose(higher.f0, 2 * before.f0)
    assert higher.envelope is before.envelope
    np.testing.assert_array_equal(longer.f0, before.f0)
    assert not np.allclose(longer.envelope, before.envelope)


def test_quantised_pitch_lies_on_the_scale_and_rests_stay_rests() -> None:
    before = voice(hertz=215.0)
    tuned = world.quantised(before, scale=(0, 2, 4, 5, 7, 9, 11), tonic=0)
    np.testing.assert_allclose(tuned.f0[50:], 220, rtol=1e-4)
    np.testing.assert_array_equal(tuned.f0 > 0, before.f0 > 0)


def test_stretched_voice_keeps_its_pitch() -> None:
    slow = world.stretched(voice(), 1.5)
    assert slow.seconds == pytest.approx(1.5)
    assert set(np.round(slow.f0)) == {0.0, 220.0}


def test_whisper_has_no_pitch() -> None:
    whisper = world.whispered(voice())
    assert not whisper.f0.any()
    assert (whisper.aperiodicity == 1).all()


def test_levelled_voice_has_the_corpus_s_loudness_and_no_peak_above_its_ceiling() -> None:
    out = levelled(noise(3) * np.float32(0.01))
    assert lufs(out.T) == pytest.approx(-20, abs=0.1)
    spiky = noise()
    spiky[RATE // 2] = 30.0
    assert np.abs(limited(spiky)).max() <= PEAK
    np.testing.assert_allclose(limited(spiky)[: RATE // 4], spiky[: RATE // 4], atol=1e-6)
    with pytest.raises(ValueError, match="nothing sounds"):
        levelled(np.zeros((RATE, 2), np.float32))


def test_vocals_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    audio = noise()
    assert write_vocals(tmp_path / "train" / "voice", audio, {"kind": "real"}) == pytest.approx(1)
    assert exists(tmp_path / "train" / "voice")
    np.testing.assert_allclose(read_vocals(tmp_path / "train" / "voice"), audio, atol=1 / 32767)


def test_any_number_of_channels_becomes_two() -> None:
    mono = noise()[:, 0]
    for shaped in (mono, mono[:, None], noise()):
        assert stereo(shaped).shape == (RATE, 2)


def test_phrases_are_joined_whole_with_rests_between_them() -> None:
    phrases = [np.full((RATE // 2, 2), level, np.float32) for level in (0.1, 0.2, 0.3)]
    out = real.joined(phrases, np.random.default_rng(1))
    assert 1.5 + 3 * 0.2 <= len(out) / RATE <= 1.5 + 3 * 1.5
    assert np.count_nonzero(out[:, 0]) == pytest.approx(1.5 * RATE, abs=20)


def test_singers_held_out_are_in_no_recording_for_training(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile", reason="needs soundfile, of the extra [training]")
    for name in ("etv_am_136_adlib", "etv_am_136_phrase", *real.HELD_OUT):
        folder = tmp_path / "singles" / "vocals-producerspace" / name
        folder.mkdir(parents=True)
        soundfile.write(folder / "one.ogg", noise(), RATE)
    (tmp_path / "singles" / "vocals-nit-song070").mkdir()
    soundfile.write(tmp_path / "singles" / "vocals-nit-song070" / "song.ogg", noise(), RATE)
    trained = [path for one in real.recordings(tmp_path) if one.split == "train" for path in one.phrases]
    tested = [path for one in real.recordings(tmp_path) if one.split == "test" for path in one.phrases]
    assert {path.parent.name for path in tested} == {*real.HELD_OUT}
    assert not {path.parent.name for path in trained} & {*real.HELD_OUT}
    assert len(trained) + len(tested) == 6


def test_an_interrupted_run_joins_the_same_recordings_as_one_that_was_not(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile", reason="needs soundfile, of the extra [training]")
    folders = ("vocals-producerspace/shv_a_125", "vocals-nit-song070")
    for folder in folders:
        (tmp_path / "singles" / folder).mkdir(parents=True)
        for number in range(3):
            soundfile.write(tmp_path / "singles" / folder / f"{number}.ogg", noise() * (1 + number), RATE)
    whole = [name for name, _ in real.write_real(tmp_path / "whole", tmp_path, 1)]
    write_vocals(tmp_path / "rest" / "train" / whole[0], noise(), {})
    assert [name for name, _ in real.write_real(tmp_path / "rest", tmp_path, 1)] == whole[1:]
    for name in whole[1:]:
        np.testing.assert_array_equal(
            read_vocals(tmp_path / "rest" / "train" / name), read_vocals(tmp_path / "whole" / "train" / name)
        )
