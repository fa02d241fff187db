from __future__ import annotations

import os
import random
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections import deque
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import pytest

from recordings import (
    ALL,
    FFMPEG,
    FILMS,
    GAPLESS,
    LOSSLESS,
    RATE,
    SIZES,
    Belongings,
    children_of,
    decode,
    huge_png,
    id3,
    lag,
    make,
    peak_bytes,
    record,
    resident_bytes,
    silent_flac,
    song,
    wav_header,
)
from sounds import Samples, level_db, sound, write_wav
from stemwright.audio.decode import DecodeLimits, open_audio
from stemwright.audio.sniff import Demuxer, sniff_file
from stemwright.errors import (
    CorruptInputError,
    DecodeTimeoutError,
    EmptyInputError,
    FfmpegMissingError,
    NoAudioStreamError,
    NotAudioError,
    SetupError,
    StemwrightError,
    TooLargeError,
    TooLongError,
    UnsupportedInputError,
)

if TYPE_CHECKING:
    from stemwright.audio.decode import AudioInfo
    from stemwright.types import Notice

APE = b"".join(
    [
        struct.pack("<II", 5, 0) + b"Title\0Hello",
        b"APETAGEX" + struct.pack("<IIII8x", 2000, 32 + 19, 1, 0),
    ]
)


def codes(path: Path) -> list[str]:
    return [notice.code for notice in decode(path)[1]]


def patched(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


# What is whole


@cache
def read_once(path: Path, _version: str) -> tuple[AudioInfo, Samples, tuple[Notice, ...]]:
    with open_audio(path) as stream:
        samples = np.concatenate(list(stream), axis=1)
    return stream.info, samples, tuple(stream.notices)


@pytest.mark.parametrize("name", ALL)
def test_every_format_decodes_and_nothing_is_said_against_it(ffmpeg: str, name: str, folder: Path) -> None:
    info, decoded, notices = read_once(make(folder, name), ffmpeg)
    assert notices == ()
    assert info.container == ALL[name][0]
    assert abs(decoded.shape[1] - song(info.sample_rate).shape[1]) < 0.1 * RATE
    assert info.channels == len(decoded) == (1 if name == "mono.mp3" else 2)


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_formats_give_every_sample(ffmpeg: str, name: str, folder: Path) -> None:
    _, decoded, _ = read_once(make(folder, name), ffmpeg)
    assert decoded.shape == song().shape
    step = 2.0 ** (1 - SIZES.get(name, 24 if "24" in name else 32 if "f32" in name else 16))
    assert np.abs(decoded - song()).max() <= step


@pytest.mark.parametrize("name", GAPLESS)
def test_gapless_formats_begin_and_end_with_the_song(ffmpeg: str, name: str, folder: Path) -> None:
    info, decoded, _ = read_once(make(folder, name), ffmpeg)
    truth = song(info.sample_rate)
    assert decoded.shape[1] == truth.shape[1]
    assert lag(decoded, truth.mean(axis=0, keepdims=True) if len(decoded) == 1 else truth) == 0


def test_the_sound_of_a_film_is_no_shorter_than_its_header_says(ffmpeg: str, folder: Path) -> None:
    for name in FILMS:  # the picture lasts two seconds longer, which is no truncation
        _, decoded, notices = read_once(make(folder, name), ffmpeg)
        assert decoded.shape[1] / 48_000 < 1.6
        assert not notices


@pytest.mark.parametrize("rate", [4000, 8000, 11_025, 22_050, 48_000, 96_000, 192_000, 384_000])
def test_rates_from_4_to_384_khz_are_kept(rate: int, tmp_path: Path) -> None:
    samples = sound("noise", seconds=0.25, rate=rate)
    with open_audio(write_wav(tmp_path / "a.wav", samples, rate)) as stream:
        assert np.array_equal(np.concatenate(list(stream), axis=1), samples)
    assert stream.info.sample_rate == rate


@pytest.mark.parametrize("channels", range(1, 9))
def test_up_to_eight_channels_are_kept_in_order(channels: int, tmp_path: Path) -> None:
    samples = sound("sine", seconds=0.1, channels=channels)
    decoded, _ = decode(write_wav(tmp_path / "a.wav", samples))
    assert np.array_equal(decoded, samples)


def test_eight_channels_at_384_khz_fit_the_memory(ffmpeg: str, tmp_path: Path) -> None:
    samples = sound("noise", seconds=1, rate=384_000, channels=8)
    wav = record(tmp_path / "a.wav", "-c:a pcm_f64le", samples, rate=384_000)
    decoded, notices = decode(wav)
    assert np.array_equal(decoded, samples)
    assert not notices


@pytest.mark.parametrize(("rate", "channels"), [(3999, 1), (384_001, 1), (RATE, 9), (RATE, 64)])
def test_other_rates_and_more_channels_are_refused(rate: int, channels: int, tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", np.zeros((channels, 1000), np.float32), rate)
    with pytest.raises(UnsupportedInputError), open_audio(path):
        pass


@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 24_000, 32_000, 48_000])
def test_gapless_mp3_of_any_rate_is_whole(rate: int, tmp_path: Path) -> None:
    path = record(tmp_path / "a.mp3", "-b:a 48k", song(rate), rate=rate)
    decoded, notices = decode(path)
    assert notices == []  # though the header counts the encoder's delay
    assert decoded.shape == song(rate).shape


