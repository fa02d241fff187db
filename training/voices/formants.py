"""A mouth: vowels and consonants as resonances and noise, after published tables.

Vowels: Peterson and Barney, "Control methods used in a study of the vowels", JASA 24, 1952 (means of men, women,
children). Consonants: targets near those of Klatt, "Software for a
cascade/parallel formant synthesizer", JASA 67, 1980.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from training.corpus import RATE
from training.voices.world import BINS

HZ: Final = np.arange(BINS, dtype=np.float32) * np.float32(RATE / 2 / (BINS - 1))

AIR: Final = np.log((HZ / (HZ + 4000.0)) ** 2 / (1 + (HZ / 13000.0) ** 8) + 1e-6).astype(np.float32)  # breath, radiated

# F1 F2 F3 in Hz of men, women, children.
VOWELS: Final = {
    "i": ((270, 2290, 3010), (310, 2790, 3310), (370, 3200, 3730)),
    "I": ((390, 1990, 2550), (430, 2480, 3070), (530, 2730, 3600)),
    "e": ((530, 1840, 2480), (610, 2330, 2990), (690, 2610, 3570)),
    "ae": ((660, 1720, 2410), (860, 2050, 2850), (1010, 2320, 3320)),
    "a": ((730, 1090, 2440), (850, 1220, 2810), (1030, 1370, 3170)),
    "o": ((570, 840, 2410), (590, 920, 2710), (680, 1060, 3180)),
    "U": ((440, 1020, 2240), (470, 1160, 2680), (560, 1410, 3310)),
    "u": ((300, 870, 2240), (370, 950, 2670), (430, 1170, 3260)),
    "V": ((640, 1190, 2390), (760, 1400, 2780), (850, 1590, 3360)),
    "er": ((490, 1350, 1690), (500, 1640, 1960), (560, 1820, 2160)),
}
DIPHTHONGS: Final = {"ai": ("a", "I"), "ei": ("e", "I"), "ou": ("o", "U"), "au": ("a", "U"), "oi": ("o", "I")}
UPPER: Final = ((3300, 3750, 1000), (3900, 4500, 1170), (4500, 5300, 1350))  # F4, F5 and the step from there on
BANDWIDTHS: Final = (70.0, 90.0, 140.0, 220.0, 280.0)


@dataclass(frozen=True)
class Consonant:
    """F1 F2 F3 of a man in Hz, seconds, voicing and noise in dB below a vowel (None: none), the noise's band in Hz."""

    formants: tuple[float, float, float]
    seconds: float
    voiced_db: float | None
    noise_db: float | None = None
    band: tuple[float, float] = (1000.0, 8000.0)
    closure_s: float = 0.0  # silence, or a voice bar, before a burst
    dull: bool = False  # nasals and voice bars: little above 1 kHz


CONSONANTS: Final = {
    "m": Consonant((270, 1100, 2130), 0.08, -9, dull=True),
    "n": Consonant((270, 1500, 2470), 0.07, -9, dull=True),
    "ng": Consonant((270, 2000, 2850), 0.09, -10, dull=True),
    "l": Consonant((330, 1050, 2880), 0.07, -5),
    "r": Consonant((330, 1060, 1380), 0.08, -5),
    "w": Consonant((290, 610, 2150), 0.08, -6),
    "y": Consonant((260, 2070, 3020), 0.08, -6),
    "v": Consonant((220, 1100, 2080), 0.07, -10, -28, (1500, 12000)),
    "z": Consonant((240, 1390, 2530), 0.09, -14, -17, (4500, 14000)),
    "dh": Consonant((270, 1290, 2540), 0.06, -9, -30, (2000, 12000)),
    "b": Consonant((200, 1100, 2150), 0.012, -12, -16, (200, 1500), 0.06),
    "d": Consonant((200, 1600, 2600), 0.015, -12, -14, (2500, 7000), 0.05),
    "g": Consonant((200, 1990, 2850), 0.02, -12, -14, (1200, 3500), 0.06),
    "j": Consonant((260, 1800, 2820), 0.07, -15, -15, (2000, 8000), 0.04),
    "s": Consonant((320, 1390, 2530), 0.12, None, -11, (4800, 15000)),
    "sh": Consonant((300, 1840, 2750), 0.12, None, -9, (2200, 8000)),
    "f": Consonant((340, 1100, 2080), 0.10, None, -21, (1200, 14000)),
    "th": Consonant((320, 1290, 2540), 0.09, None, -23, (1500, 12000)),
    "h": Consonant((500, 1400, 2500), 0.07, None, -17, (400, 6000)),
    "p": Consonant((400, 1100, 2150), 0.035, None, -15, (300, 3000), 0.07),
    "t": Consonant((400, 1600, 2600), 0.045, None, -11, (3000, 10000), 0.06),
    "k": Consonant((300, 1990, 2850), 0.05, None, -13, (1200, 4500), 0.07),
    "ch": Consonant((350, 1800, 2820), 0.09, None, -10, (2200, 9000), 0.05),
}
_STOPPED_CODAS: Final = ("m", "n", "ng", "l", "s", "t", "k", "z", "v", "d", "r", "f")


