"""Short-time Fourier transform and its inverse, in blocks that fit the processor's caches, over all threads."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable

    from stemwright.types import Samples

Spectrum: TypeAlias = npt.NDArray[np.complex64]

BLOCK = 64  # frames that a thread works on at a time


class Stft:
    """Hann windows of `n_fft` samples every `n_fft // 4`; the inverse of the transform is the input to −120 dB."""

    def __init__(self, n_fft: int) -> None:
        self.n_fft = n_fft
        self.hop = n_fft // 4
        self._window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)).astype(np.float32)

    def forward(self, samples: Samples) -> Spectrum:
        """Transform `[..., T]` float32, T a multiple of the hop, to `[..., N, F]` complex64.

        N = T/hop + 1 and F = n_fft/2 + 1. Frame k is centred at sample k·hop; outside of the input is silence.
        """
        from scipy.fft import rfft

        edge = [(0, 0)] * (samples.ndim - 1) + [(self.n_fft // 2, self.n_fft // 2)]
        frames = np.lib.stride_tricks.sliding_window_view(np.pad(samples, edge), self.n_fft, axis=-1)
        frames = frames[..., :: self.hop, :]
        spectrum: Spectrum = np.empty((*frames.shape[:-1], self.n_fft // 2 + 1), np.complex64)

        def transform(first: int) -> None:
            block = frames[..., first : first + BLOCK, :] * self._window
            spectrum[..., first : first + BLOCK, :] = rfft(block, overwrite_x=True)

        in_threads(transform, range(0, frames.shape[-2], BLOCK))
        return spectrum

    def inverse(self, part: Callable[[slice], Spectrum], *, out: Samples, frames: range) -> None:
        """Transform frames back into `out` `[..., T]` float32, T = (N − 1)·hop.

        Only the samples from the centre of the first to the centre of the last of `frames` are written. `part` gives
        the spectrum `[..., n, F]` complex64 of a slice of all N frames, from several threads.
        """

        def transform(first: int) -> None:
            last = min(first + BLOCK, frames.stop - 1)
            hops = self._overlapped(part, first, last, count=out.shape[-1] // self.hop + 1)
            out[..., first * self.hop : last * self.hop] = hops

        in_threads(transform, range(frames.start, frames.stop - 1, BLOCK))

    def _overlapped(self, part: Callable[[slice], Spectrum], first: int, last: int, *, count: int) -> Samples:
        """The samples from the centre of frame `first` to that of frame `last`; all frames are `count`."""
        from scipy.fft import irfft

        begin, end = max(first - 1, 0), min(last + 2, count)  # the windows that reach into these samples
        frames = irfft(part(slice(begin, end)), n=self.n_fft, overwrite_x=True)
        frames *= self._window / np.float32(1.5)  # squared Hann windows a quarter apart add up to 3/2
        *signals, given, _ = frames.shape
        quarters = frames.reshape(*signals, given, 4, self.hop)
        hops = np.zeros((*signals, given + 3, self.hop), np.float32)
        for quarter in range(4):
            hops[..., quarter : quarter + given, :] += quarters[..., quarter, :]
        skip = first - begin + 2  # frame k starts two hops before its centre
        samples: Samples = hops[..., skip : skip + last - first, :].reshape(*signals, -1)
        return samples


def in_threads(work: Callable[[int], None], starts: range) -> None:
    """Call `work` with each start, side by side."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(work, starts):
            pass
