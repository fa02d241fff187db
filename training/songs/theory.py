"""Scales, chords and chord progressions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "harmonic": (0, 2, 3, 5, 7, 8, 11),
}
PROGRESSIONS = {
    "major": (
        (0, 4, 5, 3),
        (0, 5, 3, 4),
        (5, 3, 0, 4),
        (0, 3, 4, 3),
        (0, 2, 3, 4),
        (3, 0, 4, 5),
        (0, 3, 0, 4),
        (1, 4, 0, 5),
    ),
    "minor": (
        (0, 5, 2, 6),
        (0, 3, 5, 4),
        (0, 6, 5, 6),
        (0, 5, 3, 4),
        (5, 6, 0, 0),
        (0, 2, 6, 3),
        (0, 0, 5, 6),
        (0, 3, 6, 2),
    ),
    "dorian": ((0, 3, 0, 3), (0, 3, 6, 0), (0, 1, 2, 3), (0, 6, 3, 0)),
    "mixolydian": ((0, 6, 3, 0), (0, 3, 6, 3), (0, 4, 6, 3), (0, 0, 6, 6)),
    "phrygian": ((0, 1, 0, 1), (0, 1, 6, 0), (0, 0, 1, 2), (0, 5, 1, 0)),
    "harmonic": ((0, 3, 4, 0), (0, 5, 1, 4), (0, 4, 0, 5), (0, 3, 0, 4)),
}


@dataclass(frozen=True, slots=True)
class Chord:
    """Pitch classes 0..11: the root, the chord's tones from the root up, and the key's scale."""

    root: int
    tones: tuple[int, ...]
    scale: tuple[int, ...]


def chord(tonic: int, *, mode: str, degree: int, size: int = 3) -> Chord:
    """The chord of `size` stacked thirds on a degree (0 = tonic); a size of 2 is a fifth alone.

    >>> chord(9, mode="minor", degree=0).tones
    (9, 0, 4)
    """
    steps = SCALES[mode]
    at = [degree, degree + 4] if size == 2 else [degree + 2 * third for third in range(size)]
    tones = tuple((tonic + steps[step % 7]) % 12 for step in at)
    return Chord(tones[0], tones, tuple((tonic + step) % 12 for step in steps))


def progression(rng: np.random.Generator, *, mode: str) -> tuple[int, ...]:
    """Four scale degrees that go together; now and then with one of them changed."""
    known = PROGRESSIONS[mode]
    degrees = list(known[rng.integers(len(known))])
    if rng.random() < 0.2:
        degrees[int(rng.integers(1, 4))] = int(rng.choice([1, 3, 4, 5]))
    if rng.random() < 0.15:
        degrees = [degrees[0], degrees[0], degrees[1], degrees[2]]
    return tuple(degrees)


def near(pitch_class: int, *, to: int) -> int:
    """The MIDI pitch of a pitch class that lies nearest to a pitch.

    >>> near(0, to=59)
    60
    """
    return to + (pitch_class - to + 6) % 12 - 6


def voicing(tones: tuple[int, ...], *, centre: int, spread: bool = False) -> list[int]:
    """Chord tones as MIDI pitches close around `centre`, low to high; `spread` drops the second one an octave."""
    pitches = sorted(near(tone, to=centre) for tone in tones)
    if spread and len(pitches) > 2:
        pitches[1] -= 12
    return sorted(set(pitches))
