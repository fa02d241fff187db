"""Several estimates of one stem made one, and a sound without its parts; all in flat memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stemwright.engine.trees.sound import Sound
    from stemwright.strategies.tree import Method
    from stemwright.types import Samples

_N_FFT: Final = 4096
_BLOCK: Final = 1 << 18  # samples that are worked on at once: a multiple of the hop


def rest(whole: Sound, parts: Sequence[Sound]) -> Iterator[Samples]:
    """Yield a sound without its parts, `[C, T]` float32 blocks."""
    for block, *taken in zip(whole.blocks(), *(part.blocks() for part in parts), strict=True):
        left = block.astype(np.float64)
        for part in taken:
            left -= part
        yield left.astype(np.float32)


def blend(method: Method, parts: Sequence[tuple[Sound, float]]) -> Iterator[Samples]:
    """Yield estimates made one, `[C, T]` float32 blocks.

    `mean` weighs the samples, `median` takes the middle one of them; `min` and `max` take, in each bin of a spectrum
    of Hann windows of 4096 samples, the estimate with the least or greatest magnitude.
    """
    sounds = [sound for sound, _ in parts]
    if method in {"min", "max"}:
        yield from _by_magnitude(sounds, greatest=method == "max")
        return
    weights = np.array([weight for _, weight in parts])
    weights /= weights.sum()
    for blocks in zip(*(sound.blocks() for sound in sounds), strict=True):
        if method == "mean":
            mixed = np.einsum("n,nct->ct", weights, np.stack(blocks), dtype=np.float64)
        else:
            mixed = np.median(np.stack(blocks), axis=0)
        yield mixed.astype(np.float32)


def _by_magnitude(sounds: Sequence[Sound], *, greatest: bool) -> Iterator[Samples]:
    from stemwright.separators.stft import Spectrum, Stft

    stft = Stft(_N_FFT)
    frames, channels = sounds[0].scratch.frames, sounds[0].scratch.channels
    inner = range(_N_FFT // stft.hop, (_N_FFT + _BLOCK) // stft.hop + 1)
    for first in range(0, frames, _BLOCK):
        spectra = [stft.forward(sound.read(first - _N_FFT, _BLOCK + 2 * _N_FFT)) for sound in sounds]

        def chosen(part: slice, spectra: list[Spectrum] = spectra) -> Spectrum:
            best = spectra[0][:, part]
            for spectrum in spectra[1:]:
                other = spectrum[:, part]
                better = np.abs(other) > np.abs(best) if greatest else np.abs(other) < np.abs(best)
                best = np.where(better, other, best)
            return best

        block = np.zeros((channels, _BLOCK + 2 * _N_FFT), np.float32)
        stft.inverse(chosen, out=block, frames=inner)
        yield block[:, _N_FFT : _N_FFT + min(_BLOCK, frames - first)]
