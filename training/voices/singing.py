"""Synthetic singers: a throat, a manner and a text make a score audible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from training.corpus import RATE
from training.voices import formants as mouth
from training.voices import melody, world

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.voices.vocals import Audio

_LEAD_S: Final = 0.5  # before a phrase's first note: breath and consonant
_TAIL_S: Final = 0.35
_AIR: Final = mouth.noise_band((4500.0, 16000.0))[None]  # the hiss that real voices have above their formants
_SILENCE_DB: Final = -90.0
Syllable = tuple[str, str, str]


@dataclass(frozen=True)
class Singer:
    """A throat, a manner, a text of syllables and a range in MIDI pitches."""

    throat: mouth.Throat
    manner: melody.Manner
    text: tuple[Syllable, ...]
    lowest: float
    highest: float


@dataclass
class _Tracks:
    """What a mouth does, frame by frame: formants [N, 5], voice and noise in dB [N], the noise's shape [N, 1025]."""

    formants: npt.NDArray[np.float32]
    voice_db: world.Curve
    noise_db: world.Curve
    shape: npt.NDArray[np.float32]
    dull: world.Curve


def singer(rng: np.random.Generator) -> Singer:
    """Draw a singer: men and women alike often, children seldom."""
    sex = int(rng.choice(3, p=(0.5, 0.38, 0.12)))
    person = float(np.clip(sex + rng.normal(0, 0.12), 0, 2))
    throat = mouth.Throat(
        person=person,
        size=rng.uniform(0.93, 1.07),
        tilt_hz=float(np.exp(rng.uniform(np.log(1600), np.log(9000)))),
        breath_db=rng.uniform(-34, -15),
        air_db=rng.uniform(-46, -31),
        ring_db=rng.uniform(4, 12) if rng.random() < 0.3 else 0.0,
        focus=rng.uniform(0.8, 1.6),
    )
    lowest = (40, 55, 58)[sex] + rng.uniform(0, 7)
    return Singer(throat, melody.manner(rng), _text(rng), lowest, lowest + rng.uniform(12, 18))


def _text(rng: np.random.Generator) -> tuple[Syllable, ...]:
    """Draw what is sung: mostly syllables of all kinds, sometimes "la la", "ooh", "na na" or a hum."""
    if rng.random() < 0.2:
        onset = str(rng.choice(("", "l", "n", "d", "y", "h", "m", "w")))
        nucleus = str(rng.choice(("a", "u", "o", "i", "ei", "ou")))
        return ((onset, nucleus, ""),)
    return tuple(mouth.syllable(rng) for _ in range(int(rng.integers(12, 40))))


