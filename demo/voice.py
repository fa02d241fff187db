"""A singer: words and pitches to sound, by a glottal pulse (KLGLOTT88) through a chain of formant resonators."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import convolve1d
from scipy.signal import butter, lfilter, resample_poly, sosfilt

from .phones import BREATH, GLIDES, PHONES, SILENCE, Phone, is_vowel
from .score import SECONDS_PER_BEAT, SungNote

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RATE = 44_100
HOP = 64  # samples a control step
STEPS_PER_SECOND = RATE / HOP
_HARMONICS = 90
_UPPER_POLES = tuple(range(4600, 16600, 1000))  # Hz: the tract above F5, so that the treble does not die away


@dataclass(frozen=True, slots=True)
class Singer:
    """Who sings: a seed, the size of the head (1 = tenor), tuning in cents, lateness in seconds, vibrato in cents."""

    seed: int
    tract: float = 1.0
    cents: float = 0.0
    late: float = 0.0
    vibrato: float = 38.0


@dataclass(frozen=True, slots=True)
class Segment:
    """One phone in time: seconds, the phone, the note's effort 0 to 1, a factor on its loudness."""

    start: float
    end: float
    phone: Phone
    effort: float
    gain: float = 1.0


def _smooth(track: "Floats", *, seconds: float) -> "Floats":
    """Smooth a control track [steps] or [steps, n] along time with a Hann window of that length."""
    window = np.hanning(max(3, round(seconds * STEPS_PER_SECOND)) + 2)
    return np.asarray(convolve1d(track, window / window.sum(), axis=0, mode="nearest"))


def _wander(rng: np.random.Generator, *, steps: int, seconds: float) -> "Floats":
    """Slow noise [steps] with unit deviation that changes over about `seconds`."""
    noise = _smooth(rng.normal(size=steps), seconds=seconds)
    return np.asarray(noise / (noise.std() + 1e-12))


def _between(one: Phone, other: Phone, *, share: float) -> Phone:
    """The mouth on its way from one vowel to another, `share` 0 to 1 of the way."""
    way = [(1 - share) * a + share * b for a, b in zip(one.formants, other.formants, strict=True)]
    return replace(one, formants=(way[0], way[1], way[2], way[3], way[4]))


def _syllable(note: SungNote, *, start: float, end: float, head: float, tail: float) -> list[Segment]:
    """One syllable's segments: consonants before `start`, the vowel from there, consonants until `end` (s)."""
    at = next(i for i, name in enumerate(note.phones) if is_vowel(name))
    onset, nucleus, coda = note.phones[:at], note.phones[at], note.phones[at + 1 :]
    now = start - head * sum(PHONES[p].seconds for p in onset)
    segments = []
    for name in onset:
        segments.append(Segment(now, now + head * PHONES[name].seconds, PHONES[name], note.effort))
        now = segments[-1].end
    close = end - tail * sum(PHONES[p].seconds for p in coda)
    first, last = GLIDES.get(nucleus, (nucleus, nucleus))
    turn = max(start + 0.5 * (close - start), close - 0.22) if first != last else close
    segments.append(Segment(start, turn, PHONES[first], note.effort))
    for k in range(1, 6 if first != last else 0):
        begins, ends = (turn + (close - turn) * m / 5 for m in (k - 1, k))
        segments.append(Segment(begins, ends, _between(PHONES[first], PHONES[last], share=min(1, k / 4)), note.effort))
    now = close
    for name in coda:
        segments.append(Segment(now, now + tail * PHONES[name].seconds, PHONES[name], note.effort))
        now = segments[-1].end
    return segments


