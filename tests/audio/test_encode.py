from __future__ import annotations

import itertools
import os
import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from signals import FFMPEGS, choose, decode, decode_whole, ffmpeg_major, lag, noise
from stemwright.audio import _mp4
from stemwright.audio._containers import append_wav_chunk, set_mp3_length
from stemwright.audio.encode import Encoder, quantise
from stemwright.audio.formats import FORMATS
from stemwright.audio.tags import Tags
from stemwright.errors import DiskFullError, OptionError, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

LOSSLESS = [name for name, form in FORMATS.items() if form.lossless]
LOSSY = [name for name, form in FORMATS.items() if not form.lossless]


@pytest.fixture(autouse=True)
def _private_folders_are_gone_afterwards(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("private")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert not list(folder.iterdir())


def encode(
    path: Path, samples: npt.NDArray[np.float32], name: str, *, rate: int = 44_100, tags: Tags | None = None
) -> Path:
    path = path.with_suffix(FORMATS[name].extension)
    with Encoder(path, format=FORMATS[name], sample_rate=rate, channels=len(samples), tags=tags) as encoder:
        for start in range(0, samples.shape[1], 20_011):
            encoder.write(samples[:, start : start + 20_011])
    return path


def test_samples_are_rounded_half_to_even_and_limited() -> None:
    steps = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 32766.5, 40000, -32768, -40000])
    assert quantise((steps / 32768).astype(np.float32), bits=16).tolist() == [
        0,
        2,
        2,
        0,
        -2,
        32766,
        32767,
        -32768,
        -32768,
    ]
    fine = np.array([0.5, 1.5, 8388607, 8388608, -8388608, -9e6]) / 2**23
    assert (quantise(fine.astype(np.float32), bits=24) / 256).tolist() == [0, 2, 8388607, 8388607, -8388608, -8388608]


