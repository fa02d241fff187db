"""Recursive filters by matrix products: what scipy gives sample by sample, however the stream is cut."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import butter, sosfilt

from stemwright.audio import biquads
from stemwright.audio.loudness import k_weighting

FILTERS = {
    "K at 48 kHz": k_weighting(48_000),
    "K at 384 kHz": k_weighting(384_000),
    "one section": butter(2, 0.01, output="sos"),
    "six sections": butter(12, [0.02, 0.9], "bandpass", output="sos")[:6],
}


@given(
    kind=st.sampled_from(sorted(FILTERS)),
    channels=st.integers(1, 3),
    cuts=st.lists(st.integers(0, 700), max_size=6),
    length=st.integers(1, 5000),
    seed=st.integers(0, 2**32),
)
def test_it_filters_as_scipy_does_however_the_stream_is_cut(
    kind: str, channels: int, cuts: list[int], length: int, seed: int
) -> None:
    sections = FILTERS[kind]
    sound = np.random.default_rng(seed).uniform(-1, 1, (channels, length + sum(cuts))).astype(np.float32)
    wanted = sosfilt(sections, sound.astype(np.float64))
    state = start = biquads.silence(sections, channels=channels)
    parts = []
    for part in np.split(sound, np.cumsum(cuts), axis=1):
        out, state = biquads.filtered(sections, part, state)
        parts.append(out)
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), wanted)
    assert not start.any()


def test_the_package_is_asked_where_its_function_is_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    sections = FILTERS["six sections"]
    sound = np.random.default_rng(1).uniform(-1, 1, (2, 1000)).astype(np.float32)
    state = np.full((2, len(sections), 2), 0.1)
    assert biquads._kernel() is not None  # else every command is slower: look where scipy has it now
    by_kernel = biquads.filtered(sections, sound, state)
    monkeypatch.setattr(biquads, "_kernel", lambda: None)
    for one, other in zip(by_kernel, biquads.filtered(sections, sound, state), strict=True):
        np.testing.assert_array_equal(one, other)
    assert biquads.filtered(sections, sound[:, :0], state)[0].shape == (2, 0)


@pytest.mark.parametrize(
    "what", ["stemwright.engine.separate", "stemwright.audio.loudness", "stemwright.engine.channel_strip"]
)
def test_scipys_signal_package_is_not_loaded_for_it(what: str) -> None:
    code = (
        f"import sys, {what}, numpy; from stemwright.audio.loudness import LoudnessMeter;"
        "meter = LoudnessMeter(48000, channels=1); meter.add(numpy.ones((1, 48000), 'f')); meter.integrated_lufs();"
        "sys.exit('scipy.signal' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
