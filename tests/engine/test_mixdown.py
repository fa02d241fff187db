from __future__ import annotations

import itertools
import math
import tempfile
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import scipy.signal
import soxr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recordings import Belongings
from signals import FFMPEGS, choose, decode, decode_tracks, lag
from sounds import level_db, sound, write_wav
from stemwright.audio.digest import PcmDigest
from stemwright.audio.encode import Encoder, quantise
from stemwright.audio.formats import FORMATS
from stemwright.audio.resample import resampled_length
from stemwright.audio.sniff import sniff
from stemwright.audio.tags import Tags, read_tags
from stemwright.engine.channel_strip import MAX_GAIN_DB, ChannelStrip
from stemwright.engine.mixdown import Mixdown, mixdown, recording, stem_mp4, summed, transcode
from stemwright.errors import (
    CorruptInputError,
    InputChangedError,
    NotAudioError,
    OptionError,
    OutputError,
    OutputExistsError,
    UnknownStemError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from stemwright.types import Samples

NAMES = ("drums", "bass", "other", "vocals")
FRAMES = 70_001  # a bit more than one block of the decoder
RATE = 44_100


def store(path: Path, samples: Samples, *, rate: int = RATE, name: str = "flac24") -> Path:
    with Encoder(path, format=FORMATS[name], sample_rate=rate, channels=len(samples)) as encoder:
        encoder.write(samples)
    return path


def stored(path: Path, *, channels: int = 2) -> Samples:
    return decode(path, channels=channels, which="imageio")


def song_of_four(folder: Path, *, frames: int = FRAMES, rate: int = RATE, gain: float = 0.5) -> dict[str, Path]:
    """Four stereo stems of 24 bits, each up to half of full scale or so."""
    seconds = frames / rate
    sounds = [sound("song", seconds=seconds, rate=rate, seed=seed)[:, :frames] for seed in range(4)]
    return {
        name: store(folder / f"{name}.flac", np.roll(samples, 997 * number, axis=1) * np.float32(gain), rate=rate)
        for number, (name, samples) in enumerate(zip(NAMES, sounds, strict=True))
    }


@pytest.fixture(scope="module")
def stems(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return song_of_four(tmp_path_factory.mktemp("stored"))


@pytest.fixture(scope="module")
def truth(stems: Mapping[str, Path]) -> dict[str, Samples]:
    return {name: stored(path) for name, path in stems.items()}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Path], dict[str, Samples]]:
    """Three short mono stems of 16 bits: noise, so that no sample is like another."""
    folder, rng = tmp_path_factory.mktemp("small"), np.random.default_rng(5)
    sounds = {name: (0.3 * rng.uniform(-1, 1, (1, 4001))).astype(np.float32) for name in ("a", "b", "c")}
    paths = {name: store(folder / name, samples, rate=8000, name="flac16") for name, samples in sounds.items()}
    return paths, {name: stored(path, channels=1) for name, path in paths.items()}


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No child, no open file, no thread, no private folder."""
    folder = tmp_path_factory.mktemp("private")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    choose("imageio", monkeypatch)  # it starts five times faster than Debian's
    before = Belongings()
    yield
    before.assert_unchanged()
    assert not list(folder.iterdir())


def mix(  # all gains 0 dB, the whole song, as float
    stems: Mapping[str, Path],
    target: Path,
    *,
    gains_db: Mapping[str, float | None] | None = None,
    start: float | None = None,
    end: float | None = None,
    name: str = "wav32f",
) -> Mixdown:
    strips = {stem: ChannelStrip(gain_db=gain) for stem, gain in (gains_db or {}).items()}
    return mixdown(stems, target, strips=strips, start=start, end=end, format=FORMATS[name])


def total(sounds: Mapping[str, Samples]) -> Samples:
    """The exact sum, rounded once. Output: `[C, T]` float32."""
    exact: Samples = np.sum([samples.astype(np.float64) for samples in sounds.values()], axis=0).astype(np.float32)
    return exact


# --- one stem ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", FFMPEGS)
@pytest.mark.parametrize("name", FORMATS)
def test_a_stem_becomes_any_format_with_each_sample_in_its_place(
    name: str,
    which: str,
    stems: Mapping[str, Path],
    truth: Mapping[str, Samples],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    choose(which, monkeypatch)
    target = tmp_path / f"x{FORMATS[name].extension}"
    transcode(stems["drums"], target, format=FORMATS[name])
    sent, got = truth["drums"], stored(target)
    if bits := FORMATS[name].bits:
        integers = quantise(sent, bits=bits)
        assert np.array_equal(got, integers.astype(np.float32) / np.float32(2 ** (8 * integers.itemsize - 1)))
    elif FORMATS[name].lossless:
        assert np.array_equal(got, sent)
    else:
        if name == "opus":
            sent = soxr.resample(sent.T, RATE, 48_000).T
            assert got.shape[1] == resampled_length(FRAMES, in_rate=RATE, out_rate=48_000)
        assert abs(got.shape[1] - sent.shape[1]) <= (name == "opus")  # soxr rounds its length, ours is rounded up
        assert lag(sent[0], got[0]) == 0
        assert abs(level_db(got, sent)) < 0.2
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_a_rate_that_a_format_cannot_carry_is_brought_to_the_nearest(tmp_path: Path) -> None:
    wave = sound("song", seconds=1.00001, rate=96_000)
    transcode(store(tmp_path / "x.flac", wave, rate=96_000), tmp_path / "x.mp3", format=FORMATS["mp3"])
    got = stored(tmp_path / "x.mp3")
    assert got.shape[1] == resampled_length(wave.shape[1], in_rate=96_000, out_rate=48_000)
    half = soxr.resample(wave.T, 96_000, 48_000).T
    assert lag(half[0], got[0]) == 0


def test_mono_stays_mono(small: tuple[dict[str, Path], dict[str, Samples]], tmp_path: Path) -> None:
    paths, sounds = small
    transcode(paths["a"], tmp_path / "a.wav", format=FORMATS["wav16"])
    assert np.array_equal(stored(tmp_path / "a.wav", channels=1), sounds["a"])
    assert b"fmt \x10\0\0\0\1\0\1\0" in (tmp_path / "a.wav").read_bytes()  # PCM, one channel


def test_songs_tags_are_in_what_is_made_of_its_stems(tmp_path: Path) -> None:
    tags, stems = Tags(text={"title": "Lied", "artist": "B", "album": "C"}), {}
    for stem in ("bass", "drums", "other", "vocals"):
        stems[stem] = tmp_path / f"{stem}.flac"
        raw = write_wav(tmp_path / f"{stem}.wav", sound("noise", seconds=0.5, seed=len(stem)))
        transcode(raw, stems[stem], format=FORMATS["flac16"], tags=tags.for_stem(stem, fallback=""))
    transcode(stems["drums"], tmp_path / "drums.mp3", format=FORMATS["mp3"])
    mixdown(stems, tmp_path / "mix.opus", strips={}, start=None, end=None, format=FORMATS["opus"])
    stem_mp4(stems, tmp_path / "x.stem.mp4", format=FORMATS["m4a"])
    read = [(name, read_tags(tmp_path / name, demuxer=kind)[0].text) for name, kind in
            (("drums.mp3", "mp3"), ("mix.opus", "ogg"), ("x.stem.mp4", "mov"))]  # fmt: skip
    titles = {"drums.mp3": "Lied (drums)", "mix.opus": "Lied", "x.stem.mp4": "Lied"}
    assert read == [(name, {**tags.text, "title": title}) for name, title in titles.items()]


def test_tags_and_bit_rate_get_into_the_file(stems: Mapping[str, Path], tmp_path: Path) -> None:
    tags = Tags(text={"title": "Ä (drums)", "artist": "B"})
    for rate in (64_000, 192_000):
        transcode(stems["drums"], tmp_path / f"{rate}.mp3", format=FORMATS["mp3"], bitrate=rate, tags=tags)
    low, high = ((tmp_path / f"{rate}.mp3").stat().st_size for rate in (64_000, 192_000))
    assert 2.5 < high / low < 3.2
    assert read_tags(tmp_path / "64000.mp3", demuxer="mp3")[0].text == tags.text
    with pytest.raises(OptionError, match="lossless"):
        transcode(stems["drums"], tmp_path / "x.wav", format=FORMATS["wav16"], bitrate=64_000)


@pytest.mark.parametrize("damage", ["cut", "flipped", "text"])
def test_a_damaged_stem_gives_no_file_and_leaves_the_old_one(
    damage: str, stems: Mapping[str, Path], tmp_path: Path
) -> None:
    data = bytearray(stems["bass"].read_bytes())
    if damage == "cut":
        del data[len(data) // 2 :]
    elif damage == "flipped":
        data[len(data) // 2] ^= 0xFF
    else:
        data = bytearray(b"ffconcat version 1.0\nfile other.flac\n")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "old.wav").write_bytes(b"old")
    bad = tmp_path / "bass.flac"
    bad.write_bytes(data)
    for write in (
        lambda: transcode(bad, folder / "old.wav", format=FORMATS["wav16"]),
        lambda: mix({**stems, "bass": bad}, folder / "old.wav"),
        lambda: stem_mp4({**stems, "bass": bad}, folder / "old.wav", format=FORMATS["m4a"]),
    ):
        with pytest.raises(NotAudioError if damage == "text" else CorruptInputError, match="bass"):
            write()
        assert [(path.name, path.read_bytes()) for path in folder.iterdir()] == [("old.wav", b"old")]


def test_a_stem_is_not_overwritten_by_what_is_made_of_it(stems: Mapping[str, Path], tmp_path: Path) -> None:
    before = stems["drums"].read_bytes()
    link = tmp_path / "link.flac"
    link.symlink_to(stems["drums"])
    for target in (stems["drums"], link):
        with pytest.raises(OutputExistsError):
            transcode(stems["drums"], target, format=FORMATS["flac16"])
        with pytest.raises(OutputExistsError):
            mix(stems, target)
    assert stems["drums"].read_bytes() == before


def test_a_place_that_cannot_be_written_is_an_output_error(stems: Mapping[str, Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder.wav").mkdir()
    for target in (tmp_path / "file" / "x.wav", tmp_path / "folder.wav"):
        with pytest.raises(OutputError):
            transcode(stems["drums"], target, format=FORMATS["wav16"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.wav"]


# --- the mixdown ------------------------------------------------------------------------------------------------------


def test_at_0_db_the_mixdown_is_the_sum_of_the_stems_bit_for_bit(
    stems: Mapping[str, Path], truth: Mapping[str, Samples], tmp_path: Path
) -> None:
    done = mix(stems, tmp_path / "float.wav")
    assert done == Mixdown(gain_db=0.0, frames=FRAMES, sample_rate=RATE, duration=FRAMES / RATE)
    assert np.array_equal(stored(tmp_path / "float.wav"), total(truth))
    mix({name: stems[name] for name in reversed(NAMES)}, tmp_path / "reversed.wav", gains_db=dict.fromkeys(NAMES, 0.0))
    assert (tmp_path / "reversed.wav").read_bytes() == (tmp_path / "float.wav").read_bytes()


@pytest.mark.parametrize("name", FORMATS)
def test_a_mixdown_in_any_format_is_as_long_and_in_place(
    name: str, stems: Mapping[str, Path], truth: Mapping[str, Samples], tmp_path: Path
) -> None:
    target = tmp_path / f"x{FORMATS[name].extension}"
    done = mix(stems, target, start=0.25, end=1.25, gains_db={"vocals": -6.0}, name=name)
    got = stored(target)
    sent = total({**truth, "vocals": truth["vocals"] * np.float32(10 ** (-6 / 20))})[:, 11_025:55_125]
    if name == "opus":
        sent = soxr.resample(sent.T, RATE, 48_000).T
    assert got.shape == sent.shape
    assert done.frames == got.shape[1]
    assert done.duration == 1.0
    assert lag(sent[0], got[0]) == 0
    assert np.abs(got).max() <= 1 or not FORMATS[name].lossless
    sent = sent * np.float32(10 ** (done.gain_db / 20))
    if FORMATS[name].lossless:
        assert np.abs(got - sent).max() < 2.0**-15
    else:
        assert abs(level_db(got, sent)) < 0.2


@pytest.mark.parametrize("gain_db", [-6.0206, -60.0, 3.5, -0.1, 12.0])
def test_a_gain_changes_the_level_by_as_many_db(
    gain_db: float, stems: Mapping[str, Path], truth: Mapping[str, Samples], tmp_path: Path
) -> None:
    others = dict.fromkeys(("drums", "bass", "other"), None)
    mix(stems, tmp_path / "x.wav", gains_db={**others, "vocals": gain_db})
    assert level_db(stored(tmp_path / "x.wav"), truth["vocals"]) == pytest.approx(gain_db, abs=1e-4)


@given(
    gains=st.lists(st.one_of(st.none(), st.just(-math.inf), st.floats(-90, 40)), min_size=3, max_size=3),
    region=st.tuples(st.integers(0, 4001), st.integers(0, 4001)).filter(lambda pair: pair[0] != pair[1]).map(sorted),
)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_gains_and_region_give_that_region_of_that_sum(
    gains: list[float | None], region: list[int], small: tuple[dict[str, Path], dict[str, Samples]], tmp_path: Path
) -> None:
    paths, sounds = small
    first, last = region
    gains_db = dict(zip(paths, gains, strict=True))
    factors = [10.0 ** (-math.inf if gain is None else gain / 20) for gain in gains]
    sent = sum(factor * sounds[name].astype(np.float64) for name, factor in zip(paths, factors, strict=True))
    assert isinstance(sent, np.ndarray)
    sent = sent[:, first:last]
    for name in ("wav32f", "wav24"):
        done = mix(paths, tmp_path / "x.wav", gains_db=gains_db, start=first / 8000, end=last / 8000, name=name)
        got = stored(tmp_path / "x.wav", channels=1)
        peak = float(np.abs(sent).max())
        gain = 1 / peak if name == "wav24" and peak > 1 else 1.0
        assert done.frames == last - first == got.shape[1]
        assert done.gain_db == pytest.approx(20 * math.log10(gain), abs=1e-4)
        np.testing.assert_allclose(got, sent * gain, rtol=2e-7, atol=2.0**-22 if name == "wav24" else 0)


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [
        (None, None, 0, FRAMES),
        (1 / RATE, 2 / RATE, 1, 2),
        (65_536 / RATE, None, 65_536, FRAMES),
        (65_535 / RATE, 65_537 / RATE, 65_535, 65_537),
        (None, 65_536 / RATE, 0, 65_536),
        ((FRAMES - 1) / RATE, FRAMES / RATE, FRAMES - 1, FRAMES),
        (0.123456, 1.0, 5444, 44_100),
        (99.6 / RATE, 100.4 / RATE + 1, 100, 44_200),
    ],
)
def test_a_region_is_exact_to_the_sample(
    start: float | None,
    end: float | None,
    first: int,
    last: int,
    stems: Mapping[str, Path],
    truth: Mapping[str, Samples],
    tmp_path: Path,
) -> None:
    done = mix(stems, tmp_path / "x.wav", start=start, end=end)
    assert done.frames == last - first
    assert np.array_equal(stored(tmp_path / "x.wav"), total(truth)[:, first:last])


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (-0.001, None),
        (1.0, 1.0),
        (1.0, 0.5),
        (1.0, 1.00001),  # the same sample
        (FRAMES / RATE, None),
        (None, (FRAMES + 1) / RATE),
        (None, 0.0),
        (5.0, 6.0),
        (math.nan, None),
        (None, math.nan),
        (None, math.inf),
        (1e308, None),
    ],
)
def test_a_region_that_is_not_in_the_song_is_refused(
    start: float | None, end: float | None, stems: Mapping[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(OptionError) as caught:
        mix(stems, tmp_path / "out" / "x.wav", start=start, end=end)
    assert caught.value.code == "bad_option"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["wav16", "flac24", "mp3", "opus"])
def test_a_sum_beyond_full_scale_is_lowered_as_a_whole_and_does_not_clip(name: str, tmp_path: Path) -> None:
    time = np.arange(100_000) / 48_000
    loud = {  # the peak comes in the second block
        hertz: (0.9 * np.stack([np.sin(2 * np.pi * hertz * time)] * 2) * np.minimum(1, time / 2)).astype(np.float32)
        for hertz in (220, 330)
    }
    paths = {str(hertz): store(tmp_path / f"{hertz}.flac", wave, rate=48_000) for hertz, wave in loud.items()}
    target = tmp_path / f"x{FORMATS[name].extension}"
    done = mix(paths, target, name=name)
    sent = loud[220] + loud[330]
    peak = np.abs(sent).max()
    assert peak > 1.7
    assert done.gain_db == pytest.approx(-20 * np.log10(peak), abs=1e-3)
    got = stored(target)
    if FORMATS[name].lossless:
        assert np.abs(got).max() == pytest.approx(1.0, abs=2.0**-14)
        assert np.abs(got - sent / peak).max() < 2.0**-14  # nothing is flattened
    else:
        assert level_db(got - sent / peak, got) < -30
    silent = mix(paths, target, name=name, end=0.5)  # where it is not too loud, it is as it was
    assert silent.gain_db == 0.0


def test_float_wav_keeps_what_is_beyond_full_scale(tmp_path: Path) -> None:
    wave = sound("sine", seconds=0.3) * np.float32(3)
    paths = {name: store(tmp_path / name, wave) for name in ("a", "b")}
    assert mix(paths, tmp_path / "x.wav").gain_db == 0.0
    assert np.array_equal(stored(tmp_path / "x.wav"), total({name: stored(path) for name, path in paths.items()}))
    assert np.abs(stored(tmp_path / "x.wav")).max() > 1.7


@pytest.mark.parametrize("mute", [None, -math.inf, -1e9])
def test_a_muted_stem_is_not_heard(
    mute: float | None, stems: Mapping[str, Path], truth: Mapping[str, Samples], tmp_path: Path
) -> None:
    mix(stems, tmp_path / "x.wav", gains_db={"vocals": mute})
    assert np.array_equal(stored(tmp_path / "x.wav"), total({name: truth[name] for name in ("drums", "bass", "other")}))


@pytest.mark.parametrize("name", ["wav16", "wav32f", "flac24", "opus"])
def test_all_muted_is_silence_of_the_right_length(name: str, stems: Mapping[str, Path], tmp_path: Path) -> None:
    target = tmp_path / f"x{FORMATS[name].extension}"
    done = mix(stems, target, gains_db=dict.fromkeys(NAMES, None), start=0.5, end=1.0, name=name)
    got = stored(target)
    assert got.shape[1] == done.frames == (24_000 if name == "opus" else 22_050)
    assert done.gain_db == 0.0
    assert not got.any()


@pytest.mark.parametrize("gain", [math.nan, math.inf, MAX_GAIN_DB + 0.1])
def test_gains_that_are_none_are_refused(gain: float, stems: Mapping[str, Path], tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="drums"):
        mix(stems, tmp_path / "x.wav", gains_db={"drums": gain})
    with pytest.raises(UnknownStemError, match=r"'guitar'.*drums"):
        mix(stems, tmp_path / "x.wav", gains_db={"guitar": gain})
    with pytest.raises(OptionError, match="no stems"):
        mix({}, tmp_path / "x.wav")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("frames", "rate", "channels"),
    [(FRAMES - 1, RATE, 2), (2 * FRAMES, RATE, 2), (65_536, RATE, 2), (FRAMES, 48_000, 2), (FRAMES, RATE, 1)],
)
def test_stems_that_do_not_belong_together_are_not_mixed(
    frames: int, rate: int, channels: int, stems: Mapping[str, Path], tmp_path: Path
) -> None:
    stray = store(tmp_path / "stray.flac", np.zeros((channels, frames), np.float32), rate=rate)
    for pair in itertools.permutations({"drums": stems["drums"], "stray": stray}.items()):
        with pytest.raises(CorruptInputError, match="the same"):
            mix(dict(pair), tmp_path / "x.wav")
    assert [path.name for path in tmp_path.iterdir()] == ["stray.flac"]


def test_a_panned_mono_song_becomes_stereo(tmp_path: Path) -> None:
    wave = sound("noise", seconds=1, rate=8000)[:1] * np.float32(0.3)
    paths = {name: store(tmp_path / name, wave, rate=8000, name="wav32f") for name in "ab"}
    strips = {"a": ChannelStrip(pan=-0.25)}
    mixdown(paths, tmp_path / "x.wav", strips=strips, start=None, end=None, format=FORMATS["wav32f"])
    got = stored(tmp_path / "x.wav")
    np.testing.assert_allclose(got, np.concatenate([2 * wave, 1.75 * wave]), atol=1e-7)


def test_an_equaliser_goes_on_from_block_to_block(stems: Mapping[str, Path], tmp_path: Path) -> None:
    strip = ChannelStrip(gain_db=-3.0, eq=(6.0, -4.0, 3.0))
    others: dict[str, ChannelStrip] = dict.fromkeys(("drums", "bass", "other"), ChannelStrip(gain_db=None))
    made = {"vocals": strip, **others}
    mixdown(stems, tmp_path / "x.wav", strips=made, start=None, end=None, format=FORMATS["wav32f"])
    whole = scipy.signal.sosfilt(strip.sections(RATE), stored(stems["vocals"]).astype(np.float64))
    np.testing.assert_allclose(stored(tmp_path / "x.wav"), whole * 10 ** (-3 / 20), atol=1e-6)


# --- the recording beside its stems -----------------------------------------------------------------------------------


def digest_of(path: Path, *, rate: int, channels: int) -> str:
    digest = PcmDigest(rate, channels)
    digest.update(stored(path, channels=channels))
    return digest.hexdigest()


def test_the_recording_is_written_at_the_rate_and_level_of_its_stems(tmp_path: Path) -> None:
    source = store(tmp_path / "song", sound("noise", seconds=2, rate=48_000), rate=48_000, name="flac24")
    target, digest = tmp_path / "x.wav", digest_of(source, rate=48_000, channels=2)
    how: Any = {"sample_rate": RATE, "gain_db": -3.0, "format": FORMATS["wav32f"]}
    recording(source, target, digest=digest, **how)
    got = stored(target)
    sent = soxr.resample(stored(source).T, 48_000, RATE).T * 10 ** (-3 / 20)
    assert got.shape == (2, 2 * RATE)
    assert level_db(got[:, 500:-500] - sent[:, 500:-500], sent) < -80
    with pytest.raises(InputChangedError):
        recording(source, tmp_path / "y.wav", digest="0" * 64, **how)
    assert not (tmp_path / "y.wav").exists()


def test_the_sum_is_rounded_once() -> None:
    small, big = np.full((1, 1), 2.0**-24, np.float32), np.ones((1, 1), np.float32)
    assert summed([big, small, small])[0, 0] == np.float32(1 + 2.0**-23)
    assert summed([small, big, small]).dtype == np.float32
    assert summed([big, big], [0.5, 0.25])[0, 0] == 0.75


def test_memory_does_not_grow_with_the_song(tmp_path: Path) -> None:
    peaks = []
    for seconds in (60, 240):
        wave = np.tile(sound("noise", seconds=10, rate=8000), seconds // 10)
        paths = {name: store(tmp_path / f"{seconds}{name}", wave, rate=8000, name="flac16") for name in "ab"}
        tracemalloc.start()
        done = mix(paths, tmp_path / "x.wav", name="wav16", gains_db=dict.fromkeys("ab", 12.0))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert done.frames == seconds * 8000
        assert done.gain_db < 0  # so it took two passes
    assert peaks[1] < 1.5 * peaks[0]  # how far one step is ahead of the next is up to chance


# --- the Stems file ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["m4a", "alac16"])
def test_a_stems_file_holds_the_sum_and_the_four_stems_in_the_order_given(
    name: str, stems: Mapping[str, Path], truth: Mapping[str, Samples], tmp_path: Path
) -> None:
    done = stem_mp4(stems, tmp_path / "x.stem.mp4", format=FORMATS[name], tags=Tags(text={"title": "T"}))
    assert done == Mixdown(gain_db=0.0, frames=FRAMES, sample_rate=RATE, duration=FRAMES / RATE)
    assert [path.name for path in tmp_path.iterdir()] == ["x.stem.mp4"]
    assert sniff(tmp_path / "x.stem.mp4") == "mov"
    assert read_tags(tmp_path / "x.stem.mp4", demuxer="mov")[0].text["title"] == "T"
    data = (tmp_path / "x.stem.mp4").read_bytes()
    described = data[data.index(b'"stems"') :]
    assert sorted(NAMES, key=lambda stem: described.index(f'"name": "{stem}"'.encode())) == list(NAMES)
    sent = [total(truth), *truth.values()]
    got = decode_tracks(tmp_path / "x.stem.mp4", number=5, which="imageio", sample_format="f32le")
    for wanted, track in zip(sent, got, strict=True):
        assert track.shape == wanted.shape
        assert lag(wanted[0], track[0].astype(np.float32)) == 0
        assert abs(level_db(track, wanted)) < 0.2
        if name == "alac16":
            assert np.array_equal(track * 32768, quantise(wanted, bits=16))


def test_one_gain_keeps_all_five_tracks_from_clipping(tmp_path: Path) -> None:
    wave = sound("sine", seconds=0.5) * np.float32(2)  # 0.6 of full scale
    paths = {name: store(tmp_path / name, wave * np.float32(1 if name == "drums" else 0.5)) for name in NAMES}
    done = stem_mp4(paths, tmp_path / "x.stem.mp4", format=FORMATS["alac16"])
    tracks = decode_tracks(tmp_path / "x.stem.mp4", number=5, which="imageio", sample_format="f32le")
    assert done.gain_db == pytest.approx(-20 * np.log10(0.6 * 2.5), abs=0.01)
    assert np.abs(tracks[0]).max() == pytest.approx(1.0, abs=1e-4)
    for track, share in zip(tracks[1:], (1, 0.5, 0.5, 0.5), strict=True):
        assert level_db(track, wave) == pytest.approx(20 * np.log10(share) + done.gain_db, abs=0.01)


def test_a_stems_file_of_a_rate_that_aac_cannot_carry_is_resampled(tmp_path: Path) -> None:
    paths = song_of_four(tmp_path, frames=20_001, rate=50_000)
    done = stem_mp4(paths, tmp_path / "x.stem.mp4", format=FORMATS["m4a"])
    assert done.sample_rate == 64_000
    assert done.frames == resampled_length(20_001, in_rate=50_000, out_rate=64_000)


def test_what_a_stems_file_cannot_hold_is_refused(stems: Mapping[str, Path], tmp_path: Path) -> None:
    three = {name: stems[name] for name in NAMES[:3]}
    for given_stems, name in [(three, "m4a"), (stems, "flac16"), (stems, "alac24"), ({}, "m4a")]:
        with pytest.raises(OptionError):
            stem_mp4(given_stems, tmp_path / "x.stem.mp4", format=FORMATS[name])
    with pytest.raises(OptionError, match="kbit/s"):
        stem_mp4(stems, tmp_path / "x.stem.mp4", format=FORMATS["m4a"], bitrate=1)
    assert not list(tmp_path.iterdir())
