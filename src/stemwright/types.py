"""Names for the quantities that cross floors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Seconds: TypeAlias = float
SampleRate: TypeAlias = int
StemName: TypeAlias = str
Digest: TypeAlias = str  # lower-case hexadecimal SHA-256
MIN_RATE: Final[SampleRate] = 4_000  # Hz, of recordings that are read, measured and written
MAX_RATE: Final[SampleRate] = 384_000
Samples: TypeAlias = npt.NDArray[np.float32]  # [C, T] unless stated otherwise, full scale at ±1


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the user must be told, though the work went on."""

    code: str  # stable, such as `truncated`
    message: str
