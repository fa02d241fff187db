"""From the song's rate and channels to the model's and back, in step with the mix."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from separators_for_tests import Known, pass_through, share, spec
from sounds import level_db, sound
from stemwright.engine.unmix import SongShape, Unmixer
from stemwright.separators import catalogue
from stemwright.separators.protocol import LoadOptions

if TYPE_CHECKING:
    from pathlib import Path

    from sounds import Samples
    from stemwright.separators.protocol import Separator


def run(separator: Separator, mix: Samples, rate: int, *, block: int = 5000, **options: float) -> Samples:
    mono = mix.mean(axis=0, dtype=np.float64)
    shape = SongShape(
        sample_rate=rate,
        channels=mix.shape[0],
        frames=mix.shape[1],
        mean=float(mono.mean()),
        deviation=float(mono.std(ddof=1)) if mix.shape[1] > 1 else 0.0,
    )
    unmixer = Unmixer(separator, shape, **options)  # type: ignore[arg-type]
    pairs = [*unmixer.run(mix[:, at : at + block] for at in range(0, mix.shape[1], block))]
    np.testing.assert_array_equal(np.concatenate([part for part, _ in pairs], -1), mix)  # in step, nothing lost
    return np.concatenate([part for _, part in pairs], -1)


@pytest.mark.parametrize("rate", [8000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_stems_come_back_at_the_songs_rate_length_and_channels_without_lag(rate: int, channels: int) -> None:
    mix = sound("sine", seconds=1.2345, rate=rate, channels=channels)
    separator = Known(spec(), (share(0.5), share(0.25)))
    stems = run(separator, mix, rate)
    assert stems.shape == (2, *mix.shape)
    inner = slice(rate // 10, -rate // 10)
    assert level_db(stems[0][:, inner] - 0.5 * mix[:, inner], mix) < -80
    assert level_db(stems[1][:, inner] - 0.25 * mix[:, inner], mix) < -80


@settings(deadline=None, max_examples=40)
@given(
    frames=st.integers(1, 20_000),
    rate=st.sampled_from([4000, 11_025, 44_100, 48_000, 192_000]),
    channels=st.integers(1, 2),
    shifts=st.integers(0, 3),
    block=st.integers(1, 7000),
)
def test_lengths_are_exact_for_any_song(frames: int, rate: int, channels: int, shifts: int, block: int) -> None:
    mix = sound("noise", seconds=frames / rate, rate=rate, channels=channels)
    stems = run(pass_through(shift=2000), mix, rate, block=max(block, frames // 50), shifts=shifts)
    assert stems.shape == (1, *mix.shape)


def test_standardising_is_undone_but_seen_by_the_model() -> None:
    seen: list[float] = []

    def look(chunk: Samples) -> Samples:
        seen.append(float(chunk.std()))
        return chunk

    mix = 0.01 * sound("noise", seconds=2, channels=1).repeat(2, axis=0) + np.float32(0.2)
    separator = Known(spec(stems=("other",), standardise=True), (look,))
    stems = run(separator, mix, 44_100)
    assert seen[3] == pytest.approx(1, abs=0.1)
    assert np.abs(stems[0] - mix).max() < 1e-6


def test_silence_stays_silence() -> None:
    stems = run(pass_through(standardise=True), np.zeros((2, 9999), np.float32), 44_100)
    assert not stems.any()


def test_progress_rises_to_one() -> None:
    told: list[float] = []
    run(pass_through(shift=500), sound("noise", seconds=1, rate=48_000), 48_000, shifts=2, on_progress=told.append)  # type: ignore[arg-type]
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1, abs=1e-3)
    assert len(told) > 20


@pytest.mark.parametrize("name", ["tiny", "weighted", "hybrid"])
def test_equals_the_demucs_command_line_separator_on_the_same_weights(demucs_repo: Path, name: str) -> None:
    import torch
    from demucs.api import Separator as DemucsApi

    mix = sound("song", seconds=3.3, rate=8000)
    theirs = DemucsApi(model=name, repo=demucs_repo, device="cpu", shifts=0)
    _, expected = theirs.separate_tensor(torch.from_numpy(mix))
    separator = catalogue.load(name, options=LoadOptions(repo=demucs_repo, device="cpu"))
    ours = run(separator, mix, 8000)
    for stem, estimate in zip(separator.spec.stems, ours, strict=True):
        assert level_db(estimate - expected[stem].numpy(), expected[stem].numpy()) < -80


def test_shifts_equal_those_of_demucs_with_the_same_draws(demucs_repo: Path) -> None:
    import torch
    from demucs.api import Separator as DemucsApi

    mix = sound("song", seconds=3.3, rate=8000)
    theirs = DemucsApi(model="hybrid", repo=demucs_repo, device="cpu", shifts=3)
    random.seed(0)
    _, expected = theirs.separate_tensor(torch.from_numpy(mix))
    separator = catalogue.load("hybrid", options=LoadOptions(repo=demucs_repo, device="cpu"))
    ours = run(separator, mix, 8000, shifts=3)
    for stem, estimate in zip(separator.spec.stems, ours, strict=True):
        assert level_db(estimate - expected[stem].numpy(), expected[stem].numpy()) < -80
