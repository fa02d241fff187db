"""Spleeter's U-Nets as ONNX graphs: one a stem, from magnitudes to the logits of the stem's mask.

As in `spleeter/model/functions/unet.py` (Hennequin et al., "Spleeter: a fast and efficient music source separation tool
with pre-trained models", JOSS 2020). Sizes come from the weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np

from stemwright.errors import WeightsError
from stemwright.separators._onnx import GraphWriter

if TYPE_CHECKING:
    import numpy.typing as npt

    from stemwright.separators._tf_checkpoint import Checkpoint

Activation: TypeAlias = Literal["LeakyRelu", "Relu", "Elu"]

DEPTH: Final = 6  # layers down, and as many up
_EPSILON: Final = 1e-3  # of Keras' batch normalisation
_MOST_CHANNELS: Final = 2048
_MANY: Final = 32  # channels
_TAPS: Final = ([3, 1], [4, 2, 0])  # of a kernel of 5 that reach outputs at even and at odd places, from left to right
_ALPHAS: Final = {"LeakyRelu": {"alpha": 0.2}, "Relu": {}, "Elu": {"alpha": 1.0}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What tells Spleeter's networks apart, beside their weights."""

    down: Activation
    up: Activation
    softmax: bool = False  # the masks of all stems add up to one by a softmax; else each is the sigmoid of its logits


def build(checkpoint: Checkpoint, *, number: int, layout: Layout) -> bytes:
    """The ONNX model of the stem with this number: `x` `[B, 2, T, F]` float32, T and F multiples of 64, to the like.

    Raises `WeightsError` when the checkpoint has not got its weights.
    """
    unet = _Unet(GraphWriter(), checkpoint, number, layout)
    shape = ("B", 2, "T", "F")
    output = unet.build()
    return unet.graph.model(inputs={"x": shape}, outputs={output: shape})


@dataclass(slots=True)
class _Unet:
    graph: GraphWriter
    checkpoint: Checkpoint
    number: int
    layout: Layout

    def build(self) -> str:
        skips: list[str] = []
        signal, channels = "x", 2
        widths = []
        for level in range(DEPTH):
            signal, channels = self._convolution(signal, level, channels)
            skips.append(signal)
            widths.append(channels)
            if level < DEPTH - 1:  # the last level's are made in Spleeter too, and not used
                signal = self._active(self._normalised(signal, level, channels), self.layout.down)
        for level in range(DEPTH):
            signal, channels = self._doubled(signal, level, channels)
            if level < DEPTH - 1:
                signal = self.graph.node("Concat", [skips[DEPTH - 2 - level], signal], axis=1)
                channels += widths[DEPTH - 2 - level]
        return self._output(signal, channels)

    def _convolution(self, signal: str, level: int, channels: int) -> tuple[str, int]:
        """Half the size. TensorFlow's padding "same" of a stride of 2: one before, two after."""
        kernel, bias = self._weights("conv2d", (DEPTH + 1) * self.number + level, inputs=channels, size=5)
        inputs = [signal, self.graph.constant(kernel.transpose(3, 2, 0, 1)), self.graph.constant(bias)]
        return self.graph.node("Conv", inputs, strides=(2, 2), pads=(1, 1, 2, 2)), len(bias)

    def _doubled(self, signal: str, level: int, channels: int) -> tuple[str, int]:
        """Twice the size, by a transposed convolution, active and normalised.

        With many channels it is made of four convolutions, one for the outputs at even and odd places each way, which
        is the same and takes a quarter less time.
        """
        name = _numbered("conv2d_transpose", DEPTH * self.number + level)
        kernel, bias = self._pair(name)
        count = len(bias)
        if kernel.shape != (5, 5, count, channels):
            raise _unfit(name, kernel)
        weights = kernel.transpose(2, 3, 0, 1)
        offset = self.graph.constant(bias)
        if count < _MANY:
            inputs = [signal, self.graph.constant(weights.swapaxes(0, 1)), offset]
            signal = self.graph.node("ConvTranspose", inputs, strides=(2, 2), pads=(1, 1, 2, 2))
            return self._normalised(self._active(signal, self.layout.up), DEPTH + level, count), count
        parts = []
        for row in (0, 1):
            for column in (0, 1):
                taps = weights[..., _TAPS[row], :][..., _TAPS[column]]
                inputs = [signal, self.graph.constant(taps), offset]
                parts.append(self.graph.node("Conv", inputs, pads=(1, 1, row, column)))
        signal = self._active(self.graph.node("Concat", parts, axis=1), self.layout.up)
        signal = self._normalised(signal, DEPTH + level, count, times=4)
        return self.graph.node("DepthToSpace", [signal], blocksize=2, mode="DCR"), count

    def _output(self, signal: str, channels: int) -> str:
        kernel, bias = self._weights("conv2d", (DEPTH + 1) * self.number + DEPTH, inputs=channels, size=4)
        if len(bias) != 2:
            raise WeightsError("the checkpoint's networks do not give two channels")
        inputs = [signal, self.graph.constant(kernel.transpose(3, 2, 0, 1)), self.graph.constant(bias)]
        return self.graph.node("Conv", inputs, dilations=(2, 2), pads=(3, 3, 3, 3))

    def _normalised(self, signal: str, level: int, channels: int, *, times: int = 1) -> str:
        name = _numbered("batch_normalization", 2 * DEPTH * self.number + level)
        values = [
            self.checkpoint.read(f"{name}/{part}") for part in ("gamma", "beta", "moving_mean", "moving_variance")
        ]
        if any(value.shape != (channels,) for value in values):
            raise _unfit(name, values[0])
        inputs = [signal, *(self.graph.constant(np.tile(value, times)) for value in values)]
        return self.graph.node("BatchNormalization", inputs, epsilon=_EPSILON)

    def _active(self, signal: str, kind: Activation) -> str:
        return self.graph.node(kind, [signal], **_ALPHAS[kind])

    def _weights(
        self, kind: str, number: int, *, inputs: int, size: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        name = _numbered(kind, number)
        kernel, bias = self._pair(name)
        if kernel.shape != (size, size, inputs, len(bias)) or not 0 < len(bias) <= _MOST_CHANNELS:
            raise _unfit(name, kernel)
        return kernel, bias

    def _pair(self, name: str) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        kernel, bias = self.checkpoint.read(f"{name}/kernel"), self.checkpoint.read(f"{name}/bias")
        if kernel.ndim != 4 or bias.ndim != 1:
            raise _unfit(name, kernel)
        return kernel, bias


def _numbered(kind: str, number: int) -> str:
    """The name that Keras gives the layer of this kind that was made as number `number`."""
    return f"{kind}_{number}" if number else kind


def _unfit(name: str, value: npt.NDArray[np.float32]) -> WeightsError:
    return WeightsError(f"{name} of the checkpoint does not fit Spleeter's network: it is {list(value.shape)}")
