"""Short-time Fourier transform and its inverse on whole chunks, over all threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from stemwright.types import Samples

Spectrum: TypeAlias = npt.NDArray[np.complex64]


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
        spectrum: Spectrum = rfft(frames[..., :: self.hop, :] * self._window, workers=-1)
        return spectrum

    def inverse(self, spectrum: Spectrum) -> Samples:
        """Transform `[..., N, F]` complex64 back to `[..., T]` float32, T = (N − 1)·hop."""
        from scipy.fft import irfft

        *signals, count, _ = spectrum.shape
        blocks = np.zeros((*signals, count + 3, self.hop), np.float32)
        for signal in np.ndindex(*signals):  # one at a time: less memory to fetch and to give back
            frames = irfft(spectrum[signal], n=self.n_fft, workers=-1)
            frames *= self._window / np.float32(1.5)  # squared Hann windows a quarter apart add up to 3/2
            quarters = frames.reshape(count, 4, self.hop)
            for quarter in range(4):
                blocks[signal][quarter : quarter + count] += quarters[:, quarter]
        samples = blocks.reshape(*signals, -1)
        return samples[..., self.n_fft // 2 : self.n_fft // 2 + (count - 1) * self.hop]
