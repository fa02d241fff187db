"""Which sound of a container it is: its audio tracks, the one to take, and when that one begins beside the picture."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from stemwright.audio.ffmpeg import FfmpegChild
from stemwright.audio.tags import parse_sections
from stemwright.errors import NoSuchTrackError
from stemwright.types import Notice, Seconds
from stemwright.words import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from stemwright.audio._stream import DecodeLimits
    from stemwright.audio.sniff import Demuxer

_STREAM = re.compile(r"^  Stream #0:\d+(?:\[0x[0-9a-f]+\])?(?:\((?P<language>[^)]*)\))?: (?P<kind>Audio|Video): ")
_FLAGS = re.compile(r"\((default|attached pic|still image|timed thumbnails)\)")
_STILLS = {"attached pic", "still image", "timed thumbnails"}
_NAMELESS = {"SoundHandler", "SoundHandle", "Core Media Audio", "GPAC ISO Audio Handler", "und"}  # written by tools
_CLOCK = re.compile(rb"#tb (\d): (\d+)/([1-9]\d*)")
_PACKET = re.compile(rb"(\d), *-?\d+, *(-?\d+),")
_START = re.compile(r"^  Duration: .*, start: (-?\d+\.\d+)")
_LEAST_LATE: Seconds = 0.001  # less is the rounding of a container's clock
_SHOWN = 8  # tracks that a notice names
_PATIENCE: Seconds = 1.0  # for the end of a child that has written enough
_MOST_TEXT = 1 << 20  # bytes of the tracks' tags
_STEM_PARTS = 5  # tracks of a `.stem.mp4`: the mix and four stems


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One audio track of a file."""

    title: str = ""
    language: str = ""
    default: bool = False

    def words(self, number: int) -> str:
        """Such as `2 (default, “Film”, eng)`."""
        said = (
            ["default"] * self.default + [f"“{self.title}”"] * bool(self.title) + [self.language] * bool(self.language)
        )
        return f"{number} ({', '.join(said)})" if said else str(number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracks:
    """The audio tracks of a file; none are known of a kind of file that holds one only."""

    tracks: tuple[Track, ...] = ()
    film: bool = False  # a picture that moves lies beside them
    stems: bool = False  # they are the mix and the stems of a `.stem.mp4`

    def choose(self, wanted: int | None, *, name: str) -> int:
        """The number of the track to take, from 1: the one wanted, else the first default one, else the first.

        Raises `NoSuchTrackError`.
        """
        count = max(len(self.tracks), 1)
        if wanted is not None and not 1 <= wanted <= count:
            has = "its only track is 1" if count == 1 else f"it has {count} tracks, 1 to {count}"
            raise NoSuchTrackError(f"{name}: there is no track {wanted}: {has}")
        if wanted is not None:
            return wanted
        return next((number for number, track in enumerate(self.tracks, 1) if track.default), 1)

    def notices(self, taken: int) -> list[Notice]:
        """What was passed over, and how to have it."""
        if len(self.tracks) < 2:
            return []
        named = [track.words(number) for number, track in enumerate(self.tracks, 1)]
        others = [words for number, words in enumerate(named, 1) if number != taken]
        passed = ", ".join(others[:_SHOWN]) + f" and {len(others) - _SHOWN} more" * (len(others) > _SHOWN)
        text = f"the recording has {len(named)} tracks: track {named[taken - 1]} was taken, not {passed}"
        if self.stems and taken == 1:
            how = f"this is a .stem.mp4: track 1 is the mix, 2 to {len(named)} are its stems; --track 2 takes the next"
            return [Notice("tracks", f"{text}; {how}, and so on to {len(named)}")]
        return [Notice("tracks", f"{text}; --track (in the API: track) chooses another")]


def late_notice(late: Seconds) -> list[Notice]:
    """What the user is told of a sound that begins `late` seconds after its picture."""
    if not late:
        return []
    text = f"the sound begins {late:.2f} s after the picture: as much silence was put in front of the stems"
    return [Notice("late_sound", text)]


def read_tracks(folder: Path, demuxer: Demuxer, *, handle: int, limits: DecodeLimits) -> Tracks:
    """The audio tracks of the file that `input` in a private folder links to, the open file `handle`.

    None where the file tells of none: its decoder will say what is wrong with it. Raises `FfmpegMissingError`.
    """
    arguments = [
        *("-protocol_whitelist", "file", "-codec_whitelist", "none", "-threads", "1"),
        *("-f", demuxer, "-i", "file:input", "-map", "0:a", "-c", "copy", "-t", "0", "-map_chapters", "-1"),
        *("-f", "ffmetadata", "pipe:1"),
    ]
    data, lines = _look(folder, arguments, handle=handle, limits=limits)
    found: list[Track] = []
    film = False
    for line in lines:
        if line.startswith("Output #"):
            break
        if not (match := _STREAM.match(line)):
            continue
        flags = {*_FLAGS.findall(line)}
        if match["kind"] == "Audio":
            language = plain(match["language"] or "", most=8)
            found.append(Track(language="" if language == "und" else language, default="default" in flags))
        else:
            film = film or not flags & _STILLS
    titles = _titles(data)
    if len(titles) == len(found):
        found = [replace(track, title=title) for track, title in zip(found, titles, strict=True)]
    stems = demuxer == "mov" and not film and len(found) == _STEM_PARTS and _is_mix_and_stems(found)
    return Tracks(tracks=tuple(found), film=film, stems=stems)


def begins_late(folder: Path, opened: Sequence[str], *, track: int, handle: int, limits: DecodeLimits) -> Seconds:
    """By how much the sound of a film begins after its picture, s; 0 where it does not, or where that is not known.

    `opened` are the arguments that open the input. A film begins with what comes first in it. Where that is the sound's
    first packet, the sound is not late; else it begins with its first decoded sample, for an encoder's delay is in
    front of that. Raises `FfmpegMissingError`.
    """
    sound = f"0:a:{track - 1}"
    arguments = [
        *("-copyts", *opened, "-map", sound, "-c:0", "copy", "-map", sound, "-c:1", "pcm_f32le"),
        *("-map_metadata", "-1", "-map_chapters", "-1", "-f", "framecrc", "pipe:1"),
    ]
    clocks: dict[bytes, Fraction] = {}
    first: dict[bytes, Fraction] = {}

    def is_enough(line: bytes) -> bool:
        if match := _CLOCK.match(line):
            clocks[match[1]] = Fraction(int(match[2]), int(match[3]))
        elif (match := _PACKET.match(line)) and match[1] in clocks:
            first.setdefault(match[1], int(match[2]) * clocks[match[1]])
        return len(first) == len(("packets", "samples"))

    _, lines = _look(folder, arguments, handle=handle, limits=limits, is_enough=is_enough)
    start = next((Fraction(match[1]) for line in lines if (match := _START.match(line))), None)
    packet, sample = first.get(b"0"), first.get(b"1")
    if start is None or packet is None or sample is None or packet - start <= _LEAST_LATE:
        return 0.0
    return max(float(sample - start), 0.0)


def _titles(data: bytes) -> list[str]:
    """What each track is called, in their order; empty where it has no name of its own."""
    titles: list[str] = []
    for section, entries in parse_sections(data):
        if section != "STREAM":
            continue
        texts = {key.lower(): value.decode("utf-8", "replace") for key, value in entries}
        name = texts.get(b"title") or texts.get(b"handler_name") or ""
        titles.append("" if name in _NAMELESS else plain(name, most=40))
    return titles


def _is_mix_and_stems(tracks: Sequence[Track]) -> bool:
    """Whether only the first track is heard in a player, and the others have names: so are `.stem.mp4` made."""
    return tracks[0].default and not any(track.default for track in tracks[1:])


def _look(
    folder: Path,
    arguments: Sequence[str],
    *,
    handle: int,
    limits: DecodeLimits,
    is_enough: Callable[[bytes], bool] = lambda _line: False,
) -> tuple[bytes, list[str]]:
    """What a child writes, up to the line that is enough, and its log."""
    child = FfmpegChild(
        arguments,
        folder=folder,
        writes=True,
        inherits=[handle],
        memory_bytes=limits.memory_bytes,
        cpu_seconds=int(limits.wall_clock) + 1,
    )
    data = bytearray()
    try:
        while len(data) < _MOST_TEXT and (line := child.stdout.readline(_MOST_TEXT)):
            data += line
            if is_enough(line):
                break
        else:
            child.wait(_PATIENCE)
    except subprocess.TimeoutExpired:  # it has written too much, and is killed
        pass
    finally:
        child.kill()
    return bytes(data), [text for _, text in child.log.lines]
