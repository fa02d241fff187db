"""The waveforms of a mix and its stems as one picture."""

from __future__ import annotations

import html
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stemwright.audio.peaks import PeakData
    from stemwright.types import Seconds

# Mid tones that stand on white and on near-black alike.
_COLOURS: Final = {
    "mix": "#7c8798",
    "vocals": "#e8618c",
    "drums": "#f0883e",
    "bass": "#8b7bf0",
    "other": "#22a699",
    "guitar": "#c99a17",
    "piano": "#3f8cf4",
    "accompaniment": "#22a699",
}
_MORE_COLOURS: Final = ("#3f8cf4", "#c99a17", "#b05fd0", "#5aa845", "#d8574a")

_WIDTH: Final = 960
_LEFT: Final = 140
_RIGHT: Final = 852
_TOP: Final = 64
_FIRST_HEIGHT: Final = 92
_LANE_HEIGHT: Final = 68
_GAP: Final = 10
_AXIS_HEIGHT: Final = 38
_CURVE: Final = 0.7
_HAIR: Final = 0.5  # half the thickness of silence

_STYLE: Final = """\
.card{fill:#fff;stroke:#d9dee7}
.bed{fill:#f4f6f9}
.tick{stroke:#dfe4ec}
.title{fill:#1b2230;font-size:19px;font-weight:600}
.name{fill:#1b2230;font-size:14px;font-weight:600}
.long{font-size:11px}
.small{fill:#697386;font-size:11.5px}
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;\
font-variant-numeric:tabular-nums}
@media (prefers-color-scheme:dark){
.card{fill:#0f141c;stroke:#262e3a}
.bed{fill:#171d27}
.tick{stroke:#262e3a}
.title,.name{fill:#e8ecf3}
.small{fill:#8b95a7}
}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One lane: what it is called, its overview, its loudness, and "#rrggbb" (None picks one by the label)."""

    label: str
    peaks: PeakData
    lufs: float | None = None
    colour: str | None = None


def waveform_svg(tracks: Sequence[Track], *, title: str, subtitle: str = "", columns: int = 600) -> str:
    """Draw tracks one above the other as a self-contained SVG of 960 pixels' width; the first lane is taller.

    All lanes share one time axis and one amplitude scale, on which the loudest sample of any track fills its lane and
    a quarter of it fills three eighths (a power of 0.7), so that quiet stems can be seen.
    Each column, of at most `columns`, shows in a pale tone the lowest and highest value within its time, and in full
    colour their average over its pixels. The picture follows the reader's light or dark setting. Names are escaped,
    and cut where they are too long. Four stems and a mix take some 80 kB at 600 columns.

    Raises ValueError for no tracks, fewer than 2 columns, or a colour that is not "#rrggbb".
    """
    if not tracks or columns < 2:
        raise ValueError("a picture needs a track and two columns")
    seconds = max(track.peaks.seconds for track in tracks)
    loudest = max(_loudest(track.peaks) for track in tracks) or 1.0
    lanes: list[str] = []
    top = _TOP
    for number, track in enumerate(tracks):
        height = _LANE_HEIGHT if number else _FIRST_HEIGHT
        part = track.peaks.seconds / seconds if seconds else 0.0
        outer, inner = (shape / loudest for shape in _envelopes(track.peaks, columns=max(2, round(columns * part))))
        scale = {"middle": top + height / 2, "half": height / 2 - 5, "width": part * (_RIGHT - _LEFT)}
        lanes += [
            _surroundings(track, colour=_colour(track, number), top=top, height=height),
            f'<g fill="{_colour(track, number)}" transform="scale(.1)">',
            f'<path opacity=".42" d="{_outline(outer, **scale)}"/>',
            f'<path d="{_outline(inner, **scale)}"/></g>',
        ]
        top += height + _GAP
    bottom = top - _GAP
    size = f'width="{_WIDTH}" height="{bottom + _AXIS_HEIGHT}"'
    names = ", ".join(track.label for track in tracks)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {bottom + _AXIS_HEIGHT}" {size} role="img">',
        f"<title>{xml_text(title, 200)}</title>",
        f"<desc>{xml_text(f'Waveforms, one above the other: {names}', 400)}</desc>",
        f"<style>{_STYLE}</style>",
        f'<rect class="card" x=".5" y=".5" width="{_WIDTH - 1}" height="{bottom + _AXIS_HEIGHT - 1}" rx="14"/>',
        f'<text class="title" x="24" y="40">{xml_text(title, 48)}</text>',
        f'<text class="small" x="{_WIDTH - 24}" y="40" text-anchor="end">{xml_text(subtitle, 40)}</text>',
        *lanes,
        *_axis(seconds, bottom=bottom),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _surroundings(track: Track, *, colour: str, top: int, height: int) -> str:
    """Draw what is around a wave: its bed, its name, its loudness."""
    middle = top + height / 2
    right = f'x="{_WIDTH - 24}" text-anchor="end"'
    style = "name" if len(track.label) <= 10 else "name long"
    lines = [  # the bed comes after the name, so that it hides what is too wide
        f'<rect x="24" y="{middle - 11:g}" width="4" height="22" rx="2" fill="{colour}"/>',
        f'<text class="{style}" x="38" y="{middle + 5:g}">{xml_text(track.label, 13)}</text>',
        f'<rect class="bed" x="{_LEFT}" y="{top}" width="{_RIGHT - _LEFT}" height="{height}" rx="6"/>',
    ]
    if track.lufs is None:
        word = "\N{EN DASH}" if _loudest(track.peaks) else "silent"
        lines.append(f'<text class="small" {right} y="{middle + 4:g}">{word}</text>')
    else:
        value = f"{track.lufs:.1f}".replace("-", "\N{MINUS SIGN}")
        lines.append(f'<text class="name" {right} y="{middle + 1:g}">{value}</text>')
        lines.append(f'<text class="small" {right} y="{middle + 16:g}">LUFS</text>')
    return "\n".join(lines)