@pytest.mark.parametrize("name", ["s16.wav", "s16.flac"])
def test_a_stream_from_a_pipe_that_knows_no_length_is_whole(name: str, folder: Path) -> None:
    command = [FFMPEG, "-v", "error", "-i", str(make(folder, name)), "-c", "copy", "-f", name[4:], "-"]
    piped = patched(folder, f"piped.{name}", subprocess.run(command, check=True, capture_output=True).stdout)
    decoded, notices = decode(piped)
    assert decoded.shape == song().shape
    assert not notices


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b"TAG" + bytes(125)),
        (b"", APE),
        (b"", APE + b"TAG" + bytes(125)),
        (b"", b"LYRICSBEGIN" + bytes(500) + b"LYRICSEND"),
        (id3(padding=3000), b""),
        (id3() + id3(), b""),
    ],
    ids=["id3v1", "ape", "ape and id3v1", "lyrics", "id3v2", "two id3v2"],
)
def test_tags_around_an_mp3_are_no_damage(
    ffmpeg: str, before: bytes, after: bytes, folder: Path, tmp_path: Path
) -> None:
    frames = make(folder, "noxing.mp3").read_bytes()
    plain, _ = decode(folder / "noxing.mp3")
    decoded, notices = decode(patched(tmp_path, "a.mp3", before + frames + after))
    assert notices == []
    assert np.array_equal(decoded, plain)


@pytest.mark.parametrize("junk", [bytes(5000), random.Random(1).randbytes(5000)], ids=["zeros", "noise"])
def test_an_mp3_behind_junk_decodes(junk: bytes, folder: Path, tmp_path: Path) -> None:
    plain, _ = decode(make(folder, "noxing.mp3"))
    decoded, _ = decode(patched(tmp_path, "a.mp3", junk + (folder / "noxing.mp3").read_bytes()))
    assert abs(decoded.shape[1] - plain.shape[1]) <= 1152
    assert abs(lag(decoded, plain)) <= 1152


