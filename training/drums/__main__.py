"""All of it, one after the other: `python -m training.drums --work FOLDER [--minutes 240] [--music CORPUS/train]`.

`--without FAMILY --seed N` leaves a family of kits out instead, and prints what the network then scores on it: for the
spread over families and seeds. The bundled file stays as it is.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from training.drums.bank import FAMILIES, TRAINED


def main() -> None:
    """Make the clips, train, export and write RESULTS.md; clips that are there are kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="where clips and runs go")
    parser.add_argument("--clips", type=int, default=8000)
    parser.add_argument("--minutes", type=float, default=240)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--without", choices=FAMILIES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=Path, help="checkpoint to go on from")
    parser.add_argument("--music", type=Path, help="songs of `training.songs`, whose other stems bleed in")
    asked = parser.parse_args()
    name = f"-{asked.without}" if asked.without else ""
    pool, run = asked.work / f"pool{name}-{asked.seed}", asked.work / f"run{name}-{asked.seed}"
    seed = ["--seed", str(asked.seed)]
    without = ["--without", asked.without] if asked.without else []
    music = ["--music", str(asked.music)] if asked.music else []
    start = ["--start", str(asked.start)] if asked.start else []
    if not any(pool.glob("*.npz")):
        _step("pool", "--out", str(pool), "--clips", str(asked.clips), *seed, *without, *music)
    _step("train", "--pool", str(pool), "--out", str(run), "--minutes", str(asked.minutes),
          "--threads", str(asked.threads), *seed, *start)  # fmt: skip
    if asked.without:
        target = str(run.with_suffix(".onnx"))
        _step("export", str(run.with_suffix(".pt")), "--out", target)
        kits = sorted({kit for kit in TRAINED if kit.split(":")[0] == asked.without})
        _step("evaluate", "--weights", target, "--kits", *kits)
        return
    _step("export", str(run.with_suffix(".pt")))
    _step("evaluate", *(["--music", str(asked.music.with_name("test"))] if asked.music else []))


def _step(module: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", f"training.drums.{module}", *arguments], check=True)


if __name__ == "__main__":
    main()
