"""Which kits share recordings, so that none is called unseen whose sounds were: `python -m training.drums.kinship`."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np

from training.corpus import RATE
from training.drums.bank import HELD_OUT, TRAINED, all_sounds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from training.drums.bank import Mono

START: Final = RATE // 5  # samples of a sound that are compared
SAME: Final = 0.9  # highest correlation at which two sounds still are two recordings
_SIZE: Final = 2**14


def kinship(one: Sequence[Mono], other: Sequence[Mono]) -> float:
    """The highest correlation of the beginning of any sound with any of the other kit, at any lag: 0 to 1."""
    if not one or not other:
        return 0.0
    left, right = _spectra(one), _spectra(other)
    best = 0.0
    for spectrum in left:
        product = np.fft.irfft(spectrum * right.conj(), _SIZE)
        best = max(best, float(np.abs(product).max()))
    return best


def _spectra(sounds: Sequence[Mono]) -> NDArray[np.complex64]:
    """Of each sound's beginning, with the energy 1: `[N, F]`."""
    parts = np.stack([np.pad(sound[:START], (0, max(0, START - len(sound)))) for sound in sounds])
    parts = np.diff(parts, axis=1)  # sines of skins are alike at any pitch; their attacks are not
    norms = np.sqrt(np.square(parts).sum(axis=1, keepdims=True)) + 1e-9
    return np.asarray(np.fft.rfft(parts / norms, _SIZE), np.complex64)


def table() -> dict[tuple[str, str], float]:
    """Of each held-out kit with each trained one and each other held-out one."""
    trained = sorted({name for name in TRAINED if name not in {"synth", "modal"}})
    sounds = {name: all_sounds(name) for name in (*HELD_OUT.values(), *trained)}
    pairs = [*combinations(HELD_OUT.values(), 2), *((kit, name) for kit in HELD_OUT.values() for name in trained)]
    return {(one, other): kinship(sounds[one], sounds[other]) for one, other in pairs}


def main() -> None:
    """Print the table; the highest first."""
    for (one, other), value in sorted(table().items(), key=lambda item: -item[1]):
        print(f"{value:.3f} {one} / {other}{'  <- the same recordings' if value > SAME else ''}")


if __name__ == "__main__":
    main()
