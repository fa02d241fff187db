"""The composition: form, chords, words, and the rule that finds the melody."""

from dataclasses import dataclass
from zlib import crc32

import numpy as np

SEED = 2026
TITLE = "The Sum of Four"
BEATS_PER_MINUTE = 126.0
SECONDS_PER_BEAT = 60.0 / BEATS_PER_MINUTE
BEATS_PER_BAR = 4
LENGTH_SECONDS = 31.0
END_BEAT = LENGTH_SECONDS / SECONDS_PER_BEAT
D_MAJOR = (2, 4, 6, 7, 9, 11, 1)

# One chord a bar: the root first, then the pitch classes above it.
D, EM7, FSM7, G, A, ASUS, BM7 = (
    (2, 6, 9, 4),
    (4, 7, 11, 2),
    (6, 9, 1, 4),
    (7, 11, 2, 6),
    (9, 1, 4, 11),
    (9, 2, 4, 11),
    (11, 2, 6, 9),
)
CHORDS = (BM7, G, D, FSM7, G, ASUS, EM7, A, G, A, FSM7, BM7, EM7, G, ASUS, D, D)
INTRO, VERSE, LIFT, CHORUS, END = range(2), range(2, 6), range(6, 8), range(8, 15), range(15, 16)


@dataclass(frozen=True, slots=True)
class Phrase:
    """A line of words: where it starts (bar), its rhythm (beats) and the heights that it moves between (MIDI)."""

    bar: int
    words: tuple[str, ...]
    starts: tuple[float, ...]
    lengths: tuple[float, ...]
    contour: tuple[float, ...]
    motif: str
    effort: float


@dataclass(frozen=True, slots=True)
class SungNote:
    """One syllable: `start` and `length` in beats, `pitch` in MIDI, ARPAbet phones, `effort` 0 to 1."""

    start: float
    length: float
    pitch: int
    phones: tuple[str, ...]
    effort: float


_LONG = ((0, 1, 1.5, 3.5, 4, 5, 5.5), (1, 0.5, 1.75, 0.5, 1, 0.5, 1.9))
_CALL = ((0, 0.5, 1.5, 4, 4.5, 5.5), (0.5, 1, 2.0, 0.5, 1, 2.0))
_WALK = ((0, 1, 1.5, 4, 5, 5.5), (1, 0.5, 2.0, 1, 0.5, 2.1))
_LAST = ((0, 0.5, 1, 1.5, 2, 3, 4), (0.5, 0.5, 0.5, 0.5, 1, 1, 3.8))

_WE_ARE = ("W IY", "AA R", "F AO R", "W IY", "AA R", "W AH N")
_SUN = ("M AO R", "N IH NG", "S AH N")
PHRASES = (
    Phrase(2, ("L OW", "AE N", "S L OW", "DH AH", "M AO R", "N IH NG", "L AY T"), *_LONG, (57, 61, 58), "verse", 0.35),
    Phrase(4, ("R AH", "N IH NG", "IY", "Z IY", "D AW N", "DH AH", "L AY N"), *_LONG, (57, 62, 60), "verse", 0.4),
    Phrase(6, ("HH IH R", "M IY", "N AW", "HH IH R", "AH S", "AO L"), *_WALK, (59, 61, 64), "lift", 0.55),
    Phrase(8, _WE_ARE, *_CALL, (62, 66.5, 64), "call", 0.85),
    Phrase(10, ("S IH NG", "IH T", "L OW", "S IH NG", "IH T", "HH AY"), *_WALK, (64, 60, 66), "answer", 0.8),
    Phrase(12, _WE_ARE, *_CALL, (63, 67, 65), "call", 0.95),
    Phrase(14, ("SH AY", "N IH NG", "IH N", "DH AH", *_SUN), *_LAST, (66, 64, 62), "last", 0.75),
)
# The hook of the intro, which comes back above the chorus: (start bar, starts, lengths, contour).
HOOK_STARTS = (0, 0.75, 1.5, 2.5, 3, 4, 4.75, 5.5, 6.5)
HOOK_LENGTHS = (0.75, 0.75, 1.0, 0.5, 1.0, 0.75, 0.75, 1.0, 1.5)
HOOK_BARS = (0, 8, 12)


