"""Pictures to look at: spectrograms of estimates above those of the true stems."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.signal import ShortTimeFFT
from scipy.signal.windows import hann

from training.bands import RATE
from training.mixing import STEMS

if TYPE_CHECKING:
    from pathlib import Path


def draw(estimates: npt.NDArray[np.float32], true: npt.NDArray[np.float32], path: Path) -> None:
    """Draw `[4, 2, T]` float32 estimates and true stems as a PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    transform = ShortTimeFFT(hann(2048), 512, RATE, scale_to="magnitude")
    figure, axes = plt.subplots(len(STEMS), 2, figsize=(14, 12), sharex=True, sharey=True, layout="constrained")
    top = 20 * np.log10(np.abs(transform.stft(true.sum(axis=(0, 1)))).max())
    for row, stem in enumerate(STEMS):
        for column, (kind, samples) in enumerate((("sketch", estimates), ("true", true))):
            level = 20 * np.log10(np.abs(transform.stft(samples[row].mean(axis=0))) + 1e-9)
            extent = (0, samples.shape[-1] / RATE, 0, RATE / 2000)
            axis = axes[row, column]
            axis.imshow(level, origin="lower", aspect="auto", extent=extent, vmin=top - 80, vmax=top, cmap="magma")
            axis.set_yscale("symlog", linthresh=0.5)
            axis.set_title(f"{stem}, {kind}")
    figure.supxlabel("s")
    figure.supylabel("kHz")
    figure.savefig(path, dpi=70)
    plt.close(figure)
