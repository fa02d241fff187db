"""All of it, one after the other: `python -m training.drums --work FOLDER [--minutes 240] [--music CORPUS/train]`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path


def main() -> None:
    """Make the clips, train, export, find the thresholds and write RESULTS.md; clips that are there are kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="where clips and runs go")
    parser.add_argument("--clips", type=int, default=8000)
    parser.add_argument("--minutes", type=float, default=240)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--start", type=Path, help="checkpoint to go on from")
    parser.add_argument("--music", type=Path, help="songs of `training.songs`, whose other stems bleed in")
    asked = parser.parse_args()
    pool, run = asked.work / "pool", asked.work / "run"
    music = ["--music", str(asked.music)] if asked.music else []
    start = ["--start", str(asked.start)] if asked.start else []
    if not any(pool.glob("*.npz")):
        _step("pool", "--out", str(pool), "--clips", str(asked.clips), *music)
    _step("train", "--pool", str(pool), "--out", str(run), "--minutes", str(asked.minutes),
          "--threads", str(asked.threads), *start)  # fmt: skip
    _step("export", str(run.with_suffix(".pt")))
    _step("evaluate", "--tune", str(pool), *music)


def _step(module: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", f"training.drums.{module}", *arguments], check=True)


if __name__ == "__main__":
    main()
