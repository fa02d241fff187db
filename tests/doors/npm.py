"""Packages of npm for clients in their own technology: installed once, by their lock file."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from needs import require


def installed(client: Path) -> Path:
    """The folder in .venv, where nobody else writes, that holds `node_modules` for the lock file of a client."""
    lock = (client / "package-lock.json").read_bytes()
    require("node", "npm")
    folder = Path(sys.prefix) / f"stemwright-npm-{hashlib.sha256(lock).hexdigest()[:16]}"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            for name in ("package.json", "package-lock.json"):
                shutil.copy(client / name, folder)
            command = ["npm", "ci", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
            assert done.returncode == 0, done.stderr[-2000:]
            (folder / "complete").touch()
    return folder
