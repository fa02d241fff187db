"""The network that hears drums: convolutions over time and pitch, then dilated dense layers over time.

Everything heavy is a dense product. It sees `CONTEXT` frames each way, so that a song in chunks comes out as one piece.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from stemwright.drums.features import BANDS, LAYERS, SUBFRAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

CHANNELS: Final = (24, 48, 64)
STRIDES: Final = (3, 2, 2)  # over the bands
WIDTH: Final = 192
DILATIONS: Final = (1, 2, 4, 8, 16, 32)
CONTEXT: Final = sum(DILATIONS) + len(CHANNELS)  # frames each way that reach an output
LANES: Final = 8
KINDS: Final = 2  # open hi-hat, bell of the ride
OUTPUTS: Final = (LANES, LANES, KINDS, 1)  # onsets, velocities, kinds, height of a tom
DROPOUT: Final = 0.1


class Temporal(nn.Module):
    """A dense layer over three moments `dilation` apart, and one more, added to its input. `[B, N, W]` in and out."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.norm = nn.LayerNorm(WIDTH)
        self.gather = nn.Linear(3 * WIDTH, WIDTH)
        self.drop = nn.Dropout(DROPOUT)
        self.mix = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        padded = F.pad(self.norm(x), (0, 0, self.dilation, self.dilation))
        count = x.shape[1]
        moments = [padded[:, index * self.dilation : index * self.dilation + count] for index in range(3)]
        return x + cast("Tensor", self.mix(self.drop(F.relu(self.gather(torch.cat(moments, dim=2))))))


class Network(nn.Module):
    """Features `[B, N, 3, 72]` to logits of onsets and of velocities `[B, 2N, 8]` and of kinds `[B, 2N, 2]`.

    The fourth output, `[B, 2N, 1]`, is how high a tom is, in octaves over 128 Hz.
    """

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.BatchNorm2d(LAYERS)
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        before, bands = LAYERS, BANDS
        for channels, stride in zip(CHANNELS, STRIDES, strict=True):
            kernel = (3, 5 if stride == 3 else 3)
            padding = (1, kernel[1] // 2)
            self.convs.append(nn.Conv2d(before, channels, kernel, stride=(1, stride), padding=padding, bias=False))
            self.norms.append(nn.BatchNorm2d(channels))
            before, bands = channels, -(-bands // stride)
        self.place = nn.Parameter(torch.zeros(1, CHANNELS[0], 1, BANDS // STRIDES[0]))
        self.drop = nn.Dropout(DROPOUT)
        self.into = nn.Linear(before * bands, WIDTH)
        self.temporal = nn.Sequential(*(Temporal(dilation) for dilation in DILATIONS))
        self.last_norm = nn.LayerNorm(WIDTH)
        self.last = nn.Linear(WIDTH, SUBFRAMES * sum(OUTPUTS))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """See the class."""
        x = self.level(features.transpose(1, 2))
        for index, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = norm(conv(x))
            x = F.relu(x + self.place if index == 0 else x)
        x = F.relu(self.into(self.drop(x.transpose(1, 2).flatten(2))))
        x = self.last(self.last_norm(self.temporal(x)))
        onsets, velocities, kinds, heights = x.reshape(x.shape[0], -1, sum(OUTPUTS)).split(OUTPUTS, dim=2)
        return onsets, velocities, kinds, heights


class Activations(nn.Module):
    """Features `[B, N, 3, 72]` to activations, velocities `[B, 2N, 8]` and kinds `[B, 2N, 2]`, 0–1; heights of toms.

    Of several networks the mean of their logits, and of their heights.
    """

    def __init__(self, networks: Sequence[Network]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        outputs = [network(features) for network in self.networks]
        onsets, velocities, kinds, heights = (sum(parts) / len(outputs) for parts in zip(*outputs, strict=True))
        return torch.sigmoid(onsets), torch.sigmoid(velocities), torch.sigmoid(kinds), heights
