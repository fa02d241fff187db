from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from stemwright.doors.runpod.contract import SeparationConfig, model_of, stems_of
from stemwright.errors import UnknownStemError

# source 002, `StemSeparationConfig`
WHOLE = {
    "model": "spleeter",
    "modelVariant": "5stems",
    "stems": {"drums": True, "bass": False, "vocals": True, "other": True, "piano": True},
    "quality": {"sampleRate": 48000, "outputFormat": "mp3", "bitrate": 192},
}


def config(**changes: Any) -> SeparationConfig:
    return SeparationConfig.model_validate(WHOLE | changes)


def test_configuration_of_the_document_comes_back_as_it_was() -> None:
    assert config().plain() == WHOLE
    assert config().wanted == ("drums", "vocals", "other", "piano")
    assert SeparationConfig().wanted == ("vocals", "drums", "bass", "other")
    assert SeparationConfig(model_variant="2stems").wanted == ("vocals", "other")


@pytest.mark.parametrize(
    ("quality", "bits"),
    [
        ({"outputFormat": "mp3", "bitrate": 128}, 128_000),
        ({"outputFormat": "mp3", "bitrate": 128_000}, 128_000),
        ({"outputFormat": "mp3"}, None),
        ({"outputFormat": "wav", "bitrate": 192}, None),
        ({}, None),
    ],
)
def test_bit_rate_is_of_mp3_in_kbit_or_bits(quality: dict[str, Any], bits: int | None) -> None:
    assert config(quality=quality).quality.bits == bits


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": "demucs"}, "Input should be 'spleeter'"),
        ({"modelVariant": "3stems"}, "Input should be '2stems', '4stems' or '5stems'"),
        ({"modelVariant": "2stems"}, "2stems has vocals, other, but no drums"),
        ({"modelVariant": "4stems"}, "4stems has vocals, drums, bass, other, but no piano"),
        ({"stems": {"vocals": False, "other": False}}, "at least one must be true"),
        ({"stems": {"guitar": True}}, "Extra inputs are not permitted"),
        ({"quality": {"sampleRate": 22050}}, "Input should be 44100 or 48000"),
        ({"quality": {"outputFormat": "flac"}}, "Input should be 'wav' or 'mp3'"),
        ({"quality": {"outputFormat": "mp3", "bitrate": 16}}, "MP3 takes 32 to 320 kbit/s"),
    ],
)
def test_what_the_types_do_not_allow_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        config(**changes)


def test_stems_have_the_names_of_the_model_that_is_used() -> None:
    two, four = SeparationConfig(model_variant="2stems"), SeparationConfig()
    assert model_of(two, {}) == "spleeter:2stems"
    assert stems_of(two, "spleeter:2stems", repo=None) == {"vocals": "vocals", "other": "accompaniment"}
    assert stems_of(two, "sketch", repo=None) == {"vocals": "vocals", "other": "no_vocals"}
    assert model_of(four, {"4stems": "sketch"}) == "sketch"
    assert stems_of(four, "sketch", repo=None)["other"] == "other"
    with pytest.raises(UnknownStemError, match="the model for 5stems has no piano"):
        stems_of(config(), "sketch", repo=None)
