"""Hybrid Transformer Demucs as an ONNX graph, from its weights; its Fourier transforms are outside.

As in `demucs/htdemucs.py`, `hdemucs.py` and `transformer.py` of `demucs` 4.1 (Rouard, Massa, Defossez, "Hybrid
Transformers for Music Source Separation", ICASSP 2023). Two things differ, and only in rounding:

- A gated linear unit is two convolutions, one with a sigmoid, because onnxruntime fuses those.
- A residual branch's second group norm is not computed from the branch's wide output. Mean and variance of `W h + b`
  follow from the second moments of the narrow `h`, and the norm is then part of the convolution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from stemwright.errors import WeightsError
from stemwright.separators._onnx import GraphWriter

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from stemwright.separators._onnx import Attribute

    Array = npt.NDArray[np.float32]

BINS: Final = 2048  # of the spectrum that the network sees
_EPSILON: Final = 1e-5  # of all norms
_HEADS: Final = 8
_STRIDE: Final = 4
_MAX_PERIOD: Final = 10_000.0  # of the positions' sines
_FREQ_EMB: Final = 0.2 * 10  # the embedding's weight in the sum, and the scale of its table
_DILATIONS: Final = (1, 2)  # of the residual branches


def build(weights: Mapping[str, Array], *, samples: int, stems: int) -> bytes:
    """The ONNX model for chunks of `samples`.

    Inputs, normalised as `htdemucs.HTDemucs.forward` does it: `spectrum` `[1, 4, 2048, N]` float32, real and imaginary
    parts of both channels, N = samples/1024 rounded up, and `samples` `[1, 2, 1, T]`. Outputs: `[1, 4*S, 2048, N]` and
    `[1, 2*S, 1, T]`. Raises `WeightsError` when a weight is missing, has another shape, or is not used.
    """
    network = _Network(weights=weights, frames=-(-samples // 1024), samples=samples, stems=stems)
    spectrum, wave = network.run()
    if unused := sorted(set(weights) - network.used):
        raise WeightsError(f"the weights hold {len(unused)} tensors that htdemucs does not know, such as {unused[0]}")
    return network.graph.model(
        inputs={"spectrum": (1, 4, BINS, network.frames), "samples": (1, 2, 1, samples)},
        outputs={spectrum: (1, 4 * stems, BINS, network.frames), wave: (1, 2 * stems, 1, samples)},
    )


@dataclass(slots=True, kw_only=True)
class _Network:
    """Writes the layers in the order in which they run; a signal is the name of a node `[1, C, F, T]`."""

    weights: Mapping[str, Array]
    frames: int
    samples: int
    stems: int
    graph: GraphWriter = field(default_factory=GraphWriter)
    used: set[str] = field(default_factory=set)

    def run(self) -> tuple[str, str]:
        """The whole network; its two outputs."""
        depth = sum(f"encoder.{level}.conv.weight" in self.weights for level in range(8))
        if depth < 1 or BINS % _STRIDE**depth:
            raise WeightsError("these are not the weights of an htdemucs: its encoder is not there")
        spectrum, wave = "spectrum", "samples"
        heights, widths = [BINS], [self.samples]
        skips, wave_skips = [], []
        for level in range(depth):
            heights.append(heights[-1] // _STRIDE)
            spectrum = self._encoder(f"encoder.{level}", spectrum, height=heights[-1], width=self.frames)
            if level == 0:
                table = self._take("freq_emb.embedding.weight", heights[-1], None)
                spectrum = self._add(spectrum, self._constant(_FREQ_EMB * table.T[None, :, :, None]))
            skips.append(spectrum)
            wave = self._wave_encoder(f"tencoder.{level}", wave, width=widths[-1])
            widths.append(-(-widths[-1] // _STRIDE))
            wave_skips.append(wave)
        spectrum, wave = self._middle(spectrum, wave, height=heights[-1], width=widths[-1])
        for index in range(depth):
            last = index == depth - 1
            height, width = heights[depth - index], widths[depth - index]
            name = f"decoder.{index}"
            spectrum = self._decoder(name, self._add(spectrum, skips.pop()), height=height, width=self.frames)
            spectrum = self._enlarged(name, spectrum, vertical=True, outputs=4 * self.stems if last else None)
            name = f"tdecoder.{index}"
            wave = self._decoder(name, self._add(wave, wave_skips.pop()), height=1, width=width)
            wave = self._enlarged(name, wave, vertical=False, outputs=2 * self.stems if last else None)
            wave = self._slice(wave, axis=3, begin=2, end=2 + widths[depth - index - 1])
            if not last:
                spectrum, wave = self._gelu(spectrum), self._gelu(wave)
        return spectrum, wave

    # Encoder and decoder

    def _encoder(self, name: str, signal: str, *, height: int, width: int) -> str:
        kernel = self._take(f"{name}.conv.weight", None, None, 2 * _STRIDE, 1)
        signal = self._conv(signal, kernel, self._bias(f"{name}.conv"), strides=(_STRIDE, 1), pads=(2, 0, 2, 0))
        return self._rewritten(name, self._gelu(signal), height=height, width=width)

    def _wave_encoder(self, name: str, signal: str, *, width: int) -> str:
        kernel = self._take(f"{name}.conv.weight", None, None, 2 * _STRIDE)[:, :, None]
        end = 2 + -width % _STRIDE  # up to a multiple of the stride
        signal = self._conv(signal, kernel, self._bias(f"{name}.conv"), strides=(1, _STRIDE), pads=(0, 2, 0, end))
        return self._rewritten(name, self._gelu(signal), height=1, width=-(-width // _STRIDE))

    def _rewritten(self, name: str, signal: str, *, height: int, width: int) -> str:
        """What follows the encoder's first convolution: the residual branches and a gated 1x1 convolution."""
        signal = self._residual(name, signal, height=height, width=width)
        return self._gated(signal, self._kernel(f"{name}.rewrite"), self._bias(f"{name}.rewrite"))

    def _decoder(self, name: str, signal: str, *, height: int, width: int) -> str:
        signal = self._gated(signal, self._kernel(f"{name}.rewrite"), self._bias(f"{name}.rewrite"))
        return self._residual(name, signal, height=height, width=width)

    def _enlarged(self, name: str, signal: str, *, vertical: bool, outputs: int | None) -> str:
        """Four times the size by a transposed convolution; what it gives too much stays on for waves."""
        kernel = self._kernel(f"{name}.conv_tr", (2 * _STRIDE,))
        if outputs not in {None, kernel.shape[1]}:
            raise WeightsError(f"{name} gives {kernel.shape[1]} channels, not {outputs}")
        bias = self._take(f"{name}.conv_tr.bias", kernel.shape[1])
        inputs = [signal, self._constant(kernel), self._constant(bias)]
        strides = (_STRIDE, 1) if vertical else (1, _STRIDE)
        return self.graph.node(
            "ConvTranspose", inputs, strides=strides, pads=(2, 0, 2, 0) if vertical else (0, 0, 0, 0)
        )

    def _gated(self, signal: str, kernel: Array, bias: Array) -> str:
        """A convolution and a gated linear unit: `a * sigmoid(b)`."""
        half, pads = len(kernel) // 2, tuple(size // 2 for size in kernel.shape[2:]) * 2
        gate = self.graph.node("Sigmoid", [self._conv(signal, kernel[half:], bias[half:], pads=pads)])
        return self.graph.node("Mul", [self._conv(signal, kernel[:half], bias[:half], pads=pads), gate])

    def _residual(self, name: str, signal: str, *, height: int, width: int) -> str:
        """`demucs.demucs.DConv`: at each frequency on its own, twice `x + scale * glu(norm(W gelu(norm(conv(x)))))`."""
        if f"{name}.dconv.layers.0.0.weight" not in self.weights:  # networks may do without
            return signal
        for index, dilation in enumerate(_DILATIONS):
            base = f"{name}.dconv.layers.{index}"
            kernel = self._take(f"{base}.0.weight", None, None, 3)[:, :, None]
            hidden = len(kernel)
            narrow = self._conv(
                signal, kernel, self._bias(f"{base}.0"), pads=(0, dilation, 0, dilation), dilations=(1, dilation)
            )
            narrow = self._reshape(self._transpose(narrow, 0, 2, 1, 3), 1, height, hidden * width)
            ones, zeros = np.ones(height, np.float32), np.zeros(height, np.float32)
            narrow = self.graph.node(
                "InstanceNormalization", [narrow, self._constant(ones), self._constant(zeros)], epsilon=_EPSILON
            )
            narrow = self._affine(self._reshape(narrow, height, hidden, width), f"{base}.1", hidden)
            narrow = self.graph.node(
                "Concat", [self._gelu(narrow), self._constant(np.ones((height, 1, width), np.float32))], axis=1
            )
            signal = self._add(signal, self._widened(base, narrow, hidden=hidden, width=width))
        return signal

    def _affine(self, signal: str, name: str, channels: int) -> str:
        """The scale and offset of a group norm on `[F, C, T]`."""
        scale, offset = (self._take(f"{name}.{part}", channels)[:, None] for part in ("weight", "bias"))
        return self._add(self.graph.node("Mul", [signal, self._constant(scale)]), self._constant(offset))

    def _widened(self, base: str, narrow: str, *, hidden: int, width: int) -> str:
        """`scale * glu(norm(W h + b))` of `h` and a row of ones, `[F, H + 1, T]`, to `[1, C, F, T]`.

        With `m` and `r` the mean and the inverse deviation at a frequency, `norm(W h + b)` is `g W (r h) + g b r - g m
        r + offset`, a convolution by 1 of `[r h, r, m r]`.
        """
        matrix = self._take(f"{base}.3.weight", None, hidden, 1)[:, :, 0]
        wide = len(matrix)
        matrix = np.concatenate([matrix, self._take(f"{base}.3.bias", wide)[:, None]], axis=1).astype(np.float64)
        pick = np.zeros((hidden + 1, hidden + 1))
        pick[:, -1] = matrix.mean(axis=0)
        moments = self.graph.node("MatMul", [narrow, self._transpose(narrow, 0, 2, 1)])
        moments = self._reshape(moments, -1, (hidden + 1) ** 2)
        of_moments = np.stack([pick.ravel(), (matrix.T @ matrix / wide).ravel()], axis=1) / width
        mean_and_power = self.graph.node("MatMul", [moments, self._constant(of_moments)])
        mean = self._slice(mean_and_power, axis=1, begin=0, end=1)
        power = self._slice(mean_and_power, axis=1, begin=1, end=2)
        variance = self.graph.node("Sub", [power, self.graph.node("Mul", [mean, mean])])
        floor = self.graph.node("Max", [variance, self._constant(np.zeros(1))])
        deviation = self.graph.node("Sqrt", [self._add(floor, self._constant(np.full(1, _EPSILON)))])
        inverse = self._reshape(self.graph.node("Reciprocal", [deviation]), -1, 1, 1)
        shift = self.graph.node("Mul", [inverse, self._reshape(mean, -1, 1, 1)])
        row = self.graph.node("Expand", [shift, self._sizes(1, 1, width)])
        rows = self.graph.node("Concat", [self.graph.node("Mul", [narrow, inverse]), row], axis=1)
        rows = self._transpose(self.graph.node("Unsqueeze", [rows, self._sizes(0)]), 0, 2, 1, 3)
        gain, offset = self._take(f"{base}.4.weight", wide), self._take(f"{base}.4.bias", wide)
        kernel = gain[:, None] * np.concatenate([matrix, np.full((wide, 1), -1.0)], axis=1)
        scale = np.ones(wide)
        scale[: wide // 2] = self._take(f"{base}.6.scale", wide // 2)
        kernel = (scale[:, None] * kernel)[:, :, None, None].astype(np.float32)
        return self._gated(rows, kernel, (scale * offset).astype(np.float32))

    # Transformer

    def _middle(self, spectrum: str, wave: str, *, height: int, width: int) -> tuple[str, str]:
        """The transformer across both branches, which see each other in each second layer."""
        transformer = "crosstransformer"
        layers = sum(f"{transformer}.layers.{index}.linear1.weight" in self.weights for index in range(32))
        channels = len(self._get(f"{transformer}.norm_in.weight"))
        bottom = "channel_upsampler.weight" in self.weights
        if bottom:
            spectrum, wave = self._by_one("channel_upsampler", spectrum), self._by_one("channel_upsampler_t", wave)
        tokens = (height * self.frames, width)
        spectrum = self._entered(spectrum, f"{transformer}.norm_in", channels, _plane(channels, height, self.frames))
        wave = self._entered(wave, f"{transformer}.norm_in_t", channels, _line(channels, width))
        for index in range(layers):
            first, second = f"{transformer}.layers.{index}", f"{transformer}.layers_t.{index}"
            if f"{first}.self_attn.in_proj_weight" in self.weights:
                spectrum = self._layer(first, spectrum, None, channels, tokens[0])
                wave = self._layer(second, wave, None, channels, tokens[1])
            else:
                spectrum, wave = (
                    self._layer(first, spectrum, wave, channels, tokens[0]),
                    self._layer(second, wave, spectrum, channels, tokens[1]),
                )
        spectrum = self._reshape(self._transpose(spectrum, 0, 2, 1), 1, channels, height, self.frames)
        wave = self._reshape(self._transpose(wave, 0, 2, 1), 1, channels, 1, width)
        if bottom:
            spectrum, wave = self._by_one("channel_downsampler", spectrum), self._by_one("channel_downsampler_t", wave)
        return spectrum, wave

    def _by_one(self, name: str, signal: str) -> str:
        kernel = self._take(f"{name}.weight", None, None, 1)[..., None]
        return self._conv(signal, kernel, self._bias(name))

    def _entered(self, signal: str, norm: str, channels: int, positions: Array) -> str:
        """Tokens `[1, F*T, C]`, normalised, with their positions."""
        signal = self._transpose(self._reshape(signal, 1, channels, -1), 0, 2, 1)
        return self._add(self._normalised(signal, norm, channels), self._constant(positions))

    def _layer(self, name: str, query: str, other: str | None, channels: int, tokens: int) -> str:
        """A layer of the transformer; `other` is what a layer across the branches looks at."""
        attention, last_norm = ("self_attn", "norm2") if other is None else ("cross_attn", "norm3")
        normed = self._normalised(query, f"{name}.norm1", channels)
        seen = normed if other is None else self._normalised(other, f"{name}.norm2", channels)
        seen = self._attention(f"{name}.{attention}", normed, seen, f"{name}.gamma_1.scale", channels)
        signal = self._add(query, seen)
        inner = len(self._get(f"{name}.linear1.bias"))
        hidden = self._linear(
            self._normalised(signal, f"{name}.{last_norm}", channels),
            self._take(f"{name}.linear1.weight", inner, channels),
            self._take(f"{name}.linear1.bias", inner),
        )
        scale = self._take(f"{name}.gamma_2.scale", channels)
        matrix, bias = (
            self._take(f"{name}.linear2.weight", channels, inner),
            self._take(f"{name}.linear2.bias", channels),
        )
        signal = self._add(signal, self._linear(self._gelu(hidden), scale[:, None] * matrix, scale * bias))
        flat = self._reshape(signal, 1, 1, tokens * channels)
        flat = self.graph.node(
            "InstanceNormalization", [flat, self._constant(np.ones(1)), self._constant(np.zeros(1))], epsilon=_EPSILON
        )
        gain, offset = (self._constant(self._take(f"{name}.norm_out.{part}", channels)) for part in ("weight", "bias"))
        return self._add(self.graph.node("Mul", [self._reshape(flat, 1, tokens, channels), gain]), offset)

    def _attention(self, name: str, query: str, other: str, scale_name: str, channels: int) -> str:
        matrices = self._take(f"{name}.in_proj_weight", 3 * channels, channels)
        biases = self._take(f"{name}.in_proj_bias", 3 * channels)
        inputs = [
            self._linear(query if part == 0 else other, matrix, bias)
            for part, (matrix, bias) in enumerate(zip(np.split(matrices, 3), np.split(biases, 3), strict=True))
        ]
        seen = self.graph.node("MultiHeadAttention", inputs, num_heads=_HEADS)
        scale = self._take(scale_name, channels)
        matrix = self._take(f"{name}.out_proj.weight", channels, channels)
        return self._linear(seen, scale[:, None] * matrix, scale * self._take(f"{name}.out_proj.bias", channels))

    def _linear(self, signal: str, matrix: Array, bias: Array) -> str:
        return self._add(self.graph.node("MatMul", [signal, self._constant(matrix.T)]), self._constant(bias))

    def _normalised(self, signal: str, name: str, channels: int) -> str:
        gain, offset = (self._constant(self._take(f"{name}.{part}", channels)) for part in ("weight", "bias"))
        return self.graph.node("LayerNormalization", [signal, gain, offset], epsilon=_EPSILON)

    # Small pieces

    def _conv(self, signal: str, kernel: Array, bias: Array, **attributes: Attribute) -> str:
        if len(bias) != len(kernel):
            raise WeightsError(f"a bias has {len(bias)} values for {len(kernel)} channels")
        return self.graph.node("Conv", [signal, self._constant(kernel), self._constant(bias)], **attributes)

    def _gelu(self, signal: str) -> str:
        return self.graph.node("Gelu", [signal])

    def _add(self, first: str, second: str) -> str:
        return self.graph.node("Add", [first, second])

    def _transpose(self, signal: str, *order: int) -> str:
        return self.graph.node("Transpose", [signal], perm=order)

    def _reshape(self, signal: str, *sizes: int) -> str:
        return self.graph.node("Reshape", [signal, self._sizes(*sizes)])

    def _slice(self, signal: str, *, axis: int, begin: int, end: int) -> str:
        return self.graph.node("Slice", [signal, self._sizes(begin), self._sizes(end), self._sizes(axis)])

    def _sizes(self, *values: int) -> str:
        return self.graph.constant(np.array(values, np.int64))

    def _constant(self, values: npt.NDArray[np.floating]) -> str:
        return self.graph.constant(values.astype(np.float32))

    def _kernel(self, name: str, sizes: tuple[int, ...] | None = None) -> Array:
        """A convolution's weights `[O, I, K, K]`: one dimension of size one more where it is along time only."""
        value = self._take(f"{name}.weight", *([None] * self._get(f"{name}.weight").ndim))
        if sizes and value.shape[2] not in sizes:
            raise WeightsError(f"{name}.weight has the shape {value.shape}")
        return value if value.ndim == 4 else value[:, :, None]

    def _bias(self, name: str) -> Array:
        return self._take(f"{name}.bias", None)

    def _get(self, name: str) -> Array:
        if name not in self.weights:
            raise WeightsError(f"the weights lack {name}")
        return self.weights[name]

    def _take(self, name: str, *shape: int | None) -> Array:
        """A tensor of this shape; None is any size. Raises `WeightsError`."""
        value = self._get(name)
        if value.ndim != len(shape) or any(
            size is not None and size != found for size, found in zip(shape, value.shape, strict=True)
        ):
            raise WeightsError(f"{name} has the shape {value.shape}")
        self.used.add(name)
        return value


def _line(channels: int, length: int) -> Array:
    """`demucs.transformer.create_sin_embedding`: `[T, C]`."""
    half = channels // 2
    phase = np.arange(length)[:, None] / _MAX_PERIOD ** (np.arange(half) / (half - 1))
    return np.concatenate([np.cos(phase), np.sin(phase)], axis=1).astype(np.float32)


def _plane(channels: int, height: int, width: int) -> Array:
    """`demucs.transformer.create_2d_sin_embedding`: `[F*T, C]`."""
    half = channels // 2
    rates = np.exp(np.arange(0.0, half, 2) * -(math.log(_MAX_PERIOD) / half))
    plane = np.zeros((height, width, channels))
    across, down = np.arange(width)[:, None] * rates, np.arange(height)[:, None] * rates
    plane[..., 0:half:2], plane[..., 1:half:2] = np.sin(across), np.cos(across)
    plane[..., half::2], plane[..., half + 1 :: 2] = np.sin(down)[:, None], np.cos(down)[:, None]
    return plane.reshape(height * width, channels).astype(np.float32)
