"""What all tests may use."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # as `app.process` does for the product
settings.register_profile("ci", derandomize=True)  # a landing must not hang on luck; runs by hand explore
if os.environ.get("CI"):
    settings.load_profile("ci")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a shell: children would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def known_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the separators for tests as an installed package of a third party would."""
    package = tmp_path / "site" / "known_separators-1.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: known-separators\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[stemwright.separators]\nknown = separators_for_tests:FAMILY\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(package.parent)])


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Make a disk of its own, as small as options of `tmpfs` say: `size=4k`, or `nr_inodes=1` for no file at all."""
    made: list[Path] = []

    def make(options: str) -> Path:
        path = tmp_path / f"disk-{len(made)}"
        path.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], check=False).returncode:
            pytest.skip("needs a disk of its own, which this user may not mount")
        made.append(path)
        return path

    yield make
    for path in made:
        subprocess.run(["umount", "-l", path], check=True)