@dataclass(frozen=True)
class Throat:
    """What does not change while someone sings. `person` runs from 0 (man) over 1 (woman) to 2 (child)."""

    person: float
    size: float  # all formants times this
    tilt_hz: float  # above it the glottal source falls twice as steeply; low: soft
    breath_db: float  # aspiration against the voice
    air_db: float  # hiss above 4.5 kHz against the voice
    ring_db: float  # the singer's formant near 3 kHz, 0: none
    focus: float  # bandwidths times this

    def vowel(self, name: str) -> npt.NDArray[np.float64]:
        """F1 to F5 in Hz, [5]."""
        table = np.concatenate((np.array(VOWELS[name], float), np.array(UPPER, float)[:, :2]), axis=1)
        return self._between(table) * self.size

    def consonant(self, of_a_man: tuple[float, float, float]) -> npt.NDArray[np.float64]:
        """F1 to F5 in Hz of a consonant, [5]."""
        longer = self._between(np.array([[1.0], [1.16], [1.36]]))[0]
        upper = self._between(np.array(UPPER, float)[:, :2])
        return np.concatenate((np.array(of_a_man) * longer, upper)) * self.size

    def step(self) -> float:
        """Hz between the formants above the fifth."""
        return float(self._between(np.array(UPPER, float)[:, 2:])[0]) * self.size

    def _between(self, table: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        low = min(int(self.person), 1)
        return np.asarray(table[low] ** (1 - (self.person - low)) * table[low + 1] ** (self.person - low))


def syllable(rng: np.random.Generator) -> tuple[str, str, str]:
    """Give consonant, vowel or diphthong, and closing consonant, the first and the last perhaps empty."""
    onset = "" if rng.random() < 0.12 else str(rng.choice(list(CONSONANTS)))
    nucleus = str(rng.choice([*VOWELS, *DIPHTHONGS]))
    coda = str(rng.choice(_STOPPED_CODAS)) if rng.random() < 0.35 else ""
    return onset if onset != "ng" else "n", nucleus, coda


def resonances(formants: npt.NDArray[np.float32], throat: Throat) -> npt.NDArray[np.float32]:
    """Give the log power of the vocal tract, [N, 1025], for formants [N, 5] in Hz; 0 at 0 Hz."""
    power = np.ones((len(formants), BINS), np.float32)
    for number in range(formants.shape[1]):
        width = BANDWIDTHS[number] * throat.focus * (1 + 0.0001 * formants[:, number])
        power *= _pole(formants[:, number : number + 1], width[:, None].astype(np.float32))
    out = np.log(power + 1e-20)
    fifth, step = float(np.median(formants[:, 4])), throat.step()
    for number in range(1, int((RATE * 0.75 - fifth) / step)):
        hz = fifth + number * step
        out += np.log(_pole(np.array([[hz]], np.float32), np.array([[250.0 + 0.06 * hz]], np.float32)))
    if throat.ring_db:
        centre = np.float32(2900 * throat.size)
        out += np.float32(throat.ring_db / 4.343) * np.exp(-(((HZ - centre) / 500) ** 2))
    return np.asarray(out, dtype=np.float32)


def glottis(f0: npt.NDArray[np.float64], throat: Throat, effort_db: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Give the log power of the voice source, radiated, [N, 1025]: more effort (dB, 0: normal) is brighter."""
    low = (f0 * 1.2)[:, None].astype(np.float32)
    high = (throat.tilt_hz * 2 ** (effort_db / 6))[:, None].astype(np.float32)
    rise = HZ / low
    power = (rise / (1 + rise**2)) ** 2 / (1 + (HZ / high) ** 2)
    return np.asarray(np.log(power + 1e-9), dtype=np.float32)


def noise_band(band: tuple[float, float]) -> npt.NDArray[np.float32]:
    """Give the log power of a fricative's noise, [1025], 0 at its top."""
    low, high = band
    power = (HZ / low) ** 6 / (1 + (HZ / low) ** 6) / (1 + (HZ / high) ** 6)
    return np.asarray(np.log(power + 1e-6), dtype=np.float32)


def _pole(hz: npt.NDArray[np.float32], width: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Give the power of one resonance at every frequency, 1 at 0 Hz."""
    half = (width / 2) ** 2
    at = hz**2 + half
    return np.asarray(at / ((HZ - hz) ** 2 + half) * (at / ((HZ + hz) ** 2 + half)), dtype=np.float32)