def segments_of(phrase: list[SungNote], *, late: float) -> list[Segment]:
    """A phrase's segments in seconds: a breath, then syllables; consonants take time from the note before."""
    first = phrase[0].start * SECONDS_PER_BEAT + late
    onset = sum(PHONES[p].seconds for p in phrase[0].phones if not is_vowel(p))
    segments = [Segment(first - onset - 0.42, first - onset - 0.42 + BREATH.seconds, BREATH, 0.3)]
    head = 1.0
    for i, note in enumerate(phrase):
        start = note.start * SECONDS_PER_BEAT + late
        end = (note.start + note.length) * SECONDS_PER_BEAT + late
        vowel = next(k for k, name in enumerate(note.phones) if is_vowel(name))
        coda = sum(PHONES[p].seconds for p in note.phones[vowel + 1 :])
        tail, next_head = 1.0, 1.0
        if i + 1 < len(phrase):
            following = phrase[i + 1]
            cut = next(k for k, name in enumerate(following.phones) if is_vowel(name))
            needed = sum(PHONES[p].seconds for p in following.phones[:cut])
            begins = following.start * SECONDS_PER_BEAT + late
            next_head = tail = min(1.0, 0.5 * (begins - start) / max(coda + needed, 1e-9))
            end = min(end, begins - next_head * needed)
            if begins - next_head * needed - end < 0.08:
                end = begins - next_head * needed
        segments += _syllable(note, start=start, end=end, head=head, tail=tail)
        head = next_head
    last = segments[-1]
    for k, gain in enumerate((0.65, 0.35, 0.15) if last.phone.voicing else ()):  # let go of the last sound softly
        segments.append(Segment(last.end + 0.045 * k, last.end + 0.045 * (k + 1), last.phone, last.effort, gain))
    return segments


def _pitch_track(line: list[list[SungNote]], *, singer: Singer, steps: int) -> "Floats":
    """The sung pitch in Hz [steps]: portamento, a scoop into each phrase, vibrato that grows, drift and jitter."""
    rng = np.random.default_rng((singer.seed, 10))
    pitch, depth = np.full(steps, 57.0), np.zeros(steps)
    seconds = np.arange(steps) / STEPS_PER_SECOND
    for phrase in line:
        for i, note in enumerate(phrase):
            start = note.start * SECONDS_PER_BEAT + singer.late
            end = start + note.length * SECONDS_PER_BEAT
            begin = np.searchsorted(seconds, start - (0.5 if i == 0 else 0.045))
            pitch[begin:] = note.pitch
            if i == 0:
                pitch[begin : np.searchsorted(seconds, start + 0.03)] -= 1.2
            inside = (seconds >= start) & (seconds < end + 0.1)
            depth[inside] = np.clip((seconds[inside] - start - 0.22) / 0.35, 0, 1)
    pitch = _smooth(pitch, seconds=0.1)
    rate = 5.5 + 0.25 * _wander(rng, steps=steps, seconds=0.8)
    swing = np.sin(2 * np.pi * np.cumsum(rate) / STEPS_PER_SECOND)
    cents = singer.cents + singer.vibrato * _smooth(depth, seconds=0.12) * swing * (
        1 + 0.15 * _wander(rng, steps=steps, seconds=0.6)
    )
    cents += 7 * _wander(rng, steps=steps, seconds=0.35) + 3.5 * _wander(rng, steps=steps, seconds=0.02)
    return np.asarray(440.0 * 2 ** ((pitch - 69 + cents / 100) / 12))


def _pulse(*, open_quotient: float, tilt_hz: float, count: int = 4096) -> "Floats":
    """One period [count] of the derivative of glottal flow (KLGLOTT88), without harmonics above the 90th."""
    t = np.arange(count) / count / open_quotient
    spectrum = np.fft.rfft(np.where(t < 1, 2 * t - 3 * t**2, 0.0))
    spectrum[0] = 0
    spectrum[_HARMONICS + 1 :] = 0
    spectrum /= 1 + 1j * np.arange(len(spectrum)) * 220.0 / tilt_hz
    wave = np.fft.irfft(spectrum)
    return np.asarray(wave / np.sqrt(np.mean(wave**2)))