def _outline(envelope: npt.NDArray[np.float64], *, middle: float, half: float, width: float) -> str:
    """Give the closed path around an envelope [columns, 2], lowest and highest within ±1, in tenths of a pixel."""
    xs = _LEFT + np.linspace(0, width, len(envelope))
    shown = np.sign(envelope) * np.abs(envelope) ** _CURVE * half
    lower = middle - np.minimum(shown[:, 0], -_HAIR)
    upper = middle - np.maximum(shown[:, 1], _HAIR)
    points = np.stack([np.concatenate([xs, xs[::-1]]), np.concatenate([upper, lower[::-1]])], axis=1)
    tenths = np.rint(points * 10).astype(np.int64)
    steps = "".join(f"{x} {y} " for x, y in np.diff(tenths, axis=0).tolist())
    return f"M{tenths[0, 0]} {tenths[0, 1]}l{steps.replace(' -', '-').rstrip()}z"


def _axis(seconds: Seconds, *, bottom: int) -> list[str]:
    """Draw ticks under the lanes, some eight of them at round times, as mm:ss."""
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400)
    step = next((step for step in steps if seconds <= 9 * step), 3600 * math.ceil(seconds / 9 / 3600))
    lines: list[str] = []
    for time in range(0, math.floor(seconds) + 1, step):
        x = _LEFT + (_RIGHT - _LEFT) * time / seconds if seconds else _LEFT
        lines.append(f'<path class="tick" d="M{x:.1f} {bottom + 4}v6"/>')
        clock = f"{time // 60:02d}:{time % 60:02d}"
        lines.append(f'<text class="small" x="{x:.1f}" y="{bottom + 23}" text-anchor="middle">{clock}</text>')
    return lines


def _envelopes(peaks: PeakData, *, columns: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Give the outer and the inner envelope of all channels, each [columns, 2] float64, full scale at ±1.

    Outer: the lowest and the highest value in a column. Inner: the means of its pixels' lowest and highest values.
    """
    if not len(peaks.values):
        return np.zeros((columns, 2)), np.zeros((columns, 2))
    values = peaks.values / (2.0 ** (peaks.bits - 1) - 1)
    pixels = np.stack([values[:, :, 0].min(axis=1), values[:, :, 1].max(axis=1)], axis=1)
    starts = np.arange(columns) * len(pixels) // columns  # with fewer pixels than columns, pixels repeat
    counts = np.maximum(1, np.diff(starts, append=len(pixels)))
    outer = np.stack([np.minimum.reduceat(pixels[:, 0], starts), np.maximum.reduceat(pixels[:, 1], starts)], axis=1)
    return outer, np.add.reduceat(pixels, starts, axis=0) / counts[:, None]


def _loudest(peaks: PeakData) -> float:
    return float(np.abs(_envelopes(peaks, columns=1)[0]).max())


def _colour(track: Track, number: int) -> str:
    colour = track.colour or _COLOURS.get(track.label.lower(), _MORE_COLOURS[number % len(_MORE_COLOURS)])
    if not re.fullmatch("#[0-9a-fA-F]{6}", colour):
        raise ValueError(f"not a colour: {colour!r}")
    return colour


def xml_text(words: str, most: int) -> str:
    """Make words safe in XML: cut, escaped, and without the characters that XML forbids."""
    allowed = re.sub("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", words)
    return html.escape(allowed if len(allowed) <= most else allowed[: most - 1].rstrip() + "…")
