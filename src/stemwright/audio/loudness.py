"""Loudness, true peak and sample peak of a stream, by ITU-R BS.1770-4."""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from stemwright.audio.biquads import filtered, silence
from stemwright.types import MAX_RATE, MIN_RATE

if TYPE_CHECKING:
    from stemwright.types import SampleRate, Samples

ABSOLUTE_GATE_LUFS: Final = -70.0
RELATIVE_GATE_LU: Final = -10.0

_HOPS_PER_SECOND: Final = 10  # 400 ms blocks that overlap by 75 %
_HOPS_PER_BLOCK: Final = 4
_OFFSET_LUFS: Final = -0.691  # makes a full-scale 1 kHz sine in one channel read -3.01 LUFS
_TAPS_PER_PHASE: Final = 24
_KAISER_BETA: Final = 3.6
_ROW: Final = 16  # input samples that one row of the interpolating matrix product covers …
_REACH: Final = 2  # … and how many rows after it hold the samples that it needs besides


class LoudnessMeter:
    """Measures integrated loudness, true peak and sample peak of mono or stereo in blocks of any size.

    Both channels weigh 1.0. Results may be asked for at any time and do not depend on how the signal was cut into
    blocks. Memory holds one second of samples and ten numbers for each second heard.

    Raises ValueError for rates outside 4 to 384 kHz and for anything but one or two channels.
    """

    def __init__(self, sample_rate: SampleRate, *, channels: int) -> None:
        if not MIN_RATE <= sample_rate <= MAX_RATE:
            raise ValueError(f"cannot measure at {sample_rate} Hz: rates go from {MIN_RATE} to {MAX_RATE} Hz")
        if channels not in {1, 2}:
            raise ValueError(f"cannot measure {channels} channels: mono and stereo only")
        self._rate = sample_rate
        self._sos = k_weighting(sample_rate)
        self._state = silence(self._sos, channels=channels)
        self._energies = array("d")  # of each hop, both channels together
        self._second = np.zeros((channels, sample_rate), dtype=np.float32)  # work is done by whole seconds …
        self._filled = 0  # … of which this many samples are here
        self._interpolator = _Interpolator(sample_rate, channels=channels)
        self._sample_peak = 0.0
        self._true_peak = 0.0

    def add(self, block: Samples) -> None:
        """Take the next block, [C, T] float32 with any T.

        Raises ValueError for another number of channels and for samples that are not finite.
        """
        if block.ndim != 2 or block.shape[0] != len(self._second):
            raise ValueError(f"expected [{len(self._second)}, T], got {list(block.shape)}")
        taken = 0
        while taken < block.shape[1]:
            part = block[:, taken : taken + self._rate - self._filled]
            peak = _magnitude(part)
            if not math.isfinite(peak):
                raise ValueError("samples must be finite")
            self._sample_peak = max(self._sample_peak, peak)
            self._second[:, self._filled : self._filled + part.shape[1]] = part
            self._filled += part.shape[1]
            taken += part.shape[1]
            if self._filled == self._rate:
                self._finish_second()

    def integrated_lufs(self) -> float | None:
        """Give the gated loudness of all heard so far, in LUFS.

        400 ms blocks each 100 ms; those at or below -70 LUFS are left out, then those 10 LU or more below the mean of
        the rest. None when no block is left: silence, or less than 400 ms heard (BS.1770 defines no value for that).
        A last incomplete block is left out, as BS.1770 demands.
        """
        hops = self._filled * _HOPS_PER_SECOND // self._rate
        rest, _ = self._weigh(hops)
        return _gated_lufs(np.concatenate([np.frombuffer(self._energies), rest]), self._rate)

    def true_peak_dbtp(self) -> float | None:
        """Give the highest value between the samples heard so far, in dB against full scale; None for digital silence.

        Four-fold oversampling below 96 kHz, two-fold below 192 kHz, none above, with 24 taps for each phase. The
        signal is taken to be silent before its start and after its end. Source: BS.1770-4, annex 2.
        """
        floor = max(self._true_peak, self._sample_peak)
        return _decibels(self._interpolator.peak_of_rest(self._second[:, : self._filled], floor=floor))

    def sample_peak_dbfs(self) -> float | None:
        """Give the largest magnitude of any sample heard so far, in dB against full scale; None for digital silence."""
        return _decibels(self._sample_peak)

    def _finish_second(self) -> None:
        energies, self._state = self._weigh(_HOPS_PER_SECOND)
        self._state[np.abs(self._state) < 1e-30] = 0.0  # else silence decays to denormals, which are slow
        self._energies.extend(energies)
        floor = max(self._true_peak, self._sample_peak)
        self._true_peak = self._interpolator.peak(self._second, floor=floor)
        self._filled = 0

    def _weigh(self, hops: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Give the K-weighted energies of the current second's first hops, and the filter's state after them."""
        if not hops:
            return np.zeros(0), self._state
        edges = np.arange(hops + 1) * self._rate // _HOPS_PER_SECOND
        heard, state = filtered(self._sos, self._second[:, : edges[-1]], self._state)
        return np.add.reduceat(np.square(heard), edges[:-1], axis=1).sum(axis=0), state


def k_weighting(sample_rate: SampleRate) -> npt.NDArray[np.float64]:
    """Give the K-weighting filter for a sample rate in Hz, as two second-order sections, [2, 6] float64.

    At 48 kHz these are the coefficients that BS.1770-4 prints. At other rates they are derived again from the same
    analogue filters by the bilinear transform (B. De Man, "Evaluation of implementations of the EBU R128 loudness
    measurement", AES 145, 2018). The printed high-pass has a gain of 1.005 above its band; it is kept at all rates.
    """
    shelf_hz, shelf_q, shelf_db = 1681.974450955533, 0.7071752369554196, 3.999843853973347
    k = math.tan(math.pi * shelf_hz / sample_rate)
    high = 10 ** (shelf_db / 20)
    band = high**0.4996667741545416
    a0 = 1 + k / shelf_q + k * k
    damped = 1 - k / shelf_q + k * k
    shelf = [
        (high + band * k / shelf_q + k * k) / a0,
        2 * (k * k - high) / a0,
        (high - band * k / shelf_q + k * k) / a0,
        1.0,
        2 * (k * k - 1) / a0,
        damped / a0,
    ]
    pass_hz, pass_q = 38.13547087602444, 0.5003270373238773
    k = math.tan(math.pi * pass_hz / sample_rate)
    k48 = math.tan(math.pi * pass_hz / 48_000)
    a0 = 1 + k / pass_q + k * k
    gain = (1 + k48 / pass_q + k48 * k48) / a0
    high_pass = [gain, -2 * gain, gain, 1.0, 2 * (k * k - 1) / a0, (1 - k / pass_q + k * k) / a0]
    return np.array([shelf, high_pass])


class _Interpolator:
    """Finds the largest magnitude between samples, one piece of a stream after another.

    Values at `_ROW` places are one row of a matrix product: row [16 + 23] times matrix [39, 16 * phases]. Samples that
    do not fill a row with all that it needs are kept for the next piece.
    """

    def __init__(self, sample_rate: SampleRate, *, channels: int) -> None:
        factor = 4 if sample_rate < 96_000 else 2 if sample_rate < 192_000 else 1
        phases = [_phase(shift / factor) for shift in range(1, factor)]
        self._matrix = np.zeros((_ROW + _TAPS_PER_PHASE - 1, _ROW * len(phases)), dtype=np.float32)
        for number, taps in enumerate(phases):
            for start in range(_ROW):
                self._matrix[start : start + _TAPS_PER_PHASE, number * _ROW + start] = taps
        self._most_gain = max((float(np.abs(taps).sum()) for taps in phases), default=0.0)
        self._kept = np.zeros((channels, _TAPS_PER_PHASE - 1), dtype=np.float32)

    def peak(self, piece: Samples, *, floor: float) -> float:
        """Give the largest magnitude that `piece` [C, T] makes known, or `floor` if that is larger."""
        samples = np.concatenate([self._kept, piece], axis=1)
        rows = (samples.shape[1] - _TAPS_PER_PHASE + 1) // _ROW
        self._kept = samples[:, rows * _ROW :].copy()
        return self._largest(samples, rows, floor)

    def peak_of_rest(self, piece: Samples, *, floor: float) -> float:
        """Do the same for the last piece, which silence follows, and forget the piece."""
        samples = np.concatenate([self._kept, piece], axis=1)
        return self._largest(samples, -(-samples.shape[1] // _ROW), floor)

    def _largest(self, samples: Samples, rows: int, floor: float) -> float:
        """Interpolate where it can matter: no value exceeds the samples around it times the taps' magnitudes."""
        if _magnitude(samples) * self._most_gain <= floor:
            return floor
        samples = samples[:, : (rows + _REACH) * _ROW]
        padded = np.pad(samples, ((0, 0), (0, (rows + _REACH) * _ROW - samples.shape[1])))
        windows = np.lib.stride_tricks.sliding_window_view(padded, len(self._matrix), axis=1)[:, ::_ROW]
        tops = np.abs(padded).reshape(len(padded), -1, _ROW).max(axis=2)
        around = np.lib.stride_tricks.sliding_window_view(tops, 1 + _REACH, axis=1).max(axis=2)
        chosen = windows[around * self._most_gain > floor]
        return max(floor, _magnitude(chosen @ self._matrix)) if len(chosen) else floor


def _phase(shift: float) -> npt.NDArray[np.float64]:
    """Give the taps that interpolate at `shift` samples after the 12th of 24: a Kaiser-windowed sinc of gain 1."""
    distance = np.arange(_TAPS_PER_PHASE) - (_TAPS_PER_PHASE // 2 - 1) - shift
    window = np.i0(_KAISER_BETA * np.sqrt(1 - (distance / (_TAPS_PER_PHASE / 2)) ** 2))
    taps: npt.NDArray[np.float64] = np.sinc(distance) * window
    return taps / float(taps.sum())


def _magnitude(values: Samples) -> float:
    return max(float(values.max()), -float(values.min()))


def _decibels(magnitude: float) -> float | None:
    return 20 * math.log10(magnitude) if magnitude > 0 else None


def _gated_lufs(energies: npt.NDArray[np.float64], rate: SampleRate) -> float | None:
    """Give the loudness of hops of known energy, or None when the gates leave none."""
    if len(energies) < _HOPS_PER_BLOCK:
        return None
    edges = np.arange(len(energies) + 1) * rate // _HOPS_PER_SECOND
    sums = np.lib.stride_tricks.sliding_window_view(energies, _HOPS_PER_BLOCK).sum(axis=1)
    powers = sums / (edges[_HOPS_PER_BLOCK:] - edges[:-_HOPS_PER_BLOCK])
    powers = powers[powers > 10 ** ((ABSOLUTE_GATE_LUFS - _OFFSET_LUFS) / 10)]
    if not len(powers):
        return None
    powers = powers[powers > powers.mean() * 10 ** (RELATIVE_GATE_LU / 10)]
    return _OFFSET_LUFS + 10 * math.log10(float(powers.mean()))
