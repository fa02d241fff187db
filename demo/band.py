"""The players: drums, bass and the other instruments as notes, and FluidSynth to sound them."""

import subprocess
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .midi import Note, Patch, smf
from .score import (
    BEATS_PER_BAR,
    BEATS_PER_MINUTE,
    CHORDS,
    CHORUS,
    D_MAJOR,
    END,
    END_BEAT,
    HOOK_BARS,
    HOOK_LENGTHS,
    HOOK_STARTS,
    INTRO,
    LIFT,
    SEED,
    VERSE,
    chord_at,
    find_melody,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

SOUNDFONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
KICK, STICK, SNARE, CLAP, HAT, OPEN_HAT, CRASH, RIDE, TAMBOURINE, SHAKER = 36, 37, 38, 39, 42, 46, 49, 51, 54, 82
HIGH_TOM, MID_TOM, LOW_TOM, FLOOR_TOM = 50, 47, 45, 43
PIANO, GUITAR, STRINGS, BELLS, EPIANO = range(5)

DRUM_PATCHES = (Patch(9, 0, volume=112, reverb=24),)
BASS_PATCHES = (Patch(0, 33, volume=112, reverb=0),)
OTHER_PATCHES = (
    Patch(PIANO, 0, volume=104, pan=56, reverb=44),
    Patch(GUITAR, 25, volume=108, pan=88, reverb=48),
    Patch(STRINGS, 48, volume=96, pan=64, reverb=64),
    Patch(BELLS, 11, volume=112, pan=44, reverb=56),
    Patch(EPIANO, 4, volume=76, pan=48, reverb=36, chorus=12),
)

# Sixteen steps a bar: X loud, x medium, o ghost.
_LOUDNESS = {"X": 112, "x": 90, "o": 46}
_GROOVES: dict[str, dict[int, str]] = {
    "intro": {KICK: "X.......x.......", STICK: "....x.......x...", HAT: "x.o.x.o.x.o.x.o.", SHAKER: "o.x.o.x.o.x.o.x."},
    "verse": {KICK: "X.....x...X.....", SNARE: "....X..o.o..X...", HAT: "X.x.X.x.X.x.X.xo"},
    "verse2": {KICK: "X.....x...X..x..", SNARE: "....X..o.o..X..o", HAT: "X.x.X.x.X.x.X.xo"},
    "lift": {
        KICK: "X...X...X...X...",
        SNARE: "o.o.x.o.o.o.x.o.",
        FLOOR_TOM: "x.....x...x...x.",
        HAT: "x...x...x...x...",
    },
    "chorus": {
        KICK: "X.....X.X.x.....",
        SNARE: "....X......oX...",
        CLAP: "....x.......x...",
        HAT: "x...x...x...x...",
        OPEN_HAT: "..x...x...x...x.",
        TAMBOURINE: "o.xoo.xoo.xoo.xo",
    },
    "chorus2": {
        KICK: "X..x..X.X.x..x..",
        SNARE: "....X..o...oX...",
        CLAP: "....x.......x...",
        RIDE: "X.x.X.x.X.x.X.x.",
        TAMBOURINE: "o.xoo.xoo.xoo.xo",
    },
    "end": {KICK: "X...............", CRASH: "X...............", FLOOR_TOM: "x..............."},
}
# The fills: which bar, from which step on, and the drums from there (they replace the groove's snare, toms and hats).
_FILLS: dict[int, tuple[int, tuple[int, ...]]] = {
    1: (12, (SNARE, SNARE, MID_TOM, FLOOR_TOM)),
    5: (12, (SNARE, 0, SNARE, SNARE)),
    7: (8, (SNARE, SNARE, HIGH_TOM, HIGH_TOM, MID_TOM, MID_TOM, LOW_TOM, FLOOR_TOM)),
    11: (13, (SNARE, MID_TOM, FLOOR_TOM)),
    14: (8, (SNARE, HIGH_TOM, HIGH_TOM, SNARE, MID_TOM, MID_TOM, LOW_TOM, FLOOR_TOM)),
}
_CRASH_BARS = (2, 8, 12)


def _groove_of(bar: int) -> str:
    """The name of a bar's groove."""
    if bar in INTRO or bar in LIFT:
        return "intro" if bar in INTRO else "lift"
    if bar in VERSE:
        return "verse" if bar % 2 == 0 else "verse2"
    return "end" if bar in END else "chorus" if bar < 12 else "chorus2"


def drum_notes() -> list[Note]:
    """The drum part: grooves, fills, crashes, with a small human spread in time and force (fixed seed)."""
    rng = np.random.default_rng((SEED, 1))
    hits: list[tuple[float, int, float]] = []
    for bar in range(END.stop):
        first, fill = _FILLS.get(bar, (16, ()))
        for drum, steps in _GROOVES[_groove_of(bar)].items():
            hits += [
                (bar * 4 + i / 4, drum, _LOUDNESS[mark])
                for i, mark in enumerate(steps)
                if mark != "." and (i < first or drum in (KICK, TAMBOURINE))
            ]
        hits += [(bar * 4 + (first + i) / 4, drum, 84 + 28 * i / len(fill)) for i, drum in enumerate(fill) if drum]
        if bar in _CRASH_BARS:
            hits.append((bar * 4.0, CRASH, 108))
    notes = []
    for beat, drum, force in hits:
        swing = 0.02 if (beat * 4) % 2 == 1 else 0.0
        late = swing + float(np.clip(rng.normal(0, 0.006), -0.015, 0.015)) if beat else 0.0
        build = 0.72 + 0.28 * (beat % 8) / 8 if int(beat // 4) in LIFT and drum != KICK else 1.0
        notes.append(Note(beat + late, 0.2, drum, round(force * build + rng.normal(0, 4)), 9))
    return notes


def _bass_root(beat: float) -> int:
    """The chord's root in the bass register, E1 to D#2 (MIDI)."""
    return 28 + (chord_at(beat)[0] - 4) % 12


def _bass_bar(bar: int) -> list[tuple[float, float, int, int]]:
    """One bar of bass as (beat in the bar, beats, pitch, velocity)."""
    root, following = _bass_root(bar * 4), _bass_root(bar * 4 + 4)
    fifth = root + 7
    beside = range(following + 1, following + 4) if root > following else range(following - 1, following - 4, -1)
    approach = next(p for p in beside if p % 12 in D_MAJOR)
    if bar in END:
        return [(0, 5, 26 + 12, 104)]
    if bar == INTRO.start:
        return [(0, 3.4, root, 84)]
    if bar in INTRO or bar in VERSE:
        return [
            (0, 1.3, root, 102),
            (1.5, 0.45, root, 84),
            (2, 0.25, root + 12, 70),
            (2.5, 0.8, fifth, 92),
            (3.5, 0.45, approach, 88),
        ]
    if bar in LIFT:
        return [(i / 2, 0.42, root + (12 if i == 7 else 0), 80 + 3 * i) for i in range(8)]
    steps = (root, root, root, root + 12, root, root, fifth, approach)
    return [(i / 2, 0.44 if i != 3 else 0.3, pitch, 108 if i % 2 == 0 else 90) for i, pitch in enumerate(steps)]


def bass_notes() -> list[Note]:
    """The bass part (fixed seed)."""
    rng = np.random.default_rng((SEED, 2))
    return [
        Note(bar * 4 + beat + abs(float(rng.normal(0, 0.006))), length, pitch, round(force + rng.normal(0, 3)))
        for bar in range(END.stop)
        for beat, length, pitch, force in _bass_bar(bar)
    ]


def voicings(*, centre: float) -> list[list[int]]:
    """Four pitches (MIDI, rising) a bar: each chord tone where it lies nearest the voice of the bar before."""
    result: list[list[int]] = []
    middle = [centre - 6, centre - 2, centre + 2, centre + 6]
    for chord in CHORDS[: END.stop]:
        before = [float(p) for p in result[-1]] if result else middle
        pull = [0.7 * b + 0.3 * m for b, m in zip(before, middle, strict=True)]
        options = []
        for turn in range(4):
            order = [chord[(turn + i) % 4] for i in range(4)]
            options.append(sorted(round((t - c) / 12) * 12 + c for t, c in zip(pull, order, strict=True)))
        result.append(min(options, key=lambda o: sum(abs(p - t) for p, t in zip(o, pull, strict=True)) + 9 * _clash(o)))
    return result


def _clash(pitches: list[int]) -> int:
    """How many neighbours of a rising chord lie less than two semitones apart."""
    return sum(b - a < 2 for a, b in pairwise(pitches))


def _keys_bar(bar: int, *, chord: list[int]) -> list[Note]:
    """Electric piano in the verse, piano in the chorus: one bar."""
    if bar in END:
        rolled = [Note(bar * 4 + 0.06 * i, 5.5, p, 88 - 3 * i, PIANO) for i, p in enumerate([chord[0] - 12, *chord])]
        return [*rolled, *(Note(bar * 4, 5.5, p, 74, EPIANO) for p in chord)]
    if bar in CHORUS:
        stabs = ((0, 1.4, 98), (1.5, 0.9, 84), (2.5, 0.9, 90), (3.5, 0.45, 80))
        return [Note(bar * 4 + t, n, p, v, PIANO) for t, n, v in stabs for p in chord]
    times = [(0, 3.8, 78)] if bar in INTRO else [(0, 1.9, 82), (2.5, 1.3, 74)]
    return [Note(bar * 4 + t + 0.015 * i, n, p, v, EPIANO) for t, n, v in times for i, p in enumerate(chord)]


def _guitar_bar(bar: int, *, chord: list[int]) -> list[Note]:
    """Guitar arpeggio: eighths from the intro's second bar on, sixteenths in the second half of the lift."""
    if bar == INTRO.start or bar in END:
        return []
    order = (0, 2, 3, 1, 2, 3, 1, 2)
    if bar == LIFT.stop - 1:
        return [Note(bar * 4 + i / 4, 0.4, chord[i % 4] + 12 * (i >= 8), 62 + 3 * i, GUITAR) for i in range(16)]
    return [Note(bar * 4 + i / 2, 0.9, chord[k], 88 if i % 4 == 0 else 72, GUITAR) for i, k in enumerate(order)]


def _hook_notes() -> list[Note]:
    """The vibraphone hook: alone in the intro, above the chorus later, found by the melody rule."""
    notes = []
    for bar in HOOK_BARS:
        starts = tuple(bar * 4 + s for s in HOOK_STARTS)
        pitches = find_melody(starts, lengths=HOOK_LENGTHS, contour=(78, 83, 76, 81), motif="hook")
        force = 120 if bar in INTRO else 102
        notes += [
            Note(start, length, pitch, force - 8 * (i % 2), BELLS)
            for i, (start, length, pitch) in enumerate(zip(starts, HOOK_LENGTHS, pitches, strict=True))
        ]
    return notes


def other_notes() -> list[Note]:
    """Keys, guitar, strings and the hook (fixed seed)."""
    rng = np.random.default_rng((SEED, 3))
    notes = _hook_notes()
    close, high = voicings(centre=62), voicings(centre=67)
    for bar in range(END.stop):
        notes += _keys_bar(bar, chord=close[bar]) + _guitar_bar(bar, chord=high[bar])
        if bar in LIFT or bar in CHORUS or bar in END:
            force = 70 if bar in LIFT else 92
            length = 5.5 if bar in END else BEATS_PER_BAR + 0.05
            notes += [Note(bar * 4, length, p, force, STRINGS) for p in (high[bar][1] + 12, high[bar][3], high[bar][0])]
    return [
        replace(n, start=n.start + abs(float(rng.normal(0, 0.008))), velocity=round(n.velocity + rng.normal(0, 3)))
        for n in notes
    ]


def play(
    notes: list[Note], *, patches: tuple[Patch, ...], folder: Path, name: str, frames: int
) -> "NDArray[np.float64]":
    """Sound notes through FluidSynth: float64 [2, frames] at 44.1 kHz; leaves `name`.mid and .raw in `folder`."""
    score, sound = folder / f"{name}.mid", folder / f"{name}.raw"
    score.write_bytes(smf(notes, patches=patches, beats_per_minute=BEATS_PER_MINUTE, end_beat=END_BEAT))
    settings = ["-q", "-n", "-i", "-g", "0.5", "-r", "44100", "-T", "raw", "-O", "float"]
    effects = ["-R", "0", "-C", "0"] if name == "bass" else ["-R", "1", "-C", "1"]
    subprocess.run(["fluidsynth", *settings, *effects, "-F", str(sound), str(SOUNDFONT), str(score)], check=True)
    samples = np.fromfile(sound, dtype="<f4").reshape(-1, 2)[:frames]
    out = np.zeros((2, frames))
    out[:, : len(samples)] = samples.T
    return out
