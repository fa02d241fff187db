"""One sample rate to another, in blocks, with no lag and a length that can be computed beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stemwright.types import MAX_RATE, MIN_RATE

if TYPE_CHECKING:
    import soxr

    from stemwright.types import SampleRate, Samples


def resampled_length(length: int, *, in_rate: SampleRate, out_rate: SampleRate) -> int:
    """Give the number of samples that `Resampler` makes of `length` samples: ceil(length * out_rate / in_rate).

    Computed in integers, so it is exact at any length. Rounding up means that going there and back gives at least
    `length` samples: the caller cuts to `length`.
    """
    return -(-length * out_rate // in_rate)


class Resampler:
    """Changes the sample rate of a stream of blocks (libsoxr, "HQ": linear phase, 20 bits).

    Sample t of the input is at time t / in_rate and sample u of the output at u / out_rate: there is no lag. The
    output has ceil(n * out_rate / in_rate) samples for n samples in, and does not depend on how the input was cut into
    blocks. Up to 0.9 of the lower Nyquist frequency nothing changes; above that frequency nothing passes. Equal rates
    pass blocks through untouched. A signal near full scale may overshoot it after resampling: nothing is clipped here.

    Raises ValueError for rates outside 4 to 384 kHz.
    """

    def __init__(self, in_rate: SampleRate, out_rate: SampleRate, *, channels: int) -> None:
        import soxr

        for rate in (in_rate, out_rate):
            if not MIN_RATE <= rate <= MAX_RATE:
                raise ValueError(f"cannot resample at {rate} Hz: rates go from {MIN_RATE} to {MAX_RATE} Hz")
        self._in_rate = in_rate
        self._out_rate = out_rate
        self._channels = channels
        self._stream = None if in_rate == out_rate else soxr.ResampleStream(in_rate, out_rate, channels)
        self._taken = 0
        self._given = 0
        self._finished = False

    def push(self, block: Samples) -> Samples:
        """Take the next block and give what is ready.

        Input [C, T] float32 with any T, output [C, U] float32 with any U, 0 included. Raises ValueError for another
        number of channels, and RuntimeError after `finish`.
        """
        if block.ndim != 2 or block.shape[0] != self._channels:
            raise ValueError(f"expected [{self._channels}, T], got {list(block.shape)}")
        if self._finished:
            raise RuntimeError("the resampler is finished")
        self._taken += block.shape[1]
        if self._stream is None:
            return block
        ready = _run(self._stream, block, last=False)
        self._given += ready.shape[1]
        return ready

    def finish(self) -> Samples:
        """Give the rest, [C, U] float32, so that the total length is that of `resampled_length`.

        Raises RuntimeError when called twice.
        """
        if self._finished:
            raise RuntimeError("the resampler is finished")
        self._finished = True
        if self._stream is None:
            return np.zeros((self._channels, 0), dtype=np.float32)
        left = resampled_length(self._taken, in_rate=self._in_rate, out_rate=self._out_rate) - self._given
        # soxr ends at round(n * out / in) samples; two output samples' worth of silence makes it give the one more.
        silence = np.zeros((self._channels, 2 * self._in_rate // self._out_rate + 2), dtype=np.float32)
        return _run(self._stream, silence, last=True)[:, :left]


def _run(stream: soxr.ResampleStream, block: Samples, *, last: bool) -> Samples:
    """Pass a block through soxr, which wants [T, C]."""
    frames = np.ascontiguousarray(block.T, dtype=np.float32)
    return np.ascontiguousarray(stream.resample_chunk(frames, last=last).T)
