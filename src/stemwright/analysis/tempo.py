"""Tempo of a stream, with how sure it is and the other tempo at which the same pulse can be counted."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from stemwright.analysis._frames import Spectra

if TYPE_CHECKING:
    from stemwright.types import SampleRate, Samples

SLOWEST_BPM: Final = 59.0  # a little beyond 60 to 200, for the sake of the ends
FASTEST_BPM: Final = 202.0

_Array: TypeAlias = npt.NDArray[np.float64]

_FRAMES_PER_SECOND: Final = 100
_WINDOW_SECONDS: Final = 0.0464
_BANDS: Final = 30  # a third of an octave each …
_LOWEST_HZ, _HIGHEST_HZ = 30.0, 16_000.0
_GROUPS: Final = ((0, 8), (8, 20), (20, 30))  # … of which these are kick and bass; snare and voices; cymbals
_RIPPLE: Final = np.float32(0.02)  # growth by less than this part of a band is none …
_MASKED: Final = np.float32(0.003)  # … nor is this part of the loudest band's strength
_EVENT: Final = 0.03  # of the loudest frame's strength; where the greatest growth is less than this, nothing happens
_FAINT: Final = 0.05  # a group with less variation than this part of the most varied one stays weaker
_FEWEST_FRAMES: Final = 400
_STRETCH, _STEP = 1200, 200  # frames: how long a stretch is whose pulse is looked for, and how far apart they are
_LAGS: Final = 600
_PULSES: Final[_Array] = 60 / np.exp(np.arange(np.log(40), np.log(260), 0.01))  # periods that the pulse may have, s
_MOST_STEPS: Final = 4  # of those, that the pulse may move by from stretch to stretch …
_STEP_COST: Final = 0.15  # … for this price each
_NO_PULSE: Final = 0.1  # self-similarity at the beat, or two or four, below which there is none in so many …
_LONG: Final = 2000  # … frames; chance makes more of it in shorter sound …
_CLEAR_PULSE: Final = 0.6  # … and from which it is as clear as can be

# How a beat is told from its halves and doubles: the envelope's self-similarity at these multiples of the beat, of the
# low sounds and of all sounds, times these weights. Fitted by multinomial logistic regression over the candidates of
# 104 composed songs and 80 drum patterns of 60 to 200 BPM; no weight depends on the tempo itself.
_MULTIPLES: Final = (1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4, 1, 4 / 3, 3 / 2, 2, 3, 4)
_WEIGHTS: Final[_Array] = np.array(
    [
        [-0.4, -1.2, -4.0, -1.7, -2.3, 0.0, -3.7, -1.2, -2.4, -1.1, 5.8],
        [-1.2, -2.6, -1.4, -1.9, -1.0, 8.2, -6.2, 4.0, 1.4, 2.4, 2.5],
    ]
)
_RATIOS: Final = (1 / 4, 1 / 3, 3 / 8, 1 / 2, 2 / 3, 3 / 4, 1, 4 / 3, 3 / 2, 2, 8 / 3, 3, 4)  # of pulse to beat
_READINGS: Final = (1 / 3, 1 / 2, 2 / 3, 3 / 4, 4 / 3, 3 / 2, 2, 3)  # of one beat to another of the same pulse


@dataclass(frozen=True, slots=True)
class Tempo:
    """Beats a minute, and how the same pulse may be counted otherwise.

    `bpm` is None where there is no pulse, and then the rest is 0 or None. `confidence` is 0 to 1: how clear the pulse
    is. `octave` is the strongest other reading in BPM, such as half or double; its strength is 0 to 1 beside the first.
    """

    bpm: float | None
    confidence: float
    octave: float | None
    octave_strength: float


class TempoMeter:
    """Measures the tempo of a stream in blocks of any size.

    Onsets come from the growth of compressed energy in thirds of an octave; the pulse is followed through the song by
    its self-similarity, so that it may drift, and the median counts. Which multiple of the pulse is the beat is told
    from the sounds alone: there is no preferred tempo. Results may be asked for at any time and do not depend on how
    the signal was cut. Memory holds 400 numbers for each second heard.

    Raises ValueError for rates outside 4 to 384 kHz. Sources: P. Grosche, M. Müller, "Extracting predominant local
    pulse information from music recordings", IEEE TASLP 19, 2011 (a pulse followed through time); G. Peeters,
    "Template-based estimation of time-varying tempo", EURASIP 2007 (metrical levels from self-similarity).
    """

    def __init__(self, sample_rate: SampleRate) -> None:
        size = 2 ** round(float(np.log2(max(1, sample_rate) * _WINDOW_SECONDS)))
        hop = max(1, round(sample_rate / _FRAMES_PER_SECOND))
        self._spectra = Spectra(sample_rate, size=size, hop=hop)
        self._rate = sample_rate / hop  # frames a second
        self._filters = _third_octaves(sample_rate, size)
        self._before = np.zeros((0, _BANDS), dtype=np.float32)  # the two frames before the next
        self._onsets = array("f")

    def add(self, block: Samples) -> None:
        """Take the next block, [C, T] float32 with any T.

        Raises ValueError when C is none or changes, and for samples that are not finite.
        """
        for powers in self._spectra.add(block):
            onsets, self._before = self._grow(powers)
            self._onsets.frombytes(onsets.tobytes())

    def tempo(self) -> Tempo:
        """Give the tempo of all heard so far. There is none in less than four seconds."""
        rest, _ = self._grow(self._spectra.rest())
        frames = np.concatenate([np.frombuffer(self._onsets, dtype=np.float32).reshape(-1, rest.shape[1]), rest])
        onsets, strengths = frames[:, :-1].T.astype(np.float64), frames[:, -1]
        if len(frames) < _FEWEST_FRAMES or np.quantile(onsets.sum(axis=0), 0.99) <= _EVENT * strengths.max():
            return _NONE
        return _tempo(_envelopes(onsets), self._rate)

    def _grow(self, powers: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Give how much each group of bands grew and how strong all are, [N, 4], and the last two frames for next."""
        bands = np.concatenate([self._before, (powers @ self._filters) ** np.float32(0.25)])
        ripple = _RIPPLE * bands[2:] + _MASKED * bands[2:].max(axis=1, keepdims=True, initial=0)
        growth = np.maximum(bands[2:] - bands[:-2] - ripple, 0)
        groups = [growth[:, first:last].sum(axis=1) for first, last in _GROUPS]
        return np.stack([*groups, bands[2:].sum(axis=1)], axis=1), bands[-2:]


