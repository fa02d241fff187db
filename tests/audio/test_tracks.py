"""Several audio tracks in one file, and sound that begins after its picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from films import film, tone
from recordings import RATE, Belongings, decode, lag, make
from sounds import level_db
from stemwright.audio.decode import DecodeLimits, open_audio
from stemwright.audio.stem_mp4 import StemTrack, write_stem_mp4
from stemwright.audio.tags import read_tags
from stemwright.errors import NoSuchTrackError, TooLongError

if TYPE_CHECKING:
    from pathlib import Path

    from sounds import Samples

DEFAULTS = {  # the disposition of each track: the one to take
    "second": (("0", "default"), 2),
    "third of three": (("0", "comment", "default"), 3),
    "none": (("0", "0"), 1),
    "several": (("0", "default", "default"), 2),
    "first": (("default", "0"), 1),
}


def taken(path: Path, *, track: int | None = None, tracks: int = 3) -> tuple[int, list[str], Samples]:
    """Which of the sounds was decoded, what `info` calls it, and the notices; and the samples."""
    with open_audio(path, track=track) as stream:
        decoded = np.concatenate(list(stream), axis=1)
    heard = [level_db(decoded[:, :40_000] - tone(n)[:, :40_000], tone(n)) for n in range(1, tracks + 1)]
    assert stream.info.track == int(np.argmin(heard)) + 1
    return stream.info.track, [f"{notice.code}: {notice.message}" for notice in stream.notices], decoded


@pytest.mark.parametrize("ending", ["mkv", "mka", "mp4"])
@pytest.mark.parametrize("case", DEFAULTS)
def test_the_default_track_is_taken_and_what_was_passed_over_is_told(
    ffmpeg: str, case: str, ending: str, tmp_path: Path
) -> None:
    flags, number = DEFAULTS[case]
    if ending == "mp4" and case == "none":
        pytest.skip("this muxer marks one itself")
    more = [word for n, flag in enumerate(flags) for word in (f"-disposition:a:{n}", flag)]
    path = film(
        tmp_path / f"a.{ending}",
        sounds=[tone(n) for n in range(1, len(flags) + 1)],
        picture=None if ending == "mka" else 2.5,
        more=[*more, "-strict", "-2"],
    )
    found, [notice], _ = taken(path, tracks=len(flags))
    assert found == number
    assert notice.startswith(f"tracks: the recording has {len(flags)} tracks: track {number}")
    assert "--track" in notice


def test_a_windows_film_has_its_second_track_by_number(ffmpeg: str, tmp_path: Path) -> None:
    path = film(tmp_path / "a.wma", "-c:a wmav2 -b:a 320k", sounds=[tone(1), tone(2)], picture=None)
    assert taken(path, tracks=2)[0] == 1
    assert taken(path, track=2, tracks=2)[0] == 2


def test_tracks_are_told_by_their_names_and_chosen_by_number(ffmpeg: str, tmp_path: Path) -> None:
    names = [f"-metadata:s:a:{n} title={name}" for n, name in enumerate(("Commentary", "Film"))]
    path = film(
        tmp_path / "a.mkv",
        sounds=[tone(1), tone(2), tone(3)],
        more=" ".join(
            [*names, "-metadata:s:a:0 language=eng -disposition:a:0 comment -disposition:a:1 default"]
        ).split(),
    )
    _, [notice], _ = taken(path)
    assert "has 3 tracks: track 2 (default, “Film”) was taken, not 1 (“Commentary”, eng), 3; --track" in notice
    assert read_tags(path, demuxer="matroska", track=2)[0].text["title"] == "Film"
    assert [taken(path, track=n)[0] for n in (1, 2, 3)] == [1, 2, 3]
    belongings = Belongings()
    with pytest.raises(NoSuchTrackError, match="no track 4: it has 3 tracks") as caught, open_audio(path, track=4):
        pass
    assert (caught.value.code, caught.value.status) == ("no_such_track", 422)
    belongings.assert_unchanged()


@pytest.mark.parametrize("name", ["s16.wav", "cbr.mp3", "aac.m4a", "vorbis.ogg", "film.mkv"])
def test_one_track_needs_no_words_and_has_no_second(ffmpeg: str, name: str, folder: Path) -> None:
    path = make(folder, name)
    assert decode(path)[1] == []
    with open_audio(path, track=1) as stream:
        assert stream.info.track == 1
    with pytest.raises(NoSuchTrackError, match="its only track is 1"), open_audio(path, track=2):
        pass


def test_a_tag_is_not_taken_for_a_track(ffmpeg: str, tmp_path: Path) -> None:
    line = "  Stream #0:7: Audio: flac, 44100 Hz (default)"
    for number, text in enumerate((f"x\n{line}", "x" * 4096 + line, f"x\n[STREAM]\ntitle=y\n{line}", f"[info] {line}")):
        more = ["-metadata", f"comment={text}", "-metadata:s:a:0", f"title={text}"]
        path = film(tmp_path / f"{number}.mkv", sounds=[tone(1), tone(2)], more=more)
        _, [notice], _ = taken(path, tracks=2)
        assert "has 2 tracks" in notice


def test_our_stem_mp4_gives_its_mix_and_says_how_to_have_the_rest(ffmpeg: str, tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / str(number)).write_bytes(tone(number + 1).T.astype("<f4").tobytes())
    path = tmp_path / "a.stem.mp4"
    stems = [
        StemTrack(name=name, path=tmp_path / str(n)) for n, name in enumerate(("drums", "bass", "other", "vocals"), 1)
    ]
    write_stem_mp4(path, mix=tmp_path / "0", stems=stems, sample_rate=RATE, channels=2)
    found, [notice], _ = taken(path, tracks=5)
    assert found == 1
    assert "track 1 (default, “mix”) was taken, not 2 (“drums”), 3 (“bass”), 4 (“other”), 5 (“vocals”)" in notice
    assert ".stem.mp4" in notice
    assert taken(path, track=5, tracks=5)[0] == 5


# Late sound

LATE = {
    "a.mkv": ("-c:a flac -sample_fmt s16", 2.0),
    "b.mkv": ("-c:a libmp3lame -b:a 192k", 0.5),
    "a.mp4": ("-c:a aac -b:a 256k", 2.0),
    "a.mov": ("-c:a pcm_s16le", 0.25),
    "a.webm": ("-c:a libopus -b:a 192k", 1.0),
}


@pytest.mark.parametrize("name", LATE)
def test_sound_that_begins_after_its_picture_has_silence_in_front(ffmpeg: str, name: str, tmp_path: Path) -> None:
    options, seconds = LATE[name]
    rate = 48_000 if name.endswith("webm") else RATE
    path = film(tmp_path / name, options, sounds=[tone(1, rate=rate)], late=[seconds], picture=4, rate=rate)
    decoded, [notice] = decode(path)
    assert notice.code == "late_sound"
    with open_audio(path) as stream:
        assert abs(stream.info.late - seconds) < 0.03  # where an encoder's delay is not marked, it is sound
    assert f"begins {stream.info.late:.2f} s after the picture" in notice.message
    assert abs(lag(decoded, tone(1, rate=rate)) - seconds * rate) <= 0.007 * rate  # that an Opus file may say of itself
    assert not decoded[:, : round((seconds - 0.06) * rate)].any()
    again, _ = decode(path)
    assert np.array_equal(decoded, again)


def test_the_late_one_of_two_tracks_is_late(ffmpeg: str, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", sounds=[tone(1), tone(2)], late=[0, 1.5])
    assert [notice.code for notice in decode(path)[1]] == ["tracks"]
    with open_audio(path, track=2) as stream:
        decoded = np.concatenate(list(stream), axis=1)
    assert [notice.code for notice in stream.notices] == ["tracks", "late_sound"]
    assert stream.info.late == 1.5
    assert decoded.shape[1] == 2.5 * RATE


IN_TIME = {
    "film that begins at 5 s": ("a.mkv", ["-output_ts_offset", "5"], 0.0, 2.5),
    "sound alone that begins at 5 s": ("a.mka", ["-output_ts_offset", "5"], 0.0, None),
    "sound alone, late in its container": ("b.mka", ["-avoid_negative_ts", "disabled"], 2.0, None),
    "sound that begins before its picture": ("c.mkv", [], -0.5, 2.5),
}


@pytest.mark.parametrize("case", IN_TIME)
def test_sound_that_is_not_late_has_no_silence(ffmpeg: str, case: str, tmp_path: Path) -> None:
    name, more, late, picture = IN_TIME[case]
    decoded, notices = decode(film(tmp_path / name, sounds=[tone(1)], late=[late], picture=picture, more=more))
    assert notices == []
    assert abs(lag(decoded, tone(1))) == 0


@pytest.mark.parametrize("options", ["-c:a aac", "-c:a libmp3lame", "-c:a libopus -ar 48000", "-c:a libvorbis"])
def test_an_encoder_s_delay_is_no_late_sound(ffmpeg: str, options: str, tmp_path: Path) -> None:
    for name in ("a.mkv", "a.mp4"):
        assert decode(film(tmp_path / name, f"{options} -strict -2", sounds=[tone(1)]))[1] == []


def test_silence_in_front_counts_for_the_limit_and_costs_nothing(ffmpeg: str, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", sounds=[tone(1)], late=[3 * 3600], picture=1)
    with pytest.raises(TooLongError, match="over 10800 s"):
        decode(path, limits=DecodeLimits(duration=3600))
    path = film(tmp_path / "b.mkv", sounds=[tone(1)], late=[2], picture=4)
    assert decode(path, limits=DecodeLimits(duration=3))[0].shape[1] == 3 * RATE
    with pytest.raises(TooLongError):
        decode(path, limits=DecodeLimits(duration=2.99))
