"""`python -m benchmarks.run`: measure, beside the commands of others, and write docs/performance.md."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from benchmarks import HERE, contest, machine, material
from benchmarks.peers import PEERS
from benchmarks.report import Results, markdown

_log = logging.getLogger("benchmarks")
PAGE = HERE.parent / "docs" / "performance.md"
_LENGTHS = (10, 60, 180, 300)  # seconds
_BUDGET = 540  # seconds of music a length and command: three rounds, but of long songs
_QUICK = (10,)
_LONG = (600, 3600)
_CHECKED = 10  # seconds of music whose estimates are compared
_BYTES_PER_SECOND = 44_100 * 2 * 4 * 4 * 2  # of results at most, samples between the steps included


def main() -> None:
    """Measure what was asked for."""
    asked = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    load = machine.load_average()
    results = Results(machine=machine.describe(load=load))
    for line in results.machine:
        _log.info("%s", line)
    for peer in PEERS:
        if asked.only in {None, peer.name}:
            _log.info("beside %s", peer.name)
            try:
                peer.prepare()
            except LookupError as error:
                _log.warning("%s is left out: %s", peer.name, error)
                results.missing[peer] = str(error)
                continue
            for seconds in _lengths_of(asked, peer.lengths):
                _prepare(seconds)
                results.duels[peer, seconds] = contest.run(
                    peer.commands(),
                    seconds=seconds,
                    rounds=_rounds(asked, seconds * peer.slowness),
                    environment=peer.environment,
                )
            if peer.name == "demucs":
                _log.info("comparing the estimates")
                results.difference_db = contest.difference_db(peer, _CHECKED)
    if asked.only in {None, "sketch"}:
        for seconds in _lengths_of(asked, _LENGTHS):
            _prepare(seconds)
            found = contest.run({"sketch": contest.sketch}, seconds=seconds, rounds=_rounds(asked, seconds))
            results.sketches[seconds] = found["sketch"]
    if asked.memory:
        for seconds in _LONG:
            _prepare(seconds)
            results.long[seconds] = contest.run({"sketch": contest.sketch}, seconds=seconds, rounds=1)["sketch"]
            material.song(seconds).unlink()
    page = markdown(results)
    sys.stdout.write(page)
    output = asked.output or (None if asked.quick or asked.only else PAGE)
    if output:
        output.write_text(page, encoding="utf-8")
        _log.info("written: %s", output)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--lengths", type=_lengths, metavar="10,60", help="of the songs, in seconds")
    parser.add_argument(
        "--rounds",
        type=int,
        metavar="N",
        help="runs of each command; the median counts (default: 3 for short songs, 1 for long ones)",
    )
    parser.add_argument("--quick", action="store_true", help="10 s, one round, printed only: to see that it works")
    parser.add_argument(
        "--only", choices=(*(peer.name for peer in PEERS), "sketch"), help="one part; printed, or written to --output"
    )
    parser.add_argument("--memory", action="store_true", help="also 10 minutes against 60 minutes; takes minutes")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="where the page goes (default: docs/performance.md)"
    )
    return parser.parse_args()


def _lengths_of(asked: argparse.Namespace, usual: tuple[int, ...]) -> tuple[int, ...]:
    """The songs to measure with, in seconds."""
    lengths: tuple[int, ...] = asked.lengths or (_QUICK if asked.quick else usual)
    return lengths


def _rounds(asked: argparse.Namespace, seconds: float) -> int:
    """How often something is run that takes as long as demucs does for so many seconds of music."""
    return int(asked.rounds or (1 if asked.quick else max(1, min(3, _BUDGET // seconds))))


def _lengths(text: str) -> tuple[int, ...]:
    lengths = tuple(int(word) for word in text.split(","))
    if min(lengths) < 1:
        raise argparse.ArgumentTypeError("a length is at least one second")
    return lengths


def _prepare(seconds: int) -> None:
    """Make a song before anything is timed. Ends the program when the disk is too small for what comes of it."""
    if contest.free_bytes() < seconds * _BYTES_PER_SECOND:
        sys.exit(f"{seconds} s of music take {seconds * _BYTES_PER_SECOND / 1e9:.0f} GB of temporary files for a while")
    material.song(seconds)


if __name__ == "__main__":
    main()
