"""Train the network on a pool of clips: `python -m training.drums.train --pool FOLDER --out RUN --minutes 35`."""

from __future__ import annotations

import argparse
import copy
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from training.checkpoints import load_checkpoint, save_checkpoint
from training.drums.network import Network
from training.optimiser import make_optimisers

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES: Final = ("features", "onsets", "velocities", "kinds", "heights")
EVERY_STEPS: Final = 50  # a line in the log
EVERY_MINUTES: Final = 3.0  # a validation and a checkpoint
RELOAD_MINUTES: Final = 4.0  # the pool may grow while training goes on
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
    """Endless stretches of clips, each at another level and with another equaliser; bands are blanked now and then."""
    count, length = len(pool["features"]) - HELD_BACK, pool["features"].shape[1]
    if count <= 0:
        raise ValueError(f"at least {HELD_BACK + 1} clips are needed")
    while True:
        for chosen in torch.split(torch.randperm(count), size):
            start = int(torch.randint(0, length - frames + 1, (1,)))
            batch = {name: pool[name][chosen + HELD_BACK] for name in NAMES}
            out = {name: batch[name][:, 2 * start : 2 * (start + frames)].float() for name in NAMES[1:]}
            features = batch["features"][:, start : start + frames].float()
            size_now, _, _, bands = features.shape
            knots = torch.randn(size_now, 1, 7) * 0.06
            curve = F.interpolate(knots, bands, mode="linear", align_corners=True)[:, None]
            features = features + torch.randn(size_now, 1, 1, 1) * 0.08 + curve
            if torch.rand(1) < 0.3:
                first = int(torch.randint(0, bands - 8, (1,)))
                features[..., first : first + int(torch.randint(2, 8, (1,)))] = -1
            yield out | {"features": features}


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


class Training:
    """One run: the network, its running mean (which is what is kept), and the log."""

    def __init__(self, network: Network, *, lr: float, log: TextIO) -> None:
        self.network, self.log = network, log
        self.mean = copy.deepcopy(network).eval()
        self.optimisers = make_optimisers(network, lr=lr)
        self._tops = [[group["lr"] for group in optimiser.param_groups] for optimiser in self.optimisers]
        self.steps = 0
        self.loss = 0.0

    def step(self, batch: Batch, *, done: float) -> None:
        """One step; `done` is the share of the run that is over."""
        rate = min(1.0, (self.steps + 1) / 50) * min(1.0, max(0.02, (1 - done) / 0.5))
        for optimiser, tops in zip(self.optimisers, self._tops, strict=True):
            for group, top in zip(optimiser.param_groups, tops, strict=True):
                group["lr"] = rate * top
        loss = total(losses(self.network(batch["features"]), batch))
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad()
        self.steps += 1
        share = max(1 / self.steps, 0.01)
        with torch.no_grad():
            pairs = zip(self.mean.state_dict().values(), self.network.state_dict().values(), strict=True)
            for kept, new in pairs:
                kept.lerp_(new, share) if kept.is_floating_point() else kept.copy_(new)
        self.loss += (float(loss.detach()) - self.loss) / min(self.steps, 50)

    def validate(self, pool: Batch) -> dict[str, float]:
        """Losses of the running mean on the clips held back."""
        batch = {name: pool[name][:HELD_BACK].float() for name in NAMES}
        with torch.no_grad():
            parts = losses(self.mean(batch["features"]), batch)
        return {name: round(float(value), 5) for name, value in parts.items()}

    def note(self, **what: object) -> None:
        """A line of JSON in the log and on the screen."""
        print(json.dumps(what), file=self.log, flush=True)
        print(" ".join(f"{key}={value}" for key, value in what.items()), flush=True)


def train(
    *,
    pool: Path,
    out: Path,
    minutes: float = 35,
    steps: int = 10**9,
    start: Path | None = None,
    lr: float = 2e-3,
    batch: int = 12,
    frames: int = 256,
) -> float:
    """Train until `minutes` or `steps` are over; write `out`.pt and `out`.jsonl; the smoothed loss at the end."""
    torch.manual_seed(0)
    network = Network()
    if start:
        load_checkpoint(network, start)
    out.parent.mkdir(parents=True, exist_ok=True)
    clips = read_pool(pool)
    began = checked = loaded = time.monotonic()
    stream = batches(clips, size=batch, frames=frames)
    with out.with_suffix(".jsonl").open("a") as log:
        run = Training(network, lr=lr, log=log)
        run.note(parameters=sum(param.numel() for param in network.parameters()), clips=len(clips["features"]))
        while True:
            now = time.monotonic()
            done = max((now - began) / 60 / minutes, run.steps / steps)
            if now - checked > 60 * EVERY_MINUTES or done >= 1:
                checked = now
                save_checkpoint(run.mean, out.with_suffix(".pt"))
                run.note(step=run.steps, clips=len(clips["features"]), **run.validate(clips))
            if done >= 1:
                return run.loss
            if now - loaded > 60 * RELOAD_MINUTES:
                loaded = now
                clips = read_pool(pool)
                stream = batches(clips, size=batch, frames=frames)
            run.step(next(stream), done=done)
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
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--frames", type=int, default=256)
    parser.add_argument("--threads", type=int, default=1)
    options = vars(parser.parse_args())
    torch.set_num_threads(options.pop("threads"))
    train(**options)


if __name__ == "__main__":
    main()
