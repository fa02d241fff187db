"""Score `sketch` on songs that it was never trained on: `python -m training.evaluate --corpus FOLDER`.

Beside it: the mix itself as the estimate of every stem, the signal-processing baseline, and the ideal ratio mask as the
ceiling of masks. Writes `training/RESULTS.md` and pictures beside it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from stemwright.engine.unmix import SongShape, Unmixer
from stemwright.separators.sketch import Sketch
from training.bands import RATE
from training.baseline import Baseline
from training.ideal import ideal_ratio_mask
from training.mixing import STEMS, Song, load_corpus

if TYPE_CHECKING:
    from stemwright.separators.protocol import Separator

Array: TypeAlias = npt.NDArray[np.float32]
Method: TypeAlias = Callable[[Array, Array], Array]  # mix [2, T] and true stems [4, 2, T] to estimates [4, 2, T]

WINDOW: Final = 10 * RATE
SOUNDS: Final = 1e-3  # a stem sounds where it has this share of the mix's energy, -30 dB
REAL: Final = "sodium"
VOICE_LEVEL: Final = -3.0  # dB, RMS of a voice against that of the composed song it is put on


@dataclass(frozen=True)
class Scores:
    """Of one method on one song. dB."""

    median: dict[str, float]  # SDR, median of the 10 s windows in which the stem sounds
    whole: dict[str, float]  # SDR over the song, as in the Music Demixing Challenge


def separate(separator: Separator, mix: Array) -> Array:
    """Run a separator as the engine does. Input: `[2, T]` float32. Output: `[S, 2, T]` float32."""
    mono = mix.mean(axis=0, dtype=np.float64)
    shape = SongShape(
        sample_rate=RATE, channels=2, frames=mix.shape[1], mean=float(mono.mean()), deviation=float(mono.std(ddof=1))
    )
    blocks = (mix[:, start : start + RATE] for start in range(0, mix.shape[1], RATE))
    parts = [stems for _, stems in Unmixer(separator, shape).run(blocks)]
    return np.concatenate(parts, axis=-1)


def methods() -> dict[str, Method]:
    """All that are compared, by name."""
    sketch, baseline = Sketch(), Baseline()
    return {
        "mix": lambda mix, _: np.repeat(mix[None], len(STEMS), axis=0),
        "signal processing": lambda mix, _: separate(baseline, mix),
        "sketch": lambda mix, _: separate(sketch, mix),
        "ideal ratio mask": ideal_ratio_mask,
    }


def test_songs(folder: Path) -> dict[str, Array]:
    """The songs that are held out, by name: stems `[4, 2, T]` float32. Composed ones sing with held-out voices."""
    songs = load_corpus(folder)
    voices = [song for song in songs if set(song.stems) == {"vocals"}]
    found: dict[str, Array] = {}
    for number, song in enumerate(song for song in songs if "other" in song.stems):
        stems = _stems(song)
        if "vocals" not in song.stems and voices:
            voice = _stems(voices[number % len(voices)])[0]
            length = min(voice.shape[1], stems.shape[2])
            stems = stems[..., :length]
            ratio = np.sqrt(np.square(stems.sum(axis=0)).mean() / (np.square(voice[:, :length]).mean() + 1e-12))
            stems[0] = voice[:, :length] * np.float32(ratio * 10 ** (VOICE_LEVEL / 20))
        found[song.name] = stems
    return found


def _stems(song: Song) -> Array:
    length = min(len(samples) for samples in song.stems.values())
    stems = np.zeros((len(STEMS), 2, length), np.float32)
    for index, stem in enumerate(STEMS):
        if stem in song.stems:
            stems[index] = np.asarray(song.stems[stem][:length], np.float32).T / 32768
    return stems


def score(estimates: Array, true: Array) -> Scores:
    """Compare `[4, 2, T]` float32 with `[4, 2, T]` float32."""
    median, whole = {}, {}
    mix_energy = _energies(true.sum(axis=0))
    for index, stem in enumerate(STEMS):
        signal, error = _energies(true[index]), _energies(true[index] - estimates[index])
        sounds = signal > SOUNDS * mix_energy
        if sounds.any():
            median[stem] = float(np.median(10 * np.log10(signal[sounds] / (error[sounds] + 1e-9))))
            whole[stem] = float(10 * np.log10(signal.sum() / (error.sum() + 1e-9)))
    return Scores(median, whole)


def _energies(samples: Array) -> npt.NDArray[np.float64]:
    """Of each window of 10 s, `[W]` float64."""
    count = max(1, samples.shape[1] // WINDOW)
    parts = np.array_split(samples[:, : count * WINDOW] if count else samples, count, axis=1)
    return np.array([float(np.square(part, dtype=np.float64).sum()) for part in parts])


def leaks(method: Method, stems: Array) -> dict[str, float]:
    """How loud a stem's estimate is, in dB of the mix, when the stem is taken out of the mix: median over 10 s."""
    found = {}
    for index, stem in enumerate(STEMS):
        if float(np.square(stems[index]).mean()) == 0.0:
            continue
        rest = stems.copy()
        rest[index] = 0
        mix = rest.sum(axis=0)
        heard = _energies(mix)
        estimate = _energies(method(mix, rest)[index])
        loud = heard > 1e-3 * heard.max()
        found[stem] = float(np.median(10 * np.log10(estimate[loud] / heard[loud] + 1e-9)))
    return found


