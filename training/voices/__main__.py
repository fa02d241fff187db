"""`python -m training.voices --corpus /tmp/corpus --seed 1 --hours 3`: write vocals for training; resumable."""

from __future__ import annotations

import argparse
import json
import sys
import time
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from training.corpus import SHARED
from training.voices.real import write_real
from training.voices.synthetic import write_paired, write_synthetic
from training.voices.variants import write_multitrack_variants, write_variants

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_OURS = ("voice-*", "vary-*", "sing-*", "*-voice")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write vocals until the training part of the corpus holds so many hours of them."""
    parser = argparse.ArgumentParser(prog="python -m training.voices", description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--shared", type=Path, default=SHARED, help="where singles/ and multitracks/ are")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hours", type=float, default=3.0, help="of vocals in train/, songs' own voices not counted")
    parser.add_argument("--paired", type=int, default=40, help="at most so many composed songs get a voice")
    options = parser.parse_args(arguments)
    began, seconds = time.monotonic(), 0.0
    for name, length in _everything(options.corpus, options.shared, options.seed, options.paired):
        seconds += length
        held = written_hours(options.corpus)
        speed = seconds / (time.monotonic() - began)
        sys.stdout.write(f"{held:6.2f} h  {speed:5.1f} x real time  {length:6.1f} s  {name}\n")
        sys.stdout.flush()
        if held >= options.hours:
            break
    return 0


def _everything(corpus: Path, shared: Path, seed: int, paired: int) -> Iterator[tuple[str, float]]:
    """Write one recording after the other, the most needed first; gives names and seconds, without end."""
    yield from write_real(corpus, shared, seed)
    for turn in count():
        yield from write_paired(corpus, seed, most=min(paired, 20 * (turn + 1)))
        yield from write_variants(corpus, seed, count=2, first=2 * turn)
        yield from write_synthetic(corpus, seed, count=20, first=20 * turn)
        if turn < 3:
            yield from write_multitrack_variants(corpus, shared, seed, count=1, first=turn)


def written_hours(corpus: Path) -> float:
    """Give the hours of vocals in the training part that this package wrote."""
    folders = {path for pattern in _OURS for path in (corpus / "train").glob(f"{pattern}/song.json")}
    return sum(float(json.loads(path.read_text(encoding="utf-8")).get("seconds", 0)) for path in folders) / 3600


if __name__ == "__main__":
    sys.exit(main())