@pytest.mark.parametrize("which", FFMPEGS)
@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_formats_give_back_each_bit(
    name: str, which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(which, monkeypatch)
    bits = FORMATS[name].bits
    for rate, channels, frames in [(44_100, 2, 50_000), (96_000, 1, 1000), (48_000, 2, 1)]:
        sent = noise(channels, frames)
        path = encode(tmp_path / "x", sent, name, rate=rate)
        if bits is None:
            assert np.array_equal(decode(path, channels=channels, which=which), sent)
        else:
            got = decode_whole(path, channels=channels, which=which)
            assert np.array_equal(got, quantise(sent, bits=bits).astype(np.int64) << (16 if bits == 16 else 0))


@pytest.mark.parametrize(("encoding", "decoding"), list(itertools.product(FFMPEGS, FFMPEGS)))
@pytest.mark.parametrize("name", LOSSY)
def test_lossy_formats_give_back_each_sample_in_its_place(
    name: str, encoding: str, decoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(encoding, monkeypatch)
    for rate, channels, frames in [(44_100, 2, 1), (48_000, 1, 1000), (22_050, 2, 1153), (96_000, 1, 50_000)]:
        sent = noise(channels, frames)
        path = encode(tmp_path / "x", sent, name, rate=FORMATS[name].nearest_rate(rate))
        got = decode(path, channels=channels, which=decoding)
        if name == "m4a" and ffmpeg_major(decoding) < 9:  # ffmpeg 5.1 does not cut the last block to the edit list
            assert got.shape[1] in {frames, -(-frames // 1024) * 1024}
        else:
            assert got.shape[1] == frames
        assert frames == 1 or lag(sent[0], got[0]) == 0


@pytest.mark.parametrize("which", FFMPEGS)
def test_an_edit_list_tells_players_of_m4a_where_the_song_starts_and_ends(
    which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(which, monkeypatch)
    path = encode(tmp_path / "x", noise(1, 12_345), "m4a")
    _, moov = _mp4.read_moov(path)
    assert struct.unpack_from(">I", moov.child(b"mvhd").head, 12) == (44_100,)
    edits = next(moov.find(b"trak", b"edts", b"elst")).head
    assert struct.unpack(">IIIiI", edits) == (0, 1, 12_345, 1024, 0x10000)


@pytest.mark.parametrize("which", FFMPEGS)
@pytest.mark.parametrize("frames", [46, 47, 1152, 1153, 1198, 1199])
def test_mp3s_just_over_a_whole_frame_are_not_longer(
    frames: int, which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(which, monkeypatch)
    path = encode(tmp_path / "x", noise(1, frames), "mp3")
    assert decode(path, channels=1, which=which).shape == (1, frames)


def test_the_lame_header_keeps_its_checksum(tmp_path: Path) -> None:
    path = encode(tmp_path / "x", noise(2, 10_000), "mp3")
    written = path.read_bytes()
    set_mp3_length(path, frames=10_001)
    changed = path.read_bytes()
    assert sum(a != b for a, b in zip(written, changed, strict=True)) in {2, 3}  # one byte of length, two of checksum
    set_mp3_length(path, frames=10_000)
    assert path.read_bytes() == written
    path.write_bytes(bytes(5000))
    with pytest.raises(ValueError, match="no header"):
        set_mp3_length(path, frames=1)


def chunks(wav: bytes) -> dict[bytes, bytes]:
    """The chunks of a WAV that is whole."""
    found, at = {}, 12
    while at < len(wav):
        kind, size = struct.unpack_from("<4sI", wav, at)
        found[kind] = wav[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    assert at == len(wav) == struct.unpack_from("<I", wav, 4)[0] + 8
    return found


@pytest.mark.parametrize("which", FFMPEGS)
@pytest.mark.parametrize(("name", "channels", "frames"), [("wav24", 1, 1), ("wav16", 2, 1000), ("wav32f", 1, 3)])
def test_a_wav_holds_our_bytes_whichever_ffmpeg_writes_it_and_an_id3_chunk(
    name: str, channels: int, frames: int, which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(which, monkeypatch)
    sent = noise(channels, frames)
    found = chunks(encode(tmp_path / "x", sent, name, tags=Tags(text={"title": "T", "mood": "odd"})).read_bytes())
    bits = FORMATS[name].bits
    raw = sent if bits is None else quantise(sent, bits=bits)
    bytes_each = np.ascontiguousarray(raw.T).view(np.uint8).reshape(frames * channels, -1)
    assert found[b"data"] == (bytes_each[:, 1:] if bits == 24 else bytes_each).tobytes()
    assert found[b"id3 "][:3] == b"ID3"
    assert b"INAM" in found[b"LIST"]


@pytest.mark.parametrize("name", ["flac16", "mp3", "opus", "m4a"])
def test_the_size_of_the_blocks_does_not_change_the_file(name: str, tmp_path: Path) -> None:
    sent = noise(2, 30_000)
    whole = encode(tmp_path / "whole", sent, name, rate=48_000)
    path = tmp_path / "parts"
    with Encoder(path, format=FORMATS[name], sample_rate=48_000, channels=2) as encoder:
        for start in range(0, 30_000, 777):
            encoder.write(sent[:, start : start + 777])
        encoder.write(sent[:, :0])
    assert path.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("which", FFMPEGS)
@pytest.mark.parametrize("name", sorted(FORMATS))
def test_a_recording_of_no_samples(name: str, which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    choose(which, monkeypatch)
    rate, path = FORMATS[name].nearest_rate(44_100), tmp_path / "x"
    encoder = Encoder(path, format=FORMATS[name], sample_rate=rate, channels=2, tags=Tags(text={"title": "T"}))
    if FORMATS[name].can_be_empty:
        encoder.close()
        assert decode(path, channels=2, which=which).shape == (2, 0)
    else:
        with pytest.raises(OutputError, match="no samples"):
            encoder.close()
        assert not path.exists()


@pytest.mark.parametrize("which", FFMPEGS)
@pytest.mark.parametrize("frames", [10, 3_000_000])
@pytest.mark.parametrize("name", ["wav16", "flac16", "mp3", "m4a"])
def test_a_full_disk_is_noticed(
    name: str, frames: int, which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(which, monkeypatch)
    path = tmp_path / "x"
    path.symlink_to("/dev/full")
    silence = np.zeros((1, frames), np.float32)
    with (
        pytest.raises(DiskFullError),
        Encoder(path, format=FORMATS[name], sample_rate=44_100, channels=1) as encoder,
    ):
        encoder.write(silence)
    assert not path.is_symlink()


@pytest.mark.parametrize("which", FFMPEGS)
def test_a_path_that_cannot_be_written_is_told_in_ffmpegs_words(
    which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(which, monkeypatch)
    with (
        pytest.raises(OutputError, match="No such file or directory"),
        Encoder(tmp_path / "no" / "x", format=FORMATS["wav16"], sample_rate=44_100, channels=2) as encoder,
    ):
        encoder.write(np.zeros((2, 5_000_000), np.float32))  # far more than a pipe holds


def test_an_ffmpeg_that_dies_is_an_error_and_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    encoder = Encoder(path, format=FORMATS["wav16"], sample_rate=44_100, channels=2)
    encoder.write(np.zeros((2, 100_000), np.float32))
    os.kill(encoder._child._process.pid, 9)
    with pytest.raises(OutputError, match="ended with -9"):
        encoder.write(np.zeros((2, 5_000_000), np.float32))
    assert not path.exists()
    encoder.close()
    encoder.abort()


def test_leaving_by_an_exception_removes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with (
        pytest.raises(KeyboardInterrupt),
        Encoder(path, format=FORMATS["wav16"], sample_rate=44_100, channels=1) as encoder,
    ):
        encoder.write(np.zeros((1, 1_000_000), np.float32))
        raise KeyboardInterrupt
    assert not path.exists()


def test_what_a_format_cannot_carry_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for name, rate, channels, bitrate in [("opus", 44_100, 2, None), ("mp3", 44_100, 3, None), ("wav16", 44_100, 2, 1)]:
        with pytest.raises(OptionError):
            Encoder(path, format=FORMATS[name], sample_rate=rate, channels=channels, bitrate=bitrate)
    assert not path.exists()


def test_a_block_of_another_shape_is_refused(tmp_path: Path) -> None:
    encoder = Encoder(tmp_path / "x", format=FORMATS["wav16"], sample_rate=44_100, channels=2)
    for shape in [(1, 10), (10,), (2, 3, 4)]:
        with pytest.raises(ValueError, match="shape"):
            encoder.write(np.zeros(shape, np.float32))
    encoder.abort()


@pytest.mark.parametrize("bitrate", [64_000, 192_000])
def test_a_bit_rate_is_kept(bitrate: int, tmp_path: Path) -> None:
    path = tmp_path / "x"
    with Encoder(path, format=FORMATS["mp3"], sample_rate=44_100, channels=2, bitrate=bitrate) as encoder:
        encoder.write(noise(2, 441_000))
    assert path.stat().st_size * 8 / 10 == pytest.approx(bitrate, rel=0.02)


@pytest.mark.parametrize("name", ["a b.wav", "50%d.wav", 'it\'s: "x".wav', "-y.wav", "ü\n.wav"])
def test_any_name_is_only_a_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Encoder(Path(name), format=FORMATS["wav16"], sample_rate=44_100, channels=1) as encoder:
        encoder.write(noise(1, 10))
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("which", FFMPEGS)  # they leave the room for it in different places
def test_a_chunk_that_takes_a_wav_over_4_gib_makes_it_rf64(
    which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(which, monkeypatch)
    path = encode(tmp_path / "x", noise(1, 100), "wav16")
    head = bytearray(path.read_bytes()[:-200])
    size = 2**32 - 8 - len(head) - 2  # of the samples: the file ends two bytes below what RIFF can say
    struct.pack_into("<I", head, 4, len(head) + size - 8)
    struct.pack_into("<I", head, len(head) - 4, size)
    path.write_bytes(head)
    os.truncate(path, len(head) + size)  # a hole: it takes no room on the disk
    for name in (b"id3 ", b"more"):
        append_wav_chunk(path, name=name, body=b"1234567")
    with path.open("rb") as file:
        start = file.read(len(head))
        file.seek(-32, os.SEEK_END)
        assert file.read() == b"id3 \x07\0\0\x001234567\0more\x07\0\0\x001234567\0"
    expected = struct.pack(
        "<4sI4s4sIQQQI", b"RF64", 2**32 - 1, b"WAVE", b"ds64", 28, path.stat().st_size - 8, size, size // 2, 0
    )
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 44_100, 88_200, 2, 16)
    assert start == expected + form + b"data" + b"\xff" * 4
    other = tmp_path / "other"
    other.write_bytes(b"no RIFF at all, but long enough")
    with pytest.raises(ValueError, match="not a WAV"):
        append_wav_chunk(other, name=b"id3 ", body=b"")
