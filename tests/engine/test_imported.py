from __future__ import annotations

import hashlib
import json
import shutil
import string
import tempfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pyloudnorm
import pytest
import soxr
from hypothesis import given
from hypothesis import strategies as st

from films import film, tone
from recordings import Belongings, lag, record
from signals import FFMPEGS, choose, decode
from sounds import level_db, read, sound, write_wav
from stemwright.audio.decode import DecodeLimits
from stemwright.audio.digest import PcmDigest
from stemwright.audio.encode import quantise
from stemwright.audio.peaks import read_dat
from stemwright.audio.tags import Tags, read_tags
from stemwright.engine.imported import Imported, check_stem_names, import_stems
from stemwright.errors import (
    CancelledError,
    CorruptInputError,
    DiskFullError,
    EmptyInputError,
    InputChangedError,
    InputError,
    NotAudioError,
    OptionError,
    OutputError,
    OutputExistsError,
    TooLongError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from stemwright.types import Samples

RATE = 44_100
LIMITS = DecodeLimits(duration=60)


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


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def bring(files: Mapping[str, Path], root: Path, **options: Any) -> Imported:
    return import_stems(files, root, **{"limits": LIMITS, **options})


def stored(root: Path, name: str, *, channels: int = 2) -> Samples:
    return decode(root / f"{name}.flac", channels=channels, which="imageio")


def whole(samples: Samples, bits: int) -> Samples:
    """What integers of so many bits hold of samples. Output: `[C, T]` float32."""
    rounded: Samples = np.clip(np.rint(samples * 2.0 ** (bits - 1)), -(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1)
    return (rounded / 2.0 ** (bits - 1)).astype(np.float32)


def codes(found: Imported) -> dict[str, list[str]]:
    return {stem.record.name: [notice.code for notice in stem.notices] for stem in found.stems}


# --- what goes in comes out -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", FFMPEGS)
def test_stems_of_16_bits_come_in_as_they_are_and_are_measured(
    which: str, tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(which, monkeypatch)
    waves = {name: whole(sound("song", seconds=1.5, seed=seed), 16) for seed, name in enumerate(("Drums", "Stimme 2"))}
    files = {name: write_wav(tmp_path / name, wave, bits=16) for name, wave in waves.items()}
    found = bring(files, root)
    assert {path.name for path in root.iterdir()} == {
        *("Drums.flac", "Drums.peaks.dat", "Stimme 2.flac", "Stimme 2.peaks.dat"),
    }
    assert (found.format.name, found.sample_rate, found.channels, found.frames) == ("flac16", RATE, 2, 66_150)
    assert (found.duration, found.gain_db, found.notices) == (1.5, 0.0, ())
    meter = pyloudnorm.Meter(RATE)
    for stem, (name, wave) in zip(found.stems, waves.items(), strict=True):
        assert np.array_equal(stored(root, name), wave)
        digest = PcmDigest(RATE, 2)
        digest.update(wave)
        stem_record = stem.record
        assert (stem_record.name, stem_record.file, stem_record.frames) == (name, f"{name}.flac", 66_150)
        assert (stem_record.digest, stem_record.channels) == (digest.hexdigest(), 2)
        assert stem_record.size_bytes == (root / stem_record.file).stat().st_size
        assert stem_record.loudness.integrated_lufs == pytest.approx(meter.integrated_loudness(wave.T), abs=0.05)
        peaks = read_dat(root / stem.peaks)
        assert len(peaks.values) == -(-66_150 // 256)
        assert peaks.values.max() == int(((wave[0] + wave[1]) / 2).max() * 32767)
        assert stem.notices == ()
    mix = sum(waves.values())
    assert found.mix_loudness.integrated_lufs == pytest.approx(meter.integrated_loudness(np.asarray(mix).T), abs=0.05)
    pairs = sorted((stem.record.name, stem.record.digest) for stem in found.stems)
    assert found.digest == hashlib.sha256(json.dumps(pairs).encode()).hexdigest()


def test_the_digest_does_not_depend_on_the_order_but_on_who_is_who(tmp_path: Path) -> None:
    one, two = (write_wav(tmp_path / str(n), sound("noise", seconds=0.2, seed=n)) for n in (1, 2))
    digests = [
        bring(files, tmp_path / f"out{n}").digest
        for n, files in enumerate([{"a": one, "b": two}, {"b": two, "a": one}, {"a": two, "b": one}])
    ]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("s24.wav", "-c:a pcm_s24le"),
        ("f32.wav", "-c:a pcm_f32le"),
        ("s24.aiff", "-c:a pcm_s24be"),
        ("alac24.m4a", "-c:a alac -sample_fmt s32p"),
    ],
)
def test_one_stem_of_more_than_16_bits_makes_all_files_24_bits(
    name: str, options: str, tmp_path: Path, root: Path
) -> None:
    wave, coarse = sound("song", seconds=0.5), whole(sound("song", seconds=0.5, seed=1), 16)
    files = {"fine": record(tmp_path / name, options, wave), "coarse": write_wav(tmp_path / "c", coarse, bits=16)}
    found = bring(files, root)
    assert found.format.name == "flac24"
    sent = decode(files["fine"], channels=2, which="imageio")  # ffmpeg rounds in its own way
    assert np.array_equal(stored(root, "fine"), whole(sent, 24))
    assert np.array_equal(stored(root, "coarse"), coarse)
    assert (root / "coarse.flac").read_bytes()[20] & 1  # STREAMINFO: bits - 1 is 23 or 15 …
    assert (root / "coarse.flac").read_bytes()[21] >> 4 == 7  # … and 23 is 1 0111


@pytest.mark.parametrize(
    ("name", "options", "rate"),
    [
        ("x.mp3", "-b:a 256k", RATE),
        ("x.ogg", "-c:a libvorbis -q:a 8", RATE),
        ("x.opus", "-c:a libopus -b:a 192k", 48_000),
        ("x.mka", "-c:a flac -sample_fmt s16", RATE),
    ],
)
def test_lossy_stems_come_in_with_their_length_and_no_lag(
    name: str, options: str, rate: int, tmp_path: Path, root: Path
) -> None:
    wave = sound("song", seconds=1.0, rate=rate)
    files = {
        "coded": record(tmp_path / name, options, wave, rate=rate),
        "plain": write_wav(tmp_path / "plain.wav", wave, rate),
    }
    found = bring(files, root)
    got = stored(root, "coded")
    assert found.frames == got.shape[1] == wave.shape[1]
    assert lag(got, wave) == 0
    assert abs(level_db(got, wave)) < 0.2
    assert codes(found) == {"coded": [], "plain": []}


# --- one shape --------------------------------------------------------------------------------------------------------


def test_all_get_the_highest_rate_without_lag(tmp_path: Path, root: Path) -> None:
    rates = {"low": 22_050, "middle": 44_100, "high": 48_000}
    files = {
        name: write_wav(tmp_path / name, sound("sine", seconds=1.0, rate=rate), rate) for name, rate in rates.items()
    }
    found = bring(files, root)
    truth = sound("sine", seconds=1.0, rate=48_000)
    assert (found.sample_rate, found.frames) == (48_000, 48_000)
    assert codes(found) == {"low": ["resampled"], "middle": ["resampled"], "high": []}
    assert "22050 Hz" in found.stems[0].notices[0].message
    for name in rates:
        got = stored(root, name)
        assert got.shape == truth.shape
        inner = slice(2000, -2000)  # where the tone neither starts nor ends
        assert level_db(got[:, inner] - truth[:, inner], truth) < -90


def test_resampling_is_that_of_soxr(tmp_path: Path, root: Path) -> None:
    wave = sound("song", seconds=2.0, rate=32_000)
    other = np.zeros((2, 96_000), np.float32)
    bring({"a": write_wav(tmp_path / "a", wave, 32_000), "b": write_wav(tmp_path / "b", other, 48_000)}, root)
    assert level_db(stored(root, "a") - soxr.resample(wave.T, 32_000, 48_000).T, wave) < -100


def test_mono_beside_stereo_becomes_two_equal_channels(tmp_path: Path, root: Path) -> None:
    mono, stereo = sound("song", seconds=0.5, channels=1), sound("song", seconds=0.5)
    found = bring({"m": write_wav(tmp_path / "m", mono), "s": write_wav(tmp_path / "s", stereo)}, root)
    assert found.channels == 2
    assert np.array_equal(stored(root, "m"), np.repeat(whole(mono, 24), 2, axis=0))


def test_mono_beside_mono_stays_mono(tmp_path: Path, root: Path) -> None:
    mono = sound("song", seconds=0.5, channels=1)
    found = bring({"m": write_wav(tmp_path / "m", mono), "n": write_wav(tmp_path / "n", mono)}, root)
    assert found.channels == found.stems[0].record.channels == 1
    assert np.array_equal(stored(root, "m", channels=1), whole(mono, 24))


def test_surround_is_mixed_down_and_said(tmp_path: Path, root: Path) -> None:
    wide = sound("noise", seconds=0.5, channels=6)
    found = bring({"wide": write_wav(tmp_path / "wide", wide)}, root)
    assert found.channels == 2
    assert codes(found) == {"wide": ["downmixed"]}
    assert found.stems[0].notices[0].message.startswith("wide: 5.1")


@pytest.mark.parametrize(("missing", "told"), [(1, False), (2205, False), (2206, True), (30_000, True)])
def test_a_shorter_stem_gets_silence_at_its_end(missing: int, told: bool, tmp_path: Path, root: Path) -> None:
    wave = whole(sound("noise", seconds=1.0), 16)
    files = {
        "short": write_wav(tmp_path / "short", wave[:, : RATE - missing], bits=16),
        "long": write_wav(tmp_path / "long", wave, bits=16),
    }
    found = bring(files, root)
    got = stored(root, "short")
    assert got.shape == wave.shape
    assert np.array_equal(got[:, : RATE - missing], wave[:, : RATE - missing])
    assert not got[:, RATE - missing :].any()
    assert codes(found) == {"short": ["padded"] if told else [], "long": []}
    if told:
        assert f"{missing / RATE:.2f} s" in found.stems[0].notices[0].message


# --- levels -----------------------------------------------------------------------------------------------------------


def test_floats_beyond_full_scale_lower_all_stems_alike(tmp_path: Path, root: Path) -> None:
    loud, soft = 8 * sound("sine", seconds=0.5), sound("song", seconds=0.5)
    found = bring({"loud": write_wav(tmp_path / "l", loud), "soft": write_wav(tmp_path / "s", soft)}, root)
    gain_db = -20 * np.log10(np.abs(loud).max())
    assert found.gain_db == pytest.approx(gain_db, abs=1e-3)
    assert gain_db < -7
    assert [notice.code for notice in found.notices] == ["gain"]
    for name, wave in (("loud", loud), ("soft", soft)):
        got = stored(root, name)
        assert level_db(got, wave) == pytest.approx(gain_db, abs=1e-3)
        assert np.abs(got - wave * 10 ** (gain_db / 20)).max() < 2.0**-20  # nothing is flattened
    assert np.abs(stored(root, "loud")).max() == pytest.approx(1.0, abs=1e-6)
    mix = np.asarray(loud + soft) * 10 ** (gain_db / 20)
    lufs = pyloudnorm.Meter(RATE).integrated_loudness(mix.T)
    assert found.mix_loudness.integrated_lufs == pytest.approx(lufs, abs=0.05)


def test_a_sum_beyond_full_scale_lowers_nothing(tmp_path: Path, root: Path) -> None:
    wave = 3 * sound("sine", seconds=0.5)
    found = bring({name: write_wav(tmp_path / name, wave) for name in "abc"}, root)
    assert found.gain_db == 0.0
    assert found.notices == ()
    assert found.mix_loudness.true_peak_dbtp is not None
    assert found.mix_loudness.true_peak_dbtp > 8


def test_quiet_stems_are_not_amplified_and_silence_stays_silence(tmp_path: Path, root: Path) -> None:
    quiet, nothing = sound("sine", seconds=0.5) * np.float32(1e-3), np.zeros((2, RATE), np.float32)
    found = bring({"q": write_wav(tmp_path / "q", quiet), "n": write_wav(tmp_path / "n", nothing)}, root)
    assert found.gain_db == 0.0
    assert level_db(stored(root, "q")[:, : RATE // 2], quiet) == pytest.approx(0, abs=0.01)
    assert not stored(root, "n").any()
    assert found.stems[1].record.loudness.integrated_lufs is None


def test_full_scale_of_16_bits_is_not_taken_for_clipping(tmp_path: Path, root: Path) -> None:
    wave = np.array([[1, -1, 1, -1] * 500], np.float32)
    path = write_wav(tmp_path / "square", wave, bits=16)
    found = bring({"square": path}, root)
    assert (found.format.name, found.gain_db) == ("flac16", 0.0)
    assert np.array_equal(stored(root, "square", channels=1), quantise(wave, bits=16) / np.float32(32768))


# --- bad input --------------------------------------------------------------------------------------------------------

HOSTILE: dict[str, tuple[bytes, type[InputError]]] = {
    "concat.mp3": (b"ffconcat version 1.0\nfile good.wav\n", NotAudioError),
    "text.flac": (b"-ss 0 24:00:00\n" * 10, NotAudioError),
    "empty.wav": (b"", EmptyInputError),
    "garbage.flac": (b"fLaC" + bytes(range(256)) * 20, CorruptInputError),
    "nan.wav": (b"", CorruptInputError),
    "long.wav": (b"", TooLongError),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("first", [True, False])
def test_a_bad_file_is_named_and_nothing_is_left(name: str, first: bool, tmp_path: Path, root: Path) -> None:
    data, error = HOSTILE[name]
    good = write_wav(tmp_path / "good.wav", sound("noise", seconds=0.2))
    bad = tmp_path / name
    bad.write_bytes(data)
    if name == "nan.wav":
        write_wav(bad, np.full((1, 100), np.nan, np.float32))
    elif name == "long.wav":
        write_wav(bad, np.zeros((1, 4000 * 61), np.float32), 4000)
    pairs = [("vocals", bad), ("drums", good)]
    with pytest.raises(error, match=f"vocals: .*{name}"):
        bring(dict(pairs if first else reversed(pairs)), root)
    assert not root.exists()


def test_a_file_that_is_cut_short_comes_in_with_a_notice(tmp_path: Path, root: Path) -> None:
    path = write_wav(tmp_path / "cut.wav", sound("noise", seconds=1.0))
    path.write_bytes(path.read_bytes()[:-100_000])
    whole_file = write_wav(tmp_path / "whole.wav", sound("noise", seconds=1.0))
    found = bring({"cut": path, "whole": whole_file}, root)
    assert codes(found) == {"cut": ["truncated", "padded"], "whole": []}
    assert found.stems[0].notices[0].message.startswith("cut: ")


def test_a_file_that_changes_between_the_readings_is_refused(tmp_path: Path, root: Path) -> None:
    first, second = (write_wav(tmp_path / name, sound("noise", seconds=0.2)) for name in ("first", "second"))

    def swap(done: float) -> None:
        if done:  # the second is being read for the first time
            write_wav(first, sound("noise", seconds=0.2, seed=1))

    with pytest.raises(InputChangedError, match="one: "):
        bring({"one": first, "two": second}, root, on_progress=swap)
    assert not root.exists()


def test_files_that_are_there_stay_as_they_are(tmp_path: Path, root: Path) -> None:
    path = write_wav(tmp_path / "x.wav", sound("noise", seconds=0.2))
    root.mkdir()
    (root / "a.peaks.dat").write_bytes(b"mine")
    with pytest.raises(OutputExistsError, match=r"a\.peaks\.dat"):
        bring({"b": path, "a": path}, root)
    assert [(file.name, file.read_bytes()) for file in root.iterdir()] == [("a.peaks.dat", b"mine")]
    bring({"b": path}, root)
    assert {file.name for file in root.iterdir()} == {"a.peaks.dat", "b.flac", "b.peaks.dat"}


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "x.wav", sound("noise", seconds=0.2))
    with pytest.raises(OutputError):
        bring({"a": path}, path / "root")


def test_room_on_the_disk_is_asked_for_before_it_is_used(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_wav(tmp_path / "x.wav", sound("noise", seconds=1.0))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=2 * RATE * 8 - 1))
    with pytest.raises(DiskFullError):
        bring({"a": path}, root)
    assert not root.exists()


# --- progress, tags, names --------------------------------------------------------------------------------------------


def test_progress_grows_to_one(tmp_path: Path, root: Path) -> None:
    told: list[float] = []
    path = write_wav(tmp_path / "x.wav", sound("noise", seconds=3.0))
    bring({"a": path, "b": path}, root, on_progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert len({round(done, 2) for done in told}) > 6


@pytest.mark.parametrize("when", [0.0, 0.2, 0.5, 0.65, 0.7, 1.0])
def test_what_progress_raises_stops_it_and_leaves_nothing(when: float, tmp_path: Path, root: Path) -> None:
    path = write_wav(tmp_path / "x.wav", sound("noise", seconds=2.0))

    def stop(done: float) -> None:
        if done >= when:
            raise CancelledError("enough")

    with pytest.raises(CancelledError, match="enough"):
        bring({"a": path, "b": path}, root, on_progress=stop)
    assert not root.exists()


def test_the_songs_tags_go_into_the_files(tmp_path: Path, root: Path) -> None:
    path = write_wav(tmp_path / "x.wav", sound("noise", seconds=0.2))
    bring({"vocals": path}, root, tags=Tags(text={"title": "Song", "artist": "A"}))
    assert read_tags(root / "vocals.flac", demuxer="flac")[0].text == {"title": "Song (vocals)", "artist": "A"}


@pytest.mark.parametrize(
    "name",
    ["vocals", "Lead Vocals 2", "no_vocals", "a.b-c", "-x", "Stimme Ü", "歌声", "गायन", "x" * 64, "歌" * 64, "mixed"],
)
def test_names_that_are_good(name: str, tmp_path: Path, root: Path) -> None:
    check_stem_names([name])
    if len(name) in {2, 64}:
        path = write_wav(tmp_path / "x.wav", sound("noise", seconds=0.1))
        assert bring({name: path}, root).stems[0].record.file == f"{name}.flac"
        assert {file.name for file in root.iterdir()} == {f"{name}.flac", f"{name}.peaks.dat"}


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", ".", "..", ".hidden", "a/b", "../a", "a\\b", "a\0b", "a\nb", "a:b", "a*", 'a"', "x" * 65),
        *(
            "mix",
            "MIX",
            "Receipt",
            "ｍｉｘ",
            " a",
            "a ",
            "a.",
            "con",
            "NUL.x",
            "\ud800",
            "𠀀" * 64,
            "a\u202eb",
            "a\u200bb",
        ),
    ],
)
def test_names_that_are_not(name: str, tmp_path: Path, root: Path) -> None:
    with pytest.raises(OptionError) as caught:
        bring({name: tmp_path / "none"}, root)
    assert caught.value.code == "bad_option"
    assert not root.exists()


@pytest.mark.parametrize(("one", "two"), [("Drums", "drums"), ("Straße", "STRASSE"), ("é", "e\u0301"), ("ﬁ", "fi")])
def test_names_that_some_file_system_takes_for_one_are_refused(one: str, two: str) -> None:
    with pytest.raises(OptionError, match="two stems"):
        check_stem_names([one, two])


def test_there_are_1_to_32_stems(tmp_path: Path, root: Path) -> None:
    check_stem_names([str(number) for number in range(32)])
    for count in (0, 33):
        with pytest.raises(OptionError, match="1 to 32"):
            bring({str(number): tmp_path / "none" for number in range(count)}, root)


@given(st.text(max_size=70) | st.text(string.ascii_letters + " ._-/\\:", max_size=20))
def test_a_name_that_passes_is_one_part_of_a_path(name: str) -> None:
    try:
        check_stem_names([name])
    except OptionError:
        return
    assert name.isprintable()
    assert not set(name) & set('/\\:*?"<>|')
    assert name.strip(" .") == name != ""
    assert len(f"{name}.peaks.dat".encode()) <= 255


def test_a_film_gives_its_own_track_and_its_late_sound_stays_in_step(tmp_path: Path) -> None:
    late = film(
        tmp_path / "late.mkv",
        sounds=[tone(1), tone(2)],
        late=[0, 0.5],
        more=["-disposition:a:0", "0", "-disposition:a:1", "default"],
    )
    whole = write_wav(tmp_path / "whole.wav", tone(3, seconds=1.5), RATE)
    made = import_stems({"vocals": late, "other": whole}, tmp_path / "out", limits=LIMITS)
    assert [notice.code for notice in made.stems[0].notices] == ["tracks", "late_sound"]
    assert made.stems[1].notices == ()
    vocals = read(tmp_path / "out" / "vocals.flac", channels=2)
    assert vocals.shape[1] == made.frames == round(1.5 * RATE)
    assert abs(lag(vocals, tone(2)) - RATE // 2) <= 1
