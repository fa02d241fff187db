"""Notes to a Standard MIDI File of type 0: one track, one tempo."""

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

TICKS_PER_BEAT = 960


@dataclass(frozen=True, slots=True)
class Note:
    """One played note; `start` and `length` in beats, `pitch` and `velocity` as MIDI numbers."""

    start: float
    length: float
    pitch: int
    velocity: int
    channel: int = 0


@dataclass(frozen=True, slots=True)
class Patch:
    """What a channel is set to before its first note, every number 0 to 127."""

    channel: int
    program: int
    volume: int = 100
    pan: int = 64
    reverb: int = 40
    chorus: int = 0


def _variable_length(value: int) -> bytes:
    """A non-negative integer in MIDI's 7-bits-a-byte form."""
    out = [value & 0x7F]
    while value := value >> 7:
        out.append(0x80 | (value & 0x7F))
    return bytes(reversed(out))


def _patch_events(patch: Patch) -> list[bytes]:
    """The control and program changes that set up one channel."""
    controls = ((7, patch.volume), (10, patch.pan), (91, patch.reverb), (93, patch.chorus))
    events = [bytes((0xB0 | patch.channel, number, value)) for number, value in controls]
    return [*events, bytes((0xC0 | patch.channel, patch.program))]


def smf(notes: "Iterable[Note]", *, patches: "Iterable[Patch]", beats_per_minute: float, end_beat: float) -> bytes:
    """Write notes (any order) as a type 0 file that ends at `end_beat`."""
    tempo = round(60_000_000 / beats_per_minute)
    events: list[tuple[int, int, bytes]] = [(0, 0, b"\xff\x51\x03" + tempo.to_bytes(3, "big"))]
    events += [(0, 1, event) for patch in patches for event in _patch_events(patch)]
    for note in notes:
        on = max(0, round(note.start * TICKS_PER_BEAT))
        off = max(on + 1, round((note.start + note.length) * TICKS_PER_BEAT))
        events.append((on, 3, bytes((0x90 | note.channel, note.pitch, min(127, max(1, note.velocity))))))
        events.append((off, 2, bytes((0x80 | note.channel, note.pitch, 0))))
    events.sort()
    events.append((max(events[-1][0], round(end_beat * TICKS_PER_BEAT)), 4, b"\xff\x2f\x00"))
    track, now = bytearray(), 0
    for tick, _, message in events:
        track += _variable_length(tick - now) + message
        now = tick
    header = b"MThd" + struct.pack(">IHHH", 6, 0, 1, TICKS_PER_BEAT)
    return header + b"MTrk" + struct.pack(">I", len(track)) + bytes(track)
