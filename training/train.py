"""Train the network: `python -m training.train --corpus FOLDER --out RUN --minutes 90 [--start CHECKPOINT]`."""

from __future__ import annotations

import argparse
import threading
import time
from collections import deque
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import DataLoader, IterableDataset

from training.bands import BANDS, EDGES
from training.checkpoints import load_checkpoint, save_checkpoint
from training.measure import held_out_windows, median_sdr
from training.mixing import Batch, Mixer, load_corpus
from training.network import Network, features
from training.optimiser import has_bfloat16
from training.running import Run

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTHS = torch.tensor(np.diff(EDGES), dtype=torch.float32)
EVERY_STEPS = 25  # a line in the log
EVERY_MINUTES = 8.0  # a validation and a checkpoint
RELOAD_BATCHES = 200  # the corpus may grow while training goes on
KEPT = 64  # batches, of which a step takes any: mixing is as much work as learning, and each mix says more than once
TONE = 3.0  # dB by which parts of its frequencies are louder or softer each time that a mix is taken …
PARTS = 8  # … so many
GAPS = 0.3  # chance of a gap in the bands, and of one in time, of an example
LOG = 0.03  # weight of the errors in log
SILENCE = torch.tensor([-3.0, -3.0, 0.0])  # its features


class Mixes(IterableDataset[tuple[Tensor, ...]]):
    """Endless batches of random mixes, made in a process of its own."""

    def __init__(self, corpus: Path, *, batch: int, frames: int, seed: int) -> None:
        self.corpus, self.size, self.frames, self.seed = corpus, batch, frames, seed

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        for epoch in range(1_000_000):
            seed = self.seed + 7919 * epoch
            mixer = Mixer(load_corpus(self.corpus / "train"), frames=self.frames, seed=seed)
            for _ in range(RELOAD_BATCHES):
                yield as_tensors(mixer.batch(self.size))


class Replay:
    """The latest batches of mixes, gathered in the background while the network learns, until it is closed."""

    def __init__(self, mixes: Mixes) -> None:
        """Start the process that mixes, and wait for its first batch."""
        self._fresh = iter(DataLoader(mixes, batch_size=None, num_workers=1, prefetch_factor=2))
        self._kept = deque([next(self._fresh)], maxlen=KEPT)
        self._failure: Exception | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._gather)
        self._thread.start()

    def _gather(self) -> None:
        try:
            for tensors in self._fresh:
                if self._closed:
                    break
                self._kept.append([tensor.clone() for tensor in tensors])  # out of the memory shared with the process
        except Exception as failure:  # noqa: BLE001  # whatever it is, the next `take` raises it
            self._failure = failure

    def close(self) -> None:
        """End the process that mixes."""
        self._closed = True
        self._thread.join()
        del self._fresh

    def take(self) -> tuple[Tensor, ...]:
        """Any of the batches, with another tone, left and right swapped in half of its mixes.

        Raises what the process that mixes raised.
        """
        if self._failure:
            raise self._failure
        power, pan, cross, energy, unsplit = self._kept[int(torch.randint(len(self._kept), ()))]
        parts = TONE * torch.randn(len(unsplit), 1, PARTS)
        tone = F.interpolate(parts, size=BANDS, mode="linear", align_corners=True)[:, 0]
        gains = 10 ** (tone / 10)
        louder = (part * gains.view(-1, *[1] * (part.ndim - 2), BANDS) for part in (power, pan, cross, energy))
        power, pan, cross, energy = louder
        pan = pan * (2 * torch.randint(2, (len(pan), 1, 1)) - 1)
        return power, pan, cross, energy, unsplit


def as_tensors(batch: Batch) -> tuple[Tensor, ...]:
    """power, pan, cross, energy, unsplit."""
    parts = (batch.power, batch.pan, batch.cross, batch.energy, batch.unsplit)
    return tuple(torch.from_numpy(np.ascontiguousarray(part)) for part in parts)


