"""Speaking voices (espeak-ng) made to sing a melody, or to rap, word by word through the WORLD vocoder."""

from __future__ import annotations

import io
import shutil
import subprocess
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import soxr
from scipy.ndimage import gaussian_filter1d

from training.corpus import RATE
from training.voices import melody, world
from training.voices.formants import noise_band
from training.voices.vocals import Audio, stereo
from training.voices.words import VARIANTS, WORDS

if TYPE_CHECKING:
    from collections.abc import Sequence

_TEXT: Final = 12  # words that one singer knows
_SPEAKER: Final = shutil.which("espeak-ng")
_BAND_HZ: Final = 9500.0  # espeak speaks at 22.05 kHz: what lies above is guessed


@dataclass(frozen=True)
class Speaker:
    """A voice of espeak-ng: its words taken apart, how it moves the pitch, its range in MIDI pitches."""

    name: str
    words: tuple[world.Voice, ...]
    manner: melody.Manner
    lowest: float
    highest: float


def available() -> bool:
    """Tell whether espeak-ng is installed."""
    return _SPEAKER is not None


def speaker(rng: np.random.Generator, *, fast: bool = False) -> Speaker:
    """Draw a language, a voice and a text, and change the throat a little."""
    language, variant = str(rng.choice(list(WORDS))), str(rng.choice(VARIANTS))
    formant = float(rng.choice((0.84, 0.92, 1.0, 1.08, 1.16)) * rng.uniform(0.97, 1.03))
    spoken = WORDS[language].split()
    chosen = [spoken[i] for i in rng.integers(len(spoken), size=_TEXT)]
    pace = int(rng.integers(190, 260) if fast else rng.integers(120, 170))
    air_db = float(rng.uniform(-48, -38))
    words = [_with_air(_word(word, f"{language}+{variant}", pace), air_db) for word in chosen]
    voices = tuple(world.with_formants(voice, formant) for voice in words if voice.f0.any())
    if not voices:
        raise RuntimeError(f"espeak-ng said nothing as {language}+{variant}")
    middle = float(np.median(np.concatenate([voice.f0[voice.f0 > 0] for voice in voices])))
    home = max(46.0, 69 + 12 * float(np.log2(middle / 440)) + rng.uniform(3, 9))  # singing is higher than speech
    return Speaker(f"{language}+{variant}", voices, melody.manner(rng), home - 6, home + 9)


