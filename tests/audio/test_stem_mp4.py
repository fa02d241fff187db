from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from signals import FFMPEGS, choose, decode_tracks, ffmpeg_major, lag, noise, png
from stemwright.audio import _mp4
from stemwright.audio.encode import quantise
from stemwright.audio.formats import FORMATS
from stemwright.audio.stem_mp4 import StemTrack, write_stem_mp4
from stemwright.audio.tags import Tags, parse_cover, read_tags
from stemwright.errors import OptionError, OutputError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

STEMS = ("drums", "bass", "other", "vocals")


def spool(folder: Path, *, channels: int, frames: int) -> list[npt.NDArray[np.float32]]:
    """The mix and four stems as raw files `0` to `4`; what they hold."""
    sounds = [noise(channels, frames, seed=number) for number in range(5)]
    for number, samples in enumerate(sounds):
        (folder / str(number)).write_bytes(samples.T.astype("<f4").tobytes())
    return sounds


def tracks(folder: Path) -> list[StemTrack]:
    return [StemTrack(name=name, path=folder / str(number)) for number, name in enumerate(STEMS, 1)]


@pytest.mark.parametrize("which", FFMPEGS)
@pytest.mark.parametrize(("channels", "frames"), [(1, 1), (1, 70_001), (2, 20_000)])
@pytest.mark.parametrize("name", ["m4a", "alac16", "alac24"])
def test_five_tracks_come_back_in_step(
    name: str, channels: int, frames: int, which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(which, monkeypatch)
    sounds = spool(tmp_path, channels=channels, frames=frames)
    path = tmp_path / "x.stem.mp4"
    write_stem_mp4(
        path,
        mix=tmp_path / "0",
        stems=tracks(tmp_path),
        sample_rate=44_100,
        channels=channels,
        gain=0.7,
        format=FORMATS[name],
    )
    bits = FORMATS[name].bits
    got = decode_tracks(path, number=5, which=which, sample_format="s32le" if bits else "f32le")
    for samples, track in zip(sounds, got, strict=True):
        sent = np.broadcast_to(samples * np.float32(0.7), (2, frames))
        if bits:
            assert np.array_equal(track, quantise(sent, bits=bits).astype(np.int64) << (16 if bits == 16 else 0))
        else:
            late = 0 if ffmpeg_major(which) >= 9 else -frames % 1024  # ffmpeg 5.1 does not cut to the edit list
            assert track.shape[1] in {frames, frames + late}
            assert frames == 1 or lag(sent[0], track[0]) == 0
    _, moov = _mp4.read_moov(path)
    edits = [int.from_bytes(edit.head[8:12], "big") for edit in moov.find(b"trak", b"edts", b"elst")]
    assert edits == [frames] * 5


@pytest.mark.parametrize("order", [("vocals", "drums", "bass", "other"), ("other", "vocals", "bass", "drums")])
def test_stems_come_in_the_order_of_djs_players_whatever_the_models(tmp_path: Path, order: tuple[str, ...]) -> None:
    sounds = spool(tmp_path, channels=2, frames=5000)
    stems = [StemTrack(name=name, path=tmp_path / str(number)) for number, name in enumerate(order, 1)]
    path = tmp_path / "x.stem.mp4"
    write_stem_mp4(path, mix=tmp_path / "0", stems=stems, sample_rate=44_100, channels=2, format=FORMATS["alac24"])
    got = decode_tracks(path, number=5, which=FFMPEGS[0], sample_format="s32le")
    for place, name in enumerate(STEMS, 1):
        sent = quantise(sounds[1 + order.index(name)], bits=24).astype(np.int64)
        assert np.array_equal(got[place], sent), name
    _, moov = _mp4.read_moov(path)
    [described] = moov.find(b"udta", b"stem")
    assert [stem["name"] for stem in json.loads(described.head)["stems"]] == [*STEMS]


def test_stem_that_is_none_of_the_four_comes_before_the_voice(tmp_path: Path) -> None:
    spool(tmp_path, channels=2, frames=100)
    names = ("vocals", "guitar", "piano", "drums")
    stems = [StemTrack(name=name, path=tmp_path / str(number)) for number, name in enumerate(names, 1)]
    write_stem_mp4(tmp_path / "x.stem.mp4", mix=tmp_path / "0", stems=stems, sample_rate=44_100, channels=2)
    _, moov = _mp4.read_moov(tmp_path / "x.stem.mp4")
    [described] = moov.find(b"udta", b"stem")
    assert [stem["name"] for stem in json.loads(described.head)["stems"]] == ["drums", "guitar", "piano", "vocals"]


@pytest.mark.parametrize("which", FFMPEGS)
def test_the_mix_alone_is_enabled_and_the_stems_are_described(
    which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(which, monkeypatch)
    spool(tmp_path, channels=2, frames=5000)
    path = tmp_path / "x.stem.mp4"
    stems = [StemTrack(name=f"{name}ü", path=tmp_path / "1", colour="#123456") for name in STEMS]
    tags = Tags(text={"title": "T", "isrc": "US1"}, cover=parse_cover(png(9, 9)))
    write_stem_mp4(path, mix=tmp_path / "0", stems=stems, sample_rate=48_000, channels=2, tags=tags)
    assert path.read_bytes()[4:12] == b"ftypM4A "
    _, moov = _mp4.read_moov(path)
    assert [track.head[3] & 1 for track in moov.find(b"trak", b"tkhd")] == [1, 0, 0, 0, 0]
    (box,) = moov.find(b"udta", b"stem")
    described = json.loads(box.head)
    assert described["version"] == 1
    assert [described["mastering_dsp"][part]["enabled"] for part in ("compressor", "limiter")] == [False, False]
    assert described["stems"] == [{"name": f"{name}ü", "color": "#123456"} for name in STEMS]
    assert read_tags(path, demuxer="mov") == (tags, ())


def test_without_tags_the_stems_are_described_too(tmp_path: Path) -> None:
    spool(tmp_path, channels=1, frames=100)
    path = tmp_path / "x"
    write_stem_mp4(path, mix=tmp_path / "0", stems=tracks(tmp_path), sample_rate=44_100, channels=1)
    (box,) = _mp4.read_moov(path)[1].find(b"udta", b"stem")
    colours = [stem["color"] for stem in json.loads(box.head)["stems"]]
    assert colours == ["#009E73", "#D55E00", "#CC79A7", "#56B4E9"]


def test_what_is_no_stems_file_is_refused(tmp_path: Path) -> None:
    spool(tmp_path, channels=2, frames=100)
    path, mix, stems = tmp_path / "x", tmp_path / "0", tracks(tmp_path)
    with pytest.raises(OptionError, match="four stems, not 3"):
        write_stem_mp4(path, mix=mix, stems=stems[:3], sample_rate=44_100, channels=2)
    with pytest.raises(OptionError, match="not mp3"):
        write_stem_mp4(path, mix=mix, stems=stems, sample_rate=44_100, channels=2, format=FORMATS["mp3"])
    with pytest.raises(OptionError, match="6 channels"):
        write_stem_mp4(path, mix=mix, stems=stems, sample_rate=44_100, channels=6)
    with pytest.raises(OptionError, match="192000 Hz"):
        write_stem_mp4(path, mix=mix, stems=stems, sample_rate=192_000, channels=2)
    mix.write_bytes(bytes(8))
    with pytest.raises(ValueError, match="one length"):
        write_stem_mp4(path, mix=mix, stems=stems, sample_rate=44_100, channels=2)
    assert not path.exists()


def test_no_samples_make_no_file(tmp_path: Path) -> None:
    spool(tmp_path, channels=2, frames=0)
    path = tmp_path / "x"
    with pytest.raises(OutputError, match="no samples"):
        write_stem_mp4(path, mix=tmp_path / "0", stems=tracks(tmp_path), sample_rate=44_100, channels=2)
    assert not path.exists()


def test_boxes_come_back_as_they_were(tmp_path: Path) -> None:
    spool(tmp_path, channels=2, frames=3000)
    path = tmp_path / "x"
    tags = Tags(text={"title": "T", "mood": "odd"})
    write_stem_mp4(path, mix=tmp_path / "0", stems=tracks(tmp_path), sample_rate=44_100, channels=2, tags=tags)
    before = path.read_bytes()
    at, moov = _mp4.read_moov(path)
    assert moov.dump() == before[at:]
    _mp4.write_moov(path, moov, at=at)
    assert path.read_bytes() == before


@pytest.mark.parametrize("data", [b"", b"\0\0\0\x08free", b"\0\0\0\x10moov\0\0\0\x08free\0\0\0\x08free", bytes(100)])
def test_a_file_without_a_last_moov_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="no moov"):
        _mp4.read_moov(path)
    with pytest.raises(ValueError, match="impossible size"):
        _mp4.parse(b"\0\0\0\x20moov\0\0\0\0")
