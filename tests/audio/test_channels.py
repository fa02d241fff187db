from __future__ import annotations

import numpy as np
import pytest

from stemwright.audio.channels import describe, downmix_matrix, to_stereo
from stemwright.errors import UnsupportedInputError

HALF_POWER = 0.5**0.5

FIVE_ONE = (
    "5.1 downmixed to stereo (ITU-R BS.775: centre and surrounds -3 dB, LFE dropped; "
    "then all -7.7 dB so that nothing clips)"
)

# Default layouts of ffmpeg, each speaker with its gains before the mix is made safe from clipping.
FRONT = [(1.0, 0.0), (0.0, 1.0)]
CENTRE, LFE, REAR = (HALF_POWER, HALF_POWER), (0.0, 0.0), (0.5, 0.5)
SIDES = [(HALF_POWER, 0.0), (0.0, HALF_POWER)]
DEFAULTS = {
    3: [*FRONT, LFE],
    4: [*FRONT, CENTRE, REAR],
    5: [*FRONT, CENTRE, *SIDES],
    6: [*FRONT, CENTRE, LFE, *SIDES],
    7: [*FRONT, CENTRE, LFE, REAR, *SIDES],
    8: [*FRONT, CENTRE, LFE, *SIDES, *SIDES],
}


@pytest.mark.parametrize("channels", DEFAULTS)
def test_an_impulse_in_each_channel_comes_out_with_its_gains(channels: int) -> None:
    gains = np.array(DEFAULTS[channels])
    safe = gains / max(1.0, gains.sum(axis=0).max())
    for channel in range(channels):
        block = np.zeros((channels, 8), dtype=np.float32)
        block[channel, 3] = 1.0
        stereo = to_stereo(block)
        assert stereo.shape == (2, 8)
        assert stereo.dtype == np.float32
        np.testing.assert_allclose(stereo[:, 3], safe[channel], atol=1e-7)
        assert not stereo[:, [0, 1, 2, 4, 5, 6, 7]].any()


def test_five_point_one_has_the_gains_of_the_recommendation() -> None:
    matrix = downmix_matrix(6)
    in_db = 20 * np.log10(matrix[0, [0, 2, 4]] / matrix[0, 0])
    np.testing.assert_allclose(in_db, [0.0, -3.01, -3.01], atol=0.01)
    assert not matrix[:, 3].any()
    assert 20 * np.log10(matrix[0, 0]) == pytest.approx(-7.66, abs=0.01)


@pytest.mark.parametrize("channels", range(1, 9))
def test_full_scale_everywhere_does_not_clip(channels: int) -> None:
    signs = np.random.default_rng(1).choice([-1.0, 1.0], (channels, 500)).astype(np.float32)
    signs[:, 0] = 1.0
    largest = np.abs(to_stereo(signs)).max()
    assert largest <= 1 + 1e-6
    assert largest == pytest.approx(1.0, abs=1e-6)  # and nothing is made quieter than it must be


@pytest.mark.parametrize("channels", [1, 2])
def test_mono_and_stereo_pass_untouched(channels: int) -> None:
    block = np.random.default_rng(2).standard_normal((channels, 10)).astype(np.float32) * 3
    assert to_stereo(block, mask=0x30) is block
    np.testing.assert_array_equal(downmix_matrix(channels), np.eye(channels))


def test_the_mask_says_where_a_channel_plays() -> None:
    # Four channels: FL FR BL BR (quad), and FL FR FC LFE (3.1).
    np.testing.assert_allclose(downmix_matrix(4, mask=0x33)[:, 2] / downmix_matrix(4, mask=0x33)[0, 0], [HALF_POWER, 0])
    assert not downmix_matrix(4, mask=0x0F)[:, 3].any()


@pytest.mark.parametrize("mask", [0x3, 0xFF, 1 << 31 | 0x1F, 1 << 18 | 0x1F, 0xFFFFFFFF])
def test_a_mask_that_cannot_be_right_is_not_believed(mask: int) -> None:
    np.testing.assert_array_equal(downmix_matrix(6, mask=mask), downmix_matrix(6))
    assert "assumed of 6 channels" in describe(6, mask=mask)


def test_blocks_of_any_size_give_the_same_samples() -> None:
    block = np.random.default_rng(3).standard_normal((6, 1000)).astype(np.float32)
    parts = [to_stereo(block[:, start : start + 7]) for start in range(0, 1000, 7)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), to_stereo(block))


@pytest.mark.parametrize(
    ("channels", "mask", "line"),
    [
        (1, 0, "mono, not downmixed"),
        (2, 0, "stereo, not downmixed"),
        (3, 0x0B, "2.1 downmixed to stereo (ITU-R BS.775: LFE dropped)"),
        (6, 0x60F, FIVE_ONE),
        (4, 0x33, "quad downmixed to stereo (ITU-R BS.775: surrounds -3 dB; then all -4.6 dB so that nothing clips)"),
        (
            3,
            0x103,
            "FL+FR+BC downmixed to stereo (ITU-R BS.775: surrounds -3 dB; then all -3.5 dB so that nothing clips)",
        ),
    ],
)
def test_the_receipt_says_what_was_done(channels: int, mask: int, line: str) -> None:
    assert describe(channels, mask=mask) == line


@pytest.mark.parametrize("channels", [0, 9, 64])
def test_other_numbers_of_channels_are_refused(channels: int) -> None:
    with pytest.raises(UnsupportedInputError):
        downmix_matrix(channels)
    with pytest.raises(UnsupportedInputError):
        to_stereo(np.zeros((channels, 4), dtype=np.float32))
    with pytest.raises(UnsupportedInputError):
        describe(channels)