def test_what_tags_say_does_not_pass_for_what_the_decoder_says(ffmpeg: str, tmp_path: Path) -> None:
    text = "\n  Duration: 09:00:00.00, start: 0\n[error] broken\n[fatal] broken\n" * 200
    for name in ("a.flac", "a.mp3", "a.m4a"):
        source = write_wav(tmp_path / "a.wav", song())
        command = [FFMPEG, "-v", "error", "-y", "-i", str(source), "-metadata", f"lyrics={text}", "-metadata"]
        subprocess.run([*command, "Duration: 09:00:00.00=Duration: 09:00:00.00", str(tmp_path / name)], check=True)
        assert b"09:00:00" in (tmp_path / name).read_bytes()
        assert codes(tmp_path / name) == []
        if name == "a.mp3":  # nor does it push that out
            data = (tmp_path / name).read_bytes()
            assert "truncated" in codes(patched(tmp_path, "cut.mp3", data[: -len(data) // 4]))


# What is damaged


@pytest.mark.parametrize(
    "name",
    [
        *("u8.wav", "s16.wav", "s24.wav", "f32.wav", "f64.wav", "rf64.wav", "s16.w64", "s24.aiff", "s16.flac"),
        *("flac.ogg", "vorbis.ogg", "opus.opus", "cbr.mp3", "vbr.mp3", "fast.m4a", "flac.mka", "opus.webm"),
    ],
)
def test_a_file_cut_short_decodes_as_far_as_it_goes_and_says_so(
    ffmpeg: str, name: str, folder: Path, tmp_path: Path
) -> None:
    share = 0.6
    path = folder / f"long.{name}"
    if not path.exists():
        rate = 48_000 if "opus" in name else RATE
        record(path, ALL[name][1], sound("song", seconds=6, rate=rate), rate=rate)  # an Ogg page may last a second
    data = path.read_bytes()
    whole, _ = decode(path)
    decoded, notices = decode(patched(tmp_path, name, data[: int(len(data) * share) // 8 * 8 + 4]))
    assert "truncated" in [notice.code for notice in notices]
    assert 0.05 < decoded.shape[1] / whole.shape[1] < share + 0.15
    if name in LOSSLESS:
        assert np.array_equal(decoded, whole[:, : decoded.shape[1]])


def test_a_wav_cut_between_two_samples_is_noticed(ffmpeg: str, tmp_path: Path) -> None:
    data = write_wav(tmp_path / "a.wav", song()).read_bytes()
    decoded, notices = decode(patched(tmp_path, "b.wav", data[: 44 + 8 * 10_000]))
    assert decoded.shape[1] == 10_000
    assert [notice.code for notice in notices] == ["truncated"]


@pytest.mark.parametrize("name", ["film.mkv", "film.webm", "adts.aac"])
def test_a_cut_where_no_length_of_the_sound_is_told_is_damage(
    ffmpeg: str, name: str, folder: Path, tmp_path: Path
) -> None:
    data = make(folder, name).read_bytes()
    assert codes(patched(tmp_path, name, data[: len(data) // 2 + 100])) == ["damaged"]


@pytest.mark.parametrize("name", ["aac.m4a", "alac16.m4a", "film.mp4"])
def test_an_mp4_that_lost_its_index_is_corrupt(name: str, folder: Path, tmp_path: Path) -> None:
    data = make(folder, name).read_bytes()
    with pytest.raises(CorruptInputError), open_audio(patched(tmp_path, name, data[: len(data) // 2])):
        pass


@pytest.mark.parametrize("name", ["s16.flac", "flac.ogg", "vorbis.ogg", "opus.opus", "alac16.m4a", "adts.aac"])
def test_flipped_bits_are_noticed(ffmpeg: str, name: str, folder: Path, tmp_path: Path) -> None:
    data = bytearray(make(folder, name).read_bytes())
    for place in (0.55, 0.57, 0.59, 0.61, 0.63):
        data[int(len(data) * place)] ^= 0x55
    assert {"damaged", "truncated"} & {*codes(patched(tmp_path, name, bytes(data)))}


def test_one_flipped_bit_of_a_flac_is_noticed(ffmpeg: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).uniform(-1, 1, (2, RATE)).astype(np.float32)  # stored as it is: all bits are valid
    data = bytearray(record(tmp_path / "a.flac", "-sample_fmt s16 -ch_mode indep", noise).read_bytes())
    data[len(data) // 2] ^= 1
    assert "damaged" in codes(patched(tmp_path, "b.flac", bytes(data)))


def test_torn_mp3_frames_are_noticed(folder: Path, tmp_path: Path) -> None:
    data = bytearray(make(folder, "cbr.mp3").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = random.Random(2).randbytes(3000)
    decoded, notices = decode(patched(tmp_path, "a.mp3", bytes(data)))
    assert "damaged" in [notice.code for notice in notices]
    assert decoded.shape[1] > 0.7 * song().shape[1]


@pytest.mark.parametrize(
    "name", ["cbr.mp3", "noxing.mp3", "vorbis.ogg", "opus.opus", "flac.ogg", "s16.flac", "adts.aac"]
)
def test_files_joined_end_to_end_keep_their_second_half(ffmpeg: str, name: str, folder: Path, tmp_path: Path) -> None:
    data = make(folder, name).read_bytes()
    half, _ = decode(folder / name)
    decoded, notices = decode(patched(tmp_path, name, data + data))
    assert abs(decoded.shape[1] - 2 * half.shape[1]) <= 3500  # gapless marks of the second are lost in some
    assert abs(lag(decoded[:, half.shape[1] :], half)) <= 3500
    assert level_db(decoded[:, -half.shape[1] :], half) > -1
    assert "truncated" not in [notice.code for notice in notices]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("codec", ["pcm_f32le", "pcm_f64le"])
def test_samples_that_are_no_numbers_are_refused(value: float, codec: str, tmp_path: Path) -> None:
    kind = "<f4" if codec == "pcm_f32le" else "<f8"
    samples = np.zeros(2 * 70_000, kind)
    samples[-1] = value  # in the second block
    head = wav_header(data=samples.nbytes, bits=samples.itemsize * 8, kind=3)
    path = patched(tmp_path, "a.wav", head + samples.tobytes())
    with pytest.raises(CorruptInputError, match="finite"):
        decode(path)


def test_a_wav_without_samples_is_empty(ffmpeg: str, tmp_path: Path) -> None:
    with pytest.raises(EmptyInputError):
        decode(patched(tmp_path, "a.wav", wav_header(data=0)))


def test_a_picture_in_a_film_s_clothes_holds_no_audio(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.mkv"):
        picture = ["-f", "lavfi", "-i", "testsrc=s=64x48:d=1:r=5", "-c:v", "mpeg4"]
        subprocess.run([FFMPEG, "-v", "error", *picture, tmp_path / name], check=True)
        with pytest.raises(NoAudioStreamError), open_audio(tmp_path / name):
            pass


def test_a_codec_that_is_not_on_the_list_is_unsupported(tmp_path: Path) -> None:
    path = record(tmp_path / "a.mkv", "-c:a wavpack", song())
    with pytest.raises(UnsupportedInputError), open_audio(path):
        pass


# Limits


def test_the_longest_recording_allowed_is_read_and_one_sample_more_is_refused(tmp_path: Path) -> None:
    samples = sound("noise", seconds=2, rate=8000)
    path = write_wav(tmp_path / "a.wav", samples, 8000)
    assert decode(path, limits=DecodeLimits(duration=2))[0].shape[1] == 16_000
    with pytest.raises(TooLongError):
        decode(path, limits=DecodeLimits(duration=15_999 / 8000))


def test_header_that_says_too_much_is_believed_at_once_and_the_error_says_what_to_do(tmp_path: Path) -> None:
    path = patched(tmp_path, "a.flac", silent_flac(seconds=3 * 3600))
    with open_audio(path, limits=DecodeLimits(duration=600)) as stream:
        with pytest.raises(TooLongError, match=r"lasts 10(799|800) s; the limit is 600 s \(set") as caught:
            deque(stream, maxlen=0)
        assert stream.frames < 20 * stream.info.sample_rate
    assert "--max-duration" in caught.value.message


def test_header_of_a_cut_file_is_not_believed(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", sound("noise", seconds=4, rate=8000), 8000, bits=16)
    path.write_bytes(path.read_bytes()[: 44 + 2 * 8000 * 2])
    samples, notices = decode(path, limits=DecodeLimits(duration=2))
    assert samples.shape[1] == 8_000
    assert "truncated" in {notice.code for notice in notices}


def test_three_hours_in_a_small_file_are_refused(tmp_path: Path) -> None:
    path = patched(tmp_path, "a.flac", silent_flac(seconds=3 * 3600))
    assert path.stat().st_size < 200_000
    started = time.monotonic()
    with pytest.raises(TooLongError):
        _drain(path, limits=DecodeLimits(duration=600))
    assert time.monotonic() - started < 5


def test_a_file_of_too_many_bytes_is_refused(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", song())
    with pytest.raises(TooLargeError), open_audio(path, limits=DecodeLimits(size_bytes=path.stat().st_size - 1)):
        pass


def test_a_decoder_that_stalls_is_ended(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", sound("noise", seconds=60))
    before = children_of(os.getpid())
    started = time.monotonic()
    with open_audio(path, limits=DecodeLimits(wall_clock=1.0)) as stream:
        [child] = set(children_of(os.getpid())) - set(before)
        os.kill(child, signal.SIGSTOP)
        with pytest.raises(DecodeTimeoutError):
            list(stream)
    assert time.monotonic() - started < 4
    assert not Path(f"/proc/{child}").exists()


def test_a_decoder_that_is_killed_does_not_pass_for_the_end(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", sound("noise", seconds=60))
    before = children_of(os.getpid())
    with open_audio(path) as stream:
        [child] = set(children_of(os.getpid())) - set(before)
        os.kill(child, signal.SIGKILL)
        with pytest.raises(DecodeTimeoutError):
            list(stream)


def test_a_reader_that_takes_its_time_is_not_timed(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", sound("noise", seconds=20))
    with open_audio(path, limits=DecodeLimits(wall_clock=1.0)) as stream:
        for number, _ in enumerate(stream):
            if number == 1:
                time.sleep(1.2)
    assert stream.frames == 20 * RATE


def test_a_decoder_is_given_no_more_memory_than_allowed(ffmpeg: str, folder: Path, tmp_path: Path) -> None:
    path = patched(tmp_path, "a.mp3", id3(cover=bytes(150_000_000)) + long_mp3(folder))
    others = {*children_of(os.getpid())}  # servers that other tests use
    with open_audio(path, limits=DecodeLimits(memory_bytes=100 << 20)) as stream:  # it does without the cover
        peak = max(sum(map(peak_bytes, {*children_of(os.getpid())} - others)) for _ in stream)
    assert stream.frames > 19 * RATE
    assert 10e6 < peak < 150e6


def long_mp3(folder: Path) -> bytes:
    """So long that its decoder lives while it is read."""
    path = folder / "20s.mp3"
    if not path.exists():
        record(path, "-b:a 128k -write_xing 0 -id3v2_version 0", sound("song", seconds=20))
    return path.read_bytes()


@pytest.mark.parametrize("channels", [2, 8])
def test_the_decoder_s_memory_does_not_grow_with_the_recording(channels: int, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    size = 60 * RATE * channels * 2
    with path.open("wb") as file:
        file.write(wav_header(data=size, channels=channels))
        file.truncate(44 + size)
    others = {*children_of(os.getpid())}  # what earlier tests left
    with open_audio(path) as stream:
        decoders = ({*children_of(os.getpid())} - others for _ in stream)
        held = [[sum(resident_bytes(pid, field=f) for pid in pids) for f in ("Pss_Anon", "Pss")] for pids in decoders]
    own, whole = zip(*held, strict=True)
    assert max(own[len(own) // 2 :]) < 1.1 * max(own[: len(own) // 2])
    assert max(whole) < 150e6


# What is left, and what is opened


@dataclass(frozen=True)
class Failure:
    data: bytes
    code: str


FAILURES = {
    "not audio": Failure(b"hello, world", "not_audio"),
    "empty": Failure(wav_header(data=0), "empty"),
    "corrupt": Failure(b"fLaC" + bytes(100), "corrupt"),
    "unsupported": Failure(wav_header(data=8000, channels=9) + bytes(8000), "unsupported"),
    "too long": Failure(wav_header(data=800_000, rate=8000) + bytes(800_000), "too_long"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_leaves_no_child_no_open_file_no_thread_and_no_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = tmp_path / "private"
    private.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(private))
    path = patched(tmp_path, "a.wav", FAILURES[name].data)
    belongings = Belongings()
    for _ in range(3):
        with pytest.raises(StemwrightError) as caught:
            decode(path, limits=DecodeLimits(duration=10))
        assert caught.value.code == FAILURES[name].code
    del caught
    belongings.assert_unchanged()
    assert list(private.iterdir()) == []


def test_leaving_early_leaves_nothing(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", sound("noise", seconds=30))
    belongings = Belongings()
    with open_audio(path) as stream:
        next(iter(stream))
    belongings.assert_unchanged()


def test_a_file_put_in_its_place_after_the_check_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = write_wav(tmp_path / "checked.wav", sound("sine", seconds=0.5))
    secret = write_wav(tmp_path / "secret.wav", sound("noise", seconds=1))
    link = tmp_path / "song.wav"
    link.symlink_to(checked)

    def sniff_then_swap(file: BinaryIO, *, name: str) -> Demuxer:
        found = sniff_file(file, name=name)
        link.unlink()
        link.symlink_to(secret)
        checked.rename(tmp_path / "moved.wav")
        secret.rename(checked)
        return found

    monkeypatch.setattr("stemwright.audio.decode.sniff_file", sniff_then_swap)
    decoded, _ = decode(link)
    assert np.array_equal(decoded, sound("sine", seconds=0.5))


def test_a_fifo_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.wav")
    started = time.monotonic()
    with pytest.raises(NotAudioError), open_audio(tmp_path / "a.wav"):
        pass
    assert time.monotonic() - started < 1


def test_more_than_a_thousand_open_files_are_no_hindrance(tmp_path: Path) -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 1200:
        pytest.skip("so many files cannot be opened here")
    path = write_wav(tmp_path / "a.wav", song())
    held = [os.open("/dev/null", os.O_RDONLY) for _ in range(1050)]
    try:
        decoded, _ = decode(path)
    finally:
        for handle in held:
            os.close(handle)
    assert np.array_equal(decoded, song())


def test_a_log_without_end_slows_nothing_and_fills_nothing(ffmpeg: str, folder: Path, tmp_path: Path) -> None:
    page = b"OggS\0\0" + bytes(8) + struct.pack("<IIIB", 1, 1, 0, 0)  # of a wrong checksum: one error each
    data = make(folder, "vorbis.ogg").read_bytes()
    path = patched(tmp_path, "a.ogg", data[:-1000] + page * 100_000 + data[-1000:])
    started = time.monotonic()
    with open_audio(path) as stream:
        list(stream)
        kept = stream._child.log
    assert kept.errors > 1000
    assert len(kept.lines) < 1000
    assert time.monotonic() - started < 5
    assert "damaged" in [notice.code for notice in stream.notices]


def test_no_temporary_folder_is_a_matter_of_setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_wav(tmp_path / "a.wav", song())
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(SetupError), open_audio(path):
        pass


def test_an_ffmpeg_that_cannot_be_run_is_a_matter_of_setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "ffmpeg"
    fake.write_bytes(b"no program")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FfmpegMissingError), open_audio(write_wav(tmp_path / "a.wav", song())):
        pass


def test_limits_of_the_surroundings_that_are_tighter_than_ours_are_kept(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", song())
    program = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_CPU, (100, 100))\n"
        "from pathlib import Path; from stemwright.audio.decode import open_audio\n"
        "with open_audio(Path(sys.argv[1])) as stream: print(sum(block.shape[1] for block in stream))"
    )
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    assert int(done.stdout) == song().shape[1]


def _drain(path: Path, *, limits: DecodeLimits) -> None:
    with open_audio(path, limits=limits) as stream:
        for _ in stream:
            pass


@pytest.mark.parametrize("kind", ["mp3", "flac"])
def test_a_huge_cover_is_not_unpacked(ffmpeg: str, kind: str, folder: Path, tmp_path: Path) -> None:
    if kind == "mp3":
        data = id3(cover=huge_png()) + long_mp3(folder)
    else:
        noise = sound("noise", seconds=20)
        data = _with_picture(record(tmp_path / "plain.flac", "-sample_fmt s16", noise).read_bytes(), huge_png())
    others = {*children_of(os.getpid())}
    with open_audio(patched(tmp_path, f"a.{kind}", data)) as stream:
        peak = max(sum(map(peak_bytes, {*children_of(os.getpid())} - others)) for _ in stream)
    assert stream.notices == []
    assert stream.frames > 19 * RATE
    assert 10e6 < peak < 120e6


def _with_picture(flac: bytes, png: bytes) -> bytes:
    body = struct.pack(">II9sIIIIII", 3, 9, b"image/png", 0, 16_000, 16_000, 8, 0, len(png)) + png
    return flac[:42] + b"\6" + len(body).to_bytes(3, "big") + body + flac[42:]


def test_samples_have_their_shape_and_type(tmp_path: Path) -> None:
    samples: Samples = sound("noise", seconds=3)
    with open_audio(write_wav(tmp_path / "a.wav", samples)) as stream:
        blocks = list(stream)
    assert {block.dtype for block in blocks} == {np.dtype(np.float32)}
    assert [block.shape for block in blocks] == [(2, 65_536), (2, 65_536), (2, 3 * RATE - 2 * 65_536)]