def _glottis(hertz: "Floats", *, effort: "Floats", rng: np.random.Generator) -> tuple["Floats", "Floats"]:
    """The voice before the mouth: pulses and breath noise, each [steps * HOP]; soft and strong pulses mix by effort."""
    fine = np.arange(len(hertz) * HOP * 2) / (HOP * 2)
    steps = np.arange(len(hertz))
    pitch = np.interp(fine, steps, hertz)
    phase = np.cumsum(pitch) / (2 * RATE)
    place = (phase % 1.0) * 4096
    grid = np.arange(4097)
    soft = _pulse(open_quotient=0.72, tilt_hz=1500)
    strong = _pulse(open_quotient=0.56, tilt_hz=2800)
    blend = np.interp(fine, steps, effort)
    wave = (1 - blend) * np.interp(place, grid, np.append(soft, soft[0]))
    wave += blend * np.interp(place, grid, np.append(strong, strong[0]))
    cycles = phase.astype(np.int64)
    shimmer = 1 + 0.025 * rng.normal(size=int(cycles[-1]) + 2)
    wave *= np.interp(phase, np.arange(len(shimmer)), shimmer)
    open_phase = 0.35 + 0.65 * np.sin(np.pi * (phase[::2] % 1.0))
    breath = rng.normal(size=len(open_phase)) * open_phase
    return np.asarray(resample_poly(wave, 1, 2)), breath


def _resonator(hertz: "Floats", *, widths: "Floats") -> tuple["Floats", "Floats", "Floats"]:
    """Klatt's two-pole resonator of unit gain at 0 Hz, y = a x + b y[-1] + c y[-2]: a, b, c shaped like `hertz`."""
    radius = np.exp(-np.pi * widths / RATE)
    b = 2 * radius * np.cos(2 * np.pi * hertz / RATE)
    c = -(radius**2)
    return 1 - b - c, b, c


def _mouth(source: "Floats", *, formants: "Floats", widths: "Floats", tract: float) -> "Floats":
    """Filter [steps * HOP] through five moving formants [steps, 5] and the fixed upper tract.

    The coefficients move with every sample: in blocks, each fast change of vowel would crackle.
    """
    times, steps = np.arange(len(source)) / HOP, np.arange(len(formants))
    out = source.tolist()
    for k in range(formants.shape[1]):
        centre, width = np.interp(times, steps, formants[:, k]), np.interp(times, steps, widths[:, k])
        gains, firsts, seconds = (track.tolist() for track in _resonator(centre, widths=width))
        last = before = 0.0
        for i, (x, a, b, c) in enumerate(zip(out, gains, firsts, seconds, strict=True)):
            out[i] = y = a * x + b * last + c * before
            last, before = y, last
    result = np.array(out)
    upper = np.array(_UPPER_POLES, dtype=np.float64) * tract
    for a, b, c in zip(*_resonator(upper, widths=upper * 0.09), strict=True):
        result = lfilter([a], [1.0, -b, -c], result)
    return result


def _tracks(segments: list[Segment], *, steps: int) -> tuple["Floats", "Floats", "Floats"]:
    """Phones over time: formants [steps, 5] in Hz, widths [steps, 5] in Hz, (voicing, breath, effort) [steps, 3]."""
    formants = np.tile(np.array(SILENCE.formants, dtype=np.float64), (steps, 1))
    widths = np.tile(np.array([80.0, 90.0, 150.0, 200.0, 260.0]), (steps, 1))
    gains = np.zeros((steps, 3))
    for segment in segments:
        begin, end = (round(t * STEPS_PER_SECOND) for t in (segment.start, segment.end))
        formants[max(0, begin) :] = segment.phone.formants  # held until the next phone moves the mouth
        gains[max(0, begin) :, 2] = segment.effort
        loud = segment.gain * 10 ** ((segment.effort - 1) * 7 / 20)
        gains[max(0, begin) : end, :2] = segment.phone.voicing * loud, segment.phone.breath * (0.5 + 0.5 * loud)
        if segment.phone.nasal:
            widths[max(0, begin) : end] *= 1.8
    gains = np.column_stack([_smooth(gains[:, :2], seconds=0.035), _smooth(gains[:, 2], seconds=0.3)])
    return _smooth(formants, seconds=0.065), _smooth(widths, seconds=0.05), gains


