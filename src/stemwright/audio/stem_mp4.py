"""Native Instruments' Stems: one `.stem.mp4` of five stereo tracks, the mix and four stems, for Traktor and its like.

Source: the "Stem file specification" and NI's Stem Creator. Players show the mix, for its track alone is enabled; the
names and colours of the others, and settings of a compressor and a limiter that are both off here, are JSON in
`moov/udta/stem`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from stemwright.audio import _mp4
from stemwright.audio.encode import Encoder
from stemwright.audio.formats import parse_format
from stemwright.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from stemwright.audio.formats import Format
    from stemwright.audio.tags import Tags
    from stemwright.types import SampleRate, Samples, StemName

EXTENSION: Final = ".stem.mp4"
_STEMS = 4
_BLOCK = 1 << 16  # samples of each channel
_COLOURS = {"drums": "#009E73", "bass": "#D55E00", "other": "#CC79A7", "vocals": "#56B4E9"}  # NI's own
_PLACES = {"drums": 0, "bass": 1, "vocals": 3}  # as NI's players expect them; other stems come before the voice
_MORE_COLOURS = ("#E69F00", "#0072B2", "#F0E442", "#999999")
_MASTERING = {
    "compressor": {
        "enabled": False,
        "ratio": 3,
        "input_gain": 0.5,
        "output_gain": 0.5,
        "attack": 0.003,
        "release": 0.3,
        "threshold": 0,
        "hp_cutoff": 300,
        "dry_wet": 50,
    },
    "limiter": {"enabled": False, "release": 0.05, "threshold": 0, "ceiling": -0.35},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StemTrack:
    """One stem: its name, its samples as a file of raw interleaved little-endian float32, and "#RRGGBB"."""

    name: StemName
    path: Path
    colour: str | None = None  # None picks one by the name


def write_stem_mp4(  # noqa: PLR0913
    path: Path,
    *,
    mix: Path,
    stems: Sequence[StemTrack],
    sample_rate: SampleRate,
    channels: int,
    gain: float = 1.0,
    format: Format | None = None,  # noqa: A002
    bitrate: int | None = None,
    tags: Tags | None = None,
    on_block: Callable[[int], None] | None = None,
) -> None:
    """Write mix and stems, files of raw interleaved float32 of equal length, each times `gain`, into one file.

    The stems are put in the order of Native Instruments' players: drums, bass, other, vocals.
    One channel becomes two equal ones. `format` is `m4a` (the default, 256 kbit/s for each track) or one of `alac`;
    `sample_rate` is in Hz, `bitrate` in bits/s. `on_block` is told of each block's samples, and may raise to stop.
    The tracks are as long as the files, and in step with each other.
    Raises `OptionError` unless there are four stems, one or two channels, and a format and a rate that will do;
    `OutputError`, `DiskFullError`, with no file left; ValueError for files that are not of one length.
    """
    form = format or parse_format("m4a")
    if len(stems) != _STEMS:
        raise OptionError(f"a Stems file holds four stems, not {len(stems)}")
    if form.container != "mp4":
        raise OptionError(f"a Stems file holds AAC or Apple Lossless, not {form.name}")
    if channels not in {1, 2}:
        raise OptionError(f"a Stems file holds stereo tracks; {channels} channels do not fit")
    stems = sorted(stems, key=lambda stem: _PLACES.get(stem.name.lower(), 2))
    files = [mix, *(stem.path for stem in stems)]
    if len({file.stat().st_size for file in files}) > 1:
        raise ValueError("the mix and the stems are not of one length")
    with _StemEncoder(path, stems=stems, format=form, sample_rate=sample_rate, bitrate=bitrate, tags=tags) as encoder:
        for block in _blocks(files, channels=channels):
            if on_block:
                on_block(block.shape[1])
            encoder.write(block * np.float32(gain))


def stem_metadata(stems: Sequence[StemTrack]) -> bytes:
    """The JSON that a Stems file holds of its four stems."""
    described = [
        {"name": stem.name, "color": stem.colour or _COLOURS.get(stem.name.lower(), _MORE_COLOURS[number])}
        for number, stem in enumerate(stems)
    ]
    return json.dumps({"mastering_dsp": _MASTERING, "version": 1, "stems": described}).encode()


class _StemEncoder(Encoder):
    """Takes blocks of ten channels, and makes five tracks of them."""

    _tracks: ClassVar[int] = 1 + _STEMS

    def __init__(
        self,
        path: Path,
        *,
        stems: Sequence[StemTrack],
        format: Format,  # noqa: A002
        sample_rate: SampleRate,
        bitrate: int | None,
        tags: Tags | None,
    ) -> None:
        self._stems = stems
        super().__init__(path, format=format, sample_rate=sample_rate, channels=2, bitrate=bitrate, tags=tags)

    def _streams(self) -> list[str]:
        tracks = range(self._tracks)
        copies = "".join(f"[in{number}]" for number in tracks)
        pairs = (f"[in{n}]pan=stereo|c0=c{2 * n}|c1=c{2 * n + 1}[out{n}]" for n in tracks)
        options = ["-filter_complex", f"[0:a]asplit={self._tracks}{copies};{';'.join(pairs)}"]
        for number, name in enumerate(["mix", *(stem.name for stem in self._stems)]):
            options += ["-map", f"[out{number}]", f"-disposition:a:{number}", "0" if number else "default"]
            options += [f"-metadata:s:a:{number}", f"handler_name={name}"]
        return options

    def _complete(self) -> None:
        super()._complete()
        at, moov = _mp4.read_moov(self.path)
        moov.child(b"udta").children.append(_mp4.Box(b"stem", stem_metadata(self._stems)))
        _mp4.write_moov(self.path, moov, at=at)


def _blocks(files: Sequence[Path], *, channels: int) -> Iterator[Samples]:
    """Yield `[10, T]` float32: each file's two channels, or its one twice."""
    opened = [file.open("rb") for file in files]
    try:
        while True:
            parts = [np.frombuffer(file.read(_BLOCK * channels * 4), "<f4").reshape(-1, channels) for file in opened]
            if not parts[0].size:
                return
            yield np.concatenate([np.broadcast_to(part, (len(part), 2)) for part in parts], axis=1).T
    finally:
        for file in opened:
            file.close()
