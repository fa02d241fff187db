"""Endless random mixes of the corpus as the sums over bands that the loss needs.

With a real mask m that is constant within a band, the energy of the error of a stem is
sum |m X - S|^2 = m^2 sum |X|^2 - 2 m sum Re(X S*) + sum |S|^2, so three sums a band say all that a bin-wise loss would.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
from scipy.fft import rfft
from scipy.signal import fftconvolve

from training.bands import EDGES, HOP, N_FFT, RATE
from training.colour import (
    chopped,
    chord,
    chorus,
    coded,
    compression,
    dynamics,
    pitched,
    reshaped,
    tone,
    vocoded,
)

if TYPE_CHECKING:
    from pathlib import Path

Array = npt.NDArray[np.float32]
STEMS: Final = ("vocals", "drums", "bass", "other")
UNSPLIT: Final = "bass+other"  # real songs whose bass was never separated
LEVEL: Final = {"vocals": -19.0, "drums": -18.0, "bass": -20.0, "other": -20.0}  # dB RMS, typical of a mix
ABSENT: Final = {"vocals": 0.22, "drums": 0.15, "bass": 0.18, "other": 0.08}
RESHAPED: Final = {"vocals": 0.35, "drums": 0.15, "bass": 0.2, "other": 0.3}  # chance of another spectral envelope
PITCHED: Final = {"vocals": 0.25, "drums": 0.1, "bass": 0.15, "other": 0.2}  # of another pitch at the same speed
PLAIN: Final = 0.5  # chance that a mix has no effects but its own: what is only ever heard changed is not learnt
OTHER_SINGER: Final = 0.5  # chance that a song's band plays with a voice of another recording …
VOICE_LEVEL: Final = -4.0  # … and dB of it against the band's
DOUBLES: Final = (-0.2, -0.1, 0.1, 0.2)  # semitones of a voice that sings along …
HARMONIES: Final = (-12, -5, -4, -3, 3, 4, 5, 7, 12)  # … and of one that sings another part
WINDOW: Final = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)).astype(np.float32)


@dataclass
class Song:
    """Recordings that share a time axis."""

    name: str
    stems: dict[str, npt.NDArray[np.int16]]
    weight: float = 1.0  # how often it is drawn, against composed songs and synthetic voices
    loud: dict[str, npt.NDArray[np.bool_]] = field(default_factory=dict)  # for each second, whether it sounds


@dataclass
class Batch:
    """Sums over bands of mixes: N frames, K bands, mid and side.

    power `[B, 2, N, K]`: of the mix. pan `[B, N, K]`: real part of mid times conjugate side. cross and energy
    `[B, 4, 2, N, K]`: real part of mix times conjugate stem, and energy, of each stem. unsplit `[B]`: 1 where bass and
    other are known only as their sum, kept as `other`.
    """

    power: Array
    pan: Array
    cross: Array
    energy: Array
    unsplit: Array


def load_corpus(folder: Path) -> list[Song]:
    """Memory-map every song of a folder; a voice that goes with a song joins it."""
    songs: dict[str, Song] = {}
    partners: list[tuple[str, Song]] = []
    for path in sorted(folder.glob("*/song.json")):
        about = json.loads(path.read_text())
        stems = {p.stem: np.load(p, mmap_mode="r") for p in sorted(path.parent.glob("*.npy"))}
        song = Song(path.parent.name, stems, _weight(path.parent.name))
        song.loud = {name: _loud(samples) for name, samples in stems.items()}
        if about.get("goes_with"):
            partners.append((about["goes_with"], song))
        else:
            songs[song.name] = song
    for host, voice in partners:
        if host in songs and "vocals" not in songs[host].stems:
            songs[host].stems |= voice.stems
            songs[host].loud |= voice.loud
        else:
            songs[voice.name] = voice
    return list(songs.values())


def _weight(name: str) -> float:
    """Real recordings are few and count for more: songs, then singing, then singing with another voice."""
    kind = name.split("-", maxsplit=1)[0]
    return {"voice": 3.0, "vary": 2.0, "sing": 1.0, "song": 1.0, "sectoid": 2.0}.get(kind, 14.0)


def _loud(samples: npt.NDArray[np.int16]) -> npt.NDArray[np.bool_]:
    whole = len(samples) // RATE
    sparse = samples[: whole * RATE].reshape(whole, RATE, 2)[:, ::16].astype(np.float32) / 32768
    level = np.square(sparse).mean(axis=(1, 2))
    loud: npt.NDArray[np.bool_] = level > max(1e-6, 1e-3 * float(np.percentile(level, 95) if whole else 0))
    return loud


class Mixer:
    """Draws mixes of `frames` frames from songs. Raises ValueError when there are none."""

    def __init__(self, songs: list[Song], *, frames: int, seed: int) -> None:
        if not songs:
            raise ValueError("there is no song to mix")
        self.frames = frames
        self.samples = (frames - 1) * HOP + N_FFT
        self.random = np.random.default_rng(seed)
        self.having: dict[str, list[Song]] = {
            stem: [song for song in songs if stem in song.stems] for stem in (*STEMS, UNSPLIT)
        }
        self.bands = [song for song in songs if len(song.stems) > 1]

    def _draw(self, songs: list[Song]) -> Song:
        weights = np.array([song.weight for song in songs])
        return songs[int(self.random.choice(len(songs), p=weights / weights.sum()))]

    def batch(self, size: int) -> Batch:
        """Mix `size` examples."""
        parts: list[tuple[Array, Array, Array, Array, bool]] = []
        while len(parts) < size:
            if (example := self._example())[0].mean() > 1.0:  # not silence
                parts.append(example)
        power, pan, cross, energy, unsplit = (np.stack(part) for part in zip(*parts, strict=True))
        return Batch(power, pan, cross, energy, unsplit.astype(np.float32))

    def _example(self) -> tuple[Array, Array, Array, Array, bool]:
        together = self.random.random() < 0.4 and bool(self.bands)
        stems = self._from_one_song() if together else self._from_many()
        unsplit = UNSPLIT in stems
        if unsplit:
            stems["other"] = stems.pop(UNSPLIT)
        for stem, chance in ABSENT.items():
            if len(stems) > 1 and self.random.random() < chance and not (unsplit and stem == "bass"):
                stems.pop(stem, None)
        plain = self.random.random() < PLAIN
        spectra = np.zeros((len(STEMS), 2, self.frames, N_FFT // 2 + 1), np.complex64)
        for index, stem in enumerate(STEMS):
            if stem in stems:
                samples = stems[stem] if plain else self._effects(stems[stem], stem)
                samples = self._level(samples, stem, together=together)
                spectra[index] = transformed(samples) if plain else self._spectrum(samples, stem)
        if plain:
            return (*banded_sums(spectra, self.random.normal(0, 4)), unsplit)
        if self.random.random() < 0.25:
            spectra *= tone(self.random)
        if self.random.random() < 0.15:
            spectra = coded(spectra, self.random)
        if self.random.random() < 0.2:  # the compressor of the whole mix: each stem pumps with the others
            mix = spectra.sum(axis=0)
            power = (np.square(mix.real) + np.square(mix.imag)).sum(axis=(0, 2))
            spectra *= compression(power, self.random)[:, None]
        return (*banded_sums(spectra, self.random.normal(0, 4)), unsplit)

    def _from_one_song(self) -> dict[str, Array]:
        song = self._draw(self.bands)
        speed = self._speed(0.3)
        need = int(self.samples * speed) + 2
        anchor = self.random.choice(list(song.stems))
        start = self._start(song, str(anchor), need)
        stems = {name: self._read(song, name, start, need, speed) for name in song.stems}
        if self.having["vocals"] and self.random.random() < OTHER_SINGER:
            voice, band = self._pick("vocals"), np.sum([stems[name] for name in stems if name != "vocals"], axis=0)
            gain = np.sqrt((np.square(band).mean() + 1e-9) / (np.square(voice).mean() + 1e-9))
            stems["vocals"] = voice * np.float32(min(gain, 10.0) * 10 ** (VOICE_LEVEL / 20))
        return stems

    def _from_many(self) -> dict[str, Array]:
        stems = {}
        real = bool(self.having[UNSPLIT]) and self.random.random() < 0.25
        for stem in ("vocals", "drums", UNSPLIT) if real else STEMS:
            if not self.having[stem]:
                continue
            stems[stem] = self._pick(stem)
            if stem == "other" and self.random.random() < 0.3:
                stems[stem] += self._pick(stem) * np.float32(10 ** (self.random.uniform(-12, 0) / 20))
            if stem == "vocals" and self.random.random() < 0.12:
                stems[stem] += self._pick(stem) * np.float32(10 ** (self.random.uniform(-12, 0) / 20))
        return stems

    def _pick(self, stem: str) -> Array:
        song = self._draw(self.having[stem])
        speed = self._speed(0.5 if stem == "vocals" else 0.3)
        need = int(self.samples * speed) + 2
        return self._read(song, stem, self._start(song, stem, need), need, speed)

    def _speed(self, chance: float) -> float:
        return float(2 ** self.random.uniform(-0.4, 0.35)) if self.random.random() < chance else 1.0

    def _start(self, song: Song, stem: str, need: int) -> int:
        room = max(1, len(song.stems[stem]) - need)
        for _ in range(6):
            start = int(self.random.integers(room))
            loud = song.loud[stem][start // RATE : (start + need) // RATE]
            if loud.mean() > 0.3 if len(loud) else False:
                break
        return start

    def _read(self, song: Song, stem: str, start: int, need: int, speed: float) -> Array:
        raw = np.asarray(song.stems[stem][start : start + need], np.float32) / 32768
        if len(raw) < need:
            raw = np.pad(raw, ((0, need - len(raw)), (0, 0)))
        if speed != 1.0:
            import soxr

            raw = soxr.resample(raw, speed * 10_000, 10_000, quality="LQ")
        samples: Array = np.zeros((2, self.samples), np.float32)
        samples[:, : len(raw)] = raw.T[:, : self.samples]
        return samples

    def _effects(self, samples: Array, stem: str) -> Array:
        """Room, saturation, width and place, each now and then."""
        draw = self.random
        produced = stem in {"vocals", "other"}  # what engineers spread and repeat
        if draw.random() < PITCHED[stem]:
            samples = pitched(samples, draw.uniform(-6, 6))
        if stem == "vocals" and draw.random() < 0.2:
            samples = self._with_more_voices(samples)
        if produced and draw.random() < 0.12:
            samples = chorus(samples, draw)
        if produced and draw.random() < 0.2:
            samples = self._spread(samples)
        if produced and draw.random() < 0.12:
            samples = self._echo(samples)
        if draw.random() < (0.25 if stem == "vocals" else 0.1):
            samples = self._room(samples)
        if produced and draw.random() < 0.06:
            samples = chopped(samples, draw)
        if draw.random() < (0.25 if stem in {"bass", "other"} else 0.1):
            peak = np.float32(np.abs(samples).max() + 1e-6)
            drive = np.float32(10 ** (draw.uniform(0, 22) / 20))
            samples = np.asarray(np.tanh(samples / peak * drive) * peak, np.float32)
        if draw.random() < 0.5:
            samples = samples[::-1]
        width = draw.choice([0.0, 1.0, draw.uniform(0, 1.6)], p=[0.1, 0.5, 0.4])
        mid, side = (samples[0] + samples[1]) / 2, (samples[0] - samples[1]) / 2 * np.float32(width)
        pan = np.float32(draw.normal(0, 0.25) if draw.random() < 0.3 and stem in {"other", "vocals"} else 0)
        pan = np.clip(pan, -0.9, 0.9)
        stereo: Array = np.stack([(mid + side) * (1 - pan), (mid - side) * (1 + pan)]).astype(np.float32)
        return stereo

    def _with_more_voices(self, samples: Array) -> Array:
        """One to three more of the same voice, beside it or in another part, each on a side of its own."""
        parts = DOUBLES if self.random.random() < 0.5 else HARMONIES
        choir = samples * np.float32(self.random.uniform(0, 1))
        for semitones in self.random.choice(parts, self.random.integers(1, 4), replace=False):
            pan = self.random.uniform(-1, 1)
            sides = np.array([[1 - pan], [1 + pan]], np.float32) * np.float32(self.random.uniform(0.3, 0.8))
            choir = choir + pitched(np.roll(samples, self.random.integers(1500), axis=1), float(semitones)) * sides
        return choir

    def _spread(self, samples: Array) -> Array:
        """One side late, as a double or a chorus is: sound that is the same on both sides no longer is."""
        late = int(RATE * self.random.uniform(0.0005, 0.03))
        wide = samples.copy()
        wide[0, late:] = samples[0, :-late]
        if self.random.random() < 0.4:  # and the dry sound in the middle
            wide = np.asarray((wide + samples * self.random.uniform(0.3, 1)) / 2, np.float32)
        return wide

    def _echo(self, samples: Array) -> Array:
        """Repeats that fade, from side to side now and then."""
        late = int(RATE * self.random.uniform(0.08, 0.6))
        gain = np.float32(self.random.uniform(0.15, 0.6))
        cross = self.random.random() < 0.5
        echoes, repeat = samples.copy(), samples
        for _ in range(4):
            repeat = np.pad(repeat, ((0, 0), (late, 0)))[:, : samples.shape[1]] * gain
            repeat = repeat[::-1] if cross else repeat
            echoes += repeat
        return echoes

    def _room(self, samples: Array) -> Array:
        draw = self.random
        length = int(RATE * draw.uniform(0.15, 1.6))
        decay = 10 ** (-3 * np.arange(length) / length)
        tail = draw.standard_normal((2, length)).astype(np.float32) * decay.astype(np.float32)
        tail /= np.sqrt(np.square(tail).sum(axis=1, keepdims=True))
        wet = fftconvolve(samples, tail, axes=1)[:, : samples.shape[1]]
        mixed: Array = (samples + wet * draw.uniform(0.1, 0.7)).astype(np.float32)
        return mixed

    def _level(self, samples: Array, stem: str, *, together: bool) -> Array:
        spread = 3.0 if together else 5.0
        gain = self.random.normal(0, spread)
        if not together:
            level = 10 * np.log10(float(np.square(samples).mean()) + 1e-9)
            gain += float(np.clip(LEVEL[stem] - level, -30, 20))
        sign = self.random.choice([-1, 1])
        return samples * np.float32(sign * 10 ** (gain / 20))

    def _spectrum(self, samples: Array, stem: str) -> npt.NDArray[np.complex64]:
        """Mid and side, `[2, N, F]` complex64, with random tone, formants and dynamics."""
        spectrum = transformed(samples)
        if stem == "vocals" and self.random.random() < 0.12:
            chords = self.random.random() < 0.5 or not self.having["other"]
            carrier = chord(self.samples, self.random) if chords else self._pick("other")
            spectrum = vocoded(spectrum, transformed(self._effects(carrier, "other")))
        if self.random.random() < RESHAPED[stem]:
            spectrum = reshaped(spectrum, float(2 ** self.random.uniform(-0.4, 0.4)))
        if self.random.random() < 0.6:
            spectrum = spectrum * tone(self.random)
        if self.random.random() < 0.2:
            spectrum = dynamics(spectrum, self.random)
        return spectrum


def transformed(samples: Array) -> npt.NDArray[np.complex64]:
    """Mid and side, `[2, N, F]` complex64, of left and right, `[2, T]` float32."""
    both = np.stack([samples[0] + samples[1], samples[0] - samples[1]])
    frames = np.lib.stride_tricks.sliding_window_view(both, N_FFT, axis=-1)[:, ::HOP]
    spectrum: npt.NDArray[np.complex64] = rfft(frames * WINDOW)
    return spectrum


def banded_sums(spectra: npt.NDArray[np.complex64], level: float) -> tuple[Array, Array, Array, Array]:
    """`sums_over_bands` of stems `[4, 2, N, F]` complex64, scaled so that their mix is at `level` dB.

    0 dB stands for samples of deviation 1, so that the network sees what the engine's standardised mix gives it.
    """
    power, pan, cross, energy = sums_over_bands(spectra)
    # mid^2 + side^2 = 2 (left^2 + right^2); mean power of a Hann frame of unit deviation is 3/8 n_fft a bin
    mean = float(power.sum()) / (4 * 0.375 * N_FFT * power.shape[1] * spectra.shape[-1])
    scale = np.float32(10 ** (level / 10) / (mean + 1e-9))
    return power * scale, pan * scale, cross * scale, energy * scale


def sums_over_bands(spectra: npt.NDArray[np.complex64]) -> tuple[Array, Array, Array, Array]:
    """Power, pan, cross and energy (see `Batch`, without its first axis) of stems `[4, 2, N, F]` complex64."""
    mix = spectra.sum(axis=0)
    power = np.square(mix.real) + np.square(mix.imag)
    pan = mix[0].real * mix[1].real + mix[0].imag * mix[1].imag
    cross = np.stack([mix.real * stem.real + mix.imag * stem.imag for stem in spectra])
    energy = np.square(spectra.real) + np.square(spectra.imag)
    first = EDGES[:-1]
    power, pan, cross, energy = (np.add.reduceat(part, first, axis=-1) for part in (power, pan, cross, energy))
    return power, pan, cross, energy
