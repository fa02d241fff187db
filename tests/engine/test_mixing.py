"""Stems add up to the mix, and what the model left over is measured."""

from __future__ import annotations

import numpy as np
import pytest

from separators_for_tests import spec
from sounds import sound
from stemwright.engine.mixing import StemMixer, remainder_stem
from stemwright.errors import UnknownStemError

INFO = spec(stems=("vocals", "drums", "other")).info
MIX = sound("noise", seconds=0.1)
ESTIMATES = np.stack([0.5 * MIX, 0.25 * MIX, 0.15 * MIX])  # a tenth of the mix is left


def test_remainder_goes_to_other_or_else_to_the_last_stem() -> None:
    assert remainder_stem(("other", "vocals")) == "other"
    assert remainder_stem(("vocals", "accompaniment")) == "accompaniment"


def test_exact_stems_add_up_to_the_mix_and_only_other_is_changed() -> None:
    mixer = StemMixer(INFO, wanted=None, exact=True)
    stems = mixer.mix(MIX, ESTIMATES)
    np.testing.assert_allclose(stems.sum(axis=0), MIX, atol=1e-7)
    assert np.array_equal(stems[:2], ESTIMATES[:2])
    assert mixer.needed is None
    assert mixer.residual_db() == pytest.approx(-20.0, abs=0.01)


def test_stems_as_the_model_gives_them_leave_the_rest() -> None:
    mixer = StemMixer(INFO, wanted=None, exact=False)
    assert np.array_equal(mixer.mix(MIX, ESTIMATES), ESTIMATES)
    assert mixer.remainder is None


def test_mix_without_a_stem_is_the_difference_and_needs_that_stem_only() -> None:
    mixer = StemMixer(INFO, wanted=("no_vocals", "vocals"), exact=True)
    without, vocals = mixer.mix(MIX, ESTIMATES)
    np.testing.assert_allclose(without + vocals, MIX, atol=1e-7)
    assert mixer.needed == ("vocals",)
    assert mixer.residual_db() is None  # drums and other were not asked of the model


def test_mix_without_other_lacks_the_remainder_too() -> None:
    mixer = StemMixer(INFO, wanted=("no_other",), exact=True)
    np.testing.assert_allclose(mixer.mix(MIX, ESTIMATES)[0], 0.75 * MIX, atol=1e-7)
    assert mixer.needed is None


def test_silence_has_no_residual() -> None:
    mixer = StemMixer(INFO, wanted=None, exact=True)
    mixer.mix(np.zeros_like(MIX), np.zeros_like(ESTIMATES))
    assert mixer.residual_db() is None


def test_stem_that_the_model_does_not_give_is_refused_with_a_hint() -> None:
    with pytest.raises(UnknownStemError, match=r"not 'vocal'.*did you mean vocals"):
        StemMixer(INFO, wanted=("vocal",), exact=True)