def chord_at(beat: float) -> tuple[int, ...]:
    """Pitch classes (root first) that sound at a beat; the small allowance takes early notes with the chord to come."""
    bar = int((beat + 0.05) // BEATS_PER_BAR)
    return CHORDS[min(max(bar, 0), len(CHORDS) - 1)]


def _leap_cost(interval: int) -> float:
    """What a melodic interval in semitones costs: steps are cheap, leaps dear, the tritone dearest."""
    size = abs(interval)
    table = (0.9, 0.1, 0.0, 0.5, 0.6, 1.2, 6.0, 1.8, 4.0, 4.0, 5.0, 6.0, 4.0)
    return table[size] if size < len(table) else 9.0


def _fit_cost(pitch: int, *, beat: float, length: float, last: bool) -> float:
    """What a pitch costs against its chord: long, strong and last notes want root, third or fifth."""
    chord = chord_at(beat)
    weight = 0.5 + length + (1.0 if beat % 2 == 0 else 0.0) + (2.0 if last else 0.0)
    if pitch % 12 in chord[:3]:
        return 0.0
    if pitch % 12 == chord[3]:
        return 0.5 * weight
    return 1.2 * weight


def find_melody(
    starts: tuple[float, ...], *, lengths: tuple[float, ...], contour: tuple[float, ...], motif: str
) -> list[int]:
    """The cheapest line of D major pitches (MIDI) over the chords (Viterbi); `starts` in beats of the song."""
    wanted = np.interp(np.linspace(0, 1, len(starts)), np.linspace(0, 1, len(contour)), contour)
    pitches = [p for p in range(int(min(contour)) - 5, int(max(contour)) + 6) if p % 12 in D_MAJOR]
    taste = np.random.default_rng((SEED, crc32(motif.encode()))).uniform(0, 0.9, (len(starts), 12))
    best = [0.0] * len(pitches)
    back: list[list[int]] = []
    for i, (beat, length) in enumerate(zip(starts, lengths, strict=True)):
        own = [
            _fit_cost(p, beat=beat, length=length, last=i == len(starts) - 1)
            + 0.45 * abs(p - float(wanted[i]))
            + float(taste[i, p % 12])
            for p in pitches
        ]
        if i:
            moves = [[best[j] + _leap_cost(p - q) for j, q in enumerate(pitches)] for p in pitches]
            back.append([int(np.argmin(row)) for row in moves])
            own = [cost + min(row) for cost, row in zip(own, moves, strict=True)]
        best = own
    path = [int(np.argmin(best))]
    for row in reversed(back):
        path.append(row[path[-1]])
    return [pitches[j] for j in reversed(path)]


def lead_line() -> list[list[SungNote]]:
    """The sung line, one list a phrase."""
    line = []
    for phrase in PHRASES:
        starts = tuple(phrase.bar * BEATS_PER_BAR + s for s in phrase.starts)
        pitches = find_melody(starts, lengths=phrase.lengths, contour=phrase.contour, motif=phrase.motif)
        line.append(
            [
                SungNote(start, length, pitch, tuple(word.split()), phrase.effort)
                for start, length, pitch, word in zip(starts, phrase.lengths, pitches, phrase.words, strict=True)
            ]
        )
    return line


def harmony_line(lead: list[list[SungNote]], *, above: bool) -> list[list[SungNote]]:
    """A second voice for the chorus: the nearest chord tone a third or more above or below each lead note."""
    line = []
    for phrase in lead:
        if phrase[0].start < CHORUS.start * BEATS_PER_BAR:
            continue
        voice = []
        for note in phrase:
            chord = chord_at(note.start)[:3]
            reach = range(note.pitch + 3, note.pitch + 12) if above else range(note.pitch - 3, note.pitch - 12, -1)
            pitch = next(p for p in reach if p % 12 in chord)
            voice.append(SungNote(note.start, note.length, pitch, note.phones, note.effort * 0.7))
        line.append(voice)
    return line
