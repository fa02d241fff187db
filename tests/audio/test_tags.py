from __future__ import annotations

import struct
import tempfile
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signals import FFMPEGS, choose, jpeg, png, run
from stemwright.audio._containers import append_wav_chunk
from stemwright.audio.encode import Encoder
from stemwright.audio.formats import FORMATS
from stemwright.audio.tags import (
    MAX_COVER_BYTES,
    MAX_TAGS,
    MAX_VALUE_CHARACTERS,
    Cover,
    Tags,
    format_ffmetadata,
    parse_cover,
    parse_ffmetadata,
    read_tags,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEMUXERS = {"wav": "wav", "flac": "flac", "mp3": "mp3", "opus": "ogg", "mp4": "mov"}
TEXT = {
    "title": "Nö; = #1 [STREAM]\\x",
    "artist": "A\\B",
    "album": "Alb\U0001f3b5m",
    "album_artist": "Various",
    "track": "3/12",
    "disc": "1/2",
    "date": "2020-05-01",
    "genre": "Weird Genre",
    "composer": "C",
    "comment": "two\nlines;\n#three",
    "bpm": "128",
    "copyright": "© me",
    "isrc": "USABC2000001",
    "lyrics": "la\n\nla " * 500,
    "publisher": "P",
    "MusicBrainz Track Id": "abc-def",
}
IN_LIST_INFO = {"title", "artist", "album", "track", "date", "genre", "comment", "copyright"}


@pytest.fixture(autouse=True)
def _private_folders_are_gone_afterwards(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("private")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert not list(folder.iterdir())


def a_cover(data: bytes) -> Cover:
    cover = parse_cover(data)
    assert cover is not None
    return cover


def write(path: Path, name: str, tags: Tags) -> Path:
    with Encoder(path, format=FORMATS[name], sample_rate=48_000, channels=1, tags=tags) as encoder:
        encoder.write(np.zeros((1, 5000), np.float32))
    return path


def wav_with_info(path: Path, entries: dict[bytes, bytes]) -> Path:
    run("system", "-f", "lavfi", "-i", "anullsrc", "-t", "0.01", "-bitexact", "-f", "wav", path)
    body = b"INFO"
    for name, value in entries.items():
        body += struct.pack("<4sI", name, len(value) + 1) + value + b"\0" + bytes((len(value) + 1) % 2)
    append_wav_chunk(path, name=b"LIST", body=body)
    return path


names = st.text(min_size=1).filter(lambda text: text.replace("\0", ""))


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(names, names, max_size=5))
def test_ffmetadata_comes_back_as_it_was(entries: dict[str, str]) -> None:
    clean = {key: value.replace("\0", "") for key, value in entries.items()}
    expected = [
        (
            "",
            key.replace("\0", "").encode("utf-8", "replace"),
            (value + " " * value.endswith("\\")).encode("utf-8", "replace"),
        )
        for key, value in clean.items()
    ]
    assert list(parse_ffmetadata(format_ffmetadata(entries))) == expected


@settings(deadline=None)
@given(st.binary())
def test_any_bytes_are_parsed_without_an_error(data: bytes) -> None:
    list(parse_ffmetadata(b";FFMETADATA1\n" + data))
    for start in (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR"):
        parse_cover(start + data)


def test_long_lines_are_parsed_in_no_time() -> None:
    started = time.monotonic()
    for piece in (b"a", b"\\=", b"\\\\", b"=", b";\n", b"\\\n"):
        list(parse_ffmetadata(piece * (1 << 20)))
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("which", FFMPEGS)
def test_ffmpeg_reads_the_same_ffmetadata_as_we_do(which: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    alphabet = list("ab=;#\\\n\r[] ")
    entries = {f"{i}{''.join(rng.choice(alphabet, 5))}": "".join(rng.choice(alphabet, 9)) for i in range(100)}
    path = tmp_path / "meta"
    path.write_bytes(format_ffmetadata(entries))
    there_and_back = run(which, "-f", "ffmetadata", "-i", path, "-bitexact", "-f", "ffmetadata", "-")
    assert sorted(parse_ffmetadata(there_and_back)) == sorted(parse_ffmetadata(path.read_bytes()))


@pytest.mark.parametrize("which", FFMPEGS)
@pytest.mark.parametrize("name", ["wav16", "flac16", "mp3", "opus", "m4a", "alac24"])
def test_all_formats_carry_texts_and_cover(
    name: str, which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(which, monkeypatch)
    kinds = {"png": a_cover(png(20, 10)), "jpeg": a_cover(jpeg(tmp_path))}
    for kind, cover in kinds.items():
        path = write(tmp_path / kind, name, Tags(text=TEXT, cover=cover))
        tags, notices = read_tags(path, demuxer=DEMUXERS[FORMATS[name].container])
        assert tags.cover == cover
        assert notices == ()
        if name == "wav16" and tags.text.keys() == IN_LIST_INFO:  # ffmpeg 5.1 reads ID3 only where there is no INFO
            assert tags.text == {key: TEXT[key] for key in IN_LIST_INFO}
        else:
            assert tags.text == TEXT


def test_a_picture_is_never_decoded(tmp_path: Path) -> None:
    bomb = a_cover(png(60_000, 60_000, whole=False))
    for name in ("wav16", "flac16", "mp3", "opus", "m4a"):
        path = write(tmp_path / name, name, Tags(text={"title": "T"}, cover=bomb))
        assert read_tags(path, demuxer=DEMUXERS[FORMATS[name].container]) == (Tags(text={"title": "T"}, cover=bomb), ())


def test_covers_are_known_by_their_first_bytes(tmp_path: Path) -> None:
    picture = a_cover(jpeg(tmp_path))
    assert (picture.kind, picture.width, picture.height, picture.mime) == ("jpeg", 32, 16, "image/jpeg")
    picture = a_cover(png(7, 5))
    assert (picture.kind, picture.width, picture.height, picture.mime) == ("png", 7, 5, "image/png")
    for data in (b"", b"GIF89a" + bytes(100), png(0, 5, whole=False), jpeg(tmp_path)[:20], b"<svg>"):
        assert parse_cover(data) is None


def test_a_cover_of_another_kind_or_too_large_is_left_out_with_a_notice(tmp_path: Path) -> None:
    gif = tmp_path / "cover.gif"
    run("system", "-f", "lavfi", "-i", "color=red:s=32x16", "-frames:v", "1", gif)
    write(tmp_path / "a.mp3", "mp3", Tags(text={"title": "T"}))
    run("system", "-i", tmp_path / "a.mp3", "-i", gif, "-map", "0:a", "-map", "1:v", "-c", "copy", tmp_path / "b.mp3")
    tags, (notice,) = read_tags(tmp_path / "b.mp3", demuxer="mp3")
    assert (tags.text["title"], tags.cover, notice.code) == ("T", None, "cover_left_out")
    for more, code in ((0, []), (1, ["cover_left_out"])):
        large = png(9, 9).ljust(MAX_COVER_BYTES + more, b"x")
        path = write(tmp_path / "c.m4a", "m4a", Tags(text={"title": "T"}, cover=a_cover(large)))
        tags, notices = read_tags(path, demuxer="mov")
        assert tags == Tags(text={"title": "T"}, cover=None if more else a_cover(large))
        assert [notice.code for notice in notices] == code


@pytest.mark.parametrize("which", FFMPEGS)
def test_bytes_that_are_not_utf8_are_read_as_latin1(
    which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(which, monkeypatch)
    path = wav_with_info(tmp_path / "x", {b"INAM": "Größe".encode("latin-1"), b"IART": "Größe".encode()})
    tags, (notice,) = read_tags(path, demuxer="wav")
    assert tags.text == {"title": "Größe", "artist": "Größe"}
    assert notice.code == "tags_not_utf8"
    assert "'title'" in notice.message


def test_huge_tags_are_cut_with_a_notice(tmp_path: Path) -> None:
    path = wav_with_info(tmp_path / "x", {b"INAM": b"x" * (1 << 20), b"IART": b"A"})
    tags, (notice,) = read_tags(path, demuxer="wav")
    assert tags.text == {"title": "x" * MAX_VALUE_CHARACTERS, "artist": "A"}
    assert notice.code == "tags_cut"


def test_more_tags_than_anybody_needs_are_cut_with_a_notice(tmp_path: Path) -> None:
    path = write(tmp_path / "x", "flac16", Tags(text={f"k{i}": "v" for i in range(300)}))
    tags, (notice,) = read_tags(path, demuxer="flac")
    assert len(tags.text) == MAX_TAGS
    assert notice.code == "tags_cut"
    path = write(tmp_path / "y", "flac16", Tags(text={f"k{i}": "v" * 65_000 for i in range(100)}))
    tags, notices = read_tags(path, demuxer="flac")
    assert 50 < len(tags.text) < 70
    assert [notice.code for notice in notices] == ["tags_cut"]


def test_what_is_true_of_the_file_only_is_left_out(tmp_path: Path) -> None:
    technical = ["encoder", "REPLAYGAIN_TRACK_GAIN", "R128_TRACK_GAIN", "iTunSMPB", "iTunNORM", "creation_time", "TLEN"]
    technical += ["major_brand", "encoded_by", "ENCODING", "duration", "MP3GAIN_MINMAX", "acoustid_fingerprint"]
    kept = {"title": "T", "mood": "encoder", "gain": "1"}
    for name, demuxer in (("flac16", "flac"), ("mp3", "mp3"), ("m4a", "mov"), ("opus", "ogg")):
        path = write(tmp_path / name, name, Tags(text=kept | dict.fromkeys(technical, "x")))
        assert read_tags(path, demuxer=demuxer) == (Tags(text=kept), ())


@pytest.mark.parametrize("which", FFMPEGS)
def test_a_file_that_cannot_be_read_gives_a_notice_and_no_error(
    which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(which, monkeypatch)
    path = tmp_path / "x"
    path.write_bytes(b"ffconcat version 1.0\nfile /etc/passwd\n" * 100)
    for demuxer in ("flac", "mov", "wav", "no such demuxer"):
        tags, notices = read_tags(path, demuxer=demuxer)
        assert tags == Tags()
        assert notices[0].code == "tags_unreadable"
        assert len(notices[0].message) < 400


def test_a_damaged_picture_costs_the_picture_only(tmp_path: Path) -> None:
    path = write(tmp_path / "x", "flac16", Tags(text={"title": "T"}, cover=a_cover(png(20, 10))))
    path.write_bytes(path.read_bytes().replace(b"\x89PNG", b"\x89PMG"))
    tags, (notice,) = read_tags(path, demuxer="flac")
    assert (tags.text, tags.cover, notice.code) == ({"title": "T"}, None, "cover_left_out")


def test_a_stem_is_called_after_the_song() -> None:
    tags = Tags(text={"title": "Song", "artist": "A"}, cover=a_cover(png(2, 2)))
    stem = tags.for_stem("vocals", fallback="file")
    assert stem.text == {"title": "Song (vocals)", "artist": "A"}
    assert stem.cover is tags.cover
    assert Tags().for_stem("no_drums", fallback="file").text == {"title": "file (no_drums)"}
    assert tags.text["title"] == "Song"


def test_only_odd_tags_in_an_m4a_are_kept_too(tmp_path: Path) -> None:
    path = write(tmp_path / "x", "m4a", Tags(text={"isrc": "US1", "mood": "odd"}))
    assert read_tags(path, demuxer="mov") == (Tags(text={"isrc": "US1", "mood": "odd"}), ())


def test_nul_and_empty_tags_do_no_harm(tmp_path: Path) -> None:
    path = write(tmp_path / "x", "flac16", Tags(text={"title": "a\0b", "artist": "", "mood": "\0", "": "x"}))
    assert read_tags(path, demuxer="flac") == (Tags(text={"title": "ab"}), ())
