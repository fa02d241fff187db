"""The digest that tells whether two recordings hold the same samples."""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from stemwright.types import Digest, SampleRate, Samples


class PcmDigest:
    """SHA-256 over rate, channels and samples: equal for a WAV and its FLAC, whatever their tags.

    Lossy decodes are not bit-identical to their source: an MP3 of a WAV is another recording.
    """

    def __init__(self, sample_rate: SampleRate, channels: int) -> None:
        self._hash = hashlib.sha256(struct.pack("<4sIH", b"pcm1", sample_rate, channels))

    def update(self, block: Samples) -> None:
        """Take the next samples. Input: `[C, T]` float32."""
        interleaved = np.ascontiguousarray(block.T, dtype="<f4")
        self._hash.update((interleaved + np.float32(0)).data)  # + 0 makes one zero of the two that IEEE 754 has

    def hexdigest(self) -> Digest:
        """The digest so far."""
        return self._hash.hexdigest()
