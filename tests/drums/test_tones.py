from __future__ import annotations

import numpy as np
import pytest

from stemwright.drums.features import features_of
from stemwright.drums.tones import Tones

RATE = 44_100
BIN = RATE / 4096


def ringing(hertz: float, *, start: float, seconds: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    at = np.arange(round(seconds * RATE)) / RATE - start
    return (np.sin(2 * np.pi * hertz * at) * np.exp(-np.maximum(at, 0) / 0.3) * (at >= 0)).astype(np.float32)


def test_tones_are_those_of_the_hit_and_not_of_what_rang_before() -> None:
    hum = 0.5 * np.sin(2 * np.pi * 300 * np.arange(2 * RATE) / RATE, dtype=np.float32)
    tones = Tones()
    sound = hum.astype(np.float32) + ringing(120, start=1.0, seconds=2)
    tones.add(features_of(sound[None]))
    found = np.array(tones.at(1.0))
    assert found.argmax() == round(120 / BIN) - 4
    assert found[round(300 / BIN) - 4] < 0.1 * found.max()
    assert np.square(found).sum() == pytest.approx(1, abs=1e-3)


def test_a_hit_on_the_first_sample_has_its_tones() -> None:
    tones = Tones()
    tones.add(features_of(ringing(200, start=0.0, seconds=1)[None]))
    assert np.argmax(tones.at(0.0)) == round(200 / BIN) - 4


def test_what_is_forgotten_is_older_than_half_a_minute() -> None:
    whole, parts = Tones(), Tones()
    features = features_of(np.random.default_rng(0).standard_normal((1, 50 * RATE)).astype(np.float32))
    whole.add(features)
    for start in range(0, len(features), 500):
        parts.add(features[start : start + 500])
        parts.forget()
    for time in (20.0, 35.2, 49.9):
        assert parts.at(time) == whole.at(time)
