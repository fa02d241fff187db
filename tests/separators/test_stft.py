from __future__ import annotations

import numpy as np
import pytest

from sounds import level_db, sound
from stemwright.separators.stft import Spectrum, Stft


@pytest.mark.parametrize("hops", [8, 64, 65, 200])
def test_inverse_gives_the_samples_back_but_for_the_edges(hops: int) -> None:
    stft = Stft(1024)
    samples = sound("noise", seconds=2)[:, : hops * stft.hop]
    spectrum = stft.forward(samples)
    assert spectrum.shape == (2, hops + 1, 513)

    def part(frames: slice) -> Spectrum:
        return spectrum[:, frames].copy()

    back = np.zeros_like(samples)
    stft.inverse(part, out=back, frames=range(2, hops - 1))
    inside = slice(2 * stft.hop, (hops - 2) * stft.hop)
    assert level_db(back[:, inside] - samples[:, inside], samples) < -120
    assert not back[:, : inside.start].any()
    assert not back[:, inside.stop :].any()


def test_sine_lies_in_its_bin() -> None:
    stft = Stft(4096)
    time = np.arange(40 * stft.hop)
    spectrum = stft.forward(np.sin(2 * np.pi * 100 * time / 4096).astype(np.float32)[None])
    assert set(np.abs(spectrum[0, 5:-5]).argmax(axis=1)) == {100}
