from __future__ import annotations

import numpy as np

from stemwright.separators._cues import Cues

HERTZ = np.arange(1, 513) * 20.0
VOCALS, DRUMS, BASS, OTHER = range(4)


def shares(
    *, where: tuple[slice | int, slice | int], centre: float = 1.0
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Mean shares of what sounds: magnitudes of 1 at `where` in 80 frames of 512 bins, next to nothing elsewhere."""
    loudness = np.full((80, len(HERTZ)), 1e-3, np.float32)
    loudness[where] = 1
    found = Cues(HERTZ).shares(loudness, np.full(loudness.shape, centre, np.float32))
    assert np.allclose(found.sum(axis=0), 1, atol=1e-5)
    means: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = found[(slice(None), *where)].reshape(4, -1).mean(axis=1)
    return means


def test_a_hit_is_drums() -> None:
    assert shares(where=(40, slice(None)))[DRUMS] > 0.99


def test_a_held_note_is_bass_below_and_in_the_middle_a_voice_above() -> None:
    every = slice(None)
    assert shares(where=(every, 3))[BASS] > 0.99  # 80 Hz
    assert shares(where=(every, 50))[VOCALS] > 0.99  # 1020 Hz
    assert shares(where=(every, 50), centre=0.0)[OTHER] > 0.99


def test_silence_gives_shares_too() -> None:
    found = Cues(HERTZ).shares(*np.zeros((2, 30, len(HERTZ)), np.float32))
    assert np.isfinite(found).all()
