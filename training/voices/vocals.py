"""Recordings of voices: levelled, their peaks held down, written and read back.

Audio is [T, 2] float32 at 44.1 kHz in all of this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
from scipy import signal
from scipy.ndimage import minimum_filter1d

from training.corpus import FULL_SCALE, RATE, to_int16, write_song
from training.levels import gain_of, lufs

if TYPE_CHECKING:
    from pathlib import Path

Audio = npt.NDArray[np.float32]

TARGET_LUFS: Final = -20.0  # of what sounds; pauses do not count
PEAK: Final = 0.89  # -1 dBFS


def levelled(audio: Audio) -> Audio:
    """Bring [T, 2] to -20 LUFS; peaks above -1 dBFS are limited softly. Raises ValueError for silence."""
    measured = lufs(audio.T)
    if not np.isfinite(measured):
        raise ValueError("nothing sounds in this recording")
    return limited(audio * np.float32(gain_of(TARGET_LUFS - measured)))


def limited(audio: Audio) -> Audio:
    """Keep [T, 2] below -1 dBFS: both channels turned down together, 5 ms ahead of each peak."""
    peak = np.abs(audio).max(axis=1)
    if peak.max(initial=0.0) <= PEAK:
        return audio.astype(np.float32)
    reach = RATE * 5 // 1000
    need = np.minimum(1.0, PEAK / np.maximum(peak, 1e-9))
    held = minimum_filter1d(need, 2 * reach + 1)
    window = np.hanning(2 * reach + 1)
    gain = signal.fftconvolve(np.pad(held, reach, mode="edge"), window / window.sum(), mode="valid")
    return np.clip(audio * gain[:, None], -PEAK, PEAK).astype(np.float32)


def stereo(audio: Audio) -> Audio:
    """Give [T] or [T, 1] or [T, 2] as [T, 2]."""
    columns = audio[:, None] if audio.ndim == 1 else audio
    return np.repeat(columns, 2, axis=1) if columns.shape[1] == 1 else columns


def write_vocals(folder: Path, audio: Audio, facts: dict[str, Any]) -> float:
    """Write [T, 2] as a song that has only vocals. Gives its seconds."""
    return write_song(folder, stems={"vocals": to_int16(audio)}, facts=facts)


def read_vocals(folder: Path) -> Audio:
    """Give a song's vocals, [T, 2]."""
    stored: npt.NDArray[np.int16] = np.load(folder / "vocals.npy")
    return np.asarray(stored / np.float32(FULL_SCALE), dtype=np.float32)
