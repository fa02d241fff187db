"""`make parity`: our Spleeter beside the real `spleeter` 2.4.2, on the same random weights; writes SPLEETER.md.

The real one runs in an environment of its own, below the folder of `--work`, for it needs TensorFlow 2.12 and Python
3.11 or older. `--fixture` makes tests/separators/spleeter instead: a tiny checkpoint and some samples of what Spleeter
makes of it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from benchmarks import HERE, machine
from benchmarks.peers import SPLEETER, WORK, environment

if TYPE_CHECKING:
    from stemwright.types import Samples

VARIANTS = ("2stems", "4stems", "5stems")
FIXTURE = HERE.parent / "tests" / "separators" / "spleeter"
FIXTURE_SECONDS = 13.0  # one segment and a part of the next
FIXTURE_STEP = 1913  # samples from one that is kept to the next
_RATE = 44_100
_FILTERS = "2,2,2,3,3,3"
_PARITY_SECONDS = 25.3


def song(seconds: float) -> Samples:
    """Tones that move, clicks, and noise over the whole band, the same on every machine: `[2, T]` float32."""
    index = np.arange(int(seconds * _RATE))
    time_ = index / _RATE
    noise = [
        ((index * factor + 12_345 & 0x7FFFFFFF) * 48_271 % 65_537 / 65_537 - 0.5) * 0.3 for factor in (7919, 104_729)
    ]
    left = 0.3 * np.sin(2 * np.pi * 220 * time_) * np.sin(np.pi * time_) + noise[0]
    right = 0.2 * np.sin(2 * np.pi * (300 + 200 * time_) * time_) + noise[1]
    samples = np.stack([left, right])
    samples[:, ::20_000] += 0.5
    return samples.astype(np.float32)


def level_db(samples: npt.NDArray[np.float32], reference: npt.NDArray[np.float32]) -> float:
    """Energy relative to a reference's, in dB."""
    energies = [float(np.square(one, dtype=np.float64).sum()) for one in (samples, reference)]
    return float(10 * np.log10(max(energies[0], 1e-30) / energies[1]))


def ours(variant: str, repo: Path, mix: Samples, *, raw: bool) -> dict[str, Samples]:
    """Our stems of a whole song, through the chunk loop."""
    from stemwright.engine.overlap_add import OverlapAdd
    from stemwright.separators.protocol import LoadOptions
    from stemwright.separators.spleeter import FAMILY

    separator = FAMILY.load(f"spleeter:{variant}", LoadOptions(repo=repo, raw=raw))
    loop = OverlapAdd(separator)
    blocks = [part for start in range(0, mix.shape[1], 30_011) for part in loop.push(mix[:, start : start + 30_011])]
    return dict(zip(separator.spec.stems, np.concatenate([*blocks, *loop.finish()], axis=-1), strict=True))


def main() -> None:
    """Measure, or make the fixture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=WORK, help="where all of it happens")
    parser.add_argument("--python", default="python3.11", help="for the environment of the real spleeter")
    parser.add_argument("--fixture", action="store_true", help="make the fixture of the tests")
    asked = parser.parse_args()
    theirs = environment(asked.work, "venv", SPLEETER, python=asked.python)
    if asked.fixture:
        _make_fixture(asked.work, theirs)
        return
    load = machine.load_average()
    parity = _parity(asked.work, theirs)
    text = ["# Spleeter, ours and the real one", "", *machine.describe(load=load), "", *parity, ""]
    (HERE / "SPLEETER.md").write_text("\n".join(text), encoding="utf-8")


def _reference(work: Path, theirs: Path, variant: str, mix: Samples, *more: str) -> dict[str, Samples]:
    """The real package's stems; those of an earlier run where the wave was the same."""
    wave_path = work / f"{variant}-wave.npy"
    made = work / f"{variant}.npz"
    if made.exists() and not more and np.array_equal(np.load(wave_path), mix.T):
        return dict(np.load(made))
    made.unlink(missing_ok=True)
    np.save(wave_path, mix.T)
    command: list[str | Path] = [theirs, "-P", HERE / "spleeter_reference.py", work, variant, wave_path, *more]
    subprocess.run(command, check=True, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"}, stderr=subprocess.DEVNULL)
    return dict(np.load(made))


def _parity(work: Path, theirs: Path) -> list[str]:
    """Level of the difference, by stem."""
    mix = song(_PARITY_SECONDS)
    lines = ["Difference of each stem from the real package's, relative to that stem (random weights, full size):", ""]
    lines += ["| model | stem | `--raw` (zeros above 11 kHz) | band kept (its `average`) |", "|---|---|---|---|"]
    for variant in VARIANTS:
        reference = _reference(work, theirs, variant, mix)
        made = {"zeros": ours(variant, work, mix, raw=True), "average": ours(variant, work, mix, raw=False)}
        for stem in made["zeros"]:
            levels = [
                level_db(stems[stem] - reference[f"{name}/{stem}"], reference[f"{name}/{stem}"])
                for name, stems in made.items()
            ]
            lines.append(f"| `spleeter:{variant}` | {stem} | {levels[0]:.1f} dB | {levels[1]:.1f} dB |")
        total = sum(made["average"].values())
        lines.append(f"| `spleeter:{variant}` | sum of all, against the mix | | {level_db(total - mix, mix):.1f} dB |")
    return lines


def _make_fixture(work: Path, theirs: Path) -> None:
    """One checkpoint of five tiny networks serves all variants, of which each takes the first."""
    mix = song(FIXTURE_SECONDS)
    checkpoint = work / "tiny"
    shutil.rmtree(checkpoint, ignore_errors=True)
    kept: dict[str, Samples] = {}
    for variant in reversed(VARIANTS):
        made = _reference(work, theirs, variant, mix, _FILTERS, str(checkpoint))
        kept |= {f"{variant}/{name}": stem[:, ::FIXTURE_STEP] for name, stem in made.items()}
    FIXTURE.mkdir(exist_ok=True)
    for name in ("checkpoint", "model.index", "model.data-00000-of-00001"):
        shutil.copyfile(checkpoint / name, FIXTURE / name)
    np.savez_compressed(FIXTURE / "expected.npz", allow_pickle=False, **kept)


if __name__ == "__main__":
    main()
