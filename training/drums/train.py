"""Train the network on a pool of clips: `python -m training.drums.train --pool FOLDER --out RUN --minutes 35`.

With `--teachers CHECKPOINT …` it learns what the mean of other networks hears, and a little of the labels: one network
then does what several did (Hinton et al., Distilling the knowledge in a neural network, 2015).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from training.checkpoints import load_checkpoint, save_checkpoint
from training.drums.network import Activations, Network
from training.running import Run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NAMES: Final = ("features", "onsets", "velocities", "kinds", "heights")
EVERY_STEPS: Final = 50  # a line in the log
EVERY_MINUTES: Final = 3.0  # a validation and a checkpoint
RELOAD_MINUTES: Final = 4.0  # the pool may grow while training goes on
SIZE: Final = (12, 256)  # clips of a batch, frames of a clip
TAUGHT: Final = 0.7  # weight of what the teachers hear, against the labels
HELD_BACK: Final = 50  # clips of the first file, for the validation
Batch = dict[str, Tensor]


def read_pool(folder: Path) -> Batch:
    """All clips of a folder, float16. Raises FileNotFoundError where there is none."""
    files = sorted(folder.glob("*.npz"))
    if not files:
        raise FileNotFoundError(f"no clips in {folder}")
    parts: dict[str, list[np.ndarray]] = {name: [] for name in NAMES}
    for path in files:
        with np.load(path) as shard:
            for name in NAMES:
                parts[name].append(shard[name])
    return {name: torch.from_numpy(np.concatenate(found)) for name, found in parts.items()}


def batches(pool: Batch, *, size: int, frames: int) -> Iterator[Batch]:
    """Endless stretches of clips, `varied`; under a third of them lies a clip without drums."""
    count, length = len(pool["features"]) - HELD_BACK, pool["features"].shape[1]
    if count <= 0:
        raise ValueError(f"at least {HELD_BACK + 1} clips are needed")
    empty = HELD_BACK + torch.nonzero(pool["onsets"][HELD_BACK:].amax((1, 2)) == 0)[:, 0]
    while True:
        for chosen in torch.split(torch.randperm(count), size):
            start = int(torch.randint(0, length - frames + 1, (1,)))
            batch = {name: pool[name][chosen + HELD_BACK] for name in NAMES}
            out = {name: batch[name][:, 2 * start : 2 * (start + frames)].float() for name in NAMES[1:]}
            features = batch["features"][:, start : start + frames].float()
            if len(empty):
                other = pool["features"][empty[torch.randint(len(empty), (len(features),))]]
                under = torch.roll(other, int(torch.randint(length, (1,))), dims=1)[:, start : start + frames].float()
                features = beneath(features, under, where=torch.rand(len(features), 1, 1, 1) < 1 / 3)
            features, moved = varied(features)
            out["heights"] = torch.where(moved[:, None, None], torch.nan, out["heights"])
            yield out | {"features": features}


def varied(features: Tensor) -> tuple[Tensor, Tensor]:
    """Features `[B, N, 3, 72]`, each clip at another level, through an equaliser, compressed or expanded, hissing.

    Some are moved by one to three bands, so that their pitches are others: which, is the second output, `[B]`.
    """
    count, _, _, bands = features.shape
    curve = F.interpolate(torch.randn(count, 1, 7) * 0.1, bands, mode="linear", align_corners=True)[:, None]
    mean = features.mean((1, 2, 3), keepdim=True)
    features = (features - mean) * torch.empty(count, 1, 1, 1).uniform_(0.85, 1.15) + mean
    features = features + torch.randn(count, 1, 1, 1) * 0.1 + curve
    steps = torch.randint(-3, 4, (count,)) * (torch.rand(count) < 0.4)
    places = (torch.arange(bands) + steps[:, None]).clamp(0, bands - 1)
    features = torch.gather(features, 3, places[:, None, None].expand_as(features))
    hiss = torch.empty(count, 1, 1, 1).uniform_(-1, -0.3) + 0.5 * curve + 0.03 * torch.randn_like(features)
    features = torch.where(torch.rand(count, 1, 1, 1) < 0.3, torch.maximum(features, hiss), features)
    if torch.rand(1) < 0.3:
        first = int(torch.randint(0, bands - 8, (1,)))
        features[..., first : first + int(torch.randint(2, 8, (1,)))] = -1
    return features, steps != 0


def beneath(features: Tensor, under: Tensor, *, where: Tensor) -> Tensor:
    """Features `[B, N, 3, 72]` of two sounds together where `where` is true, the second made 6 to 46 dB softer."""
    loud = 10 ** torch.empty(len(features), 1, 1, 1).uniform_(-2.3, -0.3)
    power = 10 ** (4 * (features - 1.5)) + (loud * 10 ** (2 * (under - 1.5))) ** 2
    return torch.where(where, torch.log10(power) / 4 + 1.5, features)


def losses(outputs: tuple[Tensor, ...], batch: Batch) -> dict[str, Tensor]:
    """Onsets by cross entropy; velocity, kind and the height of toms where there is an onset."""
    onset, velocity, kind, height = outputs
    weight = 1 + 2 * batch["onsets"]
    onsets = F.binary_cross_entropy_with_logits(onset, batch["onsets"], weight)
    near = (batch["onsets"] > 0.4).float()
    miss = (torch.sigmoid(velocity) - batch["velocities"]).abs() * near
    cymbals = near[..., [2, 7]]
    kinds = F.binary_cross_entropy_with_logits(kind, batch["kinds"], reduction="none") * cymbals
    known = torch.isfinite(batch["heights"])
    off = torch.where(known, height - batch["heights"].nan_to_num(), 0.0).abs()
    return {
        "onset": onsets,
        "height": off.sum() / (known.sum() + 1),
        "velocity": miss.sum() / (near.sum() + 1),
        "kind": kinds.sum() / (cymbals.sum() + 1),
    }


def total(parts: dict[str, Tensor]) -> Tensor:
    """What is made small."""
    return parts["onset"] + 0.05 * parts["velocity"] + 0.01 * parts["kind"] + 0.03 * parts["height"]


def heard(teachers: Activations, batch: Batch) -> Batch:
    """What the teachers hear in a batch, as labels; heights only where the batch has them."""
    with torch.no_grad():
        labels = dict(zip(NAMES[1:], teachers(batch["features"]), strict=True))
    labels["heights"] = torch.where(torch.isfinite(batch["heights"]), labels["heights"], torch.nan)
    return labels


def validated(network: Network, pool: Batch) -> dict[str, float]:
    """Losses on the clips held back."""
    batch = {name: pool[name][:HELD_BACK].float() for name in NAMES}
    with torch.no_grad():
        parts = losses(network(batch["features"]), batch)
    return {name: round(float(value), 5) for name, value in parts.items()}


def train(
    *,
    pool: Path,
    out: Path,
    minutes: float = 35,
    steps: int = 10**9,
    start: Path | None = None,
    teachers: Sequence[Path] = (),
    lr: float = 2e-3,
    size: tuple[int, int] = SIZE,
) -> float:
    """Train until `minutes` or `steps` are over; write `out`.pt and `out`.jsonl; the smoothed loss at the end."""
    network = Network()
    if start:
        load_checkpoint(network, start)
    masters = [Network() for _ in teachers]
    for master, path in zip(masters, teachers, strict=True):
        load_checkpoint(master, path)
    taught = Activations(masters).eval()
    out.parent.mkdir(parents=True, exist_ok=True)
    shards, clips = len([*pool.glob("*.npz")]), read_pool(pool)
    began = checked = loaded = time.monotonic()
    stream = batches(clips, size=size[0], frames=size[1])
    with out.with_suffix(".jsonl").open("a") as log:
        run = Run(network, lr=lr, log=log, warm=50, fall=0.5, share=0.01)
        run.note(parameters=sum(param.numel() for param in network.parameters()), clips=len(clips["features"]))
        while True:
            now = time.monotonic()
            done = max((now - began) / 60 / minutes, run.steps / steps)
            if now - checked > 60 * EVERY_MINUTES or done >= 1:
                checked = now
                save_checkpoint(run.mean, out.with_suffix(".pt"))
                run.note(step=run.steps, clips=len(clips["features"]), **validated(run.mean, clips))
            if done >= 1:
                return run.loss
            if now - loaded > 60 * RELOAD_MINUTES:
                loaded = now
                if (found := len([*pool.glob("*.npz")])) > shards:
                    shards, clips = found, read_pool(pool)
                    stream = batches(clips, size=size[0], frames=size[1])
            clip = next(stream)
            outputs = network(clip["features"])
            loss = total(losses(outputs, clip))
            if masters:
                loss = (1 - TAUGHT) * loss + TAUGHT * total(losses(outputs, heard(taught, clip)))
            run.step(loss, done=done)
            if run.steps % EVERY_STEPS == 0:
                run.note(step=run.steps, minutes=round((now - began) / 60, 1), loss=round(run.loss, 5))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pool", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="checkpoint to write, without ending")
    parser.add_argument("--minutes", type=float, default=35)
    parser.add_argument("--steps", type=int, default=10**9)
    parser.add_argument("--start", type=Path, help="checkpoint to go on from")
    parser.add_argument("--teachers", type=Path, nargs="+", default=(), help="checkpoints to learn from")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--size", type=int, nargs=2, default=SIZE, metavar=("CLIPS", "FRAMES"), help="of a batch")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = vars(parser.parse_args())
    torch.set_num_threads(options.pop("threads"))
    torch.manual_seed(options.pop("seed"))
    train(**options)


if __name__ == "__main__":
    main()
