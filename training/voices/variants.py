"""Other singers out of the real ones: pitch, formants and breath changed apart, choirs, harmonies, vocoders."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import soxr

from training.corpus import RATE, exists, own_rng
from training.songs.recorded import TRAIN
from training.voices import effects, melody, world
from training.voices.real import read
from training.voices.vocals import Audio, levelled, read_vocals, write_vocals

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KINDS: Final = {
    "male": 0.24, "tenor": 0.12, "child": 0.07, "key": 0.1, "vibrato": 0.06, "breathy": 0.06, "whisper": 0.03,
    "autotune": 0.09, "double": 0.08, "harmony": 0.07, "choir": 0.05, "vocoder": 0.03,
}  # fmt: skip
_OFTEN_MALE: Final = {"autotune", "double", "choir", "breathy", "whisper", "vibrato"}
_GAP: Final = int(0.15 * RATE)


@dataclass(frozen=True)
class Phrase:
    """A stretch of singing and where in its recording it starts, in samples."""

    start: int
    voice: world.Voice


def write_variants(corpus: Path, seed: int, *, count: int, first: int = 0) -> Iterator[tuple[str, float]]:
    """Write variants `first` to `first + count` of every real recording that the corpus holds for training."""
    for folder in sorted((corpus / "train").glob("voice-*")):
        facts = json.loads((folder / "song.json").read_text(encoding="utf-8"))
        wanted = [number for number in range(first, first + count) if not exists(_variant(folder, number))]
        if facts.get("kind") != "real" or not wanted:
            continue
        audio = read_vocals(folder)
        phrases = analysed(audio.mean(axis=1))
        for number in wanted:
            own = own_rng(seed, folder.name, number)
            kind = str(own.choice(list(KINDS), p=np.array(list(KINDS.values())) / sum(KINDS.values())))
            changed = sung_again(phrases, own, kind=kind, key=facts.get("key"))
            changed, used = effects.printed(levelled(changed), own, tempo=facts.get("tempo"))
            record = {
                "sources": [f"{folder.name}, changed by the WORLD vocoder", *facts["sources"]],
                "kind": f"variant-{kind}",
                "effects": used,
                "tempo": None,
                "key": None,
            }
            yield _variant(folder, number).name, write_vocals(_variant(folder, number), levelled(changed), record)


def _variant(folder: Path, number: int) -> Path:
    return folder.with_name(f"{folder.name.replace('voice-', 'vary-')}-{number:02d}")


def analysed(mono: np.ndarray) -> list[Phrase]:
    """Cut [T] at its silences and take each phrase apart."""
    return [Phrase(start, world.analyse(mono[start:stop])) for start, stop in sounding(mono)]


def sounding(mono: np.ndarray) -> list[tuple[int, int]]:
    """Give the stretches of [T] between silences of 0.15 s and more, in samples."""
    loud = np.flatnonzero(np.abs(mono) > 1e-3)
    if not loud.size:
        return []
    cuts = np.flatnonzero(np.diff(loud) > _GAP)
    starts = np.concatenate((loud[:1], loud[cuts + 1]))
    stops = np.concatenate((loud[cuts], loud[-1:]))
    pad = RATE // 50
    return [
        (max(0, int(a) - pad), min(len(mono), int(b) + pad))
        for a, b in zip(starts, stops, strict=True)
        if b - a > RATE // 10
    ]


def sung_again(phrases: list[Phrase], rng: np.random.Generator, *, kind: str, key: str | None) -> Audio:
    """Sing the phrases as another singer, or as several; gives [T, 2]."""
    singer = _singer(rng, kind)
    stretch = float(rng.uniform(0.88, 1.14))
    end = max(phrase.start / RATE + phrase.voice.seconds for phrase in phrases)
    out = np.zeros((int((end * stretch + 3.0) * RATE), 2), np.float32)
    parts = _parts(rng, kind)
    for phrase in phrases:
        basis = _as_singer(world.stretched(phrase.voice, stretch), singer, rng, kind=kind, key=key)
        chord = _parts(rng, kind) if kind in {"harmony", "vocoder"} else parts
        for semitones, formant, late_s, pan, gain in chord:
            one = basis if len(chord) == 1 else _one_of_many(basis, semitones, formant, rng, kind=kind, key=key)
            sound = world.synthesise(one)
            at = max(0, int((phrase.start / RATE * stretch + late_s) * RATE))
            sides = gain * np.array([np.cos((pan + 1) * np.pi / 4), np.sin((pan + 1) * np.pi / 4)], np.float32)
            out[at : at + len(sound)] += sound[: len(out) - at, None] * sides.astype(np.float32)
    return out


def _singer(rng: np.random.Generator, kind: str) -> tuple[float, float]:
    """Give semitones and formant ratio."""
    if kind == "male" or (kind in _OFTEN_MALE and rng.random() < 0.5):
        return 12 * float(np.log2(rng.uniform(0.45, 0.6))), float(rng.uniform(0.8, 0.88))
    if kind == "tenor":
        return 12 * float(np.log2(rng.uniform(0.62, 0.8))), float(rng.uniform(0.85, 0.94))
    if kind == "child":
        return 12 * float(np.log2(rng.uniform(1.15, 1.5))), float(rng.uniform(1.12, 1.25))
    return float(rng.uniform(-4, 4)), float(rng.uniform(0.93, 1.08))


def _as_singer(
    voice: world.Voice, singer: tuple[float, float], rng: np.random.Generator, *, kind: str, key: str | None
) -> world.Voice:
    semitones, formant = singer
    voice = world.with_formants(voice, formant)
    tonic, scale = melody.parse_key(key)
    if kind == "autotune":
        semitones = round(semitones)
        glide = float(rng.choice((0.005, 0.02, 0.04)))
        voice = world.quantised(voice, scale=scale, tonic=tonic, glide_s=glide)
    voice = world.shifted(voice, semitones + world.drift(len(voice.f0), rng, seconds=0.1, size=0.06))
    if kind == "vibrato":
        voice = world.steadied(voice, 0.12)
        if rng.random() < 0.75:
            voice = world.with_vibrato(voice, hertz=rng.uniform(4.5, 7), semitones=rng.uniform(0.2, 1.2))
    elif kind == "breathy":
        voice = world.breathier(voice, rng.uniform(0.4, 0.95))
    elif kind == "whisper":
        voice = world.whispered(voice)
    return voice


def _parts(rng: np.random.Generator, kind: str) -> list[tuple[float, float, float, float, float]]:
    """Give, for each copy: semitones, formant ratio, seconds late, pan from -1 to 1, gain."""
    if kind == "double":
        wide = rng.uniform(0.2, 1.0)
        return [(0.0, rng.uniform(0.97, 1.03), rng.uniform(0, 0.03), side * wide, 0.7) for side in (-1, 1)]
    if kind == "choir":
        notes = rng.choice((0, 0, 0, -12, 12, 7, -5), size=rng.integers(4, 6))
        return [
            (float(n), rng.uniform(0.85, 1.15), rng.uniform(0, 0.06), rng.uniform(-0.9, 0.9), rng.uniform(0.4, 0.8))
            for n in notes
        ]
    if kind == "harmony":
        above = rng.choice((3.5, 7.0, -3.5, -5.0, -12.0), size=rng.integers(1, 3), replace=False)
        extra = [(float(n), rng.uniform(0.94, 1.06), rng.uniform(0, 0.03), rng.uniform(-0.8, 0.8), 0.6) for n in above]
        return [(0.0, 1.0, 0.0, 0.0, 1.0), *extra]
    if kind == "vocoder":
        chord = ((0, 3.5, 7), (0, 7, 12), (-12, 0, 3.5, 7), (-12, 0))[rng.integers(4)]
        return [(float(n), 1.0, 0.0, rng.uniform(-0.5, 0.5), 0.6) for n in chord]
    return [(0.0, 1.0, 0.0, float(rng.uniform(-0.3, 0.3)) if rng.random() < 0.3 else 0.0, 1.0)]


def _one_of_many(
    voice: world.Voice, semitones: float, formant: float, rng: np.random.Generator, *, kind: str, key: str | None
) -> world.Voice:
    """Give one copy of a choir, a double or a chord, with its own small faults; chords stay in the key."""
    tonic, scale = melody.parse_key(key)
    one = world.with_formants(voice, formant)
    if kind == "vocoder":
        one = world.steadied(one, 0.5)
    if semitones:
        one = world.shifted(one, semitones)
    if kind == "vocoder" or (kind == "harmony" and semitones):
        one = world.quantised(one, scale=scale, tonic=tonic, glide_s=0.005 if kind == "vocoder" else 0.05)
    if kind == "vocoder":
        level = np.where(one.f0 > 0, one.f0, np.median(one.f0[one.f0 > 0]) if (one.f0 > 0).any() else 130.0)
        return world.Voice(level, one.envelope, one.aperiodicity * 0.3)
    return world.shifted(one, rng.normal(0, 0.06) + world.drift(len(one.f0), rng, seconds=0.15, size=0.1))


def write_multitrack_variants(
    corpus: Path, shared: Path, seed: int, *, count: int, first: int = 0
) -> Iterator[tuple[str, float]]:
    """Write the train multitracks' vocals played faster or slower (pitch, formants and tempo together)."""
    for song in TRAIN:
        for number in range(first, first + count):
            folder = corpus / "train" / f"vary-{song}-{number:02d}"
            if exists(folder):
                continue
            own = own_rng(seed, song, number)
            semitones = float(own.choice((-5, -4, -3, -2, 2, 3, 4)) + own.uniform(-0.3, 0.3))
            source = read(shared / "multitracks" / song / "vocals.ogg")
            audio = soxr.resample(_without_long_rests(source), RATE * 2 ** (-semitones / 12), RATE)
            audio, used = effects.tone(levelled(audio), own), ["tone"]
            record = {
                "sources": [f"{song} vocals (CC0 1.0, ichbinsoftware), resampled by {semitones:+.2f} semitones"],
                "kind": "variant-resampled",
                "effects": used,
                "tempo": None,
                "key": None,
            }
            yield folder.name, write_vocals(folder, levelled(audio), record)


def _without_long_rests(audio: Audio) -> Audio:
    """Cut [T, 2] where nothing sounds, leaving about 0.5 s of each rest."""
    pieces = []
    for start, stop in sounding(audio.mean(axis=1)):
        pieces += [audio[start:stop], np.zeros((RATE // 2, 2), np.float32)]
    return np.concatenate(pieces)
