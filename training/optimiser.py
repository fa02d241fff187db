"""Muon: momentum whose steps are made orthogonal, for matrices; AdamW for all else."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn


class Muon(torch.optim.Optimizer):
    """Momentum steps made orthogonal by Newton-Schulz iterations (Jordan, "Muon", 2024), for tensors of >= 2 axes.

    Kernels of convolutions count as matrices of their first axis by the rest.
    """

    def __init__(self, params: list[nn.Parameter], *, lr: float, momentum: float = 0.95, decay: float = 0.03) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """One step."""
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is None:
                    continue
                state = self.state[param]
                if not state:
                    state["momentum"] = torch.zeros_like(param)
                buffer = state["momentum"]
                buffer.lerp_(param.grad, 1 - group["momentum"])
                ahead = param.grad.lerp(buffer, group["momentum"]).flatten(1)
                update = orthogonal(ahead).view_as(param)
                scale = max(1.0, ahead.shape[0] / ahead.shape[1]) ** 0.5
                param.mul_(1 - group["lr"] * group["decay"]).add_(update, alpha=-group["lr"] * scale)


@cache
def has_bfloat16() -> bool:
    """Whether this processor multiplies matrices of bfloat16 faster than of float32 (AMX, AVX-512)."""
    about = Path("/proc/cpuinfo")
    return about.is_file() and not {"amx_bf16", "avx512_bf16"}.isdisjoint(about.read_text().split())


def orthogonal(matrix: Tensor, *, rounds: int = 5) -> Tensor:
    """About the nearest matrix with orthonormal rows or columns, `[R, C]` in and out."""
    flip = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if flip else matrix).contiguous()
    x = (x / (x.norm() + 1e-7)).to(torch.bfloat16 if has_bfloat16() else torch.float32)
    for _ in range(rounds):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
    return (x.T if flip else x).to(matrix.dtype)


def make_optimisers(network: nn.Module, *, lr: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside, AdamW for edges, biases, norms and depth-wise kernels; `lr` is AdamW's."""
    inner: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, param in network.named_parameters():
        matrix = param.ndim >= 2 and not name.startswith(("first", "last", "place")) and ".time." not in name
        (inner if matrix else rest).append(param)
    return [Muon(inner, lr=10 * lr), torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.98), weight_decay=0.0)]
