"""Synthesizers in numpy: polyphonic wavetable notes with a filter envelope, FM, and a gliding mono synth."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from training.corpus import RATE
from training.songs.effects import sweep
from training.songs.patches import Patch, patch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from training.songs.plan import Note

SIZE = 4096
CUTS = np.geomspace(60, 19000, 40)


def _spectrum(wave: str, count: int) -> NDArray[np.float64]:
    """Amplitudes of harmonics 1..count."""
    n = np.arange(1, count + 1)
    if wave == "square":
        return (n % 2) / n * 1.2
    if wave == "triangle":
        return np.asarray(np.where(n % 2 == 1, 1.0, 0.0) / n**2 * np.where(n % 4 == 3, -1.0, 1.0) * 1.5)
    if wave.startswith("pulse"):
        return np.asarray(1.4 * np.sin(np.pi * n * int(wave[5:]) / 100) / n)
    if wave == "organ":
        bars = {1: 0.8, 2: 1.0, 3: 0.7, 4: 0.6, 6: 0.35, 8: 0.3, 10: 0.12, 12: 0.1, 16: 0.15}
        return np.array([bars.get(int(k), 0.0) for k in n]) * 0.5
    if wave == "sine":
        return np.asarray((n == 1).astype(float))
    return 1.0 / n


@lru_cache(maxsize=256)
def _tables(wave: str, pitch: int, quality: float) -> NDArray[np.float32]:
    """One period of a wave at a pitch through a four-pole low pass at each of CUTS: float32 [len(CUTS) + 1, SIZE]."""
    hertz = 440 * 2 ** ((pitch - 69) / 12)
    count = max(min(int(20000 / hertz), SIZE // 2 - 1), 1)
    n = np.arange(1, count + 1)
    bins = np.zeros((len(CUTS), SIZE // 2 + 1), np.complex128)
    over = n * hertz / CUTS[:, None]
    response = 1 / (1 - over**2 + 1j * over / quality) / (1 - over**2 + 1.6j * over)
    bins[:, 1 : count + 1] = -0.5j * SIZE * _spectrum(wave, count) * response
    table = np.fft.irfft(bins, SIZE, axis=1).astype(np.float32)
    return np.concatenate([table, table[-1:]])


def _envelope(made: Patch, held: int, total: int) -> NDArray[np.float32]:
    """Attack, exponential decay to the sustain, release: float32 [total]."""
    at = np.arange(total, dtype=np.float32) / RATE
    out = made.sustain + (1 - made.sustain) * np.exp(-at / np.float32(made.decay / 2.5))
    out *= np.minimum(at / np.float32(made.attack), 1)
    out[held:] *= np.exp(-(at[held:] - at[held]) / np.float32(made.release / 3)) if held < total else 1
    out[-64:] *= np.linspace(1, 0, min(64, total), dtype=np.float32)
    return out.astype(np.float32)


@lru_cache(maxsize=600)
def _note(made: Patch, pitch: int, held: int, variant: int) -> NDArray[np.float32]:
    """One note held for `held` frames, with its release: float32 [2, N]."""
    rng = np.random.default_rng([pitch, variant])
    total = held + int(made.release * RATE * 1.6)
    at = np.arange(total, dtype=np.float64) / RATE
    hertz = 440 * 2 ** ((pitch - 69) / 12)
    bend = made.vibrato / 1200 * np.sin(2 * np.pi * 5.4 * at) * np.minimum(at / 0.4, 1) if made.vibrato else None
    cycles = at * hertz if bend is None else np.cumsum(hertz * 2**bend) / RATE
    fade = np.exp(-at / max(made.sweep_time, 0.01)).astype(np.float32)
    out = np.zeros((2, total), np.float32)
    if made.index:
        turn = 2 * np.pi * cycles
        out[:] = np.sin(turn + made.index * (0.15 + fade) * np.sin(turn * made.ratio)).astype(np.float32) * 0.7
    else:
        octaves = made.sweep * fade + np.float32(
            np.log2(made.cutoff * 2 ** (made.tracking * (pitch - 60) / 12) / CUTS[0])
        )
        where = np.clip(octaves / np.log2(CUTS[1] / CUTS[0]), 0, len(CUTS) - 1.001).astype(np.float32)
        _unison(out, made, cycles, where, pitch=pitch, rng=rng)
    if made.noise:
        out += np.float32(made.noise) * rng.standard_normal((2, total)).astype(np.float32)
    if made.sub:
        out += np.float32(made.sub) * np.sin(2 * np.pi * cycles * (0.5 if pitch > 40 else 1)).astype(np.float32)
    return out * _envelope(made, held, total)


def _unison(
    out: NDArray[np.float32],
    made: Patch,
    cycles: NDArray[np.float64],
    where: NDArray[np.float32],
    *,
    pitch: int,
    rng: np.random.Generator,
) -> None:
    """Adds the detuned copies of a wave to float32 [2, N], spread from left to right."""
    tables = _tables(made.wave, pitch, round(made.quality, 2)).ravel()
    row = where.astype(np.int32)
    part = where - row
    row *= SIZE
    still = made.sweep == 0
    for index in range(made.voices):
        side = 0.0 if made.voices == 1 else 2 * index / (made.voices - 1) - 1
        factor = 2 ** (side * made.detune / 1200)
        phase = ((cycles * factor + rng.random()) * SIZE).astype(np.int64).astype(np.int32) & (SIZE - 1)
        phase += row
        voice = tables[phase]
        if not still:
            voice = voice + (tables[phase + SIZE] - voice) * part
        voice = voice / np.float32(made.voices**0.5)
        out[0] += voice * np.float32(1 - 0.6 * side)
        out[1] += voice * np.float32(1 + 0.6 * side)


def poly(name: str, knobs: Mapping[str, float], notes: Sequence[Note], *, frames: int) -> NDArray[np.float32]:
    """A polyphonic patch: float32 [2, frames]; like notes are made once, in two variants."""
    made = patch(name, knobs)
    out = np.zeros((2, frames), np.float32)
    for count, note in enumerate(notes):
        start = int(note.start * RATE)
        held = max(int(note.length * 100) * RATE // 100, 441)
        sound = _note(made, note.pitch, held, count % 2 if made.voices > 1 else 0)
        end = min(start + sound.shape[1], frames)
        if end > start:
            out[:, start:end] += sound[:, : end - start] * np.float32(note.loud**1.3)
    _note.cache_clear()
    return out


def _contours(
    notes: Sequence[Note], *, frames: int, glide: float, decay: float, hold: bool
) -> tuple[NDArray[np.float64], ...]:
    """Of a mono line: pitch [frames], loudness [frames] and seconds since the last strike [frames]."""
    from scipy.signal import lfilter

    pitch = np.full(frames, float(notes[0].pitch))
    loud = np.zeros(frames)
    since = np.full(frames, 10.0)
    last = -1.0
    for note, after in zip(notes, [*notes[1:], None], strict=True):
        start = int(note.start * RATE)
        end = min(int((note.start + note.length) * RATE), int(after.start * RATE) if after else frames, frames)
        if start >= frames or end <= start:
            continue
        pitch[start:] = note.pitch
        tied = note.slide and note.start - last < 0.02
        at = np.arange(end - start) / RATE
        since[start:end] = at + (0.15 if tied else 0)
        loud[start:end] = note.loud * (np.exp(-at / decay) if not hold else 1.0)
        last = note.start + note.length
    keep = np.exp(-1 / (glide * RATE))
    pitch = lfilter([1 - keep], [1, -keep], pitch, zi=[pitch[0] * keep])[0]
    smooth = np.exp(-1 / (0.003 * RATE))
    return pitch, lfilter([1 - smooth], [1, -smooth], loud), since


def mono(
    name: str, knobs: Mapping[str, float], notes: Sequence[Note], *, frames: int, beat: float
) -> NDArray[np.float32]:
    """A gliding one-voice synth (acid, saw, square, lead, sub, 808, wobble): float32 [2, frames]; `beat` in seconds."""
    a, b, c, d = (knobs[key] for key in "abcd")
    if not notes:
        return np.zeros((2, frames), np.float32)
    glide = {"acid": 0.02, "lead": 0.01 + 0.03 * a, "808": 0.02 + 0.04 * b}.get(name, 0.004 + 0.01 * a)
    pitch, loud, since = _contours(notes, frames=frames, glide=glide, decay=0.3 + 0.9 * c, hold=name != "808")
    at = np.arange(frames) / RATE
    if name == "lead":
        pitch = pitch + 0.15 * d * np.sin(2 * np.pi * 5.5 * at) * np.minimum(since / 0.5, 1)
    if name == "808":
        pitch = pitch + (8 + 10 * a) * np.exp(-since / 0.02)
    cycles = np.cumsum(440 * 2 ** ((pitch - 69) / 12)) / RATE
    if name in {"sub", "808"}:
        low = np.sin(2 * np.pi * cycles)
        push = 0.5 + 3.5 * d if name == "808" else 0.3 + 1.2 * d
        out = np.tanh(push * low * (1 + 0.2 * a * np.sin(4 * np.pi * cycles))) / np.tanh(max(push, 0.8)) * loud
        return np.repeat(out[None].astype(np.float32), 2, axis=0)
    wave = "square" if name == "square" or (name in {"acid", "lead"} and a > 0.6) else "saw"
    octave = (np.clip(pitch, 24, 107) / 6).astype(np.int32)
    bank = np.stack([_tables(wave, min(6 * k + 6, 108), 0.7)[-1] for k in range(19)]).ravel()
    raw = np.zeros((2, frames), np.float32)
    for factor in (1.0,) if b < 0.4 else (1 - 0.003 * b, 1 + 0.003 * b):
        raw += bank[((cycles * factor * SIZE).astype(np.int64) & (SIZE - 1)) + SIZE * octave]
    raw *= loud.astype(np.float32)
    return sweep(
        raw,
        _cutoff(name, (a, b, c, d), at=at[::512], since=since[::512], pitch=pitch[::512], beat=beat),
        quality=0.8 + (6 * c if name == "acid" else 2 * c),
    )


def _cutoff(
    name: str,
    knobs: tuple[float, float, float, float],
    *,
    at: NDArray[np.float64],
    since: NDArray[np.float64],
    pitch: NDArray[np.float64],
    beat: float,
) -> NDArray[np.float64]:
    """The mono synth's cutoff in Hz at these seconds."""
    a, b, c, d = knobs
    hertz = 440 * 2 ** ((pitch - 69) / 12)
    if name == "wobble":
        speed = np.array([1, 2, 3, 4, 1.5, 6])[(at / (beat * 2)).astype(int) * (3 + int(5 * a)) % 6] / beat / 2
        return np.asarray(120 * 2 ** (3 + 2 * d + (2 + b) * np.sin(2 * np.pi * speed * at)))
    slow = 2 ** (1.5 * np.sin(2 * np.pi * at / (beat * (16 + 32 * b))))
    opened = (2 + 2.5 * d) * np.exp(-since / (0.06 + 0.3 * b))
    base = {"acid": 180 * 3**a, "lead": 1500 * 4**c}.get(name, 250 * 10**c)
    return np.clip(base * slow * 2**opened + hertz * (1.5 if name == "lead" else 0.5), 60, 16000)