def _third_octaves(sample_rate: SampleRate, size: int) -> npt.NDArray[np.float32]:
    """Give triangular filters over the logarithm of frequency, [bins, 30] float32; none above half the rate."""
    hertz = np.fft.rfftfreq(size, 1 / sample_rate)
    width = np.log(_HIGHEST_HZ / _LOWEST_HZ) / _BANDS
    centres = np.log(_LOWEST_HZ) + width * (np.arange(_BANDS) + 0.5)
    filters = np.clip(1 - np.abs(np.log(np.maximum(hertz, 1))[:, None] - centres) / width, 0, None)
    for band in np.flatnonzero((filters > 0).sum(axis=0) < 2):
        filters[:, band] = 0  # narrower than two bins: the nearest one
        if np.exp(centres[band]) < sample_rate / 2:
            filters[np.argmin(np.abs(hertz - np.exp(centres[band]))), band] = 1
    return np.asarray(filters, dtype=np.float32)


def _envelopes(onsets: _Array) -> _Array:
    """Take the slow part away and level the groups; give the low sounds' and all sounds' envelopes, [2, N]."""
    from scipy.ndimage import uniform_filter1d

    quick = np.maximum(onsets - uniform_filter1d(onsets, _FRAMES_PER_SECOND + 1, axis=1, mode="constant"), 0)
    spread = quick.std(axis=1, keepdims=True)
    quick /= np.maximum(spread, _FAINT * spread.max() + 1e-12)
    return np.stack([quick[0], quick.sum(axis=0)])


