"""The sounds of the sung words: what the mouth does for each ARPAbet phone."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Phone:
    """One mouth shape: formants F1 to F5 in Hz, voicing and breath as gains, hiss as (gain, low Hz, high Hz)."""

    formants: tuple[float, float, float, float, float]
    voicing: float = 1.0
    breath: float = 0.012
    seconds: float = 0.0  # how long a consonant lasts; 0 marks a vowel
    nasal: bool = False
    hiss: tuple[float, float, float] | None = None


def _vowel(f1: float, f2: float, f3: float = 2600, f4: float = 3100, f5: float = 3650) -> Phone:
    """A vowel; F3 to F5 lie close together, as they do in a trained tenor."""
    return Phone((f1, f2, f3, f4, f5))


def _nasal(f2: float, f3: float) -> Phone:
    """A nasal: the mouth is shut, the sound leaves through the nose."""
    return Phone((270, f2, f3, 3000, 3600), voicing=0.4, seconds=0.075, nasal=True)


_ALVEOLAR = (330.0, 1700.0, 2600.0, 3300.0, 3800.0)
SILENCE: Final = Phone((500, 1400, 2550, 3000, 3500), voicing=0.0, breath=0.0)
BREATH: Final = Phone((620, 1500, 2500, 3300, 4000), voicing=0.0, breath=0.018, seconds=0.26)

PHONES: Final[dict[str, Phone]] = {
    "AA": _vowel(690, 1120),
    "AE": _vowel(690, 1500, 2550, 3350, 3900),
    "AH": _vowel(620, 1210),
    "AO": _vowel(520, 880),
    "EH": _vowel(540, 1700, 2550, 3350, 3900),
    "IH": _vowel(420, 1800, 2550, 3400, 4000),
    "IY": _vowel(310, 2080, 2800, 3450, 4000),
    "OH": _vowel(480, 860),
    "UW": _vowel(350, 780, 2450),
    "ER": _vowel(470, 1280, 1720, 2900),
    "M": _nasal(1050, 2200),
    "N": _nasal(1450, 2500),
    "NG": _nasal(1850, 2450),
    "L": Phone((360, 1050, 2700, 3100, 3600), voicing=0.5, seconds=0.07),
    "R": Phone((370, 1150, 1600, 2900, 3500), voicing=0.6, seconds=0.075),
    "W": Phone((310, 660, 2300, 2900, 3500), voicing=0.5, seconds=0.075),
    "DH": Phone((300, 1350, 2550, 3100, 3600), voicing=0.3, seconds=0.05, hiss=(0.016, 3500, 9000)),
    "D": Phone(_ALVEOLAR, voicing=0.08, seconds=0.05, hiss=(0.040, 3000, 7000)),
    "T": Phone(_ALVEOLAR, voicing=0.0, seconds=0.06, hiss=(0.072, 3200, 8000)),
    "Z": Phone(_ALVEOLAR, voicing=0.25, seconds=0.085, hiss=(0.048, 4800, 11000)),
    "S": Phone(_ALVEOLAR, voicing=0.0, seconds=0.11, hiss=(0.088, 4800, 11500)),
    "SH": Phone((330, 1900, 2500, 3300, 3800), voicing=0.0, seconds=0.12, hiss=(0.104, 2300, 6500)),
    "F": Phone((350, 1000, 2400, 3200, 3800), voicing=0.0, seconds=0.09, hiss=(0.040, 1800, 11000)),
    "HH": Phone((600, 1500, 2550, 3000, 3500), voicing=0.0, breath=0.12, seconds=0.075),
}
# Vowels that move: where they begin, and where they end.
GLIDES: Final[dict[str, tuple[str, str]]] = {
    "AY": ("AA", "IH"),
    "AW": ("AA", "OH"),
    "EY": ("EH", "IH"),
    "OW": ("OH", "UW"),
}


def is_vowel(name: str) -> bool:
    """Whether a phone carries a syllable."""
    return name in GLIDES or PHONES[name].seconds == 0.0
