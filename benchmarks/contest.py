"""The commands that are measured, each in a process of its own, in turns."""

from __future__ import annotations

import logging
import shutil
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.material import MODEL, song
from benchmarks.peers import BIN
from processes import Cost, measure
from sounds import level_db, read

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.peers import Peer

_log = logging.getLogger("benchmarks")
_TIMEOUT = 7200.0  # seconds, of one command
_STEMS = ("drums", "bass", "other", "vocals")


@dataclass(frozen=True, slots=True, kw_only=True)
class Typical:
    """The medians of several runs of one command."""

    wall: float  # seconds
    cpu: float  # seconds
    peak_rss: float  # bytes
    rounds: int
    spread: float  # (slowest − fastest) / median of the wall times

    @staticmethod
    def of(costs: Sequence[Cost]) -> Typical:
        """The medians."""
        walls = [cost.wall for cost in costs]
        wall = statistics.median(walls)
        return Typical(
            wall=wall,
            rounds=len(costs),
            cpu=statistics.median(cost.cpu for cost in costs),
            peak_rss=statistics.median(cost.peak_rss for cost in costs),
            spread=(max(walls) - min(walls)) / wall,
        )


def sketch(seconds: int, output: Path) -> list[str | Path]:
    """Stemwright with the bundled separator, as it is without any options: FLAC."""
    return [BIN / "stemwright", "separate", song(seconds), "--model", "sketch", "-o", output]


def run(
    commands: Mapping[str, Callable[[int, Path], list[str | Path]]],
    *,
    seconds: int,
    rounds: int,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Typical]:
    """Run each command once a round, in turns, and delete what it wrote."""
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for number in range(rounds):
        for name, make in commands.items():
            with tempfile.TemporaryDirectory(prefix="stemwright-bench-") as output:
                cost = measure(make(seconds, Path(output)), timeout=_TIMEOUT, environment=environment)
            costs[name].append(cost)
            _log.info(
                "%4d s of music, round %d of %d, %-10s  %7.1f s wall  %7.1f s CPU  %6.0f MB",
                *(seconds, number + 1, rounds, name, cost.wall, cost.cpu, cost.peak_rss / 1e6),
            )
    return {name: Typical.of(found) for name, found in costs.items()}


def difference_db(demucs: Peer, seconds: int) -> float:
    """Level of the difference between our raw estimates and Demucs', relative to its: the worst of the stems."""
    with tempfile.TemporaryDirectory(prefix="stemwright-bench-") as name:
        folder = Path(name)
        measure([*demucs.ours(seconds, folder / "ours"), "--no-exact", "-f", "wav32f"], timeout=_TIMEOUT)
        measure([*demucs.theirs(seconds, folder / "theirs"), "--float32", "--clip-mode", "none"], timeout=_TIMEOUT)
        stem = song(seconds).stem
        levels = []
        for source in _STEMS:
            one = read(folder / "ours" / stem / f"{source}.wav", channels=2)
            other = read(folder / "theirs" / MODEL / stem / f"{source}.wav", channels=2)
            levels.append(level_db(one - other, other))
    return max(levels)


def free_bytes() -> int:
    """Room for results, where they go."""
    return shutil.disk_usage(tempfile.gettempdir()).free