def _tempo(envelopes: _Array, rate: float) -> Tempo:
    """Give the tempo of envelopes [2, N] at `rate` frames a second."""
    similar = _self_similarity(envelopes)
    pulse = _follow(similar[:, 1], rate)
    middle = float(np.median(pulse))
    likeness = _aligned(similar, pulse / middle)
    beats = _candidates(likeness[1], middle, rate)
    scores = np.array([(_WEIGHTS * _at_multiples(likeness, beat)).sum() for beat in beats])
    order = np.argsort(-scores)
    beat = beats[int(order[0])]
    clarity = max(float(_near(likeness[1], beat * bars, 1.0)) for bars in (1, 2, 4))
    if clarity < _NO_PULSE * max(1.0, _LONG / envelopes.shape[1]):
        return _NONE
    steady = float(np.ptp(np.quantile(pulse, [0.1, 0.9]))) < 0.02 * middle
    exact = _over_long_lags(envelopes[1], beat) if steady else beat
    second = next((n for n in order[1:] if min(abs(np.log(beats[n] / beat / r)) for r in _READINGS) < 0.03), None)
    other = None if second is None else beats[second]
    if other and steady:
        other = _over_long_lags(envelopes[1], other)
    strength = 0.0 if second is None else float(np.exp(scores[second] - scores[order[0]]))
    return Tempo(
        bpm=60 * rate / exact,
        confidence=min(1.0, clarity / _CLEAR_PULSE),
        octave=60 * rate / other if other else None,
        octave_strength=strength,
    )


def _self_similarity(envelopes: _Array) -> _Array:
    """Give the autocorrelation of stretches of 12 s, [W, 2, 600]: 1 at lag 0 unless the stretch is quiet."""
    if envelopes.shape[1] < _STRETCH:
        envelopes = np.pad(envelopes, ((0, 0), (0, _STRETCH - envelopes.shape[1])))
    floor = 0.1 * _STRETCH * envelopes.var(axis=1)
    shrinking = _STRETCH / (_STRETCH - np.arange(_LAGS))
    found = []
    for start in range(0, envelopes.shape[1] - _STRETCH + 1, _STEP):
        stretch = envelopes[:, start : start + _STRETCH]
        spectrum = np.fft.rfft(stretch - stretch.mean(axis=1, keepdims=True), 2048, axis=1)
        products = np.fft.irfft(np.abs(spectrum) ** 2, axis=1)[:, :_LAGS] * shrinking
        found.append(products / (products[:, :1] + floor[:, None] + 1e-9))
    similar = np.array(found)
    similar[..., 1:-1] = (similar[..., :-2] + 2 * similar[..., 1:-1] + similar[..., 2:]) / 4
    return similar


def _follow(similar: _Array, rate: float) -> _Array:
    """Give the pulse's period in frames for each stretch, from [W, lags]: the strongest path that hardly jumps."""
    lags = np.arange(_LAGS)
    periods = _PULSES * rate
    strength = np.zeros((len(similar), len(periods)))
    for multiple, weight in ((1, 1.0), (2, 1.0), (3, 0.5), (4, 1.0)):
        for number, stretch in enumerate(similar):
            strength[number] += weight * np.interp(periods * multiple, lags, stretch, right=0.0)
    strength = np.maximum(strength, 0)
    moves = np.arange(-_MOST_STEPS, _MOST_STEPS + 1)
    best, came = strength[0], []
    for here in strength[1:]:
        padded = np.pad(best, _MOST_STEPS, constant_values=-np.inf)
        options = np.lib.stride_tricks.sliding_window_view(padded, len(moves)) - _STEP_COST * np.abs(moves)
        came.append(options.argmax(axis=1) - _MOST_STEPS)
        best = options.max(axis=1) + here
    path = [int(best.argmax())]
    for step in reversed(came):
        path.append(path[-1] + int(step[path[-1]]))
    return periods[path[::-1]]


