from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from sounds import sound
from stemwright.drums.features import features_of
from stemwright.drums.frames import BUNDLED, DrumNetwork, Frames
from stemwright.errors import WeightsError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def network() -> DrumNetwork:
    return DrumNetwork()


def test_weights_are_small_enough_for_the_wheel() -> None:
    assert BUNDLED.stat().st_size <= 4e6


def test_network_says_its_digest_and_a_threshold_for_each_lane(network: DrumNetwork) -> None:
    assert len(network.digest) == 64
    assert len(network.thresholds) == 8
    assert all(0 < threshold < 1 for threshold in network.thresholds)


def test_activations_in_pieces_are_those_of_the_whole(network: DrumNetwork) -> None:
    features = features_of(sound("song", seconds=26.0, channels=1))
    whole = network.run(features)
    assert len(whole) == 2 * len(features)
    for size in (100, 1500):
        stream = Frames(network)
        parts = [stream.add(features[start : start + size]) for start in range(0, len(features), size)]
        parts.append(stream.finish())
        joined = np.concatenate([part.onsets for part in parts])
        assert len(joined) == len(whole)
        np.testing.assert_allclose(joined, whole.onsets, atol=1e-5)
        np.testing.assert_allclose(np.concatenate([part.kinds for part in parts]), whole.kinds, atol=1e-5)


def test_nothing_in_nothing_out(network: DrumNetwork) -> None:
    assert len(Frames(network).finish()) == 0


def test_damaged_weights_are_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(BUNDLED.read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"bad\.onnx.*cannot be read"):
        DrumNetwork(tmp_path / "bad.onnx")
