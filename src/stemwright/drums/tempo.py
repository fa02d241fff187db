"""Hits to a tempo: how fast the pulse is, and which of its multiples is the beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stemwright.drums.onsets import Onset

SLOWEST_BPM: Final = 40.0
FASTEST_BPM: Final = 220.0

_Array: TypeAlias = npt.NDArray[np.float64]

_RATE: Final = 100  # of the frames in which hits are laid, a second
_BLUR: Final = 3.5  # frames each way over which a hit is spread
_LAGS: Final = 640  # frames: four of the slowest beats, and a little more
_FEWEST: Final = 8  # hits
_EDGE: Final = 1.015  # a little beyond the ends, for the sake of the ends
_SAME: Final = 0.035  # natural logarithm of two periods' ratio, below which they are one
_TOLERANCE: Final = 0.02  # of a lag, either way, within which hits repeat
_WEIGHTS: Final = (1.0, 1.0, 0.5, 0.6, 0.6, 0.7, 0.6, 0.5)  # of the lanes, where all count together
_OCTAVES: Final = (1 / 3, 1 / 2, 2, 3)  # of one beat to another at which the same pulse can be counted

# How a beat is told from its halves, doubles and thirds: how alike the hits are at these multiples of the beat,
# times these weights: all hits to themselves, kicks, snares, and kicks to the snares after them. Above all, kicks
# and snares alternate from beat to beat, and snares come each second one. Fitted by `training.drum_tempo` over patterns
# of 40 to 220 BPM, each as often at any tempo; no weight depends on the tempo.
_MULTIPLES: Final = (1 / 5, 1 / 4, 1 / 3, 2 / 5, 1 / 2, 2 / 3, 3 / 4, 1, 4 / 3, 3 / 2, 2, 3, 4)
WEIGHTS: Final[_Array] = np.array(
    [
        [-0.7, 0.0, -1.2, -1.1, -0.5, -1.2, -0.4, 2.6, -1.8, -0.8, 1.7, 2.0, 1.8],
        [0.4, 0.4, -0.5, -0.8, -0.5, -0.7, -0.2, -0.2, -0.7, -1.2, -0.9, 1.1, 1.9],
        [0.6, 0.8, -0.2, -1.0, -0.3, -0.6, 0.7, -1.8, -0.8, -1.0, 1.9, -1.1, 1.7],
        [-0.1, 0.1, -0.4, -0.7, 0.0, -0.2, -0.3, 2.2, -0.8, 0.0, -0.5, 1.6, -0.4],
    ]
)


@dataclass(frozen=True, slots=True)
class OnsetTempo:
    """Beats a minute; `octave` is 1/3, 1/2, 2 or 3: times that is the strongest other way to count the same pulse.

    It is None where there is none.
    """

    bpm: float
    octave: float | None


def find_tempo(onsets: Sequence[Onset]) -> OnsetTempo | None:
    """The tempo of hits from 40 to 220 BPM, with no preferred one; None where nothing repeats."""
    found = readings(onsets)
    if not found:
        return None
    beats = [beat for beat, _ in found]
    scores = np.array([float((WEIGHTS * likeness).sum()) for _, likeness in found])
    order = np.argsort(-scores)
    first = beats[int(order[0])]
    same = (ratio for n in order[1:] for ratio in _OCTAVES if abs(np.log(first / beats[n] / ratio)) < _SAME)
    return OnsetTempo(bpm=60 * _RATE / first, octave=next(same, None))


def readings(onsets: Sequence[Onset]) -> list[tuple[float, _Array]]:
    """Periods in frames that may be the beat, each with the likenesses at its multiples, `[4, 13]`."""
    if len(onsets) < _FEWEST:
        return []
    likeness = _likeness(_laid(onsets))
    return [
        (beat, np.stack([_near(likeness, beat * part) for part in _MULTIPLES], axis=1))
        for beat in _candidates(likeness[0])
    ]


def _laid(onsets: Sequence[Onset]) -> _Array:
    """Hits in frames, each spread over a few: all by their lanes' weights, kicks, snares; `[3, N]`."""
    laid = np.zeros((3, int(max(onset.time for onset in onsets) * _RATE) + 2 * int(_BLUR) + 2))
    for onset in onsets:
        place = onset.time * _RATE + int(_BLUR)
        frames = np.arange(round(place) - int(_BLUR), round(place) + int(_BLUR) + 1)
        shape = np.maximum(0, 1 - np.abs(frames - place) / _BLUR) * (0.3 + onset.velocity) * onset.confidence
        laid[0, frames] += _WEIGHTS[onset.lane] * shape
        if onset.lane in {0, 1}:
            laid[1 + onset.lane, frames] += shape
    return laid


def _likeness(laid: _Array) -> _Array:
    """Correlations at each lag, 1 at most: all with all, kicks, snares, kicks with the snares after; `[4, 640]`."""
    length = laid.shape[1]
    laid = laid - laid.mean(axis=1, keepdims=True)
    spectra = np.fft.rfft(laid, 2 * length, axis=1)
    pairs = np.stack([np.conj(spectra[one]) * spectra[other] for one, other in ((0, 0), (1, 1), (2, 2), (1, 2))])
    products = np.fft.irfft(pairs, 2 * length, axis=1)[:, : min(_LAGS, length)]
    energies = np.square(laid).sum(axis=1)
    levels = np.sqrt([energies[0] ** 2, energies[1] ** 2, energies[2] ** 2, energies[1] * energies[2]])
    shrinking = length / np.maximum(length - np.arange(products.shape[1]), length / 4)
    alike = products * shrinking / (levels[:, None] + 1e-9)
    return np.pad(alike, ((0, 0), (0, _LAGS - alike.shape[1])))


def _candidates(alike: _Array) -> list[float]:
    """Periods in frames: lags at which hits repeat, their multiples and parts, the clearest first."""
    found: list[tuple[float, float]] = []
    for lag in range(10, _LAGS - 1):
        before, here, after = alike[lag - 1 : lag + 2]
        if here > max(before, 0.05) and here >= after:
            bend = before - 2 * here + after
            top = lag + (0.5 * (before - after) / bend if bend < 0 else 0.0)
            found += [(float(here), top / part) for part in (1, 2, 3, 4, 1 / 2, 1 / 3, 1 / 4)]
    kept: list[float] = []
    shortest, longest = 60 * _RATE / FASTEST_BPM / _EDGE, 60 * _RATE / SLOWEST_BPM * _EDGE
    for _, beat in sorted(found, reverse=True):
        if shortest <= beat <= longest and all(abs(np.log(beat / other)) > _SAME for other in kept):
            kept.append(float(beat))
    return kept


def _near(likeness: _Array, lag: float) -> _Array:
    """The highest values about a lag, over the last axis; 0 where that is out of range."""
    first, last = max(1, int(lag * (1 - _TOLERANCE) - 1)), int(np.ceil(lag * (1 + _TOLERANCE) + 1))
    if last >= likeness.shape[-1]:
        return np.zeros(likeness.shape[:-1])
    top: _Array = likeness[..., first : last + 1].max(axis=-1)
    return top