def _hiss(segments: list[Segment], *, samples: int, rng: np.random.Generator) -> "Floats":
    """The noise of S, SH, F, T and their like [samples]: shaped noise where each stands; T and D late and short."""
    out = np.zeros(samples)
    for segment in segments:
        if segment.phone.hiss is None:
            continue
        gain, low, high = segment.phone.hiss
        burst = segment.phone.seconds < 0.07 and segment.phone.voicing < 0.2
        begin = segment.end - 0.028 if burst else segment.start - 0.01
        first, count = round(begin * RATE), round((segment.end + 0.02 - begin) * RATE)
        shape = np.hanning(count) ** 0.7 if not burst else np.exp(-np.arange(count) / (0.009 * RATE))
        noise = sosfilt(butter(2, (low, high), btype="bandpass", fs=RATE, output="sos"), rng.normal(size=count))
        loud = 0.5 + 0.5 * segment.effort
        out[first : first + count] += gain * loud * shape * noise / noise.std() * 0.7
    return out


def _level(voice: "Floats", *, amount: float) -> "Floats":
    """Even out loudness [samples] as a compressor does: the slow envelope is raised to `-amount`."""
    power = voice[: len(voice) // HOP * HOP].reshape(-1, HOP)
    envelope = np.sqrt(_smooth(np.mean(power**2, axis=1), seconds=0.18))
    loud = float(np.quantile(envelope, 0.9))
    gain = (np.maximum(envelope, 0.05 * loud) / loud) ** -amount
    return np.asarray(voice * np.interp(np.arange(len(voice)) / HOP, np.arange(len(gain)), gain))


def sing(line: list[list[SungNote]], *, singer: Singer, samples: int) -> "Floats":
    """Sing phrases: float64 [samples] at 44.1 kHz, dry, peak about 0.5."""
    steps = -(-samples // HOP)
    rng = np.random.default_rng((singer.seed, 11))
    segments = [s for phrase in line for s in segments_of(phrase, late=singer.late)]
    formants, widths, gains = _tracks(segments, steps=steps)
    formants *= singer.tract
    hertz = _pitch_track(line, singer=singer, steps=steps)
    formants[:, 0] = np.maximum(formants[:, 0], 1.03 * hertz)  # singers open the mouth when the note is above F1
    pulses, breath = _glottis(hertz, effort=gains[:, 2], rng=rng)
    times = np.arange(steps * HOP) / HOP
    voicing, aspiration = (np.interp(times, np.arange(steps), gains[:, k]) for k in (0, 1))
    # The slow noise of the throat: the strength of the voice is never quite still.
    voicing *= np.interp(times, np.arange(steps), 1 + 0.04 * _wander(rng, steps=steps, seconds=0.15))
    voiced = _mouth(pulses * voicing + breath * aspiration, formants=formants, widths=widths, tract=singer.tract)
    voiced += 1.3 * sosfilt(butter(1, 3800, btype="highpass", fs=RATE, output="sos"), voiced)
    # Air: the little of the breath that comes past the mouth unfiltered.
    voiced += sosfilt(butter(1, 5000, btype="highpass", fs=RATE, output="sos"), breath * voicing) * 0.015 * voiced.std()
    voiced = sosfilt(butter(2, 90, btype="highpass", fs=RATE, output="sos"), voiced)
    voiced /= np.quantile(np.abs(voiced), 0.999) / 0.5
    whole = _level(voiced, amount=0.6) + _hiss(segments, samples=steps * HOP, rng=rng)
    return np.asarray(whole[:samples])
