"""Spectra of a stream's windows: the right power at the right place, however the stream is cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from sounds import sound
from stemwright.analysis._frames import Spectra

if TYPE_CHECKING:
    from stemwright.types import Samples

RATE, SIZE, HOP = 44_100, 2048, 512


def spectra(song: Samples, *, cuts: int = 1) -> Samples:
    stream = Spectra(RATE, size=SIZE, hop=HOP)
    batches = [batch for block in np.array_split(song, cuts, axis=1) for batch in stream.add(block)]
    return np.concatenate([*batches, stream.rest()])


def test_windows_do_not_depend_on_how_the_stream_was_cut() -> None:
    song = sound("song", seconds=2.0)
    whole = spectra(song)
    assert whole.shape == ((song.shape[1] - SIZE) // HOP + 1, SIZE // 2 + 1)
    for cuts in (3, 1000):
        assert np.array_equal(spectra(song, cuts=cuts), whole)


def test_tone_is_in_its_bin_with_its_power() -> None:
    hertz = 100 * RATE / SIZE
    tone = 0.5 * np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE, dtype=np.float64)
    powers = spectra(tone[None].astype(np.float32))
    assert (powers.argmax(axis=1) == 100).all()
    np.testing.assert_allclose(powers[:, 100], (0.5 / 2) ** 2, rtol=1e-3)  # half its amplitude, squared


def test_channels_in_opposite_phase_do_not_cancel() -> None:
    mono = sound("noise", seconds=0.5, channels=1)
    np.testing.assert_allclose(spectra(np.concatenate([mono, -mono])), spectra(mono), rtol=1e-6)


def test_less_than_a_window_gives_nothing() -> None:
    assert spectra(np.zeros((1, SIZE - 1), np.float32)).shape == (0, SIZE // 2 + 1)


@pytest.mark.parametrize("block", [np.zeros((1, 9)), np.zeros(9), np.zeros((0, 9)), np.full((2, 9), np.nan)])
def test_blocks_that_cannot_be_measured_are_refused(block: Samples) -> None:
    stream = Spectra(RATE, size=SIZE, hop=HOP)
    stream.add(np.zeros((2, 100), np.float32))
    with pytest.raises(ValueError, match=r"expected|finite"):
        stream.add(block.astype(np.float32))


@pytest.mark.parametrize("rate", [0, 3999, 384_001])
def test_rates_that_no_recording_has_are_refused(rate: int) -> None:
    with pytest.raises(ValueError, match="cannot measure"):
        Spectra(rate, size=SIZE, hop=HOP)
