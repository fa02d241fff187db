"""How tags go into each container: what ffmpeg is told, and what is added to the file afterwards."""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stemwright.audio import _mp4
from stemwright.audio.tags import Cover, Tags, format_ffmetadata

if TYPE_CHECKING:
    from pathlib import Path

    from stemwright.audio.formats import Container

_ID3_NAMES = {"bpm": "TBPM", "isrc": "TSRC", "publisher": "TPUB"}
_MP4_NAMES = {  # those for which ffmpeg knows a code
    *("title", "artist", "album_artist", "composer", "album", "date", "comment", "genre", "copyright", "grouping"),
    *("lyrics", "description", "synopsis", "compilation", "track", "disc", "tmpo"),
}
_MP4_FREE_NAMES = {"bpm": "BPM", "isrc": "ISRC", "publisher": "LABEL", "performer": "PERFORMER", "language": "LANGUAGE"}
_WITH_PICTURE_STREAM = {"flac", "mp3", "mp4"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TagArguments:
    """Arguments for ffmpeg: of its inputs and of its output."""

    inputs: list[str]
    output: list[str]


def tag_arguments(tags: Tags, *, container: Container, folder: Path, inputs: int) -> TagArguments:
    """Write tags as files into the child's `folder`; how ffmpeg, with so many `inputs` before, is to use them."""
    entries = _renamed(tags, container)
    if container == "opus" and tags.cover:
        entries["METADATA_BLOCK_PICTURE"] = base64.b64encode(_flac_picture(tags.cover)).decode()
    (folder / "tags").write_bytes(format_ffmetadata(entries))
    given = ["-protocol_whitelist", "file", "-f", "ffmetadata", "-i", "file:tags"]
    output = ["-map_metadata", str(inputs), "-map_chapters", "-1"]
    if tags.cover and container in _WITH_PICTURE_STREAM:
        (folder / "cover").write_bytes(tags.cover.data)
        size = f"{tags.cover.width}x{tags.cover.height}"  # told, for the picture is not to be decoded
        decoder = "mjpeg" if tags.cover.kind == "jpeg" else "png"
        given += ["-protocol_whitelist", "file", "-codec_whitelist", "none", "-f", "image2", "-pattern_type", "none"]
        given += ["-c:v", decoder, "-video_size", size, "-i", "file:cover"]
        output += ["-map", f"{inputs + 1}:v:0", "-c:v", "copy", "-disposition:v:0", "attached_pic"]
        output += ["-metadata:s:v:0", "comment=Cover (front)"]
    return TagArguments(inputs=given, output=output)


def add_mp4_tags(path: Path, tags: Tags) -> None:
    """Add the tags that ffmpeg's MP4 writer leaves out. Raises ValueError when the file is no MP4 with a last moov."""
    others = {name: value for name, value in _renamed(tags, "mp4").items() if name not in _MP4_NAMES}
    if not others:
        return
    at, moov = _mp4.read_moov(path)
    meta = moov.child(b"udta").child(b"meta")
    if not meta.children:
        meta.head = bytes(4)
        meta.children.append(_mp4.Box(b"hdlr", bytes(8) + b"mdirappl" + bytes(9)))
    meta.child(b"ilst").children += _mp4.freeform_tags(
        {_MP4_FREE_NAMES.get(name, name): others[name] for name in others}
    )
    _mp4.write_moov(path, moov, at=at)


def _renamed(tags: Tags, container: Container) -> dict[str, str]:
    """The texts by the names under which ffmpeg writes them best."""
    entries = {name: value.replace("\0", "") for name, value in tags.text.items()}
    if container == "mp3":
        return {_ID3_NAMES.get(name, name): value for name, value in entries.items()}
    if container == "mp4" and entries.get("bpm", "").isdecimal():
        entries["tmpo"] = entries["bpm"]  # what Apple reads; ffmpeg reads the other
    return entries


def _flac_picture(cover: Cover) -> bytes:
    """A front cover as a FLAC picture block, which is what Opus uses too. Source: RFC 9639, section 8.8."""
    mime = cover.mime.encode()
    sizes = (cover.width, cover.height, 24, 0, len(cover.data))
    return struct.pack(">II", 3, len(mime)) + mime + struct.pack(">I5I", 0, *sizes) + cover.data
