"""How one stem goes into a mix: equaliser, gain, balance. What the player's mixer does, sample for sample."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from stemwright.audio.biquads import filtered, silence
from stemwright.errors import OptionError

if TYPE_CHECKING:
    from stemwright.types import SampleRate, Samples

MAX_GAIN_DB: Final = 60.0
BAND_DB: Final = (-24.0, 12.0)
Doubles: TypeAlias = npt.NDArray[np.float64]
_SHELVES: Final = (250.0, 4000.0)  # Hz, their midpoints
_BELL, _WIDTH = 1000.0, 0.7  # Hz, Q


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelStrip:
    """The settings of one stem: `gain_db` of None and -inf mute; a `pan` of -1 leaves the left side, 1 the right.

    The pan is a balance: the side that is turned away from gets quieter, linearly; a mono stem goes to both sides.
    `eq` is dB below 250 Hz (shelf), around 1 kHz (bell), above 4 kHz (shelf).
    """

    gain_db: float | None = 0.0
    pan: float = 0.0
    eq: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def check(self, name: str) -> None:
        """Raises `OptionError`, which calls the stem `name`."""
        if self.gain_db is not None and not self.gain_db <= MAX_GAIN_DB:  # NaN neither
            raise OptionError(f"{name}: a gain of {self.gain_db} dB; at most {MAX_GAIN_DB:g} dB can be had")
        if not -1 <= self.pan <= 1:
            raise OptionError(f"{name}: a pan of {self.pan}; it lies from -1 (left) to 1 (right)")
        if len(self.eq) != 3 or not all(BAND_DB[0] <= band <= BAND_DB[1] for band in self.eq):
            raise OptionError(f"{name}: {self.eq} is no equaliser; give three bands of -24 to 12 dB")

    @property
    def heard(self) -> bool:
        """Whether anything of the stem is in the mix."""
        return self.gain_db is not None and self.gain_db > -math.inf

    def factors(self) -> Doubles:
        """What the samples are multiplied by. Output: `[1, 1]` where both sides are alike, else `[2, 1]`, float64."""
        gain = 0.0 if self.gain_db is None else 10.0 ** (self.gain_db / 20)
        sides = [1.0] if self.pan == 0 else [min(1.0, 1 - self.pan), min(1.0, 1 + self.pan)]
        return gain * np.array(sides)[:, None]

    def sections(self, sample_rate: SampleRate) -> Doubles:
        """The filters of the bands that are not at 0 dB (R. Bristow-Johnson, "Audio EQ Cookbook").

        Output: `[N, 6]` float64, as SciPy has second-order sections.
        """
        low, mid, high = self.eq
        bands = [
            low and _shelf(_SHELVES[0], low, sample_rate, side=1),
            mid and _bell(_BELL, mid, sample_rate),
            high and _shelf(_SHELVES[1], high, sample_rate, side=-1),
        ]
        return np.array([band for band in bands if band]).reshape(-1, 6)


class Equaliser:
    """Filters one stem, block after block, in double precision."""

    def __init__(self, strip: ChannelStrip, sample_rate: SampleRate, *, channels: int) -> None:
        self._sections = strip.sections(sample_rate)
        self._state = silence(self._sections, channels=channels)

    def run(self, block: Samples) -> Samples | Doubles:
        """Filter the next block, `[C, T]` float32. Output: `[C, T]` float64, or the block itself at 0 dB."""
        if not len(self._sections):
            return block
        out, self._state = filtered(self._sections, block, self._state)
        return out


def _turn(hz: float, rate: SampleRate) -> float:
    """Radians a sample."""
    return 2 * math.pi * min(hz, 0.49 * rate) / rate


def _shelf(hz: float, db: float, rate: SampleRate, *, side: int) -> list[float]:
    """A shelf of slope 1 below (`side` 1) or above (-1) a frequency."""
    a, w = 10 ** (db / 40), _turn(hz, rate)
    cos, slope = side * math.cos(w), 2 * math.sqrt(a) * math.sin(w) * math.sqrt(0.5)
    b = [
        a * (a + 1 - (a - 1) * cos + slope),
        side * 2 * a * (a - 1 - (a + 1) * cos),
        a * (a + 1 - (a - 1) * cos - slope),
    ]
    return _section(
        b, [a + 1 + (a - 1) * cos + slope, side * -2 * (a - 1 + (a + 1) * cos), a + 1 + (a - 1) * cos - slope]
    )


def _bell(hz: float, db: float, rate: SampleRate) -> list[float]:
    a, w = 10 ** (db / 40), _turn(hz, rate)
    alpha, middle = math.sin(w) / (2 * _WIDTH), -2 * math.cos(w)
    return _section([1 + alpha * a, middle, 1 - alpha * a], [1 + alpha / a, middle, 1 - alpha / a])


def _section(b: list[float], a: list[float]) -> list[float]:
    return [value / a[0] for value in (*b, *a)]
