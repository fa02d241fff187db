"""A chart as a picture: lanes over the waveform, in rows of whole bars like sheet music."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from stemwright.audio.picture import xml_text
from stemwright.drums.lanes import LANES
from stemwright.errors import RendererMissingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stemwright.audio.peaks import PeakData
    from stemwright.drums.chart import Chart, Hit
    from stemwright.types import Seconds

_Line: TypeAlias = list[str]

_ORDER: Final = (6, 7, 2, 3, 4, 5, 1, 0)  # lanes from above, as on a drummer's sheet
_ALWAYS: Final = {0, 1, 2}  # lanes that are drawn though nothing is played on them
_HOLLOW: Final = {46, 53}  # notes of open hi-hats and bells
# Mid tones that stand on white and on near-black alike.
_COLOURS: Final = ("#d8574a", "#3f8cf4", "#c99a17", "#b05fd0", "#8b7bf0", "#5a6fd8", "#22a699", "#5aa845")

_WIDTH: Final = 1200
_LEFT, _RIGHT = 92, 1176
_TOP: Final = 76
_HEAD: Final = 18  # above the lanes of a row, for numbers of bars
_LANE: Final = 13
_GAP: Final = 14
_MARK: Final = 5.0  # width of a hit
_LEVELS: Final = ((45, 0.55), (85, 0.78), (128, 1.0))  # velocities up to which hits are so opaque
_COLUMN: Final = 3  # width of a step of the waveform
_CURVE: Final = 0.7

_ROW: Final[Seconds] = 8.0  # length of a row, about …
_ROWS: Final = 60  # … or more, so that there are not many more of them than this
_EARLY: Final[Seconds] = 0.04  # a row begins so much before its bar: hits are not always late

_WORD: Final = '<text class="title" y="15">kick</text>'
_STYLE: Final = """\
.card{fill:#fff;stroke:#d9dee7}
.bed{fill:#f4f6f9}
.wave{fill:#dbe1ea}
.lane{stroke:#fff;stroke-opacity:.75}
.beat{stroke:#cdd5e0}
.bar{stroke:#8b97aa;stroke-width:1.4}
.title{fill:#1b2230;font-size:19px;font-weight:600}
.name{fill:#1b2230;font-size:10px}
.small{fill:#697386;font-size:12px}
.number{fill:#697386;font-size:10px}
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,"DejaVu Sans","Noto Sans",sans-serif;\
font-variant-numeric:tabular-nums}
@media (prefers-color-scheme:dark){
.card{fill:#0f141c;stroke:#262e3a}
.bed{fill:#171d27}
.wave{fill:#262f3d}
.lane{stroke:#0f141c;stroke-opacity:.75}
.beat{stroke:#313b4a}
.bar{stroke:#66738a}
.title,.name{fill:#e8ecf3}
.small,.number{fill:#8b95a7}
}"""


@dataclass(frozen=True, slots=True)
class _Row:
    """A part of the recording, and where it is drawn."""

    start: Seconds
    end: Seconds
    top: float  # of its lanes

    def holds(self, time: Seconds) -> bool:
        return self.start <= time < self.end


def chart_svg(chart: Chart, peaks: PeakData, *, title: str) -> str:
    """Draw a chart over the waveform of its recording as a self-contained SVG of 1200 pixels' width.

    A row holds as many whole bars as come to some eight seconds (beats where no bars are known, else eight seconds);
    of long recordings more, so that there are about sixty rows at most. All rows have one scale. A hit stands on
    its lane, the higher and the more opaque the louder; open hi-hats and bells are hollow. Rows before the first and
    after the last hit, and lanes that are not played, are left out. The picture follows the reader's light or dark
    setting. Titles are escaped. Five minutes take some 250 kB.
    """
    lanes = [lane for lane in _ORDER if lane in _ALWAYS or any(hit.lane == lane for hit in chart.hits)]
    height = _LANE * len(lanes)
    cuts = _cuts(chart)
    scale = (_RIGHT - _LEFT) / max(b - a for a, b in pairwise(cuts))
    rows = [
        _Row(start, end, _TOP + _HEAD + number * (_HEAD + height + _GAP))
        for number, (start, end) in enumerate(_played(chart, cuts))
    ]
    bottom = rows[-1].top + height + _GAP
    lines = _surroundings(chart, title=title, height=round(bottom + 8))
    for row in rows:
        lines += _bed(row, lanes, scale=scale)
        lines.append(f'<path class="wave" d="{_wave(peaks, row, scale=scale, height=height)}"/>')
        across = f"h{scale * (row.end - row.start):.1f}"
        floors = "".join(f"M{_LEFT} {row.top + _LANE * place:g}{across}" for place in range(1, len(lanes)))
        lines.append(f'<path class="lane" d="{floors}"/>')
        lines += _grid(chart, row, scale=scale, height=height)
    lines += _hits(chart.hits, rows, lanes, scale=scale)
    return "\n".join([*lines, "</svg>"]) + "\n"


def as_png(svg: str, *, zoom: float = 2.0) -> bytes:
    """An SVG of ours as PNG, in the light setting, with fonts of the system. Raises as `check_png`."""
    check_png()
    import resvg_py

    return bytes(resvg_py.svg_to_bytes(svg_string=svg, zoom=zoom))


def check_png() -> None:
    """See that PNG files can be made; without fonts their text would be left out without a word.

    Raises `RendererMissingError`.
    """
    try:
        import resvg_py
    except ImportError as error:
        raise RendererMissingError("PNG files need one package more: pip install 'stemwright[picture]'") from error
    frame = f'<svg xmlns="http://www.w3.org/2000/svg" width="60" height="20"><style>{_STYLE}</style>'
    empty, word = (bytes(resvg_py.svg_to_bytes(svg_string=f"{frame}{text}</svg>")) for text in ("", _WORD))
    if word == empty:
        raise RendererMissingError("PNG files need a font, and this machine has none: apt install fonts-dejavu-core")


def _surroundings(chart: Chart, *, title: str, height: int) -> _Line:
    """What is around the rows: the card, the title, and what the chart says in short."""
    beats, count = chart.beats, len(chart.hits)
    facts = [f"{beats.bpm:.1f} BPM" if beats else "no clear tempo", f"{count} hits" if count else "no drums heard"]
    if any(hit.note in _HOLLOW for hit in chart.hits):
        facts.append("hollow: open hi-hat, bell")
    size = f'width="{_WIDTH}" height="{height}"'
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" {size} role="img">',
        f"<title>{xml_text(title, 200)}</title>",
        f"<desc>Drum chart: {', '.join(facts)}</desc>",
        f"<style>{_STYLE}</style>",
        f'<rect class="card" x=".5" y=".5" width="{_WIDTH - 1}" height="{height - 1}" rx="14"/>',
        f'<text class="title" x="24" y="40">{xml_text(title, 60)}</text>',
        f'<text class="small" x="{_RIGHT}" y="40" text-anchor="end">{" · ".join(facts)}</text>',
    ]


def _cuts(chart: Chart) -> list[Seconds]:
    """Where rows begin, and where the last one ends: at bars, at beats, or each eight seconds."""
    wanted = max(_ROW, chart.duration / _ROWS)
    lines = list(chart.beats.bars() or chart.beats.times) if chart.beats else []
    if len(lines) < 2:
        return [row * wanted for row in range(max(1, math.ceil(chart.duration / wanted)) + 1)]
    length = float(np.median(np.diff(lines)))
    count = min((2**power for power in range(10)), key=lambda count: abs(math.log(count * length / wanted)))
    cuts = [line - _EARLY for line in lines[::count]]
    while cuts[0] > 0:
        cuts.insert(0, cuts[0] - count * length)
    while cuts[-1] <= chart.duration:
        cuts.append(cuts[-1] + count * length)
    return cuts


def _played(chart: Chart, cuts: Sequence[Seconds]) -> list[tuple[Seconds, Seconds]]:
    """Start and end of the rows from the first hit to the last; the first row where there is none."""
    rows = list(pairwise(cuts))
    if not chart.hits:
        return rows[:1]
    first, last = chart.hits[0].time, chart.hits[-1].time
    return [(start, end) for start, end in rows if end > first and start <= last]


def _bed(row: _Row, lanes: Sequence[int], *, scale: float) -> _Line:
    """The ground of a row, its lanes' names, and its time."""
    width, height = scale * (row.end - row.start), _LANE * len(lanes)
    time = int(max(0.0, row.start + _EARLY))
    clock = f"{time // 60}:{time % 60:02d}"
    lines = [
        f'<rect class="bed" x="{_LEFT}" y="{row.top:g}" width="{width:.1f}" height="{height}" rx="4"/>',
        f'<text class="number" x="{_LEFT - 10}" y="{row.top - 5:g}" text-anchor="end">{clock}</text>',
    ]
    for place, lane in enumerate(lanes):
        y = row.top + _LANE * (place + 1)
        name = LANES[lane].type.replace("_", "-" if lane == 2 else " ")
        lines.append(f'<text class="name" x="{_LEFT - 10}" y="{y - 2.5:g}" text-anchor="end">{name}</text>')
    return lines


def _wave(peaks: PeakData, row: _Row, *, scale: float, height: float) -> str:
    """The outline of the waveform in a row, of the highest and lowest sample in each step of three pixels."""
    columns = max(1, math.ceil(scale * (row.end - row.start) / _COLUMN))
    pixels = peaks.values[:, 0] / (2.0 ** (peaks.bits - 1) - 1)
    loudest = float(np.abs(pixels).max(initial=0)) or 1.0
    edges = (row.start + np.arange(columns + 1) * _COLUMN / scale) * peaks.sample_rate / peaks.samples_per_pixel
    edges = np.clip(np.rint(edges).astype(int), 0, len(pixels))
    extremes = np.array([_extremes(pixels[a:b]) for a, b in pairwise(edges)]) / loudest
    shown = np.rint(np.sign(extremes) * np.abs(extremes) ** _CURVE * height / 2).astype(int)
    middle = round(row.top + height / 2)
    there = "".join(f"L{_LEFT + _COLUMN * at} {middle - high}" for at, high in enumerate(shown[:, 1].tolist()))
    back = "".join(
        f"L{_LEFT + _COLUMN * at} {middle - low}" for at, low in reversed(list(enumerate(shown[:, 0].tolist())))
    )
    return f"M{_LEFT} {middle}{there}{back}z"


def _extremes(pixels: npt.NDArray[np.float64]) -> tuple[float, float]:
    return (float(pixels[:, 0].min()), float(pixels[:, 1].max())) if len(pixels) else (0.0, 0.0)


def _grid(chart: Chart, row: _Row, *, scale: float, height: float) -> _Line:
    """Bars with their numbers, and beats; seconds where there is no tempo."""
    bars = chart.beats.bars() if chart.beats else ()
    times = chart.beats.times if chart.beats else range(math.ceil(row.start), math.ceil(row.end))
    lines = [_uprights("beat", [time for time in times if row.holds(time)], row, scale=scale, height=height)]
    lines.append(_uprights("bar", [time for time in bars if row.holds(time)], row, scale=scale, height=height, rise=6))
    for number, time in enumerate(bars, 1):
        if row.holds(time):
            x = _LEFT + scale * (time - row.start)
            lines.append(f'<text class="number" x="{x + 4:.1f}" y="{row.top - 4:g}">{number}</text>')
    return [line for line in lines if line]


def _uprights(kind: str, times: Iterable[Seconds], row: _Row, *, scale: float, height: float, rise: float = 0) -> str:
    """Lines from above a row to its ground, all of one kind."""
    parts = [f"M{_LEFT + scale * (time - row.start):.1f} {row.top - rise:g}v{height + rise:g}" for time in times]
    return f'<path class="{kind}" fill="none" d="{"".join(parts)}"/>' if parts else ""


def _hits(hits: Sequence[Hit], rows: Sequence[_Row], lanes: Sequence[int], *, scale: float) -> _Line:
    """All hits, one path for each lane, opacity and kind."""
    paths: dict[tuple[int, float, bool], _Line] = {}
    place, number = {lane: place for place, lane in enumerate(lanes)}, 0
    for hit in hits:
        while number < len(rows) - 1 and hit.time >= rows[number].end:
            number += 1
        row = rows[number]
        opacity = next(opacity for most, opacity in _LEVELS if hit.velocity < most)
        tall = 3 + (_LANE - 6) * hit.velocity / 127
        x = _LEFT + scale * (hit.time - row.start) - _MARK / 2
        y = row.top + _LANE * (place[hit.lane] + 1) - 1.5
        mark = f"M{x:.1f} {y:g}h{_MARK:g}v{-tall:.1f}h{-_MARK:g}z"
        paths.setdefault((hit.lane, opacity, hit.note in _HOLLOW), []).append(mark)
    lines = []
    for (lane, opacity, hollow), marks in sorted(paths.items()):
        paint = "stroke" if hollow else "fill"  # opacity as such would take a layer of the whole picture's size
        look = f'{paint}="{_COLOURS[lane]}" {paint}-opacity="{opacity:g}"'
        look = f'fill="none" {look}' if hollow else look
        lines.append(f'<path class="hits" {look} d="{"".join(marks)}"/>')
    return lines
