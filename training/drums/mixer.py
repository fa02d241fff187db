"""Clips to learn from: patterns through kits, roughened as recordings are, with what was really played."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from stemwright.drums.features import HOP, LAYERS, RATE, SUBFRAMES, features_of
from training.drums.bank import LANE_OF, OFF_LANES, TRAINED, kit_of
from training.drums.patterns import Stick, pattern
from training.drums.shape import layered, reshaped
from training.songs import effects
from training.songs.kits import LEVELS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from training.drums.bank import Kit, Mono

FRAMES: Final = 640  # of a clip: 7.4 s
SAMPLES: Final = FRAMES * HOP
KINDS: Final = ("open", "bell")
OUTPUTS: Final = 8
MIDDLE_TOM: Final = 128.0  # Hz, of height 0
NOTHING: Final = 0.24  # part of the clips in which no drum plays
OTHER_STEMS: Final = ("bass+other.npy", "bass.npy", "other.npy")
LANGUAGES: Final = ("fr", "it", "es", "pl", "sv", "fi", "nl", "pt")  # the evaluation has others
SPEECHES: Final = 64
_CHOKE: Final = 1500  # samples in which an open hi-hat is closed


@dataclass(frozen=True, slots=True)
class Clip:
    """Features `[N, 3, 72]`, and of each half frame, `[2N, …]`, what was played.

    `onsets` 0–1 and `velocities` of 8 lanes, `kinds` (open hat, bell), `heights` (octaves of a tom over 128 Hz, NaN
    where none is struck).
    """

    features: NDArray[np.float32]
    onsets: NDArray[np.float32]
    velocities: NDArray[np.float32]
    kinds: NDArray[np.float32]
    heights: NDArray[np.float32]


def songs_in(corpus: Path | None) -> list[Path]:
    """The folders of songs with other instruments than drums; none without a corpus."""
    found = sorted(corpus.iterdir()) if corpus else []
    return [folder for folder in found if any((folder / name).exists() for name in OTHER_STEMS)]


class Mixer:
    """Endless clips from the kits that may be trained on.

    `music` is a folder of a corpus of songs (for the bleed of other instruments), `separate` takes the drums out of a
    mix `[2, T]` so that the artefacts of a real separator are heard in training; both may be left out.
    """

    def __init__(
        self,
        *,
        seed: int,
        music: Path | None = None,
        separate: Callable[[Mono], Mono] | None = None,
        kits: Sequence[str] = TRAINED,
    ) -> None:
        self._rng = np.random.default_rng(seed)
        self._kits = kits
        self._music = songs_in(music)
        self._voices = sorted(music.glob("*/vocals.npy")) if music else []
        self._separate = separate

    def clip(self) -> Clip:
        """The next clip."""
        rng = self._rng
        if rng.random() < NOTHING:
            return labelled(self._level(self._no_drums()), [])
        sticks = pattern(rng, seconds=SAMPLES / RATE)
        kit, heights = self._hybrid({stick.piece for stick in sticks})
        sound = play(kit, sticks, frames=SAMPLES, rng=rng)
        return labelled(self._level(self._rough(sound)), sticks, heights=heights)

    def _no_drums(self) -> Mono:
        """Other instruments, voices, hand percussion, or noise that swells and fades, mono `[SAMPLES]`."""
        rng = self._rng
        kind = rng.random()
        if kind < 0.7:
            other = self.other(SAMPLES)
            if self._separate and rng.random() < 0.5:
                other = self._separate(other)  # what a separator takes for drums where there are none
            return other
        if kind < 0.8:
            return np.roll(spoken(int(rng.integers(SPEECHES))), int(rng.integers(SAMPLES)))
        if kind < 0.88:
            kit = {piece: reshaped(kit_of("synth", rng)[piece], piece=piece, rng=rng) for piece in OFF_LANES}
            sticks = [Stick(float(at), str(rng.choice(OFF_LANES)), float(rng.uniform(0.2, 1)))
                      for at in np.cumsum(rng.uniform(0.1, 0.6, 40))]  # fmt: skip
            return play(kit, sticks, frames=SAMPLES, rng=rng) + np.float32(0.3) * self.other(SAMPLES)
        noise = rng.standard_normal((2, SAMPLES)).astype(np.float32)
        noise = effects.tilt(noise, db=float(rng.uniform(-15, 9)), hertz=float(np.exp(rng.uniform(5, 9))))
        swell = 1 + 0.9 * np.sin(np.arange(SAMPLES) / RATE * rng.uniform(0, 6) + rng.uniform(0, 6))
        return np.asarray(noise[0] * swell, np.float32)

    def _hybrid(self, needed: set[str]) -> tuple[Kit, dict[str, float]]:
        """The pieces needed of one kit, or of several, each moved in pitch; and the toms' heights, see `Clip`."""
        rng = self._rng

        def draw() -> Kit:
            return kit_of(str(rng.choice(self._kits)), rng)

        kit, synth = draw(), kit_of("synth", rng)
        if rng.random() < 0.6:
            toms = draw() if rng.random() < 0.4 else kit
            mixed = {piece: (draw() if rng.random() < 0.5 else kit) for piece in sorted(needed)}
            mixed |= {piece: toms for piece in needed if piece.startswith("tom")}
        else:
            mixed = dict.fromkeys(needed, kit)
        out: Kit = {}
        tom = float(rng.uniform(-0.43, 0.85))  # of the highest; each next one is 2 to 7 semitones lower
        steps = rng.uniform(2, 7, 2) / 12
        heights = dict(zip(("tom1", "tom2", "tom3"), (tom, tom - steps[0], tom - steps.sum()), strict=True))
        for piece in sorted(needed):
            layers = _few(mixed[piece].get(piece) or kit.get(piece) or synth[piece], rng)
            if rng.random() < 0.25 and (under := draw().get(piece)):
                layers = layered(layers, under[int(rng.integers(len(under)))], db=float(rng.uniform(-15, 0)))
            by = None
            if piece in heights:  # what a file is called says little about its place among the others
                by = 12 * (heights[piece] - np.log2(pitch_of(layers[len(layers) // 2]) / MIDDLE_TOM)) + float(
                    rng.normal() * 0.2
                )
            out[piece] = reshaped(layers, piece=piece, rng=rng, by=by)
        return out, heights

    def other(self, count: int) -> Mono:
        """Music without drums, mono `[count]`, or tones where there is no corpus."""
        rng = self._rng
        if not self._music:
            at = np.arange(count) / RATE
            out = np.zeros(count, np.float32)
            for hertz in np.exp(rng.uniform(np.log(50), np.log(2000), 4)):
                out += 0.25 * np.sin(2 * np.pi * hertz * at) * (0.5 + 0.5 * np.sin(at * rng.uniform(0, 9)))
            return out
        folder = self._music[int(rng.integers(len(self._music)))]
        paths = [folder / name for name in OTHER_STEMS]
        kind = rng.random()
        if self._voices and kind < 0.5:
            paths = [*(paths if kind < 0.42 else []), self._voices[int(rng.integers(len(self._voices)))]]
        out = np.zeros(count, np.float32)
        for path in paths:
            if path.exists():
                whole = np.load(path, mmap_mode="r")
                start = int(rng.integers(max(1, len(whole) - count)))
                part = whole[start : start + count].astype(np.float32).mean(axis=1) / 32768
                out[: len(part)] += part * np.float32(10 ** (rng.uniform(-6, 6) / 20))
        return out

    def _rough(self, sound: Mono) -> Mono:
        rng = self._rng
        chance = rng.random
        stereo = np.repeat(sound[None], 2, axis=0)
        if chance() < 0.5:
            wet = effects.room(
                stereo, seconds=float(rng.choice([0.2, 0.4, 0.7, 1.2])), damping=float(rng.choice([0.4, 0.7])),
                pre_delay=float(rng.uniform(0, 0.02)), seed=int(rng.integers(4)),
            )  # fmt: skip
            stereo = stereo + wet * np.float32(10 ** (rng.uniform(-26, -6) / 20))
        if chance() < 0.5:
            stereo = effects.tilt(stereo, db=float(rng.uniform(-9, 9)), hertz=float(np.exp(rng.uniform(5, 9))))
        if chance() < 0.35:
            stereo = effects.compress(stereo, ratio=float(rng.uniform(1.5, 8)), attack=float(rng.uniform(0.001, 0.03)))
        if chance() < 0.3:
            stereo = effects.drive(stereo, amount=float(rng.uniform(0, 0.6)))
        if chance() < 0.2:
            stereo = effects.filtered(stereo, "low", float(rng.uniform(7000, 16000)))
        if chance() < 0.15:
            stereo = effects.filtered(stereo, "high", float(rng.uniform(30, 120)))
        mono = np.asarray(stereo.mean(axis=0), np.float32)
        bleed = chance()
        if bleed < 0.6:
            other = self.other(len(mono))
            ratio = float(np.std(mono) / (np.std(other) + 1e-9))
            if bleed < 0.34 and self._separate:
                return self._separate(mono + other * np.float32(ratio * 10 ** (rng.uniform(-9, 9) / 20)))
            if bleed < 0.38:
                return _masked(mono, other * np.float32(ratio * 10 ** (rng.uniform(-12, 3) / 20)), rng)
            if bleed < 0.46:
                return mono + other * np.float32(ratio * 10 ** (rng.uniform(-14, 3) / 20))
            mono = mono + other * np.float32(ratio * 10 ** (rng.uniform(-45, -14) / 20))
        return mono

    def _level(self, sound: Mono) -> Mono:
        """At a level that recordings may have, with a little noise."""
        rng = self._rng
        peak = float(np.quantile(np.abs(sound), 0.9995)) + 1e-9
        level = (
            10 ** (float(rng.uniform(-22, 1)) / 20) if rng.random() < 0.4 else 10 ** (float(rng.uniform(-8, 0)) / 20)
        )
        hiss = rng.standard_normal(len(sound)) * 10 ** (rng.uniform(-100, -50) / 20)
        return np.asarray(np.clip((sound / peak + hiss) * level, -1.2, 1.2), np.float32)


def play(kit: Kit, sticks: Sequence[Stick], *, frames: int, rng: np.random.Generator, even: bool = False) -> Mono:
    """Strokes through a kit, float32 `[frames]`; what the kit lacks is silent.

    `even` leaves each piece at its usual level; else they are mixed anew. A stroke of the hi-hat ends an open one.
    """
    level = {piece: LEVELS[piece] * (1.0 if even else float(np.exp(rng.normal() * 0.45))) for piece in kit}
    peak = {piece: max(float(np.abs(layer).max()) for layer in layers) + 1e-9 for piece, layers in kit.items()}
    hats = [stick.start for stick in sticks if LANE_OF.get(stick.piece) == 2]
    out = np.zeros(frames, np.float32)
    for stick in sticks:
        start = round(stick.start * RATE)
        if stick.piece not in kit or start >= frames:
            continue
        layers = kit[stick.piece]
        which = int(np.clip(stick.loud * len(layers) + rng.normal() * 0.5, 0, len(layers) - 1))
        sound = layers[which]
        if len(layers) > 1:  # a layer's own loudness is put in place of what its file happens to have
            factor = stick.loud**1.2 / (float(np.abs(sound).max()) + 1e-9)
        else:
            factor = stick.loud**1.4 / peak[stick.piece]
        if stick.piece == "open":
            sound = _choked(sound, next((at - stick.start for at in hats if at > stick.start + 0.02), None))
        skipped = max(0, -start)
        part = sound[skipped : skipped + frames - max(0, start)] * np.float32(factor * level[stick.piece])
        out[max(0, start) : max(0, start) + len(part)] += part
    return out


@cache
def spoken(number: int) -> Mono:
    """A stretch of nonsense read by espeak-ng in some language, mono `[SAMPLES]`; silence without espeak-ng."""
    import io
    import shutil
    import subprocess

    import soundfile
    import soxr

    if not shutil.which("espeak-ng"):
        return np.zeros(SAMPLES, np.float32)
    rng = np.random.default_rng([9, number])
    words = []
    for size in rng.integers(1, 5, 60):
        syllables = (str(rng.choice([*"bdfgklmnprstvz"]) + rng.choice([*"aeiou"])) for _ in range(size))
        words.append("".join(syllables) + str(rng.choice(["", "", "t", "k", "s", ","])))
    command = ["espeak-ng", "-v", LANGUAGES[number % len(LANGUAGES)], "-p", str(rng.integers(10, 90)),
               "-s", str(rng.integers(110, 230)), "--stdout", " ".join(words)]  # fmt: skip
    sound, rate = soundfile.read(io.BytesIO(subprocess.run(command, check=True, capture_output=True).stdout))
    return np.resize(np.asarray(soxr.resample(sound, rate, RATE), np.float32), SAMPLES)


def labelled(sound: Mono, sticks: Sequence[Stick], *, heights: Mapping[str, float] | None = None) -> Clip:
    """Features of a clip and what is to be found in it. An onset is a triangle of two half frames each way."""
    features = features_of(sound[None])[:, :LAYERS]
    count = len(features) * SUBFRAMES
    onsets, velocities = np.zeros((2, count, OUTPUTS), np.float32)
    kinds = np.zeros((count, len(KINDS)), np.float32)
    tall = np.full((count, 1), np.nan, np.float32)
    for stick in sticks:
        lane = LANE_OF.get(stick.piece)
        if lane is None or stick.start < 0:
            continue
        place = stick.start * RATE * SUBFRAMES / HOP
        for index in range(max(0, int(place) - 1), min(count, int(place) + 3)):
            here = 1 - abs(index - place) / 2
            if here > onsets[index, lane]:
                onsets[index, lane] = here
                velocities[index, lane] = stick.loud
                if stick.piece in KINDS:
                    kinds[index, KINDS.index(stick.piece)] = 1
                if heights and stick.piece in heights:
                    tall[index] = heights[stick.piece]
    return Clip(features, onsets, velocities, kinds, tall)


def pitch_of(tom: Mono) -> float:
    """The strongest frequency of a drum after its attack, 45 to 400 Hz."""
    part = np.pad(tom[700 : 700 + 8192], (0, max(0, 8192 - len(tom[700:]))))
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), 32768))
    hertz = np.fft.rfftfreq(32768, 1 / RATE)
    inside = (hertz > 45) & (hertz < 400)
    return float(hertz[inside][spectrum[inside].argmax()])


