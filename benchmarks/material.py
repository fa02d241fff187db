"""What is separated, and by which weights: made once from a fixed seed, kept in the cache."""

from __future__ import annotations

import shutil
import wave
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks import CACHE
from sounds import sound
from tiny_demucs import make_repo

if TYPE_CHECKING:
    from pathlib import Path

MODEL: Final = "random_htdemucs"
_SEGMENT: Final = Fraction(39, 5)  # seconds, as published
_RATE: Final = 44_100
_LOOP: Final = 30  # seconds of music; longer songs repeat it


def song(seconds: int) -> Path:
    """A stereo song of that length, 16-bit WAV, 44.1 kHz."""
    path = CACHE / f"song-{seconds}s.wav"
    if not path.exists():
        CACHE.mkdir(exist_ok=True)
        samples = sound("song", seconds=min(seconds, _LOOP), rate=_RATE)
        loop = np.clip(np.rint(samples.T * 32767), -32768, 32767).astype("<i2").tobytes()
        size = seconds * _RATE * 4
        draft = path.with_suffix(".draft")
        with wave.open(str(draft), "wb") as file:
            file.setparams((2, 2, _RATE, 0, "NONE", ""))
            for start in range(0, size, len(loop)):
                file.writeframesraw(loop[: size - start])
        draft.rename(path)
    return path


def weights() -> Path:
    """A folder with an htdemucs of the published size (40 million parameters) and random weights, called `MODEL`."""
    folder = CACHE / "weights"
    if not folder.exists():
        draft = CACHE / "weights.draft"
        shutil.rmtree(draft, ignore_errors=True)
        make_repo(draft, name=MODEL, segment=_SEGMENT, full_size=True).rename(folder)
    return folder
