from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sounds import sound
from stemwright.drums.features import HOP, TONES, Features, features_of


def test_there_is_a_frame_for_each_512_samples_or_part_of_them() -> None:
    for count, frames in ((0, 0), (1, 1), (512, 1), (513, 2), (44_100, 87)):
        assert features_of(np.zeros((1, count), np.float32)).shape == (frames, 4, 72)


def test_a_click_shows_in_the_frame_in_which_it_lies() -> None:
    click = np.zeros((1, 44_100), np.float32)
    click[0, 20 * HOP] = 1
    short, later, long = features_of(click)[:, :3].sum(axis=2).T
    assert short.argmax() == 20
    assert later.argmax() in {19, 20}  # half a frame to both
    assert long.argmax() in {19, 20}


def test_the_tones_of_a_hum_lie_in_its_bin() -> None:
    at = np.arange(44_100) / 44_100
    for hertz in (86.1, 150.7, 409.1):  # bins of 10.8 Hz, the first at 43 Hz
        tones = features_of(np.sin(2 * np.pi * hertz * at, dtype=np.float32)[None])[40, TONES]
        assert tones.argmax() == round(hertz / (44_100 / 4096)) - 4


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 9000), max_size=12), st.sampled_from([44_100, 48_000, 22_050]))
def test_features_do_not_depend_on_how_the_sound_was_cut(cuts: list[int], rate: int) -> None:
    whole = sound("song", seconds=1.0, rate=rate)
    stream = Features(rate, channels=2)
    parts, start = [], 0
    for size in cuts:
        parts.append(stream.add(whole[:, start : start + size]))
        start += size
    parts += [stream.add(whole[:, start:]), stream.finish()]
    np.testing.assert_array_equal(np.concatenate(parts), features_of(whole, sample_rate=rate))


def test_sound_in_opposite_phase_counts_as_much_as_in_phase() -> None:
    left = sound("noise", seconds=0.5, channels=1)
    both = features_of(np.concatenate([left, left]))
    np.testing.assert_allclose(features_of(np.concatenate([left, -left])), both, atol=1e-5)
    np.testing.assert_allclose(features_of(left), both, atol=1e-5)


def test_samples_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        Features(44_100, channels=1).add(np.full((1, 10), np.nan, np.float32))
