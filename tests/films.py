"""Films and other files of several tracks, made by a real ffmpeg."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from recordings import FFMPEG, RATE
from sounds import Samples, sound, write_wav

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def tone(number: int, *, seconds: float = 1.0, rate: int = RATE) -> Samples:
    """What track `number` holds: a noise of its own. Output: `[2, T]` float32."""
    return sound("noise", seconds=seconds, seed=number, rate=rate)


def film(
    path: Path,
    options: str = "-c:a flac -sample_fmt s16",
    *,
    sounds: Sequence[Samples],
    late: Sequence[float] = (),
    picture: float | None = 2.5,
    rate: int = RATE,
    more: Sequence[str] = (),
) -> Path:
    """A file of several sounds `[C, T]`, each `late` seconds in, under `picture` seconds of a picture or none."""
    inputs = ["-f", "lavfi", "-i", f"testsrc=s=64x48:r=5:d={picture}"] if picture else []
    maps = ["-map", "0:v", "-c:v", "mpeg4" if path.suffix != ".webm" else "libvpx"] if picture else []
    files = []
    for number, samples in enumerate(sounds):
        file = write_wav(path.with_name(f"{path.name}.{number}"), samples, rate)
        offset = late[number] if number < len(late) else 0
        inputs += ["-itsoffset", str(offset), "-f", "wav", "-i", str(file)]
        maps += ["-map", f"{number + bool(picture)}:a"]
        files.append(file)
    subprocess.run([FFMPEG, "-v", "error", "-y", *inputs, *maps, *options.split(), *more, str(path)], check=True)
    for file in files:
        file.unlink()
    return path
