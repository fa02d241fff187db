"""A song to its files: exact sums, exact lengths, one gain, honest receipts, and nothing left behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from films import film, tone
from processes import killed_at_rename
from recordings import record
from sounds import level_db, read, sound, write_wav
from stemwright import errors
from stemwright.audio.ffmpeg import find_ffmpeg
from stemwright.audio.formats import parse_format
from stemwright.audio.tags import read_tags
from stemwright.engine.naming import NameTemplate
from stemwright.engine.options import SeparateOptions
from stemwright.engine.receipt import Receipt
from stemwright.engine.separate import Engine
from stemwright.engine.settings import SeparationSettings

if TYPE_CHECKING:
    from stemwright.engine.song_result import SongResult

SETTINGS = SeparationSettings.model_fields.keys()
pytestmark = pytest.mark.usefixtures("known_family")


def separate(song: Path, root: Path, *, form: str = "wav32f", **options: Any) -> SongResult:
    options.setdefault("model", "sketch")
    settings = SeparationSettings(**{name: options.pop(name) for name in options.keys() & SETTINGS})
    return Engine(SeparateOptions(format=parse_format(form), settings=settings, **options)).separate(song, root)


def total(result: SongResult, channels: int) -> Any:
    return sum(read(path, channels=channels).astype(np.float64) for path in result.files().values())


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("kind", ["sine", "noise", "song"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000, 96_000])
def test_stems_add_up_to_the_mix(tmp_path: Path, kind: Any, channels: int, rate: int) -> None:
    mix = sound(kind, seconds=1.1, rate=rate, channels=channels)
    song = write_wav(tmp_path / "song.wav", mix, rate)
    exact = total(separate(song, tmp_path / "float"), channels)
    assert exact.shape == mix.shape
    assert level_db(exact - mix, mix) < -80
    rounded = total(separate(song, tmp_path / "rounded", form="flac16"), channels)
    assert rounded.shape == mix.shape
    assert level_db(rounded - mix, mix) < -60


def test_residual_is_not_told_when_not_all_stems_were_made(tmp_path: Path) -> None:
    song = write_wav(tmp_path / "song.wav", sound("noise", seconds=0.3))
    assert separate(song, tmp_path / "all", model="half", exact=False).receipt.residual_db is not None
    assert separate(song, tmp_path / "one", model="half", exact=False, stems=("vocals",)).receipt.residual_db is None


@pytest.mark.parametrize("frames", [1, 2, 441, 44_100])
def test_very_short_songs_keep_their_length(tmp_path: Path, frames: int) -> None:
    song = write_wav(tmp_path / "s.wav", sound("noise", seconds=frames / 44_100))
    result = separate(song, tmp_path / "out")
    assert {stem.frames for stem in result.receipt.stems} == {frames}
    assert total(result, 2).shape == (2, frames)


@pytest.mark.parametrize("name", ["tiny", "weighted"])
def test_demucs_stems_add_up_only_when_exact_and_are_raw_otherwise(
    tmp_path: Path, demucs_repo: Path, name: str
) -> None:
    mix = sound("song", seconds=3.1, rate=8000)
    song = write_wav(tmp_path / "song.wav", mix, 8000)
    exact = separate(song, tmp_path / "exact", model=name, repo=demucs_repo)
    assert level_db(total(exact, 2) - mix, mix) < -80
    assert exact.receipt.residual_added_to == "other"
    raw = separate(song, tmp_path / "raw", model=name, repo=demucs_repo, exact=False)
    left = level_db(total(raw, 2) - mix, mix)
    assert left > -60
    assert raw.receipt.residual_added_to is None
    assert raw.receipt.residual_db == pytest.approx(left, abs=0.02)
    for stem in ("drums", "bass", "vocals"):
        assert exact.files()[stem].read_bytes() == raw.files()[stem].read_bytes()


def test_stems_asked_for_come_alone_and_their_opposites_complete_the_mix(tmp_path: Path, demucs_repo: Path) -> None:
    mix = sound("song", seconds=2.2, rate=8000)
    song = write_wav(tmp_path / "song.wav", mix, 8000)
    result = separate(song, tmp_path / "out", model="tiny", repo=demucs_repo, stems=("vocals", "no_vocals"))
    assert [path.name for path in result.files().values()] == ["vocals.wav", "no_vocals.wav"]
    assert tree(tmp_path / "out") == ["song", "song/no_vocals.wav", "song/receipt.json", "song/vocals.wav"]
    assert level_db(total(result, 2) - mix, mix) < -80


def test_stem_that_the_model_does_not_give_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(errors.UnknownStemError, match="vocals, drums, bass, other"):
        Engine(SeparateOptions(model="sketch", settings=SeparationSettings(stems=("piano",))))


def test_one_gain_for_all_where_one_stem_would_clip(tmp_path: Path) -> None:
    mix = sound("sine", seconds=1)  # stems four times as loud, and minus three times
    song = write_wav(tmp_path / "song.wav", mix)
    result = separate(song, tmp_path / "out", model="loud", form="wav24")
    gain = 1 / (4 * np.abs(mix).max())
    assert result.receipt.gain_db == pytest.approx(20 * np.log10(gain), abs=1e-3)
    assert [stem.gain_db for stem in result.receipt.stems] == [result.receipt.gain_db] * 2
    assert "gain" in {warning.code for warning in result.receipt.warnings}
    assert level_db(total(result, 2) - gain * mix, mix) < -80
    assert np.abs(read(result.files()["vocals"], channels=2)).max() == pytest.approx(1, abs=1e-4)


def test_nothing_is_lowered_where_nothing_clips(tmp_path: Path) -> None:
    song = write_wav(tmp_path / "song.wav", sound("sine", seconds=1))
    assert separate(song, tmp_path / "float", model="loud", form="wav32f").receipt.gain_db == 0
    assert separate(song, tmp_path / "quiet", model="half", form="flac16").receipt.gain_db == 0


def test_receipt_tells_what_was_done(tmp_path: Path, demucs_repo: Path) -> None:
    mix = sound("song", seconds=3, rate=16_000)
    song = write_wav(tmp_path / "My Song.wav", mix, 16_000)
    result = separate(song, tmp_path / "out", model="tiny", repo=demucs_repo, form="flac24", shifts=2, overlap=0.5)
    receipt = Receipt.model_validate_json((tmp_path / "out/My Song/receipt.json").read_text())
    assert receipt == result.receipt
    assert (receipt.input.sample_rate, receipt.input.channels, receipt.input.frames) == (16_000, 2, 48_000)
    assert (receipt.model.name, receipt.device, receipt.model.draft) == ("tiny", "cpu", False)
    assert len(receipt.model.weights_digest or "") == 64
    assert (receipt.settings.shifts, receipt.settings.overlap, receipt.settings.format) == (2, 0.5, "flac24")
    assert receipt.real_time_factor == pytest.approx(receipt.elapsed / 3, rel=0.01)
    assert {"stemwright", "torch", "demucs", "ffmpeg", "numpy"} <= receipt.versions.keys()
    assert receipt.input.loudness.integrated_lufs is not None
    for stem in receipt.stems:
        path = tmp_path / "out" / stem.file
        assert (stem.frames, stem.sample_rate, stem.size_bytes) == (48_000, 16_000, path.stat().st_size)


@pytest.mark.parametrize("form", ["wav16", "wav24", "wav32f", "flac16", "flac24", "alac16", "alac24"])
def test_digest_of_a_lossless_stem_is_that_of_its_file(tmp_path: Path, form: str) -> None:
    from stemwright.audio.decode import DecodeLimits
    from stemwright.engine.scan import scan

    song = write_wav(tmp_path / "song.wav", sound("noise", seconds=0.5))
    result = separate(song, tmp_path / "out", form=form)
    for stem in result.receipt.stems:
        assert scan(tmp_path / "out" / stem.file, limits=DecodeLimits()).digest == stem.digest


def test_done_before_with_the_same_settings_is_skipped_and_anything_else_is_done_again(tmp_path: Path) -> None:
    song = write_wav(tmp_path / "song.wav", sound("noise", seconds=0.5))
    first = separate(song, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in first.files().values()}
    again = separate(song, tmp_path / "out")
    assert again.skipped
    assert {path: path.stat().st_mtime_ns for path in again.files().values()} == before
    assert not separate(song, tmp_path / "out", force=True).skipped
    assert not separate(song, tmp_path / "out", overlap=0.1).skipped
    other = separate(song, tmp_path / "out", form="flac16", overlap=0.1)
    assert not other.skipped
    stems = ("bass", "drums", "other", "vocals")
    both = sorted([f"{stem}.{form}" for stem in stems for form in ("flac", "wav")] + ["receipt.json"])
    assert tree(tmp_path / "out/song") == both  # the first ones stay
    assert other.receipt.kept == tuple(f"song/{stem}.wav" for stem in stems)
    assert not separate(song, tmp_path / "out", overlap=0.2).skipped  # and are still known to be ours
    assert separate(song, tmp_path / "out", overlap=0.2).skipped
    other.files()["bass"].unlink()
    assert not separate(song, tmp_path / "out", form="flac16", overlap=0.1).skipped


def test_stems_of_half_the_precision_are_not_taken_for_whole_ones(tmp_path: Path, demucs_repo: Path) -> None:
    song = write_wav(tmp_path / "song.wav", sound("noise", seconds=0.5))
    half, whole, again = (
        separate(song, tmp_path / "out", model="tiny", repo=demucs_repo, device=device)
        for device in ("cpu/half", "cpu", "cpu")
    )
    assert (half.receipt.device, whole.receipt.device) == ("cpu/half", "cpu")
    assert (half.skipped, whole.skipped, again.skipped) == (False, False, True)


def test_same_samples_in_another_container_are_the_same_song(tmp_path: Path) -> None:
    song = write_wav(tmp_path / "song.wav", sound("noise", seconds=0.5), bits=16)
    separate(song, tmp_path / "out")
    subprocess.run([find_ffmpeg(), "-v", "error", "-i", song, tmp_path / "song.flac"], check=True)
    assert separate(tmp_path / "song.flac", tmp_path / "out").skipped


def test_stems_of_another_song_and_files_of_others_are_not_overwritten(tmp_path: Path) -> None:
    first = write_wav(tmp_path / "song.wav", sound("noise", seconds=0.3))
    kept = {path: path.read_bytes() for path in separate(first, tmp_path / "out").files().values()}
    (tmp_path / "other").mkdir()
    second = write_wav(tmp_path / "other" / "song.wav", sound("noise", seconds=0.3, seed=5))
    with pytest.raises(errors.OutputExistsError, match="another recording"):
        separate(second, tmp_path / "out")
    assert {path: path.read_bytes() for path in kept} == kept
    (tmp_path / "mine" / "song").mkdir(parents=True)
    for name in ("bass.wav", "receipt.json"):
        mine = tmp_path / "mine" / "song" / name
        mine.write_bytes(b"mine")
        with pytest.raises(errors.OutputExistsError, match="not ours"):
            separate(second, tmp_path / "mine")
        assert mine.read_bytes() == b"mine"
        mine.unlink()
    assert not separate(second, tmp_path / "out", force=True).skipped


def test_stems_that_were_changed_and_files_put_beside_them_are_not_overwritten(tmp_path: Path) -> None:
    song = write_wav(tmp_path / "song.wav", sound("noise", seconds=0.3))
    separate(song, tmp_path / "out", form="flac16")
    changed = tmp_path / "out/song/bass.flac"
    changed.write_bytes(changed.read_bytes() + b"a tag of mine")
    with pytest.raises(errors.OutputExistsError, match="has been changed"):
        separate(song, tmp_path / "out", form="flac16")
    (tmp_path / "out/song/vocals.wav").write_bytes(b"mine")
    with pytest.raises(errors.OutputExistsError, match="not ours"):
        separate(song, tmp_path / "out", form="wav16")


def test_files_beside_the_stems_are_checked_as_well_also_those_of_earlier_runs(tmp_path: Path) -> None:
    song = write_wav(tmp_path / "song.wav", sound("noise", seconds=0.3))
    overview, picture = (tmp_path / "out" / "song" / name for name in ("bass.peaks.json", "waveforms.svg"))
    wanted: dict[str, Any] = {"peaks": ("json",), "picture": True}
    receipt = separate(song, tmp_path / "out", **wanted).receipt
    assert {record.file for record in receipt.others} == {*receipt.files} - {"song/receipt.json"} - {
        stem.file for stem in receipt.stems
    }
    assert separate(song, tmp_path / "out", **wanted).skipped
    picture.unlink()
    assert not separate(song, tmp_path / "out", **wanted).skipped  # a receipt that is not whole
    later = separate(song, tmp_path / "out", form="flac16").receipt
    assert {record.file for record in later.others} == {*later.kept}
    for changed in (overview, tmp_path / "out" / "song" / "bass.wav"):  # kept, and no longer as they were
        before = changed.read_bytes()
        changed.write_bytes(before[:-1] + b" " if changed == overview else before + b"mine")
        with pytest.raises(errors.OutputExistsError, match="has been changed"):
            separate(song, tmp_path / "out", **wanted)
        changed.write_bytes(before)
    assert not separate(song, tmp_path / "out", **wanted).skipped


@pytest.mark.parametrize("force", [False, True])
def test_the_song_itself_is_never_overwritten(tmp_path: Path, force: bool) -> None:
    (tmp_path / "vocals").mkdir()
    song = write_wav(tmp_path / "vocals" / "vocals.wav", sound("noise", seconds=0.3))
    before = song.read_bytes()
    separate(song, tmp_path, stems=("drums",))
    with pytest.raises(errors.OutputExistsError, match="the song itself"):
        separate(song, tmp_path, force=force)
    assert song.read_bytes() == before


def test_a_draft_does_not_replace_a_finished_separation(tmp_path: Path) -> None:
    song = write_wav(tmp_path / "song.wav", sound("noise", seconds=0.3))
    separate(song, tmp_path / "out", model="half")
    with pytest.raises(errors.OutputExistsError, match="stems by half"):
        separate(song, tmp_path / "out")
    assert not separate(song, tmp_path / "out", force=True).skipped
    assert not separate(song, tmp_path / "out", model="half").skipped  # the other way is fine


def test_two_songs_of_one_run_do_not_share_their_files_even_by_force(tmp_path: Path) -> None:
    engine = Engine(SeparateOptions(model="half", template=NameTemplate("{stem}.{ext}"), force=True))
    for seed in (0, 1):
        write_wav(tmp_path / f"{seed}.wav", sound("noise", seconds=0.3, seed=seed))
    engine.separate(tmp_path / "0.wav", tmp_path / "out")
    with pytest.raises(errors.OutputExistsError, match="another song of this run"):
        engine.separate(tmp_path / "1.wav", tmp_path / "out")


def test_song_whose_title_changed_is_done_again(tmp_path: Path) -> None:
    song = tmp_path / "song.flac"
    for title in ("one", "two"):
        source = ["-f", "lavfi", "-i", "anoisesrc=duration=0.3:seed=1:sample_rate=44100"]
        subprocess.run([find_ffmpeg(), "-v", "error", "-y", *source, "-metadata", f"title={title}", song], check=True)
        result = separate(song, tmp_path / "out", form="flac")
        assert not result.skipped
        assert read_tags(result.files()["bass"], demuxer="flac")[0].text["title"] == f"{title} (bass)"


@pytest.mark.parametrize("point", [0, 1, 2, 3, 4])
def test_run_killed_while_it_publishes_is_brought_to_its_end_by_the_next(tmp_path: Path, point: int) -> None:
    """The process kills itself before its n-th rename; what stands then is finished by whoever comes next."""
    song = write_wav(tmp_path / "song.wav", sound("noise", seconds=0.3))
    separate(song, tmp_path / "out", overlap=0.1)  # older stems and a receipt in the way
    code = f"""{killed_at_rename(point)}
