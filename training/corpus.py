"""The corpus on disk: one folder a song, int16 stems that can be memory-mapped, written whole or not at all."""

from __future__ import annotations

import json
import shutil
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

RATE: Final = 44_100  # Hz, of everything in the corpus
FULL_SCALE: Final = 32767.0
SHARED: Final = Path(__file__).parents[2] / "shared"  # recordings that lie beside the checkout


def own_rng(seed: int, name: str, number: int) -> np.random.Generator:
    """The random numbers of one recording: the same whatever was made before it."""
    return np.random.default_rng([seed, zlib.crc32(name.encode()), number])


def to_int16(sound: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
    """Sound of any shape in -1..1 as int16, rounded to nearest. Raises ValueError for what is not a number.

    >>> to_int16(np.array([0.5, 2.0])).tolist()
    [16384, 32767]
    """
    if not np.isfinite(sound).all():
        raise ValueError("not every sample is a number")
    return np.asarray(np.clip(np.rint(sound * FULL_SCALE), -32768, 32767), dtype=np.int16)


def exists(folder: Path) -> bool:
    """Whether a song is there."""
    return (folder / "song.json").is_file()


def write_song(folder: Path, *, stems: dict[str, npt.NDArray[np.int16]], facts: dict[str, Any]) -> float:
    """Stems int16 [T, 2] and song.json as `folder`; readers see the whole song or none. Gives its seconds."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    seconds = max(len(sound) for sound in stems.values()) / RATE
    record = {"stems": sorted(stems), "seconds": round(seconds, 2), **facts}
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder.parent.parent))
    try:
        for name, sound in stems.items():
            np.save(partial / f"{name}.npy", np.ascontiguousarray(sound))
        (partial / "song.json").write_text(json.dumps(record, ensure_ascii=False) + "\n", encoding="utf-8")
        partial.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return seconds