def errors(logits: Tensor, power: Tensor, cross: Tensor, energy: Tensor, unsplit: Tensor) -> Tensor:
    """Energy of the error of each stem in each band, `[B, 4, 2, N, K]`; see `mixing`."""
    masks = torch.softmax(logits, dim=1)
    joined = unsplit[:, None, None, None]
    bass, other = masks[:, 2], masks[:, 3]
    masks = torch.stack([masks[:, 0], masks[:, 1], bass * (1 - joined), other + bass * joined], dim=1)
    return (masks * masks * power[:, None] - 2 * masks * cross + energy).clamp_min(0)


def loss_of(logits: Tensor, power: Tensor, cross: Tensor, energy: Tensor, unsplit: Tensor) -> Tensor:
    """What is made small: magnitude and energy of the errors against the mixes', and each stem's error in log.

    The last counts a quiet stem, or one that is not there, as much as a loud one, down to -30 dB of the mix.
    """
    error = errors(logits, power, cross, energy, unsplit)
    magnitude = torch.sqrt(error + 1e-3).mean() / torch.sqrt(power + 1e-3).mean()
    share = error.sum((2, 3, 4)) / power.sum((1, 2, 3))[:, None]
    return magnitude + 0.5 * share.sum(1).mean() + LOG * torch.log(share + 1e-3).mean()


def with_gaps(seen: Tensor) -> Tensor:
    """Features `[B, 3, N, K]` with bands and moments blotted out now and then, so that no single cue is relied upon."""
    for example in seen:
        for axis, longest in ((2, BANDS // 6), (1, 24)):
            if torch.rand(()) < GAPS:
                length = int(torch.randint(1, longest, ()))
                start = int(torch.randint(0, example.shape[axis] - length, ()))
                example.narrow(axis, start, length).copy_(SILENCE[:, None, None])
    return seen


def train(
    *,
    corpus: Path,
    out: Path,
    minutes: float = 90,
    steps: int = 10**9,
    start: Path | None = None,
    lr: float = 2e-3,
    fall: float = 0.5,
    size: tuple[int, int] = (6, 256),
) -> float:
    """Train on batches of `size` (mixes, frames of each) until `minutes` or `steps` are over; the smoothed loss then.

    Writes `out`.pt and `out`.jsonl. The rate falls over the last part `fall` of the run: 1 for one that goes on from a
    good one, as a high rate first takes away what the falling one then gives back.
    """
    torch.manual_seed(len(out.name))
    network = Network()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
    if start:
        load_checkpoint(network, start)
    windows = held_out_windows(corpus / "test")
    fresh = Mixes(corpus, batch=size[0], frames=size[1], seed=time.time_ns() % 2**31)
    out.parent.mkdir(parents=True, exist_ok=True)
    with closing(Replay(fresh)) as mixes, out.with_suffix(".jsonl").open("a") as log:
        run = Run(network, lr=lr, log=log, warm=40, fall=fall, share=0.005)
        began = checked = time.monotonic()
        while True:
            now = time.monotonic()
            done = max((now - began) / 60 / minutes, run.steps / steps)
            power, pan, cross, energy, unsplit = mixes.take()
            seen = with_gaps(features(power, pan, WIDTHS)).contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16, enabled=has_bfloat16()):
                logits = network(seen).float().contiguous()
            run.step(loss_of(logits, power, cross, energy, unsplit), done=done)
            if run.steps % EVERY_STEPS == 0:
                run.note(step=run.steps, minutes=round((now - began) / 60, 1), loss=round(run.loss, 4))
            if now - checked > 60 * EVERY_MINUTES or done >= 1:
                checked = now
                save_checkpoint(run.mean, out.with_suffix(".pt"))
                run.note(step=run.steps, sdr=median_sdr(run.mean, windows))
            if done >= 1:
                return run.loss


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="checkpoint to write, without ending")
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--steps", type=int, default=10**9)
    parser.add_argument("--start", type=Path, help="checkpoint to go on from")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--fall", type=float, default=0.5, help="last part of the run, over which the rate falls")
    parser.add_argument("--size", type=int, nargs=2, default=(6, 256), help="mixes of a batch, frames of each")
    parser.add_argument("--threads", type=int, default=1)
    options = vars(parser.parse_args())
    torch.set_num_threads(options.pop("threads"))
    train(**options)


if __name__ == "__main__":
    main()