def _few(layers: list[Mono], rng: np.random.Generator) -> list[Mono]:
    """At most five of a kit's layers, in order."""
    if len(layers) <= 5:
        return layers
    return [layers[index] for index in sorted(rng.choice(len(layers), 5, replace=False))]


def _choked(sound: Mono, after: float | None) -> Mono:
    if after is None or (end := int(after * RATE)) >= len(sound):
        return sound
    short = sound[: end + _CHOKE].copy()
    short[end:] *= np.linspace(1, 0, len(short) - end, dtype=np.float32)
    return short


def _masked(drums: Mono, other: Mono, rng: np.random.Generator) -> Mono:
    """What a soft mask would take for the drums: holes, and bleed."""
    from scipy.signal import istft, stft

    _, _, wanted = stft(drums, RATE, nperseg=2048)
    _, _, unwanted = stft(other, RATE, nperseg=2048)
    power = float(rng.uniform(0.8, 2))
    share = np.abs(wanted) ** power / (np.abs(wanted) ** power + np.abs(unwanted) ** power + 1e-9)
    share = np.clip(share + rng.normal(0, 0.06, share.shape), 10 ** (rng.uniform(-40, -15) / 20), 1)
    _, sound = istft((wanted + unwanted) * share, RATE, nperseg=2048)
    return np.asarray(sound[: len(drums)], np.float32)
