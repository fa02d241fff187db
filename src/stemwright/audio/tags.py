"""What a recording says of itself: title, artist, cover; read by a hardened ffmpeg child, never by this process."""

from __future__ import annotations

import hashlib
import re
import struct
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from stemwright.audio.ffmpeg import FfmpegChild
from stemwright.types import Notice

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from stemwright.types import StemName

CoverKind: TypeAlias = Literal["png", "jpeg"]

MAX_COVER_BYTES = 16_000_000  # a FLAC picture block ends at 16 MiB
MAX_VALUE_CHARACTERS = 65_536
MAX_TAGS = 200
_MAX_TEXT_BYTES = 4 << 20

_FILMS = {"mov", "matroska", "asf"}
_HEADER = b";FFMETADATA1"
_ESCAPED = re.compile(r"([=;#\\\n\r\[])")  # the bracket too, lest a key looks like a section
_UNESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_LINE = re.compile(rb"(?:[^\\\n]++|\\.)*+", re.DOTALL)
_ENTRY = re.compile(rb"((?:[^\\=]++|\\.)*+)=(.*)", re.DOTALL)

_SAME = {
    "tbpm": "bpm",
    "tmpo": "bpm",
    "tempo": "bpm",
    "tsrc": "isrc",
    "year": "date",
    "albumartist": "album_artist",
    "album artist": "album_artist",
    "tracknumber": "track",
    "discnumber": "disc",
    "unsyncedlyrics": "lyrics",
    "label": "publisher",
    "uslt": "lyrics",
}
_USUAL = {
    *("title", "artist", "album", "album_artist", "track", "disc", "date", "genre", "composer", "comment", "bpm"),
    *("copyright", "isrc", "lyrics", "publisher", "performer", "grouping", "description", "language", "compilation"),
}
_TECHNICAL = re.compile(  # true of the file it was read from, wrong for a stem
    "|".join(
        [
            *("encod(er|ed|ing).*", "tsse", "software", "(source)?_?duration.*", "tlen", "length", "major_brand"),
            *("minor_version", "compatible_brands", "creation_time", "handler_name", "vendor_id", "timecode"),
            *("replaygain_.*", "r128_.*", "mp3gain_.*", "itun.*", "gapless_playback", "id3v2_priv\\..*", "cuesheet"),
            *("metadata_block_picture", "coverart.*", "waveformatextensible_channel_mask", "acoustid_fingerprint"),
            *("bps(-.*)?", "number_of_(frames|bytes).*", "_statistics_.*", "time_reference", "umid", "coding_history"),
            *("com\\.(apple|android)\\..*",),
        ]
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """A picture, as it was in the file."""

    data: bytes = field(repr=False)
    kind: CoverKind
    width: int  # pixels
    height: int

    @property
    def mime(self) -> str:
        """Its media type."""
        return f"image/{self.kind}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    """What a recording says of itself: texts by ffmpeg's names (`album_artist`, `track`, …), and a cover."""

    text: Mapping[str, str] = field(default_factory=dict)
    cover: Cover | None = None

    def identity(self) -> list[object]:
        """What tells these tags from others: the texts, and the digest of the cover."""
        return [sorted(self.text.items()), hashlib.sha256(self.cover.data).hexdigest() if self.cover else None]

    def for_stem(self, stem: StemName, /, *, fallback: str) -> Tags:
        """The tags of a stem: the title, or `fallback` without one, gets the stem's name."""
        title = f"{self.text.get('title') or fallback} ({stem})"
        return replace(self, text={**self.text, "title": title})


def read_tags(path: Path, *, demuxer: str, track: int = 1) -> tuple[Tags, tuple[Notice, ...]]:
    """Read texts and cover of a recording whose demuxer is known; a notice for each thing that could not be read.

    Where the audio tracks have texts of their own, those of `track` count, from 1.
    Technical entries (encoder, gain, duration, …) are left out. Texts are UTF-8, else taken as Latin-1. A cover is PNG
    or JPEG and is never decoded. Raises `FfmpegMissingError`.
    """
    with tempfile.TemporaryDirectory(prefix="stemwright-") as name:
        folder = Path(name)
        (folder / "input").symlink_to(path.resolve())
        text, text_notices = _read_text(folder, demuxer, track=track)
        cover, cover_notices = _read_cover(folder, demuxer)
    return Tags(text=text, cover=cover), (*text_notices, *cover_notices)


def parse_cover(data: bytes, /) -> Cover | None:
    """The picture that `data` holds, by its first bytes; None when it is neither PNG nor JPEG."""
    if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR" and len(data) >= 24:
        width, height = struct.unpack_from(">II", data, 16)
        return Cover(data=data, kind="png", width=width, height=height) if width and height else None
    if not data.startswith(b"\xff\xd8\xff"):
        return None
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:  # a frame header
            height, width = struct.unpack_from(">HH", data, at + 5)
            return Cover(data=data, kind="jpeg", width=width, height=height) if width and height else None
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return None


def format_ffmetadata(entries: Mapping[str, str], /) -> bytes:
    """Write entries as an ffmetadata file, so that ffmpeg or `parse_ffmetadata` reads the same back.

    Entries without a name or a value are left out, and so is NUL, which no container can hold. Behind a backslash at
    the end of a value goes a space: ffmpeg would take it for one that escapes the end of the line.
    """
    lines = [_HEADER.decode()]
    for key, value in entries.items():
        name, words = (_ESCAPED.sub(r"\\\1", part.replace("\0", "")) for part in (key, value))
        if name and words:
            lines.append(f"{name}={words} " if words.endswith("\\") else f"{name}={words}")
    return "\n".join([*lines, ""]).encode("utf-8", "replace")


def parse_ffmetadata(data: bytes, /) -> Iterator[tuple[str, bytes, bytes]]:
    """Yield section (`""`, `STREAM` or `CHAPTER`), name and value of each entry of an ffmetadata file."""
    for section, entries in parse_sections(data):
        for key, value in entries:
            yield section, key, value


def parse_sections(data: bytes, /) -> Iterator[tuple[str, list[tuple[bytes, bytes]]]]:
    """Yield each section of an ffmetadata file, `""`, `STREAM` or `CHAPTER`, with names and values of its entries."""
    section: str = ""
    entries: list[tuple[bytes, bytes]] = []
    at = 0
    while at < len(data):
        match = _LINE.match(data, at)
        assert match is not None  # noqa: S101  (it matches an empty line too)
        line, at = match[0], match.end() + 1
        if line in {b"[STREAM]", b"[CHAPTER]"}:
            yield section, entries
            section, entries = line[1:-1].decode(), []
        elif not line.startswith((b";", b"#")) and (entry := _ENTRY.fullmatch(line)):
            entries.append((_UNESCAPED.sub(rb"\1", entry[1]), _UNESCAPED.sub(rb"\1", entry[2])))
    yield section, entries


def _read_text(folder: Path, demuxer: str, *, track: int) -> tuple[dict[str, str], list[Notice]]:
    arguments = [
        "-map",
        f"0:a:{track - 1}",
        "-c",
        "copy",
        "-t",
        "0",
        "-map_chapters",
        "-1",
        "-f",
        "ffmetadata",
        "pipe:1",
    ]
    data, error = _run(folder, demuxer, arguments, most=_MAX_TEXT_BYTES)
    notices = []
    if len(data) > _MAX_TEXT_BYTES:
        notices.append(Notice("tags_cut", f"the file holds more than {_MAX_TEXT_BYTES >> 20} MiB of tags"))
        data = data[: data.rfind(b"\n", 0, _MAX_TEXT_BYTES) + 1]
    elif error:
        notices.append(Notice("tags_unreadable", f"tags could not be read: {error}"))
    found: dict[str, str] = {}
    for section, raw_key, raw_value in parse_ffmetadata(data):  # of the file first, then of the stream (Ogg)
        key = _name(raw_key.decode("latin-1") if (guess := _utf8(raw_key)) is None else guess)
        if section == "CHAPTER" or not key or not raw_value or key in found or _TECHNICAL.fullmatch(key.lower()):
            continue
        if section == "STREAM" and key == "language" and raw_value == b"und":
            continue
        value = _utf8(raw_value)
        if value is None:
            notices.append(Notice("tags_not_utf8", f"tag {key[:40]!r} is not UTF-8 and was read as Latin-1"))
            value = raw_value.decode("latin-1")
        if len(value) > MAX_VALUE_CHARACTERS:
            notices.append(Notice("tags_cut", f"tag {key[:40]!r} was cut to {MAX_VALUE_CHARACTERS} characters"))
            value = value[:MAX_VALUE_CHARACTERS]
        if len(found) == MAX_TAGS:
            notices.append(Notice("tags_cut", f"only the first {MAX_TAGS} tags were kept"))
            break
        found[key] = value
    return found, notices


def _read_cover(folder: Path, demuxer: str) -> tuple[Cover | None, list[Notice]]:
    arguments = ["-map", "0:v:0", "-c", "copy", "-frames:v", "1", "-f", "image2pipe", "pipe:1"]
    data, error = _run(folder, demuxer, arguments, most=MAX_COVER_BYTES)
    if "matches no streams" in error:
        return None, []
    if len(data) > MAX_COVER_BYTES:
        return None, [Notice("cover_left_out", f"the cover has more than {MAX_COVER_BYTES / 1e6:g} MB")]
    if cover := parse_cover(data):
        return cover, []
    if demuxer in _FILMS:  # a stream that is not a picture is a film
        return None, []
    return None, [Notice("cover_left_out", f"the cover is neither PNG nor JPEG {error}".rstrip())]


def _run(folder: Path, demuxer: str, arguments: Sequence[str], *, most: int) -> tuple[bytes, str]:
    """What a child writes, at most `most` + 1 bytes, and the error that ended it, or an empty string."""
    child = FfmpegChild(
        [
            *("-loglevel", "level+error", "-protocol_whitelist", "file", "-codec_whitelist", "none"),
            *("-f", demuxer, "-i", "file:input", *arguments),
        ],
        folder=folder,
        writes=True,
        cpu_seconds=60,
    )
    try:
        data = child.stdout.read(most + 1)
        code = child.wait() if len(data) <= most else 0
    finally:
        child.kill()
    faults = [text for level, text in child.log.lines if level != "info" and "not on whitelist" not in text]
    return data, " ".join(faults)[:300] or f"ffmpeg ended with {code}" if code else ""


def _utf8(raw: bytes) -> str | None:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


def _name(key: str) -> str:
    """The name that ffmpeg uses for what a container calls `key`; others keep their spelling."""
    plain = re.sub(r"[\x00-\x1f\x7f=]", "_", key).strip()
    name = re.sub("^lyrics-.*", "lyrics", plain.lower())  # ID3 adds the language
    name = _SAME.get(name, name)
    return name if name in _USUAL else plain
