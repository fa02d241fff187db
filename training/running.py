"""A training run, whatever is trained: the steps of the optimisers, the running mean of the weights, the log."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Generic, TextIO, TypeVar

import torch

from training.optimiser import make_optimisers

if TYPE_CHECKING:
    from torch import Tensor, nn

Net = TypeVar("Net", bound="nn.Module")


class Run(Generic[Net]):
    """One run: the network, its running mean (which is what is kept), and the log.

    The rate rises over `warm` steps and falls over the last part `fall` of the run; the mean takes in at least the
    part `share` of each step.
    """

    def __init__(self, network: Net, *, lr: float, log: TextIO, warm: int, fall: float, share: float) -> None:
        self.network, self.log = network, log
        self.mean = copy.deepcopy(network).eval()
        self.optimisers = make_optimisers(network, lr=lr)
        self._tops = [[group["lr"] for group in optimiser.param_groups] for optimiser in self.optimisers]
        self._warm, self._fall, self._share = warm, fall, share
        self.steps = 0
        self.loss = 0.0  # smoothed

    def step(self, loss: Tensor, *, done: float) -> None:
        """One step down from the network's loss; `done` is the share of the run that is over."""
        rate = min(1.0, (self.steps + 1) / self._warm) * min(1.0, max(0.02, (1 - done) / self._fall))
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        for optimiser, tops in zip(self.optimisers, self._tops, strict=True):
            for group, top in zip(optimiser.param_groups, tops, strict=True):
                group["lr"] = rate * top
            optimiser.step()
            optimiser.zero_grad()
        self.steps += 1
        self._average()
        self.loss += (float(loss.detach()) - self.loss) / min(self.steps, 50)

    def _average(self) -> None:
        share = max(1 / self.steps, self._share)
        with torch.no_grad():
            pairs = zip(self.mean.state_dict().values(), self.network.state_dict().values(), strict=True)
            for kept, new in pairs:
                kept.lerp_(new, share) if kept.is_floating_point() else kept.copy_(new)

    def note(self, **what: object) -> None:
        """A line of JSON in the log and on the screen."""
        print(json.dumps(what), file=self.log, flush=True)
        print(" ".join(f"{key}={value}" for key, value in what.items()), flush=True)
