"""Quick measure of a network while it trains: median SDR on windows of the test songs, from sums over bands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from training.bands import EDGES, HOP, N_FFT
from training.mixing import STEMS, load_corpus, sums_over_bands, transformed
from training.network import Network, features

if TYPE_CHECKING:
    from pathlib import Path

FRAMES = 432  # 10 s
MOST = 12  # windows of a song
WIDTHS = torch.tensor(np.diff(EDGES), dtype=torch.float32)
Windows = dict[str, list[tuple[Tensor, Tensor, Tensor, Tensor]]]


def held_out_windows(folder: Path) -> Windows:
    """For each test song power, pan, cross and energy (see `mixing.Batch`, B = 1) of up to `MOST` windows of 10 s."""
    found: Windows = {}
    for song in load_corpus(folder):
        if len(song.stems) < 3:
            continue
        length = min(len(samples) for samples in song.stems.values())
        need = (FRAMES - 1) * HOP + N_FFT
        level = (
            float(np.std(sum(np.asarray(samples[:length:50], np.float32) for samples in song.stems.values()))) / 32768
        )
        parts = []
        for start in np.linspace(0, length - need, min(MOST, length // need)).astype(int):
            spectra = np.zeros((len(STEMS), 2, FRAMES, N_FFT // 2 + 1), np.complex64)
            for index, stem in enumerate(STEMS):
                if stem in song.stems:
                    samples = np.asarray(song.stems[stem][start : start + need], np.float32).T / 32768 / level
                    spectra[index] = transformed(samples.astype(np.float32))
            parts.append(_sums(spectra))
        found[song.name] = parts
    return found


def _sums(spectra: npt.NDArray[np.complex64]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    power, pan, cross, energy = (torch.from_numpy(part)[None] for part in sums_over_bands(spectra))
    return power, pan, cross, energy


def median_sdr(network: Network, windows: Windows) -> dict[str, dict[str, float]]:
    """Decibels for each song and stem, over the windows in which the stem is at least -30 dB of the mix.

    `absent` is the level of stems that are not there, in dB of the mix: the median of all of them.
    """
    network.eval()
    found: dict[str, dict[str, float]] = {}
    with torch.no_grad():
        for name, parts in windows.items():
            ratios: dict[str, list[float]] = {stem: [] for stem in (*STEMS, "absent")}
            for power, pan, cross, energy in parts:
                masks = torch.softmax(network(features(power, pan, WIDTHS)), dim=1)
                error = (masks * masks * power[:, None] - 2 * masks * cross + energy).clamp_min(0).sum((0, 2, 3, 4))
                true, whole = energy.sum((0, 2, 3, 4)), power.sum()
                for index, stem in enumerate(STEMS):
                    if true[index] > 1e-3 * whole:
                        ratios[stem].append(float(10 * torch.log10(true[index] / error[index])))
                    elif true[index] < 1e-7 * whole:
                        ratios["absent"].append(float(10 * torch.log10(error[index] / whole + 1e-9)))
            found[name] = {stem: round(float(np.median(values)), 2) for stem, values in ratios.items() if values}
    return found
