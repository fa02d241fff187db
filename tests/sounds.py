"""Sounds with a fixed seed, written and read by nothing of ours."""

from __future__ import annotations

import struct
import subprocess
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from stemwright.audio.ffmpeg import find_ffmpeg

if TYPE_CHECKING:
    from pathlib import Path

Samples: TypeAlias = npt.NDArray[np.float32]
Kind: TypeAlias = Literal["sine", "noise", "song"]


def sound(kind: Kind, *, seconds: float, rate: int = 44_100, channels: int = 2, seed: int = 0) -> Samples:
    """A sound of about −15 dBFS. Output: `[C, T]` float32."""
    time = np.arange(round(seconds * rate)) / rate
    rng = np.random.default_rng(seed)
    if kind == "sine":
        wave = np.stack([0.3 * np.sin(2 * np.pi * 440 * time + c) for c in range(channels)])
    elif kind == "noise":
        wave = 0.1 * rng.standard_normal((channels, len(time)))
    else:
        wave = _song(time, rate, channels, rng)
    return wave.astype(np.float32)


def _song(time: npt.NDArray[np.float64], rate: int, channels: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Drum hits on both sides, a bass, a voice with vibrato in the middle, a chord on the left."""
    beat = time % 0.5
    drums = 0.4 * np.exp(-beat * 30) * np.sin(2 * np.pi * 60 * beat)
    drums = drums + 0.15 * np.exp(-((time + 0.25) % 0.5) * 60) * rng.standard_normal(len(time))
    bass = 0.15 * np.sin(2 * np.pi * 55 * time)
    phase = 2 * np.pi * 330 * time + 3 * np.sin(2 * np.pi * 5.5 * time)
    voice = sum(0.12 / k * np.sin(k * phase) for k in range(1, 9) if k * 340 < rate / 2)
    chord = 0.05 * sum(np.sin(2 * np.pi * f * time) for f in (220, 277.2, 329.6))
    middle = drums + bass + voice
    return np.stack([middle + chord * (1.0 if c % 2 == 0 else 0.2) for c in range(channels)])


def write_wav(path: Path, samples: Samples, rate: int = 44_100, *, bits: Literal[16, 32] = 32) -> Path:
    """A WAV of `[C, T]` samples: 32-bit float or 16-bit integers."""
    data = samples.T.astype("<f4") if bits == 32 else np.clip(np.rint(samples.T * 32768), -32768, 32767).astype("<i2")
    channels, body = samples.shape[0], np.ascontiguousarray(data).tobytes()
    block = channels * bits // 8
    form = struct.pack("<HHIIHH", 3 if bits == 32 else 1, channels, rate, rate * block, block, bits)
    head = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(body))
    path.write_bytes(b"RIFF" + struct.pack("<I", len(head) + len(body)) + head + body)
    return path


def read(path: Path, *, channels: int) -> Samples:
    """All samples of a file, by plain ffmpeg. Output: `[C, T]` float32."""
    command = [find_ffmpeg(), "-v", "error", "-i", str(path), "-map", "0:a:0", "-f", "f32le", "-"]
    data = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(data, "<f4").reshape(-1, channels).T


def level_db(signal: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """Level of a signal relative to another, in dB; −400 for nothing."""
    power = float(np.mean(np.square(np.asarray(signal, np.float64))))
    whole = float(np.mean(np.square(np.asarray(reference, np.float64))))
    return 10 * np.log10(power / whole) if power else -400.0
