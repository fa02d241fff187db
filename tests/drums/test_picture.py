"""The picture of a chart: every hit where it belongs, whole bars in a row."""

from __future__ import annotations

import re
from functools import partial
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import resvg_py

from drums.hits import CRASHED, Event, pattern
from needs import needs
from stemwright.audio.peaks import PeakData, Peaks
from stemwright.drums.beats import find_beats
from stemwright.drums.chart import Chart, hits_of
from stemwright.drums.onsets import Onset
from stemwright.drums.picture import as_png, chart_svg, check_png
from stemwright.errors import RendererMissingError

SVG = "{http://www.w3.org/2000/svg}"


def silence(seconds: float) -> PeakData:
    peaks = Peaks(44_100)
    peaks.add(np.zeros((1, round(seconds * 44_100)), np.float32))
    return peaks.data()


def chart(events: list[Event], *, seconds: float, kind: str = "plain") -> Chart:
    found = [Onset(time, lane, velocity=0.7, confidence=0.9, kind=kind) for time, lane in events]  # type: ignore[arg-type]
    return Chart(duration=seconds, hits=hits_of(found), beats=find_beats(found))


def drawn(made: Chart, *, title: str = "t") -> ET.Element:
    return ET.fromstring(chart_svg(made, silence(made.duration), title=title))


def marks(picture: ET.Element) -> list[tuple[float, float]]:
    """Place of the left foot of every hit."""
    paths = [path.get("d", "") for path in picture.iter(f"{SVG}path") if path.get("class") == "hits"]
    return [(float(x), float(y)) for path in paths for x, y in re.findall(r"M([\d.]+) ([\d.]+)h", path)]


def words(picture: ET.Element) -> list[str]:
    return [text.text or "" for text in picture.iter(f"{SVG}text")]


def test_each_hit_is_drawn_once_and_bars_begin_below_each_other() -> None:
    made = chart(pattern(bars=16, bpm=120, start=0.5, lanes=CRASHED), seconds=33)
    picture = drawn(made)
    places = marks(picture)
    assert len(places) == len(made.hits)
    kicks = [x for x, y in places if y == max(b for a, b in places if abs(b - y) < 100)]
    assert len({round(x) for x in kicks if x < 110}) == 1  # the first of each row stands at one place
    numbers = [int(word) for word in words(picture) if word.isdecimal()]
    assert numbers == sorted(numbers) == [*range(1, len(made.beats.bars() if made.beats else ()) + 1)]


@pytest.mark.parametrize("minutes", [0.1, 5, 60])
def test_rows_are_not_too_many_for_a_page_and_not_too_few(minutes: float) -> None:
    bars = round(minutes * 60 / 2)
    picture = drawn(chart(pattern(bars=bars, bpm=120, start=0.2, lanes={0: (0, 8), 1: (4, 12)}), seconds=60 * minutes))
    rows = len([rect for rect in picture.iter(f"{SVG}rect") if rect.get("class") == "bed"])
    assert 1 <= rows <= 90
    assert rows >= min(30, minutes * 60 / 12)


def test_lanes_that_are_not_played_are_left_out() -> None:
    picture = drawn(chart(pattern(bars=4, bpm=100, start=0.2), seconds=10))
    assert {"kick", "snare", "hi-hat"} <= {*words(picture)}
    assert not {"crash", "ride", "high tom", "mid tom", "floor tom"} & {*words(picture)}


def test_open_hi_hats_are_hollow_and_explained() -> None:
    picture = drawn(chart([(1.0, 2), (2.0, 2)], seconds=3, kind="open"))
    [path] = [path for path in picture.iter(f"{SVG}path") if path.get("class") == "hits"]
    assert path.get("fill") == "none"
    assert any("open hi-hat" in word for word in words(picture))


def test_without_hits_or_tempo_it_says_so() -> None:
    picture = drawn(Chart(duration=0.0, hits=()))
    assert any("no clear tempo · no drums heard" in word for word in words(picture))
    assert not marks(picture)


@needs("fonts-dejavu-core")
def test_title_is_escaped_and_drawn_as_png_it_is_twice_as_wide() -> None:
    made = chart(pattern(bars=4, bpm=100, start=0.2), seconds=10)
    svg = chart_svg(made, silence(10), title="<&> Süß")
    assert ET.fromstring(svg).findtext(f"{SVG}title") == "<&> Süß"
    pytest.importorskip("resvg_py", reason="needs the extra `picture`")
    png = as_png(svg)
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(png[16:20]) == 2400


@needs("fonts-dejavu-core")
def test_png_without_fonts_is_refused_for_it_would_have_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    check_png()
    monkeypatch.setattr(resvg_py, "svg_to_bytes", partial(resvg_py.svg_to_bytes, skip_system_fonts=True))
    with pytest.raises(RendererMissingError, match="font"):
        check_png()