from stemwright.audio.formats import parse_format
from stemwright.engine.options import SeparateOptions
from stemwright.engine.separate import Engine
options = SeparateOptions(model="sketch", format=parse_format("wav32f"))
Engine(options).separate(pathlib.Path({str(song)!r}), pathlib.Path({str(tmp_path / "out")!r}))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    if point % 2:  # of this song or of another
        separate(write_wav(tmp_path / "other.wav", sound("noise", seconds=0.1)), tmp_path / "out")
    assert separate(song, tmp_path / "out").skipped  # it is whole, and with the later settings
    assert not [*(tmp_path / "out").glob(".stemwright-*")]


@pytest.mark.parametrize(("model", "error"), [("broken", errors.ModelFailedError), ("huge", errors.OutOfMemoryError)])
def test_failure_leaves_nothing_and_the_reason_is_clear(tmp_path: Path, model: str, error: type[Exception]) -> None:
    song = write_wav(tmp_path / "song.wav", sound("noise", seconds=2))
    with pytest.raises(error):
        separate(song, tmp_path / "deep" / "out", model=model)
    assert not (tmp_path / "deep").exists()


@pytest.mark.parametrize("stage", ["reading", "separating", "encoding"])
def test_stopping_in_any_stage_leaves_nothing_and_keeps_what_was_there(tmp_path: Path, stage: str) -> None:
    song = write_wav(tmp_path / "song.wav", sound("noise", seconds=25))
    separate(song, tmp_path / "out", model="sketch")
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}

    def stop(now: str, fraction: float | None, /) -> None:
        if now == stage:
            raise errors.CancelledError("enough")

    engine = Engine(SeparateOptions(model="sketch", format=parse_format("mp3")))
    with pytest.raises(errors.CancelledError):
        engine.separate(song, tmp_path / "out", on_progress=stop)
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


