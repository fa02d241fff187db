"""Mean and deviation of a song that comes in blocks are those of the song."""

from __future__ import annotations

import numpy as np
import pytest

from stemwright.engine.moments import Moments


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("block", [1, 7, 1000, 5000])
def test_moments_of_blocks_are_those_of_the_whole_mono_mix(channels: int, block: int) -> None:
    song = (0.25 + 0.1 * np.random.default_rng(7).standard_normal((channels, 5000))).astype(np.float32)
    moments = Moments()
    for start in range(0, song.shape[1], block):
        moments.add(song[:, start : start + block])
    mono = song.astype(np.float64).mean(axis=0)
    assert moments.frames == 5000
    assert moments.mean == pytest.approx(mono.mean(), rel=1e-6)
    assert moments.deviation == pytest.approx(mono.std(ddof=1), rel=1e-6)


@pytest.mark.parametrize("frames", [1, 100_000])
def test_deviation_of_a_constant_is_zero_whatever_is_rounded(frames: int) -> None:
    moments = Moments()
    moments.add(np.full((2, frames), 0.1, np.float32))
    assert moments.deviation == pytest.approx(0.0, abs=1e-6)
    assert moments.mean == pytest.approx(np.float32(0.1))