def sung(score: melody.Score, who: Singer, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Give [T] at 44.1 kHz, on the score's time axis, 0.5 s longer."""
    out = np.zeros(int((score.seconds + 0.5) * RATE), np.float32)
    for phrase in melody.phrases(score):
        start = phrase[0].start - _LEAD_S
        sound = world.synthesise(phrase_voice(phrase, who, rng))
        at = round(start * RATE)
        sound, at = sound[max(0, -at) :], max(0, at)
        out[at : at + len(sound)] += sound[: len(out) - at]
    return out


def phrase_voice(notes: Sequence[melody.Note], who: Singer, rng: np.random.Generator) -> world.Voice:
    """Give one phrase as a WORLD voice that starts 0.5 s before its first note."""
    start = notes[0].start - _LEAD_S
    count = int((notes[-1].end - start + _TAIL_S) / world.FRAME_S)
    f0 = melody.pitch_curve(notes, who.manner, rng, start=start, count=count)
    tracks = _articulated(notes, who, rng, start=start, count=count)
    _breath_before(tracks, who, rng)
    tracks.formants[:, 0] = np.maximum(tracks.formants[:, 0], 1.03 * f0)  # as sopranos tune it
    effort = world.drift(count, rng, seconds=0.3, size=1.5) + np.clip(tracks.voice_db, -12, 0)
    tract = mouth.resonances(tracks.formants, who.throat)
    voice = tract + mouth.glottis(f0, who.throat, effort)
    voice -= (tracks.dull[:, None] * np.log1p((mouth.HZ / 900) ** 2)).astype(np.float32)
    voice += _level(voice, tracks.voice_db, f0)
    aspiration = 0.7 * tract + mouth.AIR
    aspiration += _level(aspiration, tracks.voice_db + who.throat.breath_db, None)
    noise = tracks.shape + _level(tracks.shape, tracks.noise_db, None)
    airy = who.throat.air_db + world.drift(count, rng, seconds=0.08, size=2.5)
    air = _AIR + _level(_AIR, tracks.voice_db + airy, None)
    hiss = np.exp(aspiration) + np.exp(noise) + np.exp(air)
    total = np.exp(voice) + hiss
    sounds = tracks.voice_db > -45
    return world.Voice(np.where(sounds, f0, 0.0), np.log(total + 1e-16), np.sqrt(hiss / total))


def _articulated(
    notes: Sequence[melody.Note], who: Singer, rng: np.random.Generator, *, start: float, count: int
) -> _Tracks:
    """Lay vowels on the notes and consonants before and after them."""
    neutral = who.throat.vowel("V").astype(np.float32)
    tracks = _Tracks(
        np.tile(neutral, (count, 1)),
        np.full(count, _SILENCE_DB),
        np.full(count, _SILENCE_DB),
        np.zeros((count, world.BINS), np.float32),
        np.zeros(count),
    )
    spoken = -1
    for number, note in enumerate(notes):
        onset, nucleus, coda = who.text[note.syllable % len(who.text)]
        first, last = _frame(note.start - start), _frame(note.end - start)
        _vowel(tracks, nucleus, who, first, last, loud=rng.normal(0, 1.2))
        if onset and note.syllable != spoken:
            _consonant(tracks, onset, who, end=first)
        legato = number + 1 < len(notes) and notes[number + 1].start - note.end < 0.05
        if coda and not legato and last - first > 30:
            _consonant(tracks, coda, who, end=last + 4)
        spoken = note.syllable
    tracks.formants = gaussian_filter1d(tracks.formants, 4.5, axis=0)
    tracks.voice_db = _smoothed_db(tracks.voice_db, 2.2)
    tracks.noise_db = _smoothed_db(tracks.noise_db, 0.8)
    tracks.dull = gaussian_filter1d(tracks.dull, 2.0)
    return tracks


def _vowel(tracks: _Tracks, nucleus: str, who: Singer, first: int, last: int, *, loud: float) -> None:
    """Fill a note with a vowel, or with two whose second comes in the last third."""
    one, two = mouth.DIPHTHONGS.get(nucleus, (nucleus, nucleus))
    turn = first + max(1, (last - first) * 2 // 3)
    tracks.formants[first:turn] = who.throat.vowel(one)
    tracks.formants[turn : last + 20] = who.throat.vowel(two)
    length = max(1, last - first)
    swell = -3 * np.abs(np.linspace(-0.6, 1, length)) ** 2
    tracks.voice_db[first:last] = (swell + loud)[: len(tracks.voice_db[first:last])]


def _consonant(tracks: _Tracks, name: str, who: Singer, *, end: int) -> None:
    """Put a consonant before the frame `end`: a closure if it has one, then its noise or murmur."""
    sound = mouth.CONSONANTS[name]
    body = max(0, end - max(2, _frame(sound.seconds)))
    closed = max(0, body - _frame(sound.closure_s))
    tracks.formants[closed:end] = who.throat.consonant(sound.formants)
    tracks.voice_db[closed:end] = _SILENCE_DB if sound.voiced_db is None else sound.voiced_db
    if sound.voiced_db is not None and sound.closure_s:
        tracks.voice_db[closed:body] = -20
        tracks.dull[closed:body] = 1.5
    if sound.dull:
        tracks.dull[closed:end] = 0.8
    if sound.noise_db is not None:
        tracks.noise_db[body:end] = sound.noise_db
        tracks.shape[max(0, body - 3) : end + 3] = mouth.noise_band(sound.band)


def _breath_before(tracks: _Tracks, who: Singer, rng: np.random.Generator) -> None:
    """Let the singer draw breath before a phrase, most times."""
    if rng.random() < 0.4:
        return
    length = int(rng.uniform(40, 70))
    swell = np.sin(np.linspace(0.1, np.pi, length)) ** 0.5
    band = (rng.uniform(700, 1400) * who.throat.size, rng.uniform(4000, 8000))
    free = tracks.noise_db[:length] < -60
    tracks.noise_db[:length][free] = (rng.uniform(-34, -22) + 20 * np.log10(swell + 1e-3))[free]
    tracks.shape[:length][free] = mouth.noise_band(band)


def _level(log_power: npt.NDArray[np.float32], db: world.Curve, f0: world.Curve | None) -> npt.NDArray[np.float32]:
    """Give what to add to log power [N, 1025] for a level in dB in each frame, [N, 1].

    Only part of a vowel's own loudness is evened out: open vowels stay louder than closed ones.
    """
    measured = np.log(np.exp(log_power).mean(axis=1) + 1e-12)
    if f0 is not None:
        measured = 0.7 * measured + 0.3 * measured.mean()
    return np.asarray((db / 4.343 - measured - 9.0)[:, None], dtype=np.float32)


def _smoothed_db(db: world.Curve, frames: float) -> world.Curve:
    """Smooth a level in dB as an amplitude, so that silence does not pull a neighbour down."""
    return np.asarray(20 * np.log10(gaussian_filter1d(10 ** (db / 20), frames) + 1e-5))


def _frame(seconds: float) -> int:
    return max(0, round(seconds / world.FRAME_S))


def ensemble(score: melody.Score, rng: np.random.Generator) -> tuple[Audio, str]:
    """Give [T, 2] and what it is: mostly one singer, sometimes doubled, with a second voice, or a choir."""
    lead = singer(rng)
    score = melody.transposed(score, lowest=lead.lowest, highest=lead.highest)
    kind = str(rng.choice(("solo", "double", "harmony", "choir"), p=(0.7, 0.1, 0.12, 0.08)))
    out = np.repeat(sung(score, lead, rng)[:, None], 2, axis=1)
    if kind == "solo":
        return out, kind
    copies = {"double": 1, "harmony": 1, "choir": 4}[kind]
    for number in range(copies):
        who = lead if kind == "double" else singer(rng)
        other = Singer(who.throat, melody.manner(rng), lead.text, who.lowest, who.highest)
        part = second_voice(score, steps=-2) if kind == "harmony" else score
        if kind == "choir":
            part = melody.transposed(score, lowest=who.lowest, highest=who.highest)
        late = int(abs(rng.normal(0, 0.015)) * RATE)
        pan = (rng.uniform(-0.9, 0.9) + (number % 2)) / 2
        sound = np.roll(sung(part, other, rng), late)
        out += 0.7 * sound[:, None] * np.array([1 - max(0, pan), 1 + min(0, pan)], np.float32)
    return out, kind


def second_voice(score: melody.Score, *, steps: int) -> melody.Score:
    """Give the melody so many steps of its scale higher: a third below for -2."""
    tonic, scale = melody.parse_key(score.key)
    if len(scale) == 12:
        steps *= 2
    ladder = [octave * 12 + tonic + step for octave in range(11) for step in scale]
    moved = []
    for note in score.notes:
        place = int(np.abs(np.array(ladder) - note.pitch).argmin())
        moved.append(melody.Note(note.start, note.end, ladder[max(0, place + steps)], note.syllable))
    return melody.Score(tuple(moved), score.tempo, score.key)