def test_too_little_memory_is_tried_again_with_less_and_said(tmp_path: Path) -> None:
    mix = sound("noise", seconds=2)
    song = write_wav(tmp_path / "song.wav", mix)
    result = separate(song, tmp_path / "out", model="large")
    [warning] = [warning for warning in result.receipt.warnings if warning.code == "less_memory"][-1:]
    assert "0.11 s" in warning.message or "0.23 s" in warning.message
    assert result.receipt.settings.segment is not None
    assert result.receipt.settings.segment * 44_100 <= 9_999
    assert level_db(total(result, 2) - mix, mix) < -80


def test_more_channels_than_two_are_downmixed_and_said(tmp_path: Path) -> None:
    mix = sound("noise", seconds=1, channels=6)
    result = separate(write_wav(tmp_path / "six.wav", mix), tmp_path / "out")
    assert "downmixed" in {warning.code for warning in result.receipt.warnings}
    assert {stem.channels for stem in result.receipt.stems} == {2}
    assert result.receipt.input.channels == 6


def test_mono_stays_mono(tmp_path: Path) -> None:
    result = separate(write_wav(tmp_path / "mono.wav", sound("song", seconds=1, channels=1)), tmp_path / "out")
    assert {stem.channels for stem in result.receipt.stems} == {1}


