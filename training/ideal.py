"""The ceiling: masks made from the true stems."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stemwright.separators.stft import Spectrum, Stft
from training.bands import HOP, N_FFT

Array = npt.NDArray[np.float32]


def ideal_ratio_mask(mix: Array, stems: Array) -> Array:
    """Soft masks |S| / Σ|S| from the true stems `[4, 2, T]` on the mix `[2, T]`, both float32. Output: `[4, 2, T]`."""
    stft = Stft(N_FFT)
    length = mix.shape[1]
    edge = ((0, 0), (4 * HOP, 4 * HOP + -length % HOP))
    magnitudes = np.stack([np.abs(stft.forward(np.pad(stem, edge))) for stem in stems])
    magnitudes /= magnitudes.sum(axis=0) + 1e-12
    spectrum = stft.forward(np.pad(mix, edge))
    estimates = np.zeros((*stems.shape[:-1], (spectrum.shape[1] - 1) * HOP), np.float32)
    for mask, out in zip(magnitudes, estimates, strict=True):

        def masked(frames: slice, mask: Array = mask) -> Spectrum:
            part: Spectrum = (spectrum[:, frames] * mask[:, frames]).astype(np.complex64)
            return part

        stft.inverse(masked, out=out, frames=range(2, spectrum.shape[1] - 2))
    return estimates[..., 4 * HOP : 4 * HOP + length]
