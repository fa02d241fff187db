"""The network of `sketch`: a small U-Net over frames and bands with a dense temporal bottleneck.

Everything heavy is a dense product. It sees a bounded time, so that a song in chunks comes out as it does in one piece.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from training.bands import BANDS

PATCH = 2  # bands that the first layer takes together
CHANNELS = (24, 48, 72, 96)  # of each level; each halves frames and bands of the one above
WIDTH = 320  # of the bottleneck
DILATIONS = (1, 2, 4, 1)
KERNEL = 5
DROPOUT = 0.15  # while training
STRIDE = 2 ** (len(CHANNELS) - 1)  # frames come in multiples of it
CONTEXT = 15 * STRIDE  # frames each way that reach an output frame; what is beyond, up to 22 strides, is below -100 dB


class Block(nn.Module):
    """3 × 3 convolution, normalised, added to its input. `[B, C, N, P]` in and out."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return x + F.relu(self.norm(self.conv(x)))


class Temporal(nn.Module):
    """Dilated depth-wise convolution in time, then two dense layers, added to its input. `[B, N, W]` in and out."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        reach = dilation * (KERNEL // 2)
        self.time = nn.Conv1d(width, width, KERNEL, padding=reach, dilation=dilation, groups=width)
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 2 * width)
        self.drop = nn.Dropout(DROPOUT)
        self.down = nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        y = self.norm(self.time(x.transpose(1, 2)).transpose(1, 2))
        return x + cast("Tensor", self.down(self.drop(F.relu(self.up(y)))))


class Network(nn.Module):
    """Features `[B, 3, N, K]` of a mix to logits of masks `[B, 4, 2, N, K]`; softmax over the stems makes the masks."""

    def __init__(self) -> None:
        super().__init__()
        whole = PATCH * STRIDE
        self.padding = -BANDS % whole
        patches = (BANDS + self.padding) // PATCH
        self.first = nn.Conv2d(3, CHANNELS[0], (3, PATCH), stride=(1, PATCH), padding=(1, 0))
        self.place = nn.ParameterList(
            nn.Parameter(torch.zeros(1, channels, 1, patches >> level)) for level, channels in enumerate(CHANNELS)
        )
        self.encode = nn.ModuleList(Block(channels) for channels in CHANNELS)
        self.decode = nn.ModuleList(Block(channels) for channels in CHANNELS)
        steps = list(pairwise(CHANNELS))
        self.down = nn.ModuleList(nn.Conv2d(upper, lower, 2, stride=2) for upper, lower in steps)
        self.up = nn.ModuleList(nn.ConvTranspose2d(lower, upper, 2, stride=2) for upper, lower in steps)
        flat = CHANNELS[-1] * (patches >> (len(CHANNELS) - 1))
        self.into = nn.Linear(flat, WIDTH)
        self.temporal = nn.ModuleList(Temporal(WIDTH, dilation) for dilation in DILATIONS)
        self.out = nn.Linear(WIDTH, flat)
        self.last = nn.ConvTranspose2d(CHANNELS[0], 8, (1, PATCH), stride=(1, PATCH))

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        x = self.first(F.pad(features, (0, self.padding)))
        x = F.relu(x + self.place[0].type_as(x))
        passed = []
        for level, block in enumerate(self.encode):
            if level:
                x = self.down[level - 1](x)
                x = F.relu(x + self.place[level].type_as(x))
            x = block(x)
            passed.append(x)
        x = x + self._bottleneck(x)
        for level in reversed(range(len(CHANNELS))):
            x = self.decode[level](x)
            if level:
                x = passed[level - 1] + self.up[level - 1](x)
        logits = self.last(F.relu(x))[..., :BANDS]
        return cast("Tensor", logits.unflatten(1, (4, 2)))

    def _bottleneck(self, x: Tensor) -> Tensor:
        batch, channels, frames, places = x.shape
        y = self.into(x.permute(0, 2, 1, 3).reshape(batch, frames, channels * places))
        for block in self.temporal:
            y = block(y)
        return cast("Tensor", self.out(y)).reshape(batch, frames, channels, places).permute(0, 2, 1, 3)


def features(power: Tensor, pan: Tensor, widths: Tensor) -> Tensor:
    """What the network sees, `[B, 3, N, K]`: log power of mid and side, and where the sound is between left and right.

    power `[B, 2, N, K]` and pan `[B, N, K]` are the sums of `mixing.Batch`; widths `[K]` is the bins of each band.
    """
    log = (torch.log10(power / (1536 * widths) + 1e-7) + 2.5) / 1.5
    place = pan / (power.sum(1) / 2 + 1e-2)
    return torch.cat([log, place[:, None]], dim=1)