def test_sample_rate_asked_for_and_forced_by_the_format_are_both_said(tmp_path: Path) -> None:
    song = write_wav(tmp_path / "song.wav", sound("noise", seconds=1, rate=96_000), 96_000)
    asked = separate(song, tmp_path / "asked", form="flac16", sample_rate=22_050)
    assert {(stem.sample_rate, stem.frames) for stem in asked.receipt.stems} == {(22_050, 22_050)}
    assert "resampled" not in {warning.code for warning in asked.receipt.warnings}
    forced = separate(song, tmp_path / "forced", form="mp3")
    assert {stem.sample_rate for stem in forced.receipt.stems} == {48_000}
    assert "resampled" in {warning.code for warning in forced.receipt.warnings}


def test_peaks_and_picture_are_written_where_asked_for(tmp_path: Path) -> None:
    song = write_wav(tmp_path / "song.wav", sound("song", seconds=2))
    result = separate(song, tmp_path / "out", peaks=("json", "dat"), picture=True)
    names = {Path(name).name for name in result.receipt.files}
    for track in ("mix", "vocals", "drums", "bass", "other"):
        assert {f"{track}.peaks.json", f"{track}.peaks.dat"} <= names
    overview = json.loads((tmp_path / "out/song/mix.peaks.json").read_text())
    assert (overview["version"], overview["sample_rate"]) == (2, 44_100)
    assert overview["length"] == -(-88_200 // overview["samples_per_pixel"])
    assert "<svg" in (tmp_path / "out/song/waveforms.svg").read_text()
    assert sorted(names) == sorted(path.name for path in (tmp_path / "out/song").iterdir())


def test_stem_mp4_is_one_file_of_mix_and_four_stems(tmp_path: Path) -> None:
    mix = sound("song", seconds=2)
    song = write_wav(tmp_path / "song.wav", mix)
    result = separate(song, tmp_path / "out", form="alac16", stem_mp4=True)
    assert tree(tmp_path / "out/song") == ["receipt.json", "song.stem.mp4"]
    decoded = read(tmp_path / "out/song/song.stem.mp4", channels=2)
    assert decoded.shape == mix.shape
    assert level_db(decoded - mix, mix) < -60
    assert len(result.receipt.stems) == 4


def test_names_follow_the_template(tmp_path: Path) -> None:
    song = write_wav(tmp_path / "a.wav", sound("noise", seconds=0.2))
    result = separate(song, tmp_path / "out", template=NameTemplate("{model}/{song} - {stem}.{ext}"))
    assert tree(tmp_path / "out") == [
        "sketch",
        *(f"sketch/a - {name}" for name in ("bass.wav", "drums.wav", "other.wav", "receipt.json", "vocals.wav")),
    ]
    assert not result.skipped


def test_model_stays_loaded_from_song_to_song(tmp_path: Path, demucs_repo: Path) -> None:
    engine = Engine(SeparateOptions(model="tiny", repo=demucs_repo, format=parse_format("wav")))
    loaded = []
    for seed in (0, 1):
        song = write_wav(tmp_path / f"{seed}.wav", sound("noise", seconds=1, rate=8000, seed=seed), 8000)
        engine.separate(song, tmp_path / "out")
        loaded.append(engine._separator)
    assert loaded[0] is loaded[1]


def test_options_that_no_model_takes_are_refused() -> None:
    with pytest.raises(errors.OptionError):
        SeparateOptions(bitrate=128_000)
    changes: list[dict[str, object]] = [
        {"overlap": 1.0},
        {"overlap": -0.1},
        {"shifts": -1},
        {"segment": 0.0},
        {"sample_rate": 3999},
        {"stems": ()},
        {"stems": ("a", "a")},
    ]
    for change in changes:
        [name] = change
        with pytest.raises(errors.OptionError, match=name):
            SeparationSettings.checked(**change)


def test_draft_says_that_it_is_one_and_how_to_get_better(tmp_path: Path) -> None:
    song = write_wav(tmp_path / "a.wav", sound("noise", seconds=0.2))
    [warning] = separate(song, tmp_path / "out").receipt.warnings
    assert warning.code == "draft"
    assert "--model htdemucs" in warning.message


def test_auto_without_weights_uses_the_draft_and_says_so(tmp_path: Path) -> None:
    song = write_wav(tmp_path / "a.wav", sound("noise", seconds=0.2))
    receipt = separate(song, tmp_path / "out", model="auto").receipt
    assert (receipt.model.requested, receipt.model.name, receipt.model.draft) == ("auto", "sketch", True)
    assert "draft" in {warning.code for warning in receipt.warnings}


def test_tags_and_cover_are_kept_and_the_title_gets_the_stems_name(tmp_path: Path) -> None:
    demo = Path(__file__).parents[2] / "demo" / "song.ogg"
    template = NameTemplate("{artist}/{title}/{stem}.{ext}")
    result = separate(demo, tmp_path, form="flac", model="half", template=template)
    path = tmp_path / "Stemwright" / "The Sum of Four" / "vocals.flac"
    assert path in result.files().values()
    tags, notices = read_tags(path, demuxer="flac")
    song, _ = read_tags(demo, demuxer="ogg")
    assert tags.text == {**song.text, "title": "The Sum of Four (vocals)"}
    assert tags.cover is not None
    assert tags.cover == song.cover
    assert not notices


def test_film_gives_its_sound_and_no_warning_about_a_cover(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    source = ["-f", "lavfi", "-i", "testsrc=size=64x64:duration=1", "-f", "lavfi", "-i", "sine=duration=1"]
    subprocess.run([find_ffmpeg(), "-v", "error", *source, "-shortest", film], check=True)
    receipt = separate(film, tmp_path / "out").receipt
    assert receipt.input.container == "mov"
    assert {warning.code for warning in receipt.warnings} == {"draft"}


def test_track_and_late_sound_are_in_the_receipt_the_key_and_the_stems(tmp_path: Path) -> None:
    song = film(
        tmp_path / "song.mkv",
        sounds=[tone(1), tone(2)],
        late=[0, 1.5],
        more=["-disposition:a:0", "0", "-disposition:a:1", "default"],
    )
    by_default = separate(song, tmp_path / "a").receipt
    assert (by_default.input.track, by_default.input.late) == (2, 1.5)
    assert [warning.code for warning in by_default.warnings] == ["draft", "tracks", "late_sound"]
    stems = separate(song, tmp_path / "a")
    assert stems.skipped
    mixed = total(stems, 2)
    assert mixed.shape[1] == round(2.5 * 44_100)
    assert np.abs(mixed[:, : round(1.5 * 44_100)]).max() < 1e-6
    assert level_db(mixed[:, round(1.5 * 44_100) :] - tone(2), tone(2)) < -60
    first = separate(song, tmp_path / "b", track=1).receipt
    assert (first.input.track, first.input.late) == (1, 0.0)
    assert first.key != by_default.key
    assert separate(song, tmp_path / "c", track=2).receipt.key == by_default.key
    with pytest.raises(errors.NoSuchTrackError):
        separate(song, tmp_path / "d", track=3)
    assert not (tmp_path / "d").exists() or tree(tmp_path / "d") == []


def test_stream_that_changes_its_shape_is_taken_apart_whole(tmp_path: Path) -> None:
    parts = [("-c:a libvorbis", 44_100, 2), ("-c:a libopus", 48_000, 1)]
    data = b""
    for number, (codec, rate, channels) in enumerate(parts):
        samples = sound("song", seconds=1, rate=rate, channels=channels)
        data += record(tmp_path / f"{number}.ogg", codec, samples, rate=rate).read_bytes()
    (tmp_path / "radio.ogg").write_bytes(data)
    result = separate(tmp_path / "radio.ogg", tmp_path / "out")
    assert (result.receipt.input.sample_rate, result.receipt.input.channels) == (48_000, 2)
    assert abs(result.receipt.input.frames - 2 * 48_000) <= 2
    assert "changing_stream" in [warning.code for warning in result.receipt.warnings]
    assert total(result, 2).shape[1] == result.receipt.input.frames
