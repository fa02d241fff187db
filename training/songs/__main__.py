"""`python -m training.songs --corpus /tmp/corpus --train 120 --test 10 --seed 1`: writes what the corpus lacks."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from training.corpus import exists, to_int16, write_song
from training.songs.compose import compose
from training.songs.recorded import write_recorded
from training.songs.render import Renderer, facts

TEST_SEEDS = 1_000_000  # test songs' seeds start here, far from those of training


def make(seed: int, folder: Path, *, held_out: bool) -> tuple[str, float]:
    """Composes, renders and writes one song: its style, and how many seconds of stems it has."""
    song = compose(seed)
    renderer = Renderer(song, held_out=held_out)
    stems = {name: to_int16(sound.T) for name, sound in renderer.stems().items()}
    seconds = write_song(folder, stems=stems, facts=facts(song, renderer.sources))
    return song.style, len(stems) * seconds


def main() -> None:
    """Reads the command line and makes the songs, test songs spread among the first training songs."""
    parser = argparse.ArgumentParser(prog="python -m training.songs", description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--train", type=int, default=120)
    parser.add_argument("--test", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    write_recorded(wanted.corpus)
    jobs = [("train", wanted.seed * 10_000 + index, f"song-{wanted.seed}-{index:04d}") for index in range(wanted.train)]
    for index in range(wanted.test):
        jobs.insert(
            min(4 + 5 * index, len(jobs)),
            ("test", TEST_SEEDS + wanted.seed * 10_000 + index, f"song-{wanted.seed}-{index:04d}"),
        )
    began, made = time.perf_counter(), 0.0
    for count, (part, seed, name) in enumerate(jobs, 1):
        folder = wanted.corpus / part / name
        if exists(folder):
            continue
        style, seconds = make(seed, folder, held_out=part == "test")
        made += seconds
        speed = made / (time.perf_counter() - began)
        sys.stdout.write(
            f"{count}/{len(jobs)} {part}/{name} {style}: {seconds:.0f} s of stems, {speed:.1f} s of audio a second\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
