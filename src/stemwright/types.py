"""Names for the quantities that cross floors."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Seconds: TypeAlias = float
SampleRate: TypeAlias = int
StemName: TypeAlias = str
Digest: TypeAlias = str  # lower-case hexadecimal SHA-256
Samples: TypeAlias = npt.NDArray[np.float32]  # [C, T] unless stated otherwise, full scale at ±1