def _word(word: str, voice: str, pace: int) -> world.Voice:
    """Let espeak-ng say one word and take it apart."""
    import soundfile

    if _SPEAKER is None:
        raise RuntimeError("espeak-ng is not installed")
    said = subprocess.run(
        [_SPEAKER, "-v", voice, "-s", str(pace), "--stdout", word], check=True, capture_output=True, timeout=20
    )
    audio, rate = soundfile.read(io.BytesIO(said.stdout), dtype="float32")
    loud = np.flatnonzero(np.abs(audio) > 0.01)
    if loud.size < rate // 50:
        return world.Voice(np.zeros(1), *np.zeros((2, 1, 1), np.float32))
    audio = np.pad(audio[loud[0] : loud[-1]], rate // 100)
    return _with_treble(world.analyse(soxr.resample(audio / np.abs(audio).max() * 0.5, rate, RATE), highest=500.0))


def _with_treble(voice: world.Voice) -> world.Voice:
    """Continue the envelope above what espeak-ng gives, 12 dB an octave down, as breath."""
    edge = round(_BAND_HZ / (RATE / 2) * (world.BINS - 1))
    level = voice.envelope[:, edge - 60 : edge].mean(axis=1, keepdims=True)
    octaves = np.log2(np.arange(edge, world.BINS) / edge).astype(np.float32)
    envelope, breath = voice.envelope.copy(), voice.aperiodicity.copy()
    envelope[:, edge:] = level - np.float32(12 / 4.343) * octaves
    breath[:, edge:] = np.maximum(breath[:, edge - 1 : edge], 0.9)
    return replace(voice, envelope=envelope, aperiodicity=breath)


def _with_air(voice: world.Voice, db: float) -> world.Voice:
    """Add the hiss that people have above 4.5 kHz and espeak-ng has not, so many dB from what is below 900 Hz."""
    if voice.envelope.shape[1] != world.BINS:
        return voice
    power = np.exp(voice.envelope)
    air = (
        np.exp(noise_band((4500.0, 16000.0))) * power[:, 4:42].mean(axis=1, keepdims=True) * np.float32(10 ** (db / 10))
    )
    noise = (power * voice.aperiodicity**2 + air) / (power + air)
    return replace(voice, envelope=np.log(power + air), aperiodicity=np.sqrt(noise))


def sung(score: melody.Score, who: Speaker, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Sing a score, a word a syllable of the text; gives [T] at 44.1 kHz on the score's time axis, 0.5 s longer."""
    out = np.zeros(int((score.seconds + 0.5) * RATE), np.float32)
    for phrase in melody.phrases(score):
        for notes in _by_syllable(phrase):
            word = who.words[notes[0].syllable % len(who.words)]
            lead = int(np.argmax(word.f0 > 0)) * world.FRAME_S  # its first consonant comes before the beat
            start = max(0.0, notes[0].start - min(lead, 0.15))
            held = _held(word, notes[-1].end - start)
            f0 = melody.pitch_curve(phrase, who.manner, rng, start=start, count=len(held.f0))
            _add(out, world.synthesise(replace(held, f0=np.where(held.f0 > 0, f0, 0.0))), start)
    return out


def rapped(seconds: float, who: Speaker, rng: np.random.Generator) -> tuple[npt.NDArray[np.float32], float]:
    """Speak in rhythm on a grid of sixteenths, phrase by phrase; gives [T] and the tempo in beats a minute."""
    tempo = float(rng.uniform(78, 110))
    step = 60 / tempo / 4
    out = np.zeros(int((seconds + 2) * RATE), np.float32)
    lively, centre = rng.uniform(0.5, 1.4), rng.uniform(-4, 3)
    place, bar = 0, 0
    while place * step < seconds:
        word = who.words[int(rng.integers(len(who.words)))]
        natural = max(1, round(word.seconds / step))
        length = max(1, natural + int(rng.choice((-1, 0, 0, 1))))
        held = world.stretched(word, length * step * 0.97 / word.seconds)
        _add(out, world.synthesise(_spoken(held, lively, centre, rng)), place * step)
        place += length
        if place >= bar + 28:
            bar = place = (place // 16 + 1) * 16
            place += int(rng.choice((0, 0, 2, 4, 16)))
    return out, tempo


def _spoken(word: world.Voice, lively: float, centre: float, rng: np.random.Generator) -> world.Voice:
    """Keep the speech's own tune, more or less lively, moved to the rapper's pitch."""
    voiced = word.f0 > 0
    if not voiced.any():
        return word
    tune = np.log(np.where(voiced, word.f0, 1.0))
    middle = float(tune[voiced].mean())
    moved = np.exp(middle + (tune - middle) * lively + (centre + rng.normal(0, 1.2)) * np.log(2) / 12)
    return replace(word, f0=np.where(voiced, moved, 0.0))


def _by_syllable(phrase: Sequence[melody.Note]) -> list[list[melody.Note]]:
    groups: list[list[melody.Note]] = []
    for note in phrase:
        if groups and note.syllable == groups[-1][-1].syllable:
            groups[-1].append(note)
        else:
            groups.append([note])
    return groups


def _held(word: world.Voice, seconds: float) -> world.Voice:
    """Make a word last so long: its loudest vowel is stretched, the rest only if the word is too long."""
    count, have = max(8, round(seconds / world.FRAME_S)), len(word.f0)
    if count <= have:
        return world.stretched(word, count / have)
    loud = gaussian_filter1d(word.envelope[:, :150].mean(axis=1) + 20.0 * (word.f0 > 0), 4)
    centre = int(np.argmax(loud))
    first, last = max(0, centre - 5), min(have - 1, centre + 5)
    extra = count - have + (last - first)
    wander = np.linspace(first, last, extra)
    positions = np.concatenate((np.arange(first), wander, np.arange(last, have)))[:count].astype(float)
    return world.taken(word, np.minimum(positions, have - 1))


def _add(out: npt.NDArray[np.float32], sound: npt.NDArray[np.float32], start: float) -> None:
    """Mix a sound into [T] at so many seconds, faded 5 ms at both ends."""
    fade = RATE // 200
    sound[:fade] *= np.linspace(0, 1, fade, dtype=np.float32)
    sound[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    at = int(start * RATE)
    out[at : at + len(sound)] += sound[: max(0, len(out) - at)]


def performance(rng: np.random.Generator, score: melody.Score) -> tuple[Audio, str]:
    """Give [T, 2] of one speaking voice that sings a score, and its name."""
    who = speaker(rng)
    moved = melody.transposed(score, lowest=who.lowest, highest=who.highest)
    return stereo(sung(moved, who, rng)), f"espeak-ng {who.name}"
