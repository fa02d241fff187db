from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemwright.audio.formats import ALIASES, FORMATS, parse_format
from stemwright.errors import OptionError

formats = st.sampled_from(sorted(FORMATS))


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("wav", "wav16"),
        ("FLAC", "flac16"),
        (" .wav24 ", "wav24"),
        ("wav32f", "wav32f"),
        ("alac", "alac16"),
        ("m4a", "m4a"),
    ],
)
def test_a_word_means_a_format(word: str, name: str) -> None:
    assert parse_format(word).name == name


@pytest.mark.parametrize("word", ["", "wma", "wav 16", "../wav", "x" * 1000])
def test_an_unknown_word_gets_the_list_of_those_that_exist(word: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse_format(word)
    assert all(name in caught.value.message for name in (*FORMATS, *ALIASES))
    assert len(caught.value.message) < 300


def test_only_float_wav_does_not_clip() -> None:
    assert [name for name, form in FORMATS.items() if not form.clips] == ["wav32f"]


@given(name=formats, rate=st.integers(1, 800_000))
def test_the_nearest_rate_can_be_written_and_loses_nothing_unless_there_is_no_higher(name: str, rate: int) -> None:
    form = FORMATS[name]
    nearest = form.nearest_rate(rate)
    form.check_rate(nearest)
    highest = form.rates[-1] if form.rates else form.max_rate
    assert nearest >= min(rate, highest)
    assert nearest in {rate, highest} or form.rates or nearest - rate < 10


@pytest.mark.parametrize(
    ("name", "rate", "written"),
    [
        ("mp3", 96_000, 48_000),
        ("mp3", 44_100, 44_100),
        ("mp3", 22_000, 22_050),
        ("opus", 44_100, 48_000),
        ("m4a", 192_000, 96_000),
        ("m4a", 44_101, 48_000),
        ("flac16", 96_001, 96_010),
        ("flac16", 44_101, 44_101),
        ("wav16", 11_111, 11_111),
    ],
)
def test_rates_that_a_format_lacks_are_raised_to_its_next(name: str, rate: int, written: int) -> None:
    assert FORMATS[name].nearest_rate(rate) == written


def test_rates_and_channels_that_cannot_be_carried_are_refused() -> None:
    with pytest.raises(OptionError, match="96000 Hz"):
        FORMATS["mp3"].check_rate(96_000)
    with pytest.raises(OptionError, match="0 Hz"):
        FORMATS["wav16"].check_rate(0)
    with pytest.raises(OptionError, match="1 to 2 channels, not 6"):
        FORMATS["mp3"].check_channels(6)
    with pytest.raises(OptionError):
        FORMATS["wav16"].check_channels(0)


def test_a_bit_rate_is_the_formats_own_unless_one_is_asked_for() -> None:
    assert [FORMATS[name].check_bitrate(None) for name in ("mp3", "opus", "m4a", "flac16")] == [
        320_000,
        160_000,
        256_000,
        None,
    ]
    assert FORMATS["mp3"].check_bitrate(128_000) == 128_000


@pytest.mark.parametrize(
    ("name", "bitrate"), [("mp3", 320_001), ("mp3", 320), ("opus", 0), ("m4a", -1), ("wav16", 320_000)]
)
def test_a_bit_rate_that_cannot_be_had_is_refused(name: str, bitrate: int) -> None:
    with pytest.raises(OptionError):
        FORMATS[name].check_bitrate(bitrate)
