"""`python -m benchmarks.quality`: how well models separate songs whose true stems are known; writes QUALITY.md.

SDR in dB (10 log10 of the energy of the true stem over that of the error), the median over windows of 10 s in which the
stem sounds. The demo song is ours, sung by a program; `--songs DIR` takes other multitracks: a folder a song, with
vocals, drums, bass and other as `.ogg`, `.flac` or `.wav`; a silent file means that the stem is in `other`.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks import HERE, machine
from benchmarks.peers import BIN
from sounds import read, write_wav

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stemwright.types import Samples

_log = logging.getLogger("benchmarks")
PAGE: Final = HERE / "QUALITY.md"
DEMO: Final = HERE.parent / "demo" / "stems"
SHARED: Final = HERE.parents[1] / "shared" / "multitracks"
STEMS: Final = ("vocals", "drums", "bass", "other", "bass + other", "accompaniment")
WAYS: Final = {  # how a way is asked for
    "sketch": ("--model", "sketch"),
    "quick": ("--strategy", "quick"),
    "spleeter:2stems": ("--model", "spleeter:2stems"),
    "htdemucs": ("--model", "htdemucs"),
}
_RATE: Final = 44_100
_WINDOW: Final = 10 * _RATE  # samples
_SOUNDS: Final = 1e-3  # of the mix's energy in a window, above which a stem sounds in it


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--songs", type=Path, action="append", metavar="DIR", help="folders of multitracks")
    parser.add_argument("--seconds", type=int, default=60, help="of each song, those with most voice (60)")
    parser.add_argument("--ways", nargs="+", choices=[*WAYS], default=[*WAYS], metavar="NAME")
    parser.add_argument("--extra", nargs=argparse.REMAINDER, default=[], help="options of `separate`; the last of ours")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    about = machine.describe(load=machine.load_average())
    folders = asked.songs or ([SHARED] if SHARED.is_dir() else [])
    places = {"demo song": [DEMO]} | {folder.name: sorted(filter(Path.is_dir, folder.iterdir())) for folder in folders}
    results = {
        name: {way: _score(songs, WAYS[way], seconds=asked.seconds, extra=asked.extra) for way in asked.ways}
        for name, songs in places.items()
    }
    page = markdown(results, {name: len(songs) for name, songs in places.items()}, seconds=asked.seconds, about=about)
    sys.stdout.write(page)
    if not asked.extra and asked.ways == [*WAYS]:
        PAGE.write_text(page, encoding="utf-8")


def _score(songs: list[Path], way: tuple[str, ...], *, seconds: int, extra: list[str]) -> dict[str, float]:
    """Median SDR of each stem over the windows of all songs."""
    windows: dict[str, list[float]] = {}
    for song in songs:
        true = dict(_true(song, seconds))
        with tempfile.TemporaryDirectory(prefix="stemwright-bench-") as name:
            folder = Path(name)
            write_wav(folder / "mix.wav", sum(true.values(), np.zeros((2, 1), np.float32)))
            options: list[str | Path] = [*way, *extra, "-f", "wav32f", "-o", folder]
            command: list[str | Path] = [BIN / "stemwright", "separate", folder / "mix.wav", *options]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            found = {path.stem: read(path, channels=2) for path in (folder / "mix").glob("*.wav")}
        for stem, values in _sdr(true, found).items():
            windows.setdefault(stem, []).extend(values)
            _log.info("%-12s %-24s %-14s %5.1f dB", song.name, " ".join(way), stem, statistics.median(values))
    return {stem: statistics.median(values) for stem, values in windows.items() if values}


def _true(song: Path, seconds: int) -> Iterator[tuple[str, Samples]]:
    """The true stems of a song, of the seconds in which there is most voice."""
    stems = {path.stem: read(path, channels=2) for path in song.iterdir() if path.stem in STEMS}
    length = min(seconds * _RATE, stems["vocals"].shape[1])
    energy = np.concatenate([[0.0], np.cumsum(np.square(stems["vocals"], dtype=np.float64).sum(axis=0))])
    begin = int(np.argmax(energy[length:] - energy[:-length])) if length < len(energy) - 1 else 0
    for name, samples in stems.items():
        yield name, samples[:, begin : begin + length]


def _sdr(true: dict[str, Samples], found: dict[str, Samples]) -> dict[str, list[float]]:
    """SDR of each stem that both have, window for window; what has no file of its own is in `other`."""
    mix = sum(true.values(), np.zeros((2, 1), np.float32))
    wholes = true | {"accompaniment": mix - true["vocals"], "bass + other": true["bass"] + true["other"]}
    given = dict(found)
    given.setdefault("accompaniment", mix - found["vocals"])
    if "bass" in given:
        given["bass + other"] = given["bass"] + given["other"]
    if not np.any(true.get("bass", 0)):  # scored together, for nobody knows which is which
        given.pop("bass", None), given.pop("other", None)
    scores: dict[str, list[float]] = {}
    for stem in STEMS:
        if stem in given and stem in wholes:
            signal, error = _energies(wholes[stem]), _energies(wholes[stem] - given[stem])
            sounds = signal > _SOUNDS * _energies(mix)
            scores[stem] = list(10 * np.log10(signal[sounds] / (error[sounds] + 1e-9)))
    return {stem: values for stem, values in scores.items() if values}


def _energies(samples: Samples) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    count = max(1, samples.shape[1] // _WINDOW)
    return np.array([np.square(part, dtype=np.float64).sum() for part in np.array_split(samples, count, axis=1)])


def markdown(
    results: dict[str, dict[str, dict[str, float]]], songs: dict[str, int], *, seconds: int, about: list[str]
) -> str:
    """The page: songs → way → stem → dB."""
    lines = ["# Quality", "", "Written by `python -m benchmarks.quality`; do not edit.", "", *about, ""]
    for name, ways in results.items():
        count = f"{songs[name]} songs" if songs[name] > 1 else "one song"
        lines += [f"## {name}: {count}, {seconds} s each at most", "", f"| way | {' | '.join(STEMS)} |"]
        lines += ["|---" * (1 + len(STEMS)) + "|"]
        for way, scores in ways.items():
            cells = (f"{scores[stem]:.2f}" if stem in scores else "" for stem in STEMS)
            lines.append(f"| `{way}` | {' | '.join(cells)} |")
        lines.append("")
    lines += [
        "Median SDR in dB over windows of 10 s in which the stem sounds; higher is better. The stems of the demo song",
        "are files with loss, which bounds what can be scored, and its voice is a program's. Bass and other count only",
        "where a song has both as files of their own.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
