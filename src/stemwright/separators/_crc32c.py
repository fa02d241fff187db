"""CRC-32C (Castagnoli, RFC 3720), fast enough for weights: many lanes side by side, joined in GF(2).

Not google-crc32c (0.01 s): this checks the 78 MB of Spleeter's two stems in 0.4 s, with no compiled dependency more.
"""

from __future__ import annotations

from functools import cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

_POLYNOMIAL = 0x82F63B78  # reversed
_BLOCK = 8 << 20  # bytes that are looked at at a time: their transposed copy fits the processor's caches
_Words: TypeAlias = npt.NDArray[np.uint32]


def crc32c(data: npt.NDArray[np.uint8] | bytes) -> int:
    """The CRC-32C of bytes. Input: `[N]` uint8, or bytes."""
    values = np.frombuffer(data, np.uint8)
    state = 0xFFFFFFFF
    for start in range(0, len(values), _BLOCK):
        block = values[start : start + _BLOCK]
        state = _shifted(np.asarray([state], np.uint32), len(block))[0] ^ _of_zero_state(block)
    return int(state) ^ 0xFFFFFFFF


def masked(crc: int) -> int:
    """A CRC as LevelDB and TensorFlow store it: rotated right by 15 bits, plus a constant."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _of_zero_state(block: npt.NDArray[np.uint8]) -> int:
    """The remainder of a block from the state 0, to which zeros in front of the block add nothing."""
    words = 1 << max(0, ((len(block) + 1) // 2 - 1).bit_length() // 2)  # in a lane
    lanes = 1 << max(0, (-(-len(block) // (2 * words)) - 1).bit_length())
    padded = np.zeros(lanes * words * 2, np.uint8)
    padded[len(padded) - len(block) :] = block
    columns = np.ascontiguousarray(padded.view("<u2").reshape(lanes, words).T)
    low, high = np.zeros(lanes, np.uint16), np.zeros(lanes, np.uint16)  # of the states
    index, looked_up = np.empty(lanes, np.intp), np.empty(lanes, np.uint32)
    halves = looked_up.astype("<u4", copy=False).view("<u2").reshape(-1, 2)
    for column in columns:
        index[:] = np.bitwise_xor(low, column, out=low)
        _two_bytes().take(index, out=looked_up, mode="clip")
        np.bitwise_xor(halves[:, 0], high, out=low)
        high[:] = halves[:, 1]
    state = low | high.astype(np.uint32) << np.uint32(16)
    length = 2 * words
    while len(state) > 1:
        state = _shifted(state[::2], length) ^ state[1::2]
        length *= 2
    return int(state[0])


def _shifted(states: _Words, count: int) -> _Words:
    """States after `count` zero bytes."""
    for bit in range(count.bit_length()):
        if count >> bit & 1:
            states = _applied(_operator(bit), states)
    return states


@cache
def _two_bytes() -> _Words:
    """What two bytes do to a state, `[65536]` uint32."""
    table = np.arange(1 << 16, dtype=np.uint32)
    for _ in range(16):
        table = np.where(table & 1, table >> 1 ^ np.uint32(_POLYNOMIAL), table >> 1)
    return table


@cache
def _operator(power: int) -> _Words:
    """What 2**power zero bytes do to a state: a table for each of its bytes, `[4, 256]` uint32."""
    if power:
        half = _operator(power - 1)
        return np.stack([_applied(half, row) for row in half])
    values = np.arange(256, dtype=np.uint32)
    states = np.stack([values << np.uint32(8 * byte) for byte in range(4)])
    for _ in range(8):
        states = np.where(states & 1, states >> 1 ^ np.uint32(_POLYNOMIAL), states >> 1)
    return states


def _applied(tables: _Words, states: _Words) -> _Words:
    result: _Words = tables[0][states & 0xFF]
    for byte in range(1, 4):
        result = result ^ tables[byte][states >> np.uint32(8 * byte) & 0xFF]
    return result
