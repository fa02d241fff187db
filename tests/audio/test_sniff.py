from __future__ import annotations

import io
import os
import random
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recordings import ALL, id3, make, record, song
from stemwright.audio.sniff import Demuxer, sniff, sniff_file
from stemwright.errors import (
    EmptyInputError,
    InputError,
    NotAudioError,
    NotFoundError,
    StemwrightError,
    UnsupportedInputError,
)

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("name", ALL)
def test_every_container_is_known_by_its_bytes_whatever_its_name(name: str, folder: Path, tmp_path: Path) -> None:
    data = make(folder, name).read_bytes()
    for disguise in ("song.txt", "song.mp3", "song", "-i", "concat:a|b.wav"):
        (tmp_path / disguise).write_bytes(data)
        assert sniff(tmp_path / disguise) == ALL[name][0]


@pytest.mark.parametrize("name", ["cbr.mp3", "s16.flac", "adts.aac"])
@pytest.mark.parametrize("tags", [1, 2])
def test_id3_tags_in_front_are_looked_behind(name: str, tags: int, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(id3(padding=100_000) * tags + make(folder, name).read_bytes())
    assert sniff(path) == ALL[name][0]


def test_an_id3_tag_alone_is_no_audio(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(id3(padding=5000))
    with pytest.raises(NotAudioError, match="no audio behind"):
        sniff(path)


@pytest.mark.parametrize("junk", [bytes(3000), b"\xff" * 3000, b"junk" * 5000], ids=["zeros", "ones", "text"])
def test_junk_in_front_of_mp3_frames_is_passed_over(junk: bytes, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(junk + make(folder, "noxing.mp3").read_bytes())
    assert sniff(path) == "mp3"


def test_an_mp3_of_two_and_a_half_frames_is_an_mp3(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(make(folder, "noxing.mp3").read_bytes()[:1000])  # 417 or 418 bytes a frame
    assert sniff(path) == "mp3"


def test_every_rate_and_layer_of_mpeg_audio_is_known(tmp_path: Path) -> None:
    for rate in (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000):
        assert sniff(record(tmp_path / f"{rate}.mp3", "-b:a 64k", song(rate), rate=rate)) == "mp3"
    for rate in (16000, 22050, 24000, 32000, 48000):
        assert sniff(record(tmp_path / f"{rate}.mp2", "-c:a mp2 -f mp2", song(rate), rate=rate)) == "mp3"


@pytest.mark.parametrize(
    ("head", "word"),
    [
        (b"MThd\0\0\0\6\0\0\0\1", "MIDI"),
        (b"wvpk" + bytes(60), "WavPack"),
        (b"RIFF\0\0\0\0AVI LIST", "AVI"),
        (b"\0\0\1\xba" + bytes(60), "MPEG program"),
    ],
)
def test_known_audio_that_is_not_read_is_named(head: bytes, word: str) -> None:
    with pytest.raises(UnsupportedInputError, match=word):
        sniff_file(io.BytesIO(head), name="a.wav")


@pytest.mark.parametrize(
    "content",
    [
        b"PK\3\4" + bytes(500),
        b"%PDF-1.7\n" + bytes(500),
        b"\x89PNG\r\n\x1a\n" + bytes(500),
        b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(500),
        b"MZ" + bytes(500),
        b"\x7fELF" + bytes(500),
        b"<html><body>hello</body></html>",
        b"ffconcat version 1.0\nfile other.wav\n",
        b"#EXTM3U\nother.wav\n",
        b"duty free shops and more",
        b"RIFF\0\0\0\0WEBPVP8 ",
        b"\0",
        b"\xff" * 100_000,
        bytes(100_000),
    ],
)
def test_other_files_are_not_audio(content: bytes) -> None:
    with pytest.raises(NotAudioError):
        sniff_file(io.BytesIO(content), name="a.wav")


def test_a_file_without_bytes_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    with pytest.raises(EmptyInputError):
        sniff(tmp_path / "a.wav")


def _fifo(folder: Path) -> Path:
    os.mkfifo(folder / "a.wav")
    return folder / "a.wav"


def _dangling(folder: Path) -> Path:
    (folder / "a.wav").symlink_to(folder / "nowhere")
    return folder / "a.wav"


def _loop(folder: Path) -> Path:
    (folder / "a.wav").symlink_to(folder / "a.wav")
    return folder / "a.wav"


def _socket(folder: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "a.wav"))
    return folder / "a.wav"


@pytest.mark.parametrize(
    ("place", "error"),
    [
        (lambda folder: folder, NotAudioError),
        (lambda _: Path("/dev/zero"), NotAudioError),
        (_fifo, NotAudioError),
        (_socket, InputError),
        (_dangling, NotFoundError),
        (_loop, InputError),
        (lambda folder: folder / "nothing.wav", NotFoundError),
        (lambda folder: folder / "n" / "nothing.wav", NotFoundError),
        (lambda folder: folder / ("n" * 300), InputError),
    ],
    ids=["folder", "zero", "fifo", "socket", "dangling", "loop", "missing", "missing folder", "long name"],
)
def test_what_is_no_regular_file_is_refused_at_once(
    place: Callable[[Path], Path], error: type[InputError], tmp_path: Path
) -> None:
    started = time.monotonic()
    with pytest.raises(error):
        sniff(place(tmp_path))
    assert time.monotonic() - started < 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_an_input_error(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF")
    path.chmod(0)
    with pytest.raises(InputError, match="ermission"):
        sniff(path)


OUTCOMES = {*get_args(Demuxer), "not_audio", "unsupported"}


@settings(max_examples=300, deadline=1000)
@given(data=st.binary(min_size=1, max_size=5000))
@example(data=b"\xff\xfb\x90\x00" * 20_000)
@example(data=b"\xff\xf1\x50\x80\x01\x1f\xfc" * 9_000)
@example(data=b"\xff" * 65_536)
@example(data=b"ID3\4\0\x10\x7f\x7f\x7f\x7f")
@example(data=b"ID3")
def test_any_bytes_are_told_quickly_and_without_surprise(data: bytes) -> None:
    assert outcome(data) in OUTCOMES


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes_are_not_audio(seed: int) -> None:
    with pytest.raises(NotAudioError):
        sniff_file(io.BytesIO(random.Random(seed).randbytes(80_000)), name="song.mp3")


@settings(max_examples=200, deadline=1000)
@given(data=st.data())
def test_a_damaged_head_never_surprises(data: st.DataObject, folder: Path) -> None:
    name = data.draw(st.sampled_from(["s16.wav", "s16.flac", "cbr.mp3", "vorbis.ogg", "aac.m4a", "film.mkv"]))
    content = bytearray(make(folder, name).read_bytes()[: data.draw(st.integers(1, 3000))])
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=20)):
        content[place] = data.draw(st.integers(0, 255))
    assert outcome(bytes(content)) in OUTCOMES


def outcome(data: bytes) -> str:
    """The demuxer, or the code with which it is refused."""
    try:
        return sniff_file(io.BytesIO(data), name="a")
    except StemwrightError as error:
        return error.code
