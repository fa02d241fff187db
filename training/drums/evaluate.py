"""Score the bundled drum network on kits it never heard: `python -m training.drums.evaluate`; writes RESULTS.md."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from stemwright.drums.features import RATE
from stemwright.drums.frames import BUNDLED, DrumNetwork
from stemwright.drums.lanes import LANES
from training.drums.judging import TOLERANCES, judge
from training.drums.report import report

if TYPE_CHECKING:
    from collections.abc import Callable

    from training.drums.bank import Mono
    from training.drums.tally import Tally

RESULTS: Final = Path(__file__).with_name("RESULTS.md")


def through_model(model: str, music: Path | None) -> Callable[[Mono], Mono]:
    """What mixes other instruments under drums and takes the drums out again as `stemwright separate` does."""
    import soundfile

    from stemwright.audio.formats import parse_format
    from stemwright.engine.options import SeparateOptions
    from stemwright.engine.separate import Engine
    from stemwright.engine.settings import SeparationSettings
    from training.drums.mixer import Mixer

    mixer = Mixer(seed=3, music=music)
    wanted = SeparationSettings(stems=("drums",))
    options = SeparateOptions(model=model, settings=wanted, format=parse_format("wav32f"), force=True)
    engine = Engine(options)

    def through(sound: Mono) -> Mono:
        other = mixer.other(len(sound))
        mix = sound + other * np.float32(0.7 * sound.std() / (other.std() + 1e-9))
        with tempfile.TemporaryDirectory() as name:
            song = Path(name) / "mix.wav"
            soundfile.write(song, np.stack([mix, mix], axis=1), RATE, subtype="FLOAT")
            drums, _ = soundfile.read(engine.separate(song, Path(name)).files()["drums"], dtype="float32")
            return np.asarray(drums.mean(axis=1), np.float32)

    return through


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=BUNDLED)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--music", type=Path, help="songs of `training.songs`, whose other stems are mixed in")
    parser.add_argument("--kits", nargs="+", help="only these, by their names in `bank`; prints one line each")
    parser.add_argument("--through", metavar="MODEL", help="with --kits: also through this model, and what that loses")
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    network = DrumNetwork(asked.weights)
    if asked.kits:
        through = through_model(asked.through, asked.music) if asked.through else None
        for kit in asked.kits:
            clean = judge(kit, network, seeds=range(asked.seeds))[TOLERANCES[0]]
            print(f"{kit}: {figures(clean)}", flush=True)
            if through:
                taken = judge(kit, network, seeds=range(asked.seeds), through=through)[TOLERANCES[0]]
                lost = clean.scores()[2] - taken.scores()[2]
                print(f"{kit} through {asked.through}: {figures(taken)}; loss {lost:.3f}", flush=True)
        return
    text = report(network, weights=asked.weights, seeds=range(asked.seeds), music=asked.music)
    asked.out.write_text(text, encoding="utf-8")
    print(text)


def figures(tally: Tally) -> str:
    """One line of them."""
    precision, recall, f = tally.scores()
    lanes = " ".join(f"{lane.type} {tally.scores(n)[2]:.2f}" for n, lane in enumerate(LANES) if tally.wanted[n])
    return f"P {precision:.3f} R {recall:.3f} F {f:.3f}, macro {tally.macro():.3f}; {lanes}"


if __name__ == "__main__":
    main()
