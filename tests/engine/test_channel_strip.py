"""How a stem goes into a mix."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st

from stemwright.engine.channel_strip import ChannelStrip, Equaliser
from stemwright.errors import OptionError

BANDS = st.tuples(*[st.floats(-24, 12)] * 3)


def gain_db(strip: ChannelStrip, hz: float, *, rate: int = 44_100) -> float:
    """What the equaliser adds at a frequency."""
    response = scipy.signal.sosfreqz(strip.sections(rate), [hz], fs=rate)[1]
    return 20 * math.log10(abs(response[0]))


@pytest.mark.parametrize("rate", [22_050, 44_100, 96_000])
@pytest.mark.parametrize("db", [-24.0, -3.0, 12.0])
def test_each_band_gives_its_gain_where_it_is_and_leaves_the_rest(db: float, rate: int) -> None:
    low, mid, high = (ChannelStrip(eq=bands) for bands in ((db, 0, 0), (0, db, 0), (0, 0, db)))
    assert gain_db(low, 5, rate=rate) == pytest.approx(db, abs=0.02)
    assert gain_db(low, 250, rate=rate) == pytest.approx(db / 2, abs=0.02)  # a shelf's midpoint
    assert gain_db(low, 9_000, rate=rate) == pytest.approx(0, abs=0.05)
    assert gain_db(mid, 1_000, rate=rate) == pytest.approx(db, abs=0.02)
    assert gain_db(mid, 5, rate=rate) == pytest.approx(0, abs=0.05)
    assert gain_db(high, 4_000, rate=rate) == pytest.approx(db / 2, abs=0.02)
    assert gain_db(high, 0.4999 * rate, rate=rate) == pytest.approx(db, abs=0.05)
    assert gain_db(high, 20, rate=rate) == pytest.approx(0, abs=0.05)


@given(bands=BANDS, rate=st.sampled_from([4_000, 8_000, 44_100, 192_000]))
def test_no_equaliser_rings_for_ever(bands: tuple[float, float, float], rate: int) -> None:
    for section in ChannelStrip(eq=bands).sections(rate):
        assert np.abs(np.roots(section[3:])).max() < 1


def test_blocks_at_0_db_pass_untouched() -> None:
    block = np.ones((2, 10), np.float32)
    assert Equaliser(ChannelStrip(gain_db=-6.0), 44_100, channels=2).run(block) is block


@given(pan=st.floats(-1, 1))
def test_pan_is_a_balance(pan: float) -> None:
    factors = ChannelStrip(gain_db=6.0, pan=pan).factors()
    left, right = factors[0, 0], factors[-1, 0]
    assert max(left, right) == pytest.approx(10 ** (6 / 20))
    assert min(left, right) / max(left, right) == pytest.approx(1 - abs(pan), abs=1e-9)
    assert right >= left if pan >= 0 else left >= right


@pytest.mark.parametrize("gain", [None, -math.inf])
def test_mute_is_not_heard(gain: float | None) -> None:
    assert not ChannelStrip(gain_db=gain).heard
    assert not ChannelStrip(gain_db=gain).factors().any()


@pytest.mark.parametrize(
    "strip",
    [
        ChannelStrip(gain_db=60.1),
        ChannelStrip(gain_db=math.nan),
        ChannelStrip(pan=1.01),
        ChannelStrip(pan=math.nan),
        ChannelStrip(eq=(0, 0, 12.5)),
        ChannelStrip(eq=(-25, 0, 0)),
        ChannelStrip(eq=(math.nan, 0, 0)),
        ChannelStrip(eq=(0, 0)),  # type: ignore[arg-type]
    ],
)
def test_settings_that_are_none_are_refused(strip: ChannelStrip) -> None:
    with pytest.raises(OptionError, match="drums"):
        strip.check("drums")
