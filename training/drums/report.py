"""RESULTS.md of the drum network."""

from __future__ import annotations

import time
from functools import reduce
from typing import TYPE_CHECKING, Final

import numpy as np

from stemwright.drums.lanes import LANES
from training.drums.bank import HELD_OUT
from training.drums.judging import TOLERANCES, TRAINED_KITS, judge, through_sketch, without_drums
from training.drums.kinship import SAME, table
from training.drums.scores import SCORES
from training.drums.tally import NOTHING, Tally

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from stemwright.drums.frames import DrumNetwork

NEAR: Final = TOLERANCES[0]
_EDGES: Final = np.arange(-0.025, 0.0251, 0.005)  # s, of the histogram


def report(network: DrumNetwork, *, weights: Path, seeds: Sequence[int], music: Path | None) -> str:
    """The results as Markdown."""
    began = time.monotonic()
    first = {name: judge(kit, network, seeds=seeds[:1]) for name, kit in (HELD_OUT | TRAINED_KITS).items()}
    again = {name: judge(kit, network, seeds=seeds[1:]) for name, kit in (HELD_OUT | TRAINED_KITS).items()}
    found = {
        name: {width: tally.and_with(again[name][width]) for width, tally in first[name].items()} for name in first
    }
    through, sketch = through_sketch(music)
    taken = {name: judge(kit, network, seeds=seeds, through=through)[NEAR] for name, kit in HELD_OUT.items()}
    alone = {name: judge(kit, network, seeds=seeds[:1], whole=False)[NEAR] for name, kit in HELD_OUT.items()}
    unseen = reduce(Tally.and_with, (found[name][NEAR] for name in HELD_OUT))
    nearest = max((value, pair) for pair, value in table().items())
    lines = [
        "# What the drum network scores",
        "",
        "Made by `python -m training.drums.evaluate`; figures of the bundled ONNX file through the product's own code,",
        f"matched by `mir_eval`. {len(SCORES)} parts written by hand (`scores.py`, not used in training), one-shots",
        f"mixed in numpy, one after the other as one recording of two minutes, {len(seeds)} recording(s) a kit.",
        f"The first {len(HELD_OUT)} kits were never trained on: the highest correlation of any of their sounds with a",
        f"trained one or with each other is {nearest[0]:.2f} ({' and '.join(nearest[1])};",
        f"from {SAME} on it would be one recording).",
        "F at ±25 ms (±50 ms in brackets).",
        "",
        *_kits(found),
        "",
        *_timing(unseen),
        "",
        *_confusion(unseen),
        "",
        "Other instruments mixed in at -3 dB, others in each recording, and the drums taken out again by `sketch`;",
        "and each part of 6 to 15 s as a recording of its own, so that there is less to compare its strokes with",
        "(once a kit):",
        "",
        "| kit | clean: micro F, macro F | through sketch | loss of micro F | parts alone |",
        "|---|---|---|---|---|",
    ]
    for name in HELD_OUT:
        clean, other, part = found[name][NEAR], taken[name], alone[name]
        loss = clean.scores()[2] - other.scores()[2]
        lines.append(f"| {name} | {_both(clean)} | {_both(other)} | {loss:.2f} | {_both(part)} |")
    lines += ["", "Onsets a minute where there are no drums:", ""]
    lines += [f"- {name}: {rate:.1f}" for name, rate in without_drums(network, music=music, sketch=sketch).items()]
    lines += [
        "",
        f"The file has {weights.stat().st_size / 1e6:.2f} MB and the SHA-256 `{network.digest}`.",
        f"The evaluation took {time.monotonic() - began:.0f} s.",
        "",
    ]
    return "\n".join(lines)


def _both(tally: Tally) -> str:
    return f"{tally.scores()[2]:.2f}, {tally.macro():.2f}"


def _kits(found: dict[str, dict[float, Tally]]) -> list[str]:
    lines = [
        "| kit | micro P | micro R | micro F | macro F | " + " | ".join(lane.type for lane in LANES) + " |",
        "|---|" + "---|" * (4 + len(LANES)),
    ]
    for name, tallies in found.items():
        near, far = (tallies[tolerance] for tolerance in TOLERANCES)
        precision, recall, f = near.scores()
        cells = [f"{near.scores(n)[2]:.2f}" if near.wanted[n] else "–" for n in range(len(LANES))]
        lines.append(
            f"| {name} | {precision:.2f} | {recall:.2f} | **{f:.2f}** ({far.scores()[2]:.2f}) "
            f"| {near.macro():.2f} ({far.macro():.2f}) | {' | '.join(cells)} |"
        )
    return lines


def _timing(tally: Tally) -> list[str]:
    late = np.array(tally.late)
    counts, _ = np.histogram(late, _EDGES)
    low, middle, high = 1000 * np.quantile(late, [0.05, 0.5, 0.95])
    special = ", ".join(
        f"{tally.found[name] / max(count, 1):.2f} of {count} {name}" for name, count in tally.asked.items()
    )
    return [
        f"Right onsets of the kits not heard before are {middle:+.1f} ms late (median), 90 % of them {low:+.1f} to",
        f"{high:+.1f} ms:",
        "",
        "| ms late | " + " | ".join(f"{1000 * edge:+.0f} …" for edge in _EDGES[:-1]) + " |",
        "|---|" + "---|" * len(counts),
        "| share | " + " | ".join(f"{count / len(late):.3f}" for count in counts) + " |",
        "",
        f"Found there on their lane within 25 ms: {special}.",
    ]


def _confusion(tally: Tally) -> list[str]:
    columns = [*range(len(LANES)), NOTHING]
    lines = [
        "What was played there (rows) and heard within 25 ms (columns), in 100 strokes:",
        "",
        "| | " + " | ".join(LANES[lane].type if lane != NOTHING else "nothing" for lane in columns) + " |",
        "|---|" + "---|" * len(columns),
    ]
    for lane in range(len(LANES)):
        shares = [100 * tally.heard[lane, other] / max(tally.wanted[lane], 1) for other in columns]
        lines.append(
            f"| {LANES[lane].type} | " + " | ".join(f"{share:.0f}" if share >= 0.5 else "" for share in shares) + " |"
        )
    return lines
