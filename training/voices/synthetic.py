"""Recordings of synthetic singers: free ones, and those that sing a composed song's melody."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from training.corpus import RATE, exists, own_rng
from training.voices import effects, melody, singing, speech
from training.voices.vocals import Audio, levelled, stereo, write_vocals

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FORMANTS: Final = "formant synthesis by training.voices (own work, MIT)"
_SPEECH: Final = "{} (GPL-3.0 program, its output is free), sung by training.voices"


def write_synthetic(corpus: Path, seed: int, *, count: int, first: int = 0) -> Iterator[tuple[str, float]]:
    """Write free recordings `first` to `first + count` of 70 to 120 s."""
    for number in range(first, first + count):
        folder = corpus / "train" / f"sing-{number:04d}"
        if exists(folder):
            continue
        rng = own_rng(seed, "sing", number)
        audio, facts = _performance(rng, rng.uniform(70, 120))
        audio, used = effects.printed(levelled(audio), rng, tempo=facts["tempo"])
        yield folder.name, write_vocals(folder, levelled(audio), {**facts, "effects": used})


def _performance(rng: np.random.Generator, seconds: float) -> tuple[Audio, dict[str, Any]]:
    """Give [T, 2] and its facts: a formant singer, a speaking voice that sings, or one that raps."""
    kind = str(rng.choice(("formants", "sung", "rap"), p=(0.5, 0.34, 0.16) if speech.available() else (1.0, 0, 0)))
    if kind == "rap":
        who = speech.speaker(rng, fast=True)
        mono, tempo = speech.rapped(seconds, who, rng)
        return stereo(mono), _facts(f"espeak-ng {who.name}", "synthetic-rap", tempo, None)
    score = melody.composed(rng, seconds=seconds, lowest=48, highest=62)
    if kind == "sung":
        audio, name = speech.performance(rng, score)
        return audio, _facts(name, "synthetic-sung-speech", score.tempo, score.key)
    audio, group = singing.ensemble(score, rng)
    return audio, _facts(None, f"synthetic-formants-{group}", score.tempo, score.key)


def write_paired(corpus: Path, seed: int, *, most: int) -> Iterator[tuple[str, float]]:
    """Sing the melodies of composed songs that have no vocals, `most` songs in all, as `<song>-voice`."""
    songs = [path.parent for path in sorted((corpus / "train").glob("*/song.json"))]
    done = sum(1 for song in songs if exists(song.with_name(f"{song.name}-voice")))
    for song in songs:
        if done >= most:
            return
        folder = song.with_name(f"{song.name}-voice")
        facts = json.loads((song / "song.json").read_text(encoding="utf-8"))
        if exists(folder) or (song / "vocals.npy").exists() or facts.get("goes_with"):
            continue
        score = melody.from_song(facts)
        if score is None:
            continue
        rng = own_rng(seed, song.name, 0)
        if speech.available() and rng.random() < 0.45:
            audio, name = speech.performance(rng, score)
            record = _facts(name, "synthetic-sung-speech", score.tempo, score.key)
        else:
            audio, group = singing.ensemble(score, rng)
            record = _facts(None, f"synthetic-formants-{group}", score.tempo, score.key)
        audio, used = effects.printed(levelled(_of_length(audio, song)), rng, tempo=score.tempo)
        done += 1
        yield folder.name, write_vocals(folder, levelled(audio), {**record, "effects": used, "goes_with": song.name})


def _facts(speaker: str | None, kind: str, tempo: float, key: str | None) -> dict[str, Any]:
    source = _FORMANTS if speaker is None else _SPEECH.format(speaker)
    return {"sources": [source], "kind": kind, "tempo": round(tempo, 3), "key": key}


def _of_length(audio: Audio, song: Path) -> Audio:
    """Cut or pad [T, 2] to the length of the song's stems; left alone where there are none."""
    lengths = [len(np.load(path, mmap_mode="r")) for path in song.glob("*.npy")]
    wanted = max(lengths, default=len(audio) + RATE)
    return np.pad(audio[:wanted], ((0, max(0, wanted - len(audio))), (0, 0)))
