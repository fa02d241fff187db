"""CRC-32C against known values (RFC 3720) and against the bit-by-bit definition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemwright.separators._crc32c import crc32c, masked


def by_bits(data: bytes) -> int:
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    ("data", "crc"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
    ],
)
def test_known_values(data: bytes, crc: int) -> None:
    assert crc32c(data) == crc


@given(st.binary(max_size=700))
def test_is_what_its_definition_says(data: bytes) -> None:
    assert crc32c(data) == by_bits(data)


def test_blocks_of_megabytes_are_joined() -> None:
    data = bytes(range(256)) * 40_000  # 10 MB: more than a block
    state = crc32c(data)
    assert state != crc32c(data[:-1] + b"\x00")
    assert state != crc32c(b"\x01" + data[1:])
    assert crc32c(data[:1_000_003]) == by_bits(data[:1_000_003])


def test_masked_is_leveldbs() -> None:
    assert masked(0) == 0xA282EAD8
    assert masked(0xE3069283) == ((0xE3069283 >> 15 | 0xE3069283 << 17) + 0xA282EAD8) % 2**32
