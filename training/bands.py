"""The frequency axis of the network: bins one by one below, bands of a constant share of their frequency above."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

RATE = 44_100
N_FFT = 4096
HOP = 1024
BAND_RATIO = 1.02  # a soft mask with these bands loses 0.4 dB or less against one with all bins (NOTES.md)


def band_edges(*, n_fft: int = N_FFT, ratio: float = BAND_RATIO) -> npt.NDArray[np.int64]:
    """First bin of each band and, at the end, the number of bins, `[K + 1]` int64."""
    bins = n_fft // 2 + 1
    edges = [0.0]
    while edges[-1] < bins:
        edges.append(edges[-1] + max(1.0, edges[-1] * (ratio - 1)))
    whole = np.unique(np.round(edges).astype(np.int64))
    whole[-1] = bins
    return whole


EDGES = band_edges()
BANDS = len(EDGES) - 1
