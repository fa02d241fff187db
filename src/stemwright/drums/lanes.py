"""The eight lanes of a chart, and the General MIDI notes of what is played on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal["plain", "open", "bell"]


@dataclass(frozen=True, slots=True)
class Lane:
    """One lane: its number, its type in charts, its MIDI notes (the first is written by default)."""

    number: int
    type: str
    notes: tuple[int, ...]


LANES: Final = (
    Lane(0, "kick", (36,)),
    Lane(1, "snare", (38, 40)),
    Lane(2, "hi_hat", (42, 44, 46)),
    Lane(3, "high_tom", (48, 50)),
    Lane(4, "mid_tom", (45, 47)),
    Lane(5, "floor_tom", (41, 43)),
    Lane(6, "crash", (49, 52, 55, 57)),
    Lane(7, "ride", (51, 53, 59)),
)
HI_HAT: Final = 2
RIDE: Final = 7
_SPECIAL: Final[dict[tuple[int, Kind], int]] = {(HI_HAT, "open"): 46, (RIDE, "bell"): 53}
_LANE_OF: Final = {note: lane.number for lane in LANES for note in lane.notes} | {35: 0}


def note_of(lane: int, kind: Kind = "plain") -> int:
    """The General MIDI note of a hit.

    >>> note_of(2), note_of(2, "open"), note_of(5)
    (42, 46, 41)
    """
    return _SPECIAL.get((lane, kind), LANES[lane].notes[0])


def lane_of(note: int) -> int | None:
    """The lane of a General MIDI note; None for what is on no lane, such as a cowbell.

    >>> lane_of(57), lane_of(56)
    (6, None)
    """
    return _LANE_OF.get(note)
