"""Charts to Standard MIDI Files of type 1: a tempo map, and the drums on channel 10."""

from __future__ import annotations

import struct
from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from stemwright.drums.beats import quantised

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stemwright.drums.chart import Chart
    from stemwright.types import Seconds

TICKS: Final = 960  # in a beat
_DRUMS: Final = 9  # channel 10
_STROKE_TICKS: Final = 60  # from note on to note off, at most
_NO_TEMPO: Final = 0.5  # s a beat, where no tempo is known: any would do, all times are exact
_SLOWEST: Final = 0xFFFFFF / 1e6  # s a beat, the most that MIDI can say

_Event = tuple[int, int, bytes]  # tick, order within the tick, message


class _Clock:
    """Seconds to ticks by a tempo map whose tick 0 is second 0.

    Where there are beats, whole beats lead up to the first of them (at another tempo if need be), so that beats lie on
    whole multiples of `TICKS`.
    """

    def __init__(self, chart: Chart) -> None:
        beats = chart.beats
        self.lead = 0  # beats before the first known one
        self.times: list[Seconds] = [0.0]
        if beats:
            first, period = beats.times[0], 60 / beats.bpm
            if first > 0.001:
                self.lead = max(1, round(first / period))
                self.times = [first * index / self.lead for index in range(self.lead)]
                self.times += beats.times
            else:
                self.times = [0.0, *beats.times[1:]]
        last = self.times[-1] - self.times[-2] if len(self.times) > 1 else _NO_TEMPO
        self.times.append(self.times[-1] + last)
        self.microseconds = [
            max(1, round(1e6 * min(after - before, _SLOWEST)))
            for before, after in zip(self.times[:-1], self.times[1:], strict=True)
        ]
        self._starts = [0.0]  # what a player makes of the rounded tempi, s
        for part in self.microseconds:
            self._starts.append(self._starts[-1] + part / 1e6)

    def tick(self, time: Seconds) -> int:
        """The tick nearest to a time."""
        beat = min(bisect_right(self._starts, time), len(self.microseconds)) - 1
        return max(0, round(TICKS * (beat + (time - self._starts[beat]) / (self.microseconds[beat] / 1e6))))


def midi_bytes(chart: Chart, *, quantise: bool = False) -> bytes:
    """The chart as a MIDI file. Tick 0 is the first sample of the recording.

    Played by any player it sounds at the chart's times to half a tick (0.3 ms at 120 BPM); with `quantise` strokes move
    to the nearest sixteenth or triplet of the beats, where there are any. Source: "Standard MIDI Files 1.0", MMA 1996.
    """
    clock = _Clock(chart)
    if quantise and chart.beats:
        places = quantised([stroke.time for stroke in chart.strokes], chart.beats)
        ticks = [max(0, round(TICKS * (place + clock.lead))) for place in places]
    else:
        ticks = [clock.tick(stroke.time) for stroke in chart.strokes]
    strokes = sorted({(tick, stroke.note): stroke for tick, stroke in zip(ticks, chart.strokes, strict=True)}.items())
    events: list[_Event] = [(0, 0, _meta(0x03, b"Drums"))]
    for index, ((tick, note), stroke) in enumerate(strokes):
        following = next((at for (at, other), _ in strokes[index + 1 : index + 64] if other == note), None)
        length = _STROKE_TICKS if following is None else min(_STROKE_TICKS, max(1, following - tick))
        events.append((tick, 2, bytes([0x90 | _DRUMS, note, stroke.velocity])))
        events.append((tick + length, 1, bytes([0x80 | _DRUMS, note, 64])))
    end = max([clock.tick(chart.duration), *(tick for tick, _, _ in events)])
    tracks = [_track(_tempo_events(chart, clock), end=end), _track(events, end=end)]
    return struct.pack(">4sIHHH", b"MThd", 6, 1, len(tracks), TICKS) + b"".join(tracks)


def _tempo_events(chart: Chart, clock: _Clock) -> list[_Event]:
    """The tempo where it changes, and the bars' length; a first short bar leads to where bars begin."""
    events: list[_Event] = []
    before = 0
    for beat, microseconds in enumerate(clock.microseconds):
        if microseconds != before:
            events.append((beat * TICKS, 1, _meta(0x51, struct.pack(">I", microseconds)[1:])))
            before = microseconds
    beats = chart.beats
    if beats and beats.beats_in_bar and beats.first_bar is not None:
        length = beats.beats_in_bar
        pickup = (clock.lead + beats.first_bar) % length
        if pickup:
            events.append((0, 0, _signature(pickup)))
        events.append((pickup * TICKS, 0, _signature(length)))
    if beats is None:
        events.append((0, 0, _meta(0x01, b"no tempo found: times are exact, bars mean nothing")))
    return events


def _signature(beats: int) -> bytes:
    return _meta(0x58, bytes([beats, 2, 24, 8]))


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
