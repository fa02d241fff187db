"""Recorded one-shots: drum kits and single bass notes, and playing them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import soxr

from training.corpus import RATE, SHARED
from training.songs import drumsynth
from training.songs.drumming import PIECES
from training.songs.kits import DRAWN, LAYERED, LEVELS, SONIC, SONIC_BASS, TEXTURES, TONES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from training.songs.plan import Hit, Note


@cache
def _load(path: Path) -> NDArray[np.float32]:
    """A sample as float32 [2, N] at 44.1 kHz, silence before it cut."""
    import soundfile

    sound, rate = soundfile.read(path, dtype="float32", always_2d=True)
    if rate != RATE:
        sound = soxr.resample(sound, rate, RATE)
    sound = np.ascontiguousarray(sound.T[:2] if sound.shape[1] > 1 else np.repeat(sound.T, 2, axis=0))
    peak = np.abs(sound).max() + 1e-9
    start = max(int(np.argmax(np.abs(sound).max(axis=0) > 0.02 * peak)) - 20, 0)
    return sound[:, start:]


def kit(name: str, rng: np.random.Generator) -> dict[str, list[NDArray[np.float32]]]:
    """A kit's pieces, each a list of layers from soft to loud, float32 [2, N]; what it lacks is synthesized."""
    out: dict[str, list[NDArray[np.float32]]] = {}
    if name in LAYERED:
        folder, pieces = LAYERED[name]
        for piece, patterns in pieces.items():
            layers = [_load(path) for path in _found(folder, patterns)]
            out[piece] = sorted(layers, key=lambda sound: float(np.square(sound).sum()))
    if name in DRAWN:
        folder, pieces = DRAWN[name]
        for piece, patterns in pieces.items():
            found = _found(folder, patterns)
            tuned = _tuned(_load(found[int(rng.integers(len(found)))]), float(rng.normal() * 1.5))
            out[piece] = [tuned[:, : int(2.5 * RATE)]]
    for piece in PIECES:
        if piece not in out:
            out[piece] = [drumsynth.piece(piece, rng)]
    return out


def _found(folder: Path, patterns: str) -> list[Path]:
    """The files of a kit's piece. Raises FileNotFoundError where there is none: the kit is not installed."""
    if found := sorted(path for pattern in patterns.split() for path in folder.glob(pattern)):
        return found
    raise FileNotFoundError(f"{folder}: no file is called {patterns}; `make train` says what to install")


def _tuned(sound: NDArray[np.float32], semitones: float) -> NDArray[np.float32]:
    """A sample played faster or slower: float32 [2, N']."""
    where = np.arange(0, sound.shape[1] - 1, 2 ** (semitones / 12))
    low = where.astype(np.int64)
    part = (where - low).astype(np.float32)
    return sound[:, low] * (1 - part) + sound[:, low + 1] * part


CHOKED = {"open": ("hat", "pedal", "open")}


def drums(name: str, hits: Sequence[Hit], *, frames: int, rng: np.random.Generator, other: str = "",
          tuned: float = 0.0) -> NDArray[np.float32]:  # fmt: skip
    """Hits through a kit: float32 [2, frames]; each piece has its own level and place, open hats are choked.

    Half of the pieces come from the `other` kit where one is named; `tuned` moves all of them by semitones.
    """
    pieces = kit(name, rng)
    if other:
        pieces |= {piece: made for piece, made in kit(other, rng).items() if rng.random() < 0.5}
    if tuned:
        pieces = {
            piece: [_tuned(layer, tuned) for layer in layers]
            for piece, layers in pieces.items()
            if piece in {hit.piece for hit in hits}
        }
    level = {piece: LEVELS[piece] * float(np.exp(rng.normal() * 0.2)) for piece in pieces}
    wide = 0.0 if name in LAYERED else float(rng.uniform(0, 0.5))
    place = {piece: 0.0 if piece in {"kick", "snare"} else wide * float(rng.uniform(-1, 1)) for piece in pieces}
    cymbals = [(hit.start, hit.piece) for hit in hits if hit.piece in CHOKED["open"]]
    out = np.zeros((2, frames), np.float32)
    scale = {piece: 1 / max(np.abs(layers[-1]).max(), 1e-6) for piece, layers in pieces.items()}
    for hit in hits:
        layers = pieces[hit.piece]
        which = int(np.clip(hit.loud * len(layers) + rng.normal() * 0.8, 0, len(layers) - 1))
        sound = layers[which]
        if len(layers) > 1:
            factor = hit.loud**1.2 * level[hit.piece] / max(np.abs(sound).max(), 1e-6)
        else:
            factor = hit.loud**1.5 * level[hit.piece] * scale[hit.piece]
        start = int(hit.start * RATE)
        count = min(sound.shape[1], frames - start)
        if hit.piece == "open":
            after = next((at for at, _ in cymbals if at > hit.start + 0.02), None)
            count = count if after is None else min(count, int((after - hit.start) * RATE) + 800)
        if count <= 0:
            continue
        part = sound[:, :count] * np.array(
            [[factor * (1 - place[hit.piece])], [factor * (1 + place[hit.piece])]], np.float32
        )
        if count < sound.shape[1]:
            part[:, -min(800, count) :] *= np.linspace(1, 0, min(800, count), dtype=np.float32)
        out[:, start : start + count] += part
    return out


