"""What a composed song is, before any sound: notes and hits in seconds, tracks, and the vocal line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Note:
    """One note: seconds, MIDI pitch, loudness 0..1; `slide` says that a mono synth glides into it."""

    start: float
    length: float
    pitch: int
    loud: float
    slide: bool = False


@dataclass(frozen=True, slots=True)
class Hit:
    """One drum stroke: seconds, the piece's name (see drumming.PIECES), loudness 0..1."""

    start: float
    piece: str
    loud: float


@dataclass(frozen=True, slots=True)
class Voice:
    """What plays a track: engine `font`, `guitar`, `poly`, `mono`, `sampled`, `texture`, `fx` or `kit`; knobs 0..1."""

    engine: str
    name: str
    settings: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Track:
    """One melodic instrument of one stem; `place` is -1 left .. 1 right."""

    stem: str
    role: str
    voice: Voice
    notes: tuple[Note, ...]
    gain_db: float = 0.0
    place: float = 0.0
    effects: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Song:
    """A whole song; `melody` rows are start s, end s, MIDI pitch, syllable index."""

    seed: int
    style: str
    tempo: float
    meter: tuple[int, int]
    key: str
    seconds: float
    tracks: tuple[Track, ...]
    hits: tuple[Hit, ...]
    kit: Voice | None
    melody: tuple[tuple[float, float, int, int], ...]
    sections: tuple[tuple[float, str], ...]
    ducked: float  # how deep the kick ducks bass and other, 0..1
