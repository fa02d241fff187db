from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recordings import RATE, record, song
from sounds import Samples, sound, write_wav
from stemwright.audio.decode import open_audio
from stemwright.audio.digest import PcmDigest

if TYPE_CHECKING:
    from pathlib import Path


def digest(path: Path) -> str:
    with open_audio(path) as stream:
        found = PcmDigest(stream.info.sample_rate, stream.info.channels)
        for block in stream:
            found.update(block)
    return found.hexdigest()


def digest_of(samples: Samples, *, rate: int = RATE, cuts: tuple[int, ...] = ()) -> str:
    found = PcmDigest(rate, samples.shape[0])
    for start, end in pairwise((0, *sorted(cuts), samples.shape[1])):
        found.update(samples[:, start:end])
    return found.hexdigest()


@pytest.mark.parametrize(
    "options",
    [
        ("wav", "-c:a pcm_s16le", "-sample_fmt s16", "-c:a pcm_s16be", "-c:a alac -sample_fmt s16p"),
        ("wav", "-c:a pcm_s24le", "-sample_fmt s32", "-c:a pcm_s24be", "-c:a alac -sample_fmt s32p"),
    ],
    ids=["16 bits", "24 bits"],
)
def test_lossless_files_of_the_same_samples_have_one_digest(tmp_path: Path, options: tuple[str, ...]) -> None:
    _, wav, flac, aiff, alac = options
    original = record(tmp_path / "a.wav", wav, song())
    with open_audio(original) as stream:
        samples = np.concatenate(list(stream), axis=1)
    others = [
        record(tmp_path / "a.flac", flac, samples),
        record(tmp_path / "a.aiff", aiff, samples),
        record(tmp_path / "a.m4a", alac, samples),
    ]
    assert {digest(path) for path in others} == {digest(original)}


def test_tags_do_not_matter(tmp_path: Path) -> None:
    plain = record(tmp_path / "a.flac", "", song())
    tagged = record(tmp_path / "b.flac", "-metadata title=Song -metadata artist=Somebody", song())
    assert plain.read_bytes() != tagged.read_bytes()
    assert digest(plain) == digest(tagged)


def test_one_flipped_bit_changes_it(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", song(), bits=16)
    before = digest(path)
    data = bytearray(path.read_bytes())
    data[-2] ^= 1  # the last sample's lowest bit
    path.write_bytes(data)
    assert digest(path) != before


def test_the_rate_is_part_of_it(tmp_path: Path) -> None:
    samples = song()
    at_44, at_48 = (write_wav(tmp_path / f"{rate}.wav", samples, rate) for rate in (44_100, 48_000))
    assert digest(at_44) != digest(at_48)


def test_the_number_of_channels_is_part_of_it() -> None:
    samples = sound("noise", seconds=0.1)
    assert digest_of(samples) != digest_of(samples.T.reshape(1, -1))  # the same numbers in the same order


def test_an_mp3_of_a_wav_is_another_recording(tmp_path: Path) -> None:
    assert digest(write_wav(tmp_path / "a.wav", song())) != digest(record(tmp_path / "a.mp3", "-b:a 320k", song()))


@given(cuts=st.lists(st.integers(0, 4410), max_size=5))
def test_it_does_not_depend_on_the_blocks(cuts: list[int]) -> None:
    samples = sound("noise", seconds=0.1)
    assert digest_of(samples, cuts=tuple(cuts)) == digest_of(samples)


def test_negative_zero_is_zero() -> None:
    zeros = np.zeros((2, 10), np.float32)
    assert digest_of(-zeros) == digest_of(zeros)


def test_it_is_a_sha256_that_stays_the_same_from_version_to_version() -> None:
    samples = (np.arange(-4, 4).reshape(2, 4) / 8).astype(np.float32)
    assert digest_of(samples) == "3209761957e8d205633c96a3422a6e226204bef04ee3150b52ffc08c4469f6d4"
