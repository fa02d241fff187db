from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemwright.audio.peaks import PeakData, Peaks
from stemwright.audio.picture import Track, waveform_svg

if TYPE_CHECKING:
    from stemwright.types import Samples

SVG = "{http://www.w3.org/2000/svg}"


def peaks(samples: Samples) -> PeakData:
    made = Peaks(8_000)
    made.add(samples)
    return made.data()


def burst(seconds: float, *, level: float = 0.5, seed: int = 0) -> Samples:
    length = round(seconds * 8_000)
    swell = np.sin(np.arange(length) / 3000) ** 2
    samples: Samples = (level * np.random.default_rng(seed).uniform(-1, 1, (1, length)) * swell).astype(np.float32)
    return samples


def song(seconds: float = 40) -> list[Track]:
    names = ("mix", "vocals", "drums", "bass", "other")
    return [
        Track(label=name, peaks=peaks(burst(seconds, seed=seed)), lufs=-12.34 - seed) for seed, name in enumerate(names)
    ]


def texts(picture: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(picture).iter(f"{SVG}text")]


def outlines(picture: str) -> list[list[tuple[int, int]]]:
    """Give the points of each wave, in tenths of a pixel."""
    found = []
    for group in ET.fromstring(picture).iter(f"{SVG}g"):
        for path in group.iter(f"{SVG}path"):
            numbers = [int(number) for number in re.findall(r"-?\d+", path.attrib["d"])]
            steps = np.array(numbers).reshape(-1, 2).cumsum(axis=0)
            found.append([(x, y) for x, y in steps.tolist()])
    return found


def test_a_song_is_one_self_contained_picture_of_sensible_size() -> None:
    picture = waveform_svg(song(200), title="A song", subtitle="sketch")
    assert len(picture.encode()) < 120_000
    assert "http" not in picture.replace("http://www.w3.org/2000/svg", "")
    assert "prefers-color-scheme:dark" in picture
    assert {"A song", "sketch", "mix", "vocals", "drums", "bass", "other"} <= set(texts(picture))
    assert len(outlines(picture)) == 2 * 5


def test_loudness_and_time_can_be_read() -> None:
    found = texts(waveform_svg(song(40), title="A song"))
    assert "\N{MINUS SIGN}12.3" in found
    assert [text for text in found if ":" in text] == [f"00:{second:02d}" for second in range(0, 41, 5)]


@pytest.mark.parametrize(("seconds", "last"), [(0.2, "00:00"), (9.0, "00:09"), (200.0, "03:00"), (4500.0, "70:00")])
def test_ticks_are_round_and_few(seconds: float, last: str) -> None:
    data = PeakData(np.zeros((round(seconds * 10), 1, 2), dtype=np.int16), 8_000, 800)
    clocks = [text for text in texts(waveform_svg([Track(label="mix", peaks=data)], title="")) if ":" in text]
    assert clocks[0] == "00:00"
    assert clocks[-1] == last
    assert len(clocks) <= 10


def test_a_silent_track_is_a_line_and_says_so() -> None:
    tracks = [*song()[:1], Track(label="vocals", peaks=peaks(np.zeros((1, 320_000), dtype=np.float32)))]
    picture = waveform_svg(tracks, title="A song")
    assert "silent" in texts(picture)
    for outline in outlines(picture)[2:]:
        ys = [y for _, y in outline]
        assert max(ys) - min(ys) == 10  # one pixel


def test_all_lanes_share_one_scale() -> None:
    tracks = [Track(label=str(level), peaks=peaks(burst(100, level=level))) for level in (0.8, 0.8, 0.2)]
    heights = [max(y for _, y in wave) - min(y for _, y in wave) for wave in outlines(waveform_svg(tracks, title=""))]
    assert heights[4] / heights[2] == pytest.approx(0.25**0.7, abs=0.02)
    assert heights[3] < heights[2]  # the inner shape lies within the outer


def test_a_short_burst_is_not_lost_between_columns() -> None:
    samples = np.zeros((1, 8_000 * 600), dtype=np.float32)
    samples[0, 2_400_000] = 1.0
    outer, inner = outlines(waveform_svg([Track(label="mix", peaks=peaks(samples))], title=""))
    assert max(outer, key=lambda point: -point[1])[0] == pytest.approx((140 + 852) / 2 * 10, abs=15)
    assert min(y for _, y in outer) < min(y for _, y in inner)


def test_a_shorter_track_ends_earlier() -> None:
    tracks = [Track(label="mix", peaks=peaks(burst(40))), Track(label="bass", peaks=peaks(burst(10)))]
    waves = outlines(waveform_svg(tracks, title=""))
    ends = [max(x for x, _ in wave) for wave in waves]
    assert ends[0] == 8520
    assert ends[2] - 1400 == pytest.approx((8520 - 1400) / 4, abs=10)


@pytest.mark.parametrize("length", [0, 1, 300])
def test_very_short_recordings_can_be_drawn(length: int) -> None:
    data = peaks(np.full((1, length), 0.5, dtype=np.float32))
    ET.fromstring(waveform_svg([Track(label="mix", peaks=data)], title="short"))


@settings(max_examples=60, deadline=None)
@given(name=st.text(st.characters(), max_size=80))
def test_any_name_makes_a_sound_document(name: str) -> None:
    data = PeakData(np.zeros((4, 1, 2), dtype=np.int16), 8_000, 256)
    picture = waveform_svg([Track(label=name, peaks=data)], title=name, subtitle=name)
    picture.encode("utf-8")
    assert len(list(ET.fromstring(picture).iter())) > 5


def test_names_are_escaped_and_cut() -> None:
    data = PeakData(np.zeros((4, 1, 2), dtype=np.int16), 8_000, 256)
    hostile = '"><script>alert(1)</script>'
    picture = waveform_svg([Track(label=hostile, peaks=data)], title=hostile + "x" * 500)
    assert "<script" not in picture
    drawn = texts(picture)
    assert drawn[0].startswith(hostile)
    assert drawn[0].endswith("…")
    assert len(drawn[0]) == 48
    assert max(map(len, drawn[1:])) <= 13


def test_colours_can_be_chosen_and_are_checked() -> None:
    data = PeakData(np.zeros((4, 1, 2), dtype=np.int16), 8_000, 256)
    assert "#123abc" in waveform_svg([Track(label="mix", peaks=data, colour="#123abc")], title="")
    with pytest.raises(ValueError, match="not a colour"):
        waveform_svg([Track(label="mix", peaks=data, colour='red" onload="x')], title="")


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a track"):
        waveform_svg([], title="")
    with pytest.raises(ValueError, match="two columns"):
        waveform_svg(song(1), title="", columns=1)