NOTE_NAMES = {
    "c": 0,
    "cs": 1,
    "db": 1,
    "d": 2,
    "ds": 3,
    "eb": 3,
    "e": 4,
    "f": 5,
    "fs": 6,
    "gb": 6,
    "g": 7,
    "gs": 8,
    "ab": 8,
    "a": 9,
}
NOTE_NAMES |= {"as": 10, "bb": 10, "b": 11}


@cache
def _bass_notes(name: str) -> dict[int, list[Path]]:
    """Files of a sampled bass by MIDI pitch, soft to loud as far as their names say."""
    out: dict[int, list[Path]] = {}
    if name in SONIC_BASS:
        file, pitch = SONIC_BASS[name]
        return {pitch: [SONIC / f"{file}.flac"]}
    for path in sorted((SHARED / "singles" / name).glob("*.ogg")):
        stem = path.stem.lower()
        if name == "bass-yr":
            octave = 1 if stem.rstrip("2") in {"e", "f", "fs", "g", "gs", "a", "as", "b"} else 2
            pitch = 12 * (octave + 1 + (stem == "e2")) + NOTE_NAMES[stem.rstrip("2")]
        else:
            note = stem.split("-")[0]
            pitch = 12 * (int(note[-1]) + 1) + NOTE_NAMES[note[:-1]]
        if "staccato" not in stem:
            out.setdefault(pitch, []).append(path)
    return out


def _pitch_of(sound: NDArray[np.float32]) -> float:
    """The MIDI pitch of a bass note by autocorrelation, 30..260 Hz."""
    part = sound.mean(axis=0)[4000:24000].astype(np.float64)
    spectrum = np.fft.rfft(part, 65536)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[: RATE // 30]
    low = RATE // 260
    lag = low + int(np.argmax(correlation[low:] * (1 - 0.0001 * np.arange(len(correlation) - low))))
    return float(69 + 12 * np.log2(RATE / lag / 440))


@cache
def _measured(name: str) -> dict[int, list[Path]]:
    """The bass's files by measured pitch; names decide only where the measurement agrees up to octaves."""
    if name in SONIC_BASS:
        return _bass_notes(name)
    out: dict[int, list[Path]] = {}
    for named, paths in sorted(_bass_notes(name).items()):
        heard = float(np.median([_pitch_of(_load(path)) for path in paths]))
        out.setdefault(named + 12 * round((heard - named) / 12), paths)
    return out


@cache
def _tone(file: str) -> dict[int, list[Path]]:
    """A recorded tone by the MIDI pitch of its strongest partial, at most C6 by leaving out octaves."""
    path = SONIC / f"{file}.flac"
    part = _load(path).mean(axis=0)[:32768]
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), 65536))
    hertz = 100 + np.argmax(spectrum[149:6000]) * RATE / 65536
    pitch = round(69 + 12 * np.log2(hertz / 440))
    return {pitch - 12 * max(-(-(pitch - 84) // 12), 0): [path]}


def notes_of(name: str, notes: Sequence[Note], *, frames: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A line from single recorded notes of a bass (or a tone), moved to the pitch wanted: float32 [2, frames]."""
    known = _measured(name) if name != "tones" else _tone(TONES[int(rng.integers(len(TONES)))])
    out = np.zeros((2, frames), np.float32)
    moved: dict[tuple[Path, int], NDArray[np.float32]] = {}
    for note in notes:
        pitch = min(known, key=lambda p: abs(p - note.pitch))
        paths = known[pitch]
        path = paths[int(rng.integers(len(paths)))]
        if (path, note.pitch) not in moved:
            sound = _tuned(_load(path), note.pitch - pitch)
            moved[path, note.pitch] = sound / max(np.abs(sound).max(), 1e-6)
        sound = moved[path, note.pitch]
        start = int(note.start * RATE)
        count = min(sound.shape[1], int((note.length + 0.06) * RATE), frames - start)
        if count > 0:
            part = sound[:, :count] * np.float32(note.loud)
            fade = min(2600, count)
            part[:, -fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
            out[:, start : start + count] += part
    return out


def texture(notes: Sequence[Note], *, frames: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """One recorded sound laid under each note from its start, faded at both ends: float32 [2, frames]."""
    sound = _tuned(_load(SONIC / f"{TEXTURES[int(rng.integers(len(TEXTURES)))]}.flac"), float(rng.uniform(-5, 5)))
    out = np.zeros((2, frames), np.float32)
    for note in notes:
        start = int(note.start * RATE)
        count = min(sound.shape[1], int(note.length * RATE), frames - start)
        if count > 0:
            ramp = np.minimum(np.minimum(np.arange(count) / 2000, np.arange(count)[::-1] / 8000), 1).astype(np.float32)
            out[:, start : start + count] += sound[:, :count] * ramp
    return out
