"""Charts to Standard MIDI Files of type 1: a tempo map, and the drums on channel 10."""

from __future__ import annotations

import struct
from bisect import bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from stemwright.drums.beats import quantised

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stemwright.drums.chart import Chart
    from stemwright.types import Seconds

TICKS: Final = 960  # in a beat
_DRUMS: Final = 9  # channel 10
_SHORT: Final = TICKS // 16  # ticks of a 64th note
_STROKE_TICKS: Final = 60  # from note on to note off, at most
_NO_TEMPO: Final = 0.5  # s a beat, where no tempo is known: any would do, all times are exact
_SLOWEST: Final = 0xFFFFFF / 1e6  # s a beat, the most that MIDI can say

_Event = tuple[int, int, bytes]  # tick, order within the tick, message


class _Clock:
    """Seconds to ticks by a tempo map whose tick 0 is second 0.

    Where there are beats, what leads up to the first of them takes whole 64th notes at about their tempo; they
    themselves are `TICKS` apart.
    """

    def __init__(self, chart: Chart) -> None:
        beats = chart.beats
        self.lead = 0  # ticks before the first known beat
        knots: list[tuple[int, Seconds]] = [(0, 0.0)]
        period = _NO_TEMPO
        if beats:
            self.lead = _SHORT * round(beats.times[0] / (beats.times[1] - beats.times[0]) * TICKS / _SHORT)
            knots += [(self.lead + TICKS * index, time) for index, time in enumerate(beats.times)][not self.lead :]
            period = beats.times[-1] - beats.times[-2]
        knots.append((knots[-1][0] + TICKS, knots[-1][1] + period))
        self.tempi: list[tuple[int, int]] = []  # from which tick on, microseconds a beat
        self._starts: list[Seconds] = [0.0]  # what a player makes of the rounded tempi
        for (tick, time), (after, later) in pairwise(knots):
            beat = min((later - time) * TICKS / (after - tick), _SLOWEST)
            self.tempi.append((tick, max(1, round(1e6 * beat))))
            self._starts.append(self._starts[-1] + self.tempi[-1][1] / 1e6 * (after - tick) / TICKS)

    def tick(self, time: Seconds) -> int:
        """The tick nearest to a time."""
        part = min(bisect_right(self._starts, time), len(self.tempi)) - 1
        tick, microseconds = self.tempi[part]
        return max(0, round(tick + TICKS * (time - self._starts[part]) / (microseconds / 1e6)))


def midi_bytes(chart: Chart, *, quantise: bool = False) -> bytes:
    """The chart as a MIDI file. Tick 0 is the first sample of the recording.

    Played by any player it sounds at the chart's times to half a tick (0.3 ms at 120 BPM); with `quantise` hits move
    to the nearest sixteenth or triplet of the beats, where there are any. Source: "Standard MIDI Files 1.0", MMA 1996.
    """
    clock = _Clock(chart)
    if quantise and chart.beats:
        places = quantised([hit.time for hit in chart.hits], chart.beats)
        ticks = [max(0, round(TICKS * place) + clock.lead) for place in places]
    else:
        ticks = [clock.tick(hit.time) for hit in chart.hits]
    hits = sorted({(tick, hit.note): hit for tick, hit in zip(ticks, chart.hits, strict=True)}.items())
    events: list[_Event] = [(0, 0, _meta(0x03, b"Drums"))]
    for index, ((tick, note), hit) in enumerate(hits):
        following = next((at for (at, other), _ in hits[index + 1 : index + 64] if other == note), None)
        length = _STROKE_TICKS if following is None else min(_STROKE_TICKS, max(1, following - tick))
        events.append((tick, 2, bytes([0x90 | _DRUMS, note, hit.velocity])))
        events.append((tick + length, 1, bytes([0x80 | _DRUMS, note, 64])))
    tempo = _tempo_events(chart, clock)
    end = max([clock.tick(chart.duration), *(tick for tick, _, _ in tempo + events)])
    tracks = [_track(tempo, end=end), _track(events, end=end)]
    return struct.pack(">4sIHHH", b"MThd", 6, 1, len(tracks), TICKS) + b"".join(tracks)


def _tempo_events(chart: Chart, clock: _Clock) -> list[_Event]:
    """The tempo where it changes, and the bars' length; a first short bar leads to where bars begin."""
    events: list[_Event] = []
    before = 0
    for tick, microseconds in clock.tempi:
        if microseconds != before:
            events.append((tick, 1, _meta(0x51, struct.pack(">I", microseconds)[1:])))
            before = microseconds
    beats = chart.beats
    if beats:
        known = beats.beats_in_bar is not None and beats.first_bar is not None
        length = TICKS * (beats.beats_in_bar or 4)
        pickup = (clock.lead + TICKS * (beats.first_bar or 0)) % (length if known else TICKS)
        if pickup:
            events.append((0, 0, _signature(pickup)))
        if known or pickup:
            events.append((pickup, 0, _signature(length)))
    else:
        events.append((0, 0, _meta(0x01, b"no tempo found: times are exact, bars mean nothing")))
    return events


def _signature(ticks: int) -> bytes:
    """Of a bar of so many ticks: in fourths where it can be, else in the longest notes that do."""
    count, note = ticks // _SHORT, 6
    while note > 2 and count % 2 == 0:
        count, note = count // 2, note - 1
    return _meta(0x58, bytes([count, note, 24, 8]))


def _meta(kind: int, data: bytes) -> bytes:
    return bytes([0xFF, kind]) + _variable(len(data)) + data


def _variable(value: int) -> bytes:
    """A number in MIDI's variable length: seven bits a byte, the high bit set on all but the last."""
    out = [value & 0x7F]
    while value := value >> 7:
        out.append(0x80 | (value & 0x7F))
    return bytes(out[::-1])


def _track(events: Sequence[_Event], *, end: int) -> bytes:
    body, now = b"", 0
    for tick, _, message in sorted(events):
        body += _variable(tick - now) + message
        now = tick
    body += _variable(end - now) + _meta(0x2F, b"")
    return struct.pack(">4sI", b"MTrk", len(body)) + body
