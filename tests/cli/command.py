"""Runs the real command in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

STEMWRIGHT = [sys.executable, "-m", "stemwright"]


def run(*arguments: str | Path, code: int = 0, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run `stemwright` and check its exit code."""
    done = subprocess.run(
        [*STEMWRIGHT, *map(str, arguments)], capture_output=True, text=True, check=False, cwd=cwd, timeout=300
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """The JSON objects on standard output, which holds nothing else."""
    return [json.loads(line) for line in done.stdout.splitlines()]