def _aligned(similar: _Array, stretching: _Array) -> _Array:
    """Average self-similarities [W, 2, lags] whose lags are each stretched by a factor first: drift is taken out."""
    lags = np.arange(_LAGS)
    total, count = np.zeros_like(similar[0]), np.zeros(_LAGS)
    for stretch, factor in zip(similar, stretching, strict=True):
        total += [np.interp(lags * factor, lags, values, right=0.0) for values in stretch]
        count += lags * factor < _LAGS - 1
    mean: _Array = total / np.maximum(count, 1)
    return mean


def _candidates(likeness: _Array, pulse: float, rate: float) -> list[float]:
    """Give the beats in frames that are worth asking: simple ratios of the pulse, and peaks; no two within 4 %."""
    found = [pulse / ratio for ratio in _RATIOS]
    peaks = 1 + np.flatnonzero((likeness[1:-1] > likeness[:-2]) & (likeness[1:-1] >= likeness[2:]))
    found += [_top(likeness, int(peak)) for peak in peaks if likeness[peak] > 0.05]
    kept: list[float] = []
    for beat in sorted(found, key=lambda beat: -_near(likeness, beat, 1.0)):
        in_range = 60 * rate / FASTEST_BPM <= beat <= 60 * rate / SLOWEST_BPM
        if in_range and all(abs(np.log(beat / other)) > 0.04 for other in kept):
            kept.append(beat)
    return kept


def _at_multiples(likeness: _Array, beat: float) -> _Array:
    """Give the self-similarity at each of the multiples of a beat, [2, 11]."""
    return np.stack([_near(likeness, beat * part, max(1.0, 0.02 * beat * part)) for part in _MULTIPLES], axis=1)


def _near(likeness: _Array, lag: float, reach: float) -> _Array:
    """Give the highest values within `reach` of a lag, over the last axis; 0 where that is out of range."""
    first, last = max(1, int(np.floor(lag - reach))), min(likeness.shape[-1] - 1, int(np.ceil(lag + reach)))
    if lag > likeness.shape[-1] - 2:
        return np.zeros(likeness.shape[:-1])
    top: _Array = likeness[..., first : last + 1].max(axis=-1)
    return top


def _top(values: _Array, peak: int) -> float:
    """Give where the parabola through a peak and its neighbours is highest."""
    before, here, after = values[peak - 1 : peak + 2]
    bend = before - 2 * here + after
    return peak + float(np.clip((before - after) / (2 * bend), -0.5, 0.5)) if bend < 0 else float(peak)


def _over_long_lags(envelope: _Array, beat: float) -> float:
    """Sharpen a beat, in frames, by the peaks of the whole song's autocorrelation 1, 2, 4, … beats away.

    It stops where the peak is no longer clear, or half the song or 128 beats away.
    """
    from scipy.fft import next_fast_len

    length = next_fast_len(2 * len(envelope), real=True)
    spectrum = np.fft.rfft(envelope - envelope.mean(), length)
    products = np.fft.irfft(np.abs(spectrum) ** 2, length)[: len(envelope)]
    products /= (len(envelope) - np.arange(len(envelope))) / len(envelope) * products[0]
    products[1:-1] = (products[:-2] + 2 * products[1:-1] + products[2:]) / 4
    best = 0.0
    for beats in (1, 2, 4, 8, 16, 32, 64, 128):
        lag = beat * beats
        reach = max(2.0, 0.1 * beat if beats > 1 else 0.04 * beat)
        first, last = int(lag - reach), int(np.ceil(lag + reach))
        if last >= len(envelope) // 2:
            break
        peak = first + int(products[first : last + 1].argmax())
        best = max(best, products[peak])
        if products[peak] < 0.5 * best or peak in {first, last}:
            continue
        beat = _top(products, peak) / beats
    return beat


_NONE: Final = Tempo(bpm=None, confidence=0.0, octave=None, octave_strength=0.0)
