from __future__ import annotations

import numpy as np
from training.drum_tempo import PATTERNS, fit, played, share_right

from stemwright.drums.tempo import WEIGHTS, find_tempo


def test_patterns_are_counted_as_they_were_written_at_any_tempo() -> None:
    rng, right = np.random.default_rng(99), []
    for pattern in PATTERNS.values():
        for bpm in (44.0, 97.0, 133.0, 211.0):
            tempo = find_tempo(played(pattern, bpm, bars=8, rng=rng))
            right.append(tempo is not None and abs(tempo.bpm / bpm - 1) < 0.025)
    assert np.mean(right) > 0.9


def test_fit_finds_the_weights_that_tell_the_right_reading() -> None:
    rng = np.random.default_rng(1)
    true = rng.standard_normal(WEIGHTS.size)
    parts = [(features, int(np.argmax(features @ true))) for features in rng.standard_normal((400, 5, WEIGHTS.size))]
    assert share_right(fit(parts[:300]), parts[300:]) > 0.85
