"""The figures as Markdown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.quality import PAGE as QUALITY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from benchmarks.contest import Typical
    from benchmarks.peers import Peer

_HEAD = """\
Made by `make bench` on the machine below; do not edit.
How quickly the studio answers: [benchmarks/STUDIO.md](../benchmarks/STUDIO.md)."""
_READ = """\
Each row is one whole command, from the shell's point of view: starting Python, loading the weights, decoding,
separating, encoding. Both commands of a row use the same weights (random ones cost as much as trained ones), the same
settings, the CPU, and write 16-bit WAV. They ran in turns on the same machine; figures are medians. *Speed* is the
other's wall time divided by Stemwright's: above 1, Stemwright is faster. *CPU* is user and system time of the process
and its children. *Peak memory* is the largest sum of the resident memory of the process and its children, looked at
every 20 ms. Besides what the others do, Stemwright measures the loudness and the true peak of the mix and of each stem,
takes digests, makes the stems add up to the mix, and writes a receipt."""
_READ_SKETCH = """\
`sketch` is the bundled draft separator. The command is `stemwright separate SONG --model sketch`: four stems in FLAC.
*Real-time factor* is wall time divided by the song's length: 0.05 means that three minutes take nine seconds."""
_READ_MEMORY = """\
Peak memory of the same command for a long song and for a very long one. It must not grow with the song."""


@dataclass(slots=True, kw_only=True)
class Results:
    """All that was measured."""

    machine: list[str]
    duels: dict[tuple[Peer, int], Mapping[str, Typical]] = field(default_factory=dict)  # by peer and length in seconds
    sketches: dict[int, Typical] = field(default_factory=dict)
    long: dict[int, Typical] = field(default_factory=dict)
    missing: dict[Peer, str] = field(default_factory=dict)  # why a command of others is left out
    difference_db: float | None = None


def markdown(results: Results) -> str:
    """The whole page."""
    parts = [
        "# Performance",
        _HEAD,
        "\n".join(results.machine),
    ]
    if results.duels:
        parts += ["## Beside the commands of others", _duels(results.duels), _with(results.duels), _READ]
    parts += [f"`{peer.name}` is left out: {why}." for peer, why in results.missing.items()]
    if results.difference_db is not None:
        parts.append(
            "The raw estimates of htdemucs (`--no-exact`, float) differ from the `demucs` command's by "
            f"**{results.difference_db:.0f} dB** relative to demucs', in the worst stem."
        )
    if results.sketches:
        parts += ["## `sketch`", _sketches(results.sketches), _READ_SKETCH]
    if results.long:
        parts += ["## Memory of long songs", _long(results.long), _READ_MEMORY]
    if QUALITY.is_file():
        parts.append(_quality(QUALITY.read_text(encoding="utf-8")))
    return "\n\n".join(parts) + "\n"


def _duels(duels: Mapping[tuple[Peer, int], Mapping[str, Typical]]) -> str:
    head = ("command", "length", "rounds", "its wall", "Stemwright's", "speed", "its CPU", "Stemwright's")
    rows = []
    for (peer, seconds), found in duels.items():
        a, b = found[peer.name], found["stemwright"]
        rows.append(
            (
                *(f"`{peer.name}`", f"{seconds} s", str(a.rounds), f"{a.wall:.1f} s", f"{b.wall:.1f} s"),
                *(f"**{a.wall / b.wall:.2f}×**", f"{a.cpu:.1f} s", f"{b.cpu:.1f} s", _mb(a), _mb(b)),
                f"{100 * max(a.spread, b.spread):.0f} %",
            )
        )
    return _table((*head, "its peak memory", "Stemwright's", "spread of wall"), rows)


def _with(duels: Iterable[tuple[Peer, int]]) -> str:
    return "\n".join(f"- `{peer.name}`: {peer.what}" for peer in dict.fromkeys(peer for peer, _ in duels))


def _sketches(sketches: Mapping[int, Typical]) -> str:
    rows = [
        (f"{seconds} s", f"{one.wall:.1f} s", f"{one.wall / seconds:.3f}", f"{one.cpu:.1f} s", _mb(one))
        for seconds, one in sketches.items()
    ]
    return _table(("length", "wall", "real-time factor", "CPU", "peak memory"), rows)


def _long(long: Mapping[int, Typical]) -> str:
    first = next(iter(long.values()))
    rows = [
        (f"{seconds // 60} min", _mb(one), f"{one.peak_rss / first.peak_rss:.3f}", f"{one.wall:.0f} s")
        for seconds, one in long.items()
    ]
    return _table(("length", "peak memory", "ratio", "wall"), rows)


def _quality(page: str) -> str:
    """The tables of QUALITY.md as a section of this page."""
    tables = page[page.index("\n## ") :].strip().replace("## ", "### ")
    made = "By `python -m benchmarks.quality`; QUALITY.md says on which machine."
    return f"## How well models separate\n\n{made}\n\n{tables}"


def _mb(typical: Typical) -> str:
    return f"{typical.peak_rss / 1e6:.0f} MB"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---:"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
