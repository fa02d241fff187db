"""Receipts as the engine writes them, for tests that need one and no sound."""

from __future__ import annotations

from engine.process import child_for_tests
from stemwright.engine.receipt import DrumsRecord, Receipt


def receipt(*stems: str, model: str = "sketch", drums: DrumsRecord | None = None) -> Receipt:
    """Of stems of two seconds, `vocals` where none is named."""
    parts = [child_for_tests.receipt(model, stem, "a.wav") for stem in stems or ("vocals",)]
    whole = parts[0] | {"stems": [part["stems"][0] for part in parts], "drums": drums}
    return Receipt.model_validate(whole)


def drums(**files: str) -> DrumsRecord:
    """What a receipt says of a chart of three hits."""
    return DrumsRecord(weights_digest="w" * 64, onsets=3, bpm=None, octave_bpm=None, files=files)
