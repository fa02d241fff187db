"""How the drum network is judged: scores played through kits it never heard, and sounds without drums."""

from __future__ import annotations

import io
import shutil
import subprocess
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np

from stemwright.drums.features import RATE
from stemwright.drums.transcribe import Transcriber
from training.corpus import own_rng
from training.drums.bank import LANE_OF, OFF_LANES, kit_of
from training.drums.mixer import OTHER_STEMS, play, songs_in
from training.drums.scores import FLAM, SCORES, sticks_of
from training.drums.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from stemwright.drums.frames import DrumNetwork
    from training.drums.bank import Mono
    from training.drums.patterns import Stick
    from training.drums.tally import Event

TOLERANCES: Final = (0.025, 0.05)
TRAINED_KITS: Final = {"MuldjordKit (trained on)": "muldjord", "FluidR3 standard (trained on)": "FluidR3:0"}
SPEECH: Final = (
    "The quick brown fox jumps over the lazy dog. Please take the ticket back to the desk, and keep a copy. "
    "Peter Piper picked a peck of pickled peppers; that is what they told us, between two cups of tea. "
)


def hear(sound: Mono, network: DrumNetwork, *, rate: int = RATE) -> list[Event]:
    """What the product makes of a recording, mono `[T]`."""
    transcriber = Transcriber(rate, channels=1, network=network)
    transcriber.add(sound[None])
    return [(stroke.time, stroke.lane) for stroke in transcriber.finish().hits]


def performances(kit: str, *, seeds: Iterable[int]) -> list[tuple[str, Mono, list[Stick]]]:
    """Each score through a kit: its name, the sound, and the strokes that the kit has a piece for."""
    out = []
    for seed in seeds:
        for score in SCORES:
            rng = own_rng(seed, score.name, 0)
            pieces = kit_of(kit, rng)
            sticks, seconds = sticks_of(score, rng=rng)
            sticks = [stick for stick in sticks if stick.piece in pieces and stick.piece not in OFF_LANES]
            sound = play(pieces, sticks, frames=int(seconds * RATE), rng=rng, even=True)
            out.append((score.name, sound * np.float32(0.7 / (np.abs(sound).max() + 1e-9)), sticks))
    return out


def as_one(parts: Sequence[tuple[str, Mono, list[Stick]]]) -> tuple[str, Mono, list[Stick]]:
    """Performances one after the other, as one recording."""
    starts = np.cumsum([0, *(len(sound) for _, sound, _ in parts)]) / RATE
    sticks = [
        replace(stick, start=stick.start + float(start))
        for start, (_, _, played) in zip(starts, parts, strict=False)
        for stick in played
    ]
    return "all", np.concatenate([sound for _, sound, _ in parts]), sticks


def judge(
    kit: str,
    network: DrumNetwork,
    *,
    seeds: Iterable[int],
    through: Callable[[Mono], Mono] | None = None,
    whole: bool = True,
) -> dict[float, Tally]:
    """Tallies by tolerance; `through` is what the sound goes through first.

    All scores are one recording, as a song is, or where `whole` is false each is one of its own.
    """
    tallies = {tolerance: Tally() for tolerance in TOLERANCES}
    takes = [performances(kit, seeds=[seed]) for seed in seeds]
    for _, sound, sticks in (
        [as_one(parts) for parts in takes] if whole else [part for parts in takes for part in parts]
    ):
        given = hear(through(sound) if through else sound, network)
        wanted = [(stick.start, LANE_OF[stick.piece]) for stick in sticks]
        for tolerance, tally in tallies.items():
            tally.add(wanted, given, tolerance=tolerance, special=special(sticks))
    return tallies


def special(sticks: Sequence[Stick]) -> dict[str, list[set[Event]]]:
    """Ghost notes, and flams of which both strokes count."""
    events = [(stick.start, LANE_OF[stick.piece]) for stick in sticks]
    return {
        "ghost notes": [{event} for event, stick in zip(events, sticks, strict=True) if stick.loud < 0.3],
        "flams (both strokes)": [
            {a, b} for a, b in combinations(events, 2) if a[1] == b[1] and abs(a[0] - b[0]) < 2 * FLAM
        ],
    }


def without_drums(network: DrumNetwork, *, music: Path | None, sketch: Callable[[Mono], Mono]) -> dict[str, float]:
    """Onsets a minute where no drum plays."""
    rng = np.random.default_rng(0)
    at = np.arange(60 * RATE) / RATE
    chord = np.sum([0.1 * np.sin(2 * np.pi * hertz * at) for hertz in (110, 220, 277, 330)], axis=0)
    sounds: dict[str, Mono] = {
        "silence": np.zeros(len(at), np.float32),
        "white noise": (0.1 * rng.standard_normal(len(at))).astype(np.float32),
        "a steady chord": chord.astype(np.float32),
    }
    for seed, voice in enumerate(("en-us", "de")) if shutil.which("espeak-ng") else ():
        sounds[f"speech (espeak-ng, {voice})"] = spoken(SPEECH * 5, voice=voice, seed=seed)[: 60 * RATE]
    for folder in songs_in(music):
        mix = np.zeros(60 * RATE, np.float32)
        for path in (folder / name for name in (*OTHER_STEMS, "vocals.npy")):
            if path.exists():
                stem = np.load(path, mmap_mode="r")[: len(mix)]
                mix[: len(stem)] += stem.mean(axis=1) / np.float32(32768)
        sounds[f"{folder.name} without its drums"] = mix
        sounds[f"{folder.name} without its drums, through sketch"] = sketch(mix)
    return {name: 60 * len(hear(sound, network)) / (len(sound) / RATE) for name, sound in sounds.items()}


def spoken(text: str, *, voice: str, seed: int) -> Mono:
    """A text read by espeak-ng, mono `[T]`, at 44.1 kHz."""
    import soundfile
    import soxr

    command = ["espeak-ng", "-v", voice, "-s", str(150 + 20 * seed), "--stdout", text]
    sound, rate = soundfile.read(io.BytesIO(subprocess.run(command, check=True, capture_output=True).stdout))
    return np.asarray(soxr.resample(sound, rate, RATE), np.float32)


def through_sketch(music: Path | None) -> tuple[Callable[[Mono], Mono], Callable[[Mono], Mono]]:
    """What mixes other instruments under drums and takes the drums out again with `sketch`; and the latter alone."""
    from training.drums.mixer import Mixer
    from training.drums.pool import drums_of_sketch

    separate, mixer = drums_of_sketch(), Mixer(seed=3, music=music)
    piece = 10 * RATE

    def alone(sound: Mono) -> Mono:
        return np.concatenate([separate(sound[start : start + piece]) for start in range(0, len(sound), piece)])

    def through(sound: Mono) -> Mono:
        other = mixer.other(len(sound))
        return alone(sound + other * np.float32(0.7 * sound.std() / (other.std() + 1e-9)))

    return through, alone
