"""Clips on disk, made before training: `python -m training.drums.pool --out FOLDER --clips 2000 --seed 1`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from training.drums.bank import FAMILIES, trained
from training.drums.mixer import Mixer

if TYPE_CHECKING:
    from training.drums.bank import Mono

SHARD: Final = 50  # clips in a file


def fill(out: Path, *, clips: int, seed: int, music: Path | None = None, without: str | None = None) -> None:
    """Write about so many clips as files of `SHARD`, without a family of kits; those of another seed stay."""
    out.mkdir(parents=True, exist_ok=True)
    mixer = Mixer(seed=seed, music=music, separate=drums_of_sketch(), kits=trained(without=without))
    for shard in range(-(-clips // SHARD)):
        made = [mixer.clip() for _ in range(SHARD)]
        partial = out / f"{seed:03d}-{shard:04d}.partial"
        with partial.open("wb") as file:
            np.savez(
                file,
                features=np.stack([clip.features for clip in made]).astype(np.float16),
                onsets=np.stack([clip.onsets for clip in made]).astype(np.float16),
                velocities=np.stack([clip.velocities for clip in made]).astype(np.float16),
                kinds=np.stack([clip.kinds for clip in made]).astype(np.float16),
                heights=np.stack([clip.heights for clip in made]).astype(np.float16),
            )
        partial.replace(partial.with_suffix(".npz"))
        print(f"{partial.stem}: {(shard + 1) * SHARD} clips", flush=True)


class _DrumsOfSketch:
    """The drums that the bundled separator hears in a mix, mono `[T]` in and out."""

    def __init__(self) -> None:
        from stemwright.separators.sketch import Sketch

        self._sketch = Sketch()

    def __call__(self, mix: Mono) -> Mono:
        """See the class."""
        spec = self._sketch.spec
        level = float(mix.std()) + 1e-9
        padded = np.pad(mix / level, spec.context)
        stems = self._sketch.separate(np.stack([padded, padded])[None].astype(np.float32))[0]
        drums = stems[spec.stems.index("drums")].mean(axis=0)[spec.context : spec.context + len(mix)]
        return np.asarray(drums * level, np.float32)


def drums_of_sketch() -> _DrumsOfSketch:
    """What takes the drums out of a mix as `sketch` does, artefacts and all."""
    return _DrumsOfSketch()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--music", type=Path, help="songs of `training.songs`, whose other stems bleed in")
    parser.add_argument("--without", choices=FAMILIES, help="family of kits that is left out")
    fill(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