def effect(name: str, knobs: Mapping[str, float], notes: Sequence[Note], *, frames: int) -> NDArray[np.float32]:
    """Noise risers, falling sweeps and impacts: float32 [2, frames]."""
    rng = np.random.default_rng(int(knobs["a"] * 1e6))
    out = np.zeros((2, frames), np.float32)
    for note in notes:
        count = int(note.length * RATE)
        part = np.linspace(0, 1, count)
        noise = rng.standard_normal((2, count)).astype(np.float32)
        if name == "impact":
            tone = np.sin(2 * np.pi * np.cumsum(40 + 80 * np.exp(-part * 12)) / RATE) * np.exp(-part * 5)
            sound = (
                0.8 * tone + sweep(noise, 6000 * np.exp(-part[::512] * 6) + 100, quality=0.8) * np.exp(-part * 6) * 0.6
            )
        else:
            up = part if name == "riser" or knobs["b"] < 0.5 else 1 - part
            sound = sweep(noise, 200 * 60 ** up[::512], quality=1 + 4 * knobs["c"]) * (0.1 + up**1.5) * 0.4
            if knobs["d"] > 0.5:
                sound += 0.25 * np.sin(2 * np.pi * np.cumsum(200 * 8**up) / RATE) * up
        sound[:, -256:] *= np.linspace(1, 0, 256)
        start = int(note.start * RATE)
        end = min(start + count, frames)
        if end > start:
            out[:, start:end] += sound[:, : end - start]
    return out
