"""Both ffmpegs, and what they make of a file: nothing here goes through our own decoder."""

from __future__ import annotations

import re
import shutil
import subprocess
import zlib
from functools import cache
from typing import TYPE_CHECKING

import imageio_ffmpeg
import numpy as np
import numpy.typing as npt
from scipy.signal import correlate

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

FFMPEGS = ("system", "imageio")
_SYSTEM = shutil.which("ffmpeg")  # before a test changes where it is looked for


@cache
def ffmpeg(which: str) -> str:
    return (_SYSTEM if which == "system" else None) or str(imageio_ffmpeg.get_ffmpeg_exe())


@cache
def ffmpeg_major(which: str) -> int:
    match = re.match(r"ffmpeg version n?(\d+)", run(which, "-version").decode())
    return int(match[1]) if match else 0


def choose(which: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make our own code use that ffmpeg."""
    monkeypatch.setattr(shutil, "which", lambda _name: _SYSTEM if which == "system" else None)


def run(which: str, *arguments: str | Path, data: bytes = b"") -> bytes:
    command = [ffmpeg(which), "-hide_banner", "-loglevel", "error", "-y", *map(str, arguments)]
    done = subprocess.run(command, input=data, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def noise(channels: int, frames: int, *, seed: int = 0) -> npt.NDArray[np.float32]:
    """A click and then noise that does not reach full scale. Output: `[C, T]` float32."""
    wave = np.random.default_rng(seed).uniform(-0.5, 0.5, (channels, frames)).astype(np.float32)
    wave[:, :1] = 0.9
    return wave


def decode(path: Path, *, channels: int, which: str) -> npt.NDArray[np.float32]:
    """`[C, T]` float32."""
    data = run(which, "-i", path, "-map", "0:a:0", "-f", "f32le", "-")
    return np.frombuffer(data, "<f4").reshape(-1, channels).T


def decode_whole(path: Path, *, channels: int, which: str) -> npt.NDArray[np.int32]:
    """`[C, T]` int32, the high bits used."""
    data = run(which, "-i", path, "-map", "0:a:0", "-f", "s32le", "-")
    return np.frombuffer(data, "<i4").reshape(-1, channels).T


def decode_tracks(
    path: Path, *, number: int, which: str, sample_format: str
) -> list[npt.NDArray[np.float32] | npt.NDArray[np.int32]]:
    """All stereo tracks of a file, each `[2, T]`: float32 for `f32le`, int32 for `s32le`."""
    outputs = [path.with_name(f"{path.name}.{track}") for track in range(number)]
    arguments: list[str | Path] = ["-i", path]
    for track, output in enumerate(outputs):
        arguments += ["-map", f"0:a:{track}", "-f", sample_format, output]
    run(which, *arguments)
    kind = "<f4" if sample_format == "f32le" else "<i4"
    return [np.fromfile(output, kind).reshape(-1, 2).T for output in outputs]


def lag(sent: npt.NDArray[np.float32], got: npt.NDArray[np.float32]) -> int:
    """By how many samples `got` comes later; both `[T]`."""
    most = 50_000
    return int(np.argmax(correlate(got[:most], sent[:most], method="fft"))) - min(len(sent), most) + 1


def png(width: int, height: int, *, whole: bool = True) -> bytes:
    """A black picture; without its pixels unless `whole`."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\x00\x00\x00"
    pixels = zlib.compress(bytes((3 * width + 1) * height)) if whole else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def jpeg(folder: Path) -> bytes:
    path = folder / "picture.jpg"
    run("system", "-f", "lavfi", "-i", "color=red:s=32x16", "-frames:v", "1", path)
    return path.read_bytes()
