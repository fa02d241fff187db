"""Checkpoints: the weights in half precision, nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from stemwright.disk import draft_of

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn


def save_checkpoint(network: nn.Module, path: Path) -> None:
    """Write the weights as float16; a reader sees the old file or the new one."""
    state = {name: value.half() if value.is_floating_point() else value for name, value in network.state_dict().items()}
    with draft_of(path) as draft:
        torch.save(state, draft)


def load_checkpoint(network: nn.Module, path: Path) -> None:
    """Read weights that `save_checkpoint` wrote."""
    state = torch.load(path, weights_only=True, map_location="cpu")
    whole = {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
    network.load_state_dict(whole)
