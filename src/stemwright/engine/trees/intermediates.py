"""What models gave before, kept on disk by key within a budget, so that a changed leaf does not run the trunk again."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from stemwright.disk import is_mine
from stemwright.engine.trees.sound import Sound
from stemwright.errors import ModelFailedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stemwright.types import Digest, Seconds

_BLOCK: Final = 1 << 20  # bytes, a multiple of a sample of one and of two channels
_SUFFIX: Final = ".sound"
_PART: Final = ".part"
_SPARE: Final = 1 << 30  # bytes of the disk that are left to the work itself


@dataclass(frozen=True, slots=True)
class Intermediates:
    """A folder of sounds: raw float32 samples, then the SHA-256 of key and samples, so that nothing half is trusted.

    Files appear by renaming. Disk errors are ignored: the sound is made again. A folder of another user, or one that
    others can write, is not used.
    """

    folder: Path
    budget: int  # bytes; those that were not used for longest go first
    worth: Seconds = 5.0  # what took less to make is not kept

    def fetch(self, key: Digest, into: Path, *, channels: int, frames: int) -> Sound | None:
        """A copy of a sound, or None when it is not here, or not whole."""
        if not self._is_ours():
            return None
        path = self.folder / f"{key}{_SUFFIX}"
        sound = Sound.at(into, channels=channels)
        digest = hashlib.sha256(key.encode())
        left = frames * channels * 4
        try:
            with path.open("rb") as file:
                if os.fstat(file.fileno()).st_size != left + digest.digest_size:
                    return None
                with contextlib.closing(sound):
                    while left and (data := file.read(min(_BLOCK, left))):
                        digest.update(data)
                        sound.write(np.frombuffer(data, "<f4").reshape(-1, channels).T)
                        left -= len(data)
                whole = file.read() == digest.digest()
            if whole:
                os.utime(path)
                return sound
            path.unlink(missing_ok=True)
        except (OSError, ModelFailedError):
            pass
        into.unlink(missing_ok=True)
        return None

    def keep(self, key: Digest, sound: Sound, *, took: Seconds) -> None:
        """Keep a copy of a sound that took so long to make, if there is room in the budget and on the disk."""
        size = sound.scratch.frames * sound.scratch.channels * 4 + hashlib.sha256().digest_size
        if took < self.worth or size > self.budget:
            return
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not self._is_ours() or shutil.disk_usage(self.folder).free < size + _SPARE:
                return
            handle, name = tempfile.mkstemp(suffix=_PART, dir=self.folder)
            part = Path(name)
            try:
                with os.fdopen(handle, "wb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX)
                    _copy(key, sound, file.fileno())
                    with self._locked():
                        self._make_room(size)
                        part.rename(self.folder / f"{key}{_SUFFIX}")
            finally:
                part.unlink(missing_ok=True)

    def _is_ours(self) -> bool:
        try:
            return is_mine(self.folder.stat())
        except OSError:
            return False

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _make_room(self, size: int) -> None:
        """Delete what killed processes left, and the oldest sounds until so many bytes fit the budget."""
        for part in self.folder.glob(f"*{_PART}"):
            with contextlib.suppress(OSError), part.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # held by its writer while that lives
                part.unlink()
        kept = sorted((path.stat().st_mtime_ns, path.stat().st_size, path) for path in self.folder.glob(f"*{_SUFFIX}"))
        total = sum(each for _, each, _ in kept)
        for _, each, path in kept:
            if total + size <= self.budget:
                break
            path.unlink()
            total -= each


def _copy(key: Digest, sound: Sound, handle: int) -> None:
    digest = hashlib.sha256(key.encode())
    with sound.scratch.path.open("rb") as source, os.fdopen(os.dup(handle), "wb") as target:
        while data := source.read(_BLOCK):
            digest.update(data)
            target.write(data)
        target.write(digest.digest())
        target.flush()
        os.fsync(handle)
