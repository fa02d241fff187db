"""What synthetic singers sing: notes by simple rules, or the melody of a composed song; and how a pitch moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy.ndimage import gaussian_filter1d

from training.songs.theory import NAMES, SCALES
from training.voices.world import FRAME_S, Curve, drift

if TYPE_CHECKING:
    from collections.abc import Sequence

_LETTERS: Final = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_RHYTHMS: Final = (  # in beats, a bar each; negative: a rest
    (1, 1, 1, 1), (2, 2), (0.5, 0.5, 1, 0.5, 0.5, 1), (1.5, 0.5, 1, 1), (0.5, 0.5, 0.5, 0.5, 2), (3, 1), (4,),
    (0.5, 1, 0.5, 1, 1), (0.75, 0.75, 0.5, 2), (-1, 1, 1, 1), (-0.5, 0.5, 0.5, 0.5, 1, 1), (1, 0.5, 0.5, 2),
    (0.25, 0.25, 0.5, 1, 0.5, 0.5, 1), (2, 1, -1), (0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 1), (1.5, 1.5, 1),
)  # fmt: skip


@dataclass(frozen=True)
class Note:
    """One sung note: seconds, MIDI pitch, and which syllable of the text it carries."""

    start: float
    end: float
    pitch: float
    syllable: int


@dataclass(frozen=True)
class Score:
    """Notes in order of time, the tempo in beats a minute and the key."""

    notes: tuple[Note, ...]
    tempo: float
    key: str | None

    @property
    def seconds(self) -> float:
        """When the last note ends."""
        return self.notes[-1].end


def composed(rng: np.random.Generator, *, seconds: float, lowest: float, highest: float) -> Score:
    """Compose a melody between two MIDI pitches: motifs that come back, small steps, rests between phrases."""
    tempo, tonic = float(rng.uniform(70, 150)), int(rng.integers(12))
    mode = "minor" if rng.random() < 0.5 else "major"
    ladder = [p for p in range(int(lowest), int(highest) + 1) if (p - tonic) % 12 in SCALES[mode]]
    motifs = [tuple(_RHYTHMS[i] for i in rng.integers(len(_RHYTHMS), size=rng.integers(2, 4))) for _ in range(3)]
    notes: list[Note] = []
    beat, place, syllable = float(rng.integers(0, 3)), int(rng.integers(len(ladder) // 4, 3 * len(ladder) // 4 + 1)), 0
    while beat * 60 / tempo < seconds:
        for length in (value for bar in motifs[rng.integers(3)] for value in bar):
            if length > 0:
                place += int(rng.choice((-4, -2, -1, 0, 1, 2, 3), p=(0.05, 0.15, 0.22, 0.15, 0.23, 0.13, 0.07)))
                place = min(max(place, 0), len(ladder) - 1)
                held = length * rng.uniform(0.85, 1.0)
                notes.append(Note(beat * 60 / tempo, (beat + held) * 60 / tempo, ladder[place], syllable))
                syllable += rng.random() < 0.9  # else the same syllable moves on: a melisma
            beat += abs(length)
        beat += float(rng.choice((0, 0.5, 1, 2, 4), p=(0.25, 0.25, 0.25, 0.15, 0.1)))
        place = (place + len(ladder) // 2) // 2
    return Score(tuple(notes), tempo, f"{NAMES[tonic]} {mode}")


def from_song(facts: dict[str, Any]) -> Score | None:
    """Read the melody of a composed song's `song.json`; None where it has none."""
    rows: Sequence[Sequence[Any]] = facts.get("melody") or ()
    notes: list[Note] = []
    for number, (start, end, pitch, *rest) in enumerate(sorted(rows, key=lambda row: float(row[0]))):
        syllable = rest[0] if rest and isinstance(rest[0], int) else number
        if notes and float(start) < notes[-1].end:
            notes[-1] = Note(notes[-1].start, float(start), notes[-1].pitch, notes[-1].syllable)
        if float(end) - float(start) > 0.04:
            notes.append(Note(float(start), float(end), float(pitch), syllable))
    notes = [note for note in notes if note.end - note.start > 0.03]
    return Score(tuple(notes), float(facts.get("tempo") or 120.0), facts.get("key")) if notes else None


def transposed(score: Score, *, lowest: float, highest: float) -> Score:
    """Move a melody by octaves so that its middle lies in a singer's range (MIDI pitches)."""
    middle = float(np.median([note.pitch for note in score.notes]))
    shift = 12 * round(((lowest + highest) / 2 - middle) / 12)
    return Score(tuple(Note(n.start, n.end, n.pitch + shift, n.syllable) for n in score.notes), score.tempo, score.key)


def phrases(score: Score, *, rest_s: float = 0.25) -> list[tuple[Note, ...]]:
    """Cut a melody at its rests."""
    groups: list[list[Note]] = [[score.notes[0]]]
    for note in score.notes[1:]:
        if note.start - groups[-1][-1].end > rest_s:
            groups.append([])
        groups[-1].append(note)
    return [tuple(group) for group in groups]


def parse_key(key: str | None) -> tuple[int, tuple[int, ...]]:
    """Give tonic (0 is C) and scale of e.g. "Eb minor"; all twelve notes where the key is not known."""
    if key is None:
        return 0, tuple(range(12))
    name, mode = key.split()
    tonic = _LETTERS[name[0].upper()] + {"#": 1, "b": -1}.get(name[1:], 0)
    return tonic % 12, SCALES[mode]


@dataclass(frozen=True)
class Manner:
    """How a singer moves the pitch."""

    vibrato_hz: float
    vibrato_semitones: float
    vibrato_after_s: float
    glide_s: float  # from note to note
    scoop_semitones: float  # how far below the first note of a phrase begins
    drift_semitones: float


def manner(rng: np.random.Generator) -> Manner:
    """Give a singer's habits."""
    plain = rng.random() < 0.25
    return Manner(
        vibrato_hz=rng.uniform(4.6, 6.8),
        vibrato_semitones=0.0 if plain else rng.uniform(0.15, 0.9),
        vibrato_after_s=rng.uniform(0.15, 0.5),
        glide_s=rng.uniform(0.015, 0.06),
        scoop_semitones=rng.uniform(0, 2.5),
        drift_semitones=rng.uniform(0.05, 0.2),
    )


def pitch_curve(notes: Sequence[Note], how: Manner, rng: np.random.Generator, *, start: float, count: int) -> Curve:
    """Give Hz for each of `count` frames from `start` seconds on: notes, glides, scoop, vibrato, drift, jitter."""
    time = start + np.arange(count) * FRAME_S
    index = np.clip(np.searchsorted([note.start - how.glide_s for note in notes], time, side="right") - 1, 0, None)
    pitch = gaussian_filter1d(np.array([note.pitch for note in notes], float)[index], how.glide_s / FRAME_S)
    since = time - np.array([note.start for note in notes])[index]
    length = np.array([note.end - note.start for note in notes])[index]
    grown = np.clip((since - how.vibrato_after_s) / 0.3, 0, 1) * (length > 0.35)
    rate = how.vibrato_hz * (1 + drift(count, rng, seconds=0.3, size=0.05))
    pitch = pitch + how.vibrato_semitones * grown * np.sin(2 * np.pi * np.cumsum(rate) * FRAME_S)
    pitch -= how.scoop_semitones * np.exp(-np.maximum(time - notes[0].start, 0) / 0.06)
    pitch += drift(count, rng, seconds=0.12, size=how.drift_semitones) + rng.normal(0, 0.04, count)
    return np.asarray(440.0 * 2 ** ((pitch - 69) / 12))
