"""The chart: hits on eight lanes with tempo and beats, as a record and as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from stemwright.drums.lanes import LANES, note_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stemwright.drums.beats import Beats
    from stemwright.drums.lanes import Kind
    from stemwright.drums.onsets import Onset
    from stemwright.types import Digest, Seconds

VERSION: Final = 1  # of the JSON


@dataclass(frozen=True, slots=True)
class Hit:
    """One hit of a chart; `velocity` is MIDI's, 1–127, `confidence` 0–1."""

    time: Seconds
    lane: int
    type: str
    velocity: int
    confidence: float
    note: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """All hits of a recording in order of time; second 0 is its first sample.

    `beats` is None where no tempo is clear.
    """

    duration: Seconds
    hits: tuple[Hit, ...]
    beats: Beats | None = None
    weights_digest: Digest = ""

    def as_json(self) -> dict[str, Any]:
        """The chart as plain values: seconds to 0.1 ms, what is not clear as null."""
        beats = self.beats
        return {
            "version": VERSION,
            "model": {"name": "drums", "weights_digest": self.weights_digest},
            "duration": round(self.duration, 4),
            "bpm": round(beats.bpm, 2) if beats else None,
            "octave_bpm": round(beats.octave_bpm, 2) if beats and beats.octave_bpm else None,
            "steady": beats.steady if beats else None,
            "beats": [round(time, 4) for time in beats.times] if beats else [],
            "beats_in_bar": beats.beats_in_bar if beats else None,
            "bars": [round(time, 4) for time in beats.bars()] if beats else [],
            "lanes": [{"lane": lane.number, "type": lane.type, "notes": list(lane.notes)} for lane in LANES],
            "onsets": [
                {
                    "time": round(hit.time, 4),
                    "lane": hit.lane,
                    "type": hit.type,
                    "velocity": hit.velocity,
                    "confidence": round(hit.confidence, 3),
                    "note": hit.note,
                }
                for hit in self.hits
            ],
        }

    def dumps(self) -> str:
        """The chart as a JSON text."""
        return json.dumps(self.as_json(), indent=1) + "\n"


def hits_of(onsets: Sequence[Onset]) -> tuple[Hit, ...]:
    """Onsets as hits, in order of time."""
    return tuple(_hit(onset) for onset in sorted(onsets, key=lambda onset: (onset.time, onset.lane)))


def _hit(onset: Onset) -> Hit:
    kind: Kind = onset.kind
    return Hit(
        time=onset.time,
        lane=onset.lane,
        type=LANES[onset.lane].type,
        velocity=max(1, min(127, round(127 * onset.velocity))),
        confidence=onset.confidence,
        note=note_of(onset.lane, kind),
    )