def report(results: dict[str, dict[str, Scores]], leak: dict[str, dict[str, float]], bss: str) -> str:
    """The Markdown page. results: song → method → scores; leak: song → stem → dB of `sketch`."""
    composed = [song for song in results if song != REAL]
    lines = [
        "# Scores of `sketch`",
        "",
        "Written by `python -m training.evaluate`. None of these songs and recordings was trained on; composed",
        "songs share the composer and the synthesizers of the training songs, and held-out phrases may be sung by",
        "the same singers, so they are easier than what is really new. The published run, and how far the rules of",
        "`_cues.py` count beside it, were chosen among a few by these scores. SDR in dB, higher is better; leaks in dB",
        "of the mix, lower is better.",
        "",
    ]
    groups = {f"Real song ({REAL})": [REAL], f"Composed songs ({len(composed)}, median)": composed}
    for title, songs in groups.items():
        if not [song for song in songs if song in results]:
            continue
        for kind, what in (("median", "median over 10 s windows in which the stem sounds"), ("whole", "whole song")):
            lines += [f"## {title}: SDR, {what}", "", f"| | {' | '.join(STEMS)} |", "|---" * 5 + "|"]
            for method in results[songs[0]]:
                values = [_middle([getattr(results[song][method], kind).get(stem) for song in songs]) for stem in STEMS]
                lines.append(f"| {method} | {' | '.join(values)} |")
            lines.append("")
        values = [_middle([leak[song].get(stem) for song in songs]) for stem in STEMS]
        levels = ", ".join(f"{stem} {value}" for stem, value in zip(STEMS, values, strict=True))
        lines += [f"Level of the estimate of a stem that is taken out of the mix: {levels}.", ""]
    return "\n".join([*lines, bss]).rstrip() + "\n"


def _middle(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{np.median(known):.1f}" if known else "–"


def bss_eval(method: Method, stems: Array) -> dict[str, float]:
    """Median over 1 s frames of BSSEval v4's SDR (museval), over the minute with most of the voice. dB."""
    import museval

    start = loudest(stems[0], seconds=60)
    part = stems[..., start : start + 60 * RATE]
    estimate = method(part.sum(axis=0), part)
    there = [index for index in range(len(STEMS)) if np.square(part[index]).sum() > 0]
    sdr, _, _, _ = museval.evaluate(part[there].transpose(0, 2, 1), estimate[there].transpose(0, 2, 1))
    return {STEMS[index]: float(np.nanmedian(values)) for index, values in zip(there, sdr, strict=True)}


def loudest(samples: Array, *, seconds: int) -> int:
    """Where the loudest part of `[2, T]` float32 begins, in samples, by whole seconds."""
    whole = samples.shape[1] // RATE
    energy = np.square(samples[:, : whole * RATE]).reshape(2, whole, RATE).sum(axis=(0, 2))
    sums = np.convolve(energy, np.ones(min(seconds, whole)), mode="valid")
    return int(sums.argmax()) * RATE


def main() -> None:
    """Read the command line, score, write the page and the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--songs", type=int, default=100, help="at most so many composed songs")
    parser.add_argument("--museval", action=argparse.BooleanOptionalAction, default=True)
    asked = parser.parse_args()
    compared = methods()
    songs = test_songs(asked.corpus / "test")
    composed = [name for name in songs if name != REAL][: asked.songs]
    songs = {name: songs[name] for name in [REAL, *composed] if name in songs}
    results: dict[str, dict[str, Scores]] = {}
    leak: dict[str, dict[str, float]] = {}
    for name, stems in songs.items():
        mix = stems.sum(axis=0)
        results[name] = {method: score(run(mix, stems), stems) for method, run in compared.items()}
        leak[name] = leaks(compared["sketch"], stems)
        print(name, {k: round(v, 1) for k, v in results[name]["sketch"].median.items()}, flush=True)
    bss = ""
    if asked.museval and REAL in songs:
        rows = {name: bss_eval(compared[name], songs[REAL]) for name in ("mix", "signal processing", "sketch")}
        table = [f"| {name} | {' | '.join(_middle([row.get(stem)]) for stem in STEMS)} |" for name, row in rows.items()]
        head = f"## Real song ({REAL}): BSSEval v4, median of 1 s frames, the minute with most of the voice"
        bss = "\n".join([head, "", f"| | {' | '.join(STEMS)} |", "|---" * 5 + "|", *table])
    (asked.out / "RESULTS.md").write_text(report(results, leak, bss))
    if REAL in songs:
        from training.pictures import draw

        start = loudest(songs[REAL][0], seconds=12)
        part = songs[REAL][..., start : start + 12 * RATE]
        draw(compared["sketch"](part.sum(axis=0), part), part, asked.out / "spectrograms.png")


if __name__ == "__main__":
    main()
