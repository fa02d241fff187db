"""The heaviest layers of htdemucs for a CPU: the same numbers but for rounding, in less time.

Demucs computes a layer over the whole chunk, operation by operation, so that each reads and writes tens of megabytes.
Here a layer is computed for a few frequencies at once, all operations of it, while the numbers are in the processor's
cache. With frequencies before channels in memory, convolutions are products of matrices that lie there as they are
needed, overlapping, so that nothing is copied for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK: Final = 1 << 20  # values of the widest intermediate result that are computed at once
_FEWEST: Final = 8  # channels: with fewer, and short chunks, nothing is gained
_TILE: Final = 4  # frequencies that one application of the matrices below gives
# Winograd's F(4, 3): a convolution by three taps takes six products for four results instead of twelve.
# Source: Lavin and Gray, "Fast algorithms for convolutional neural networks", 2015.
_WINOGRAD_IN: Final = (
    (4.0, 0.0, -5.0, 0.0, 1.0, 0.0),
    (0.0, -4.0, -4.0, 1.0, 1.0, 0.0),
    (0.0, 4.0, -4.0, -1.0, 1.0, 0.0),
    (0.0, -2.0, -1.0, 2.0, 1.0, 0.0),
    (0.0, 2.0, -1.0, -2.0, 1.0, 0.0),
    (0.0, 4.0, 0.0, -5.0, 0.0, 1.0),
)
_WINOGRAD_TAPS: Final = (
    (1 / 4, 0.0, 0.0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0.0, 0.0, 1.0),
)
_WINOGRAD_OUT: Final = (
    (1.0, 1.0, 1.0, 1.0, 1.0, 0.0),
    (0.0, 1.0, -1.0, 2.0, -2.0, 0.0),
    (0.0, 1.0, 1.0, 4.0, 4.0, 0.0),
    (0.0, 1.0, -1.0, 8.0, -8.0, 1.0),
)


@torch.no_grad()
def quicken(network: Any) -> None:
    """Replace the layers of an HTDemucs, if it is built as the published ones are; else it stays as it is.

    For float32 on the CPU, in inference mode only.
    """
    if network.channels < _FEWEST:
        return
    encoders, decoders = [*network.encoder, *network.tencoder], [*network.decoder, *network.tdecoder]
    if not all(_is_usual(layer, taps=1) for layer in encoders) or not all(
        _is_usual(layer, taps=3) for layer in decoders
    ):
        return
    for layer in [*encoders, *decoders]:
        if layer.dconv:
            layer.dconv = _Residual(layer.dconv)
    if transformer := network.crosstransformer:
        for layer in [*transformer.layers, *transformer.layers_t]:
            if layer.activation is functional.gelu:
                layer.activation = torch.ops.aten.gelu_
    network.encoder = nn.ModuleList([_Encoder(layer) for layer in network.encoder])
    network.decoder = nn.ModuleList([_Decoder(layer) for layer in network.decoder])


def _is_usual(layer: Any, *, taps: int) -> bool:
    """Whether a layer of Demucs' is one of those that are known here; `taps` of its second convolution, each way."""
    if getattr(layer, "norm", True) or getattr(layer, "empty", True) or layer.rewrite is None:  # no norm in those
        return False
    conv = layer.conv_tr if hasattr(layer, "conv_tr") else layer.conv
    shapes = {*layer.rewrite.kernel_size} == {taps} and conv.kernel_size[0] == 2 * conv.stride[0]
    kinds = [nn.Conv1d, nn.GroupNorm, nn.GELU, nn.Conv1d, nn.GroupNorm, nn.GLU]
    return shapes and all(
        [type(part) for part in branch[:-1]] == kinds
        and branch[0].kernel_size == (3,)
        and branch[1].num_groups == branch[4].num_groups == 1
        for branch in (layer.dconv.layers if layer.dconv else ())
    )


class _Residual(nn.Module):
    """Demucs' DConv: small dilated convolutions beside the signal, added to it in place."""

    def __init__(self, dconv: Any) -> None:
        super().__init__()
        self._branches = [_Branch(*layer) for layer in dconv.layers]

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        """`[n, C, T]`, each of n on its own."""
        for branch in self._branches:
            branch.add_to(y)
        return y


class _Branch:
    """Convolution to few channels, norm, GELU, back to twice the channels, norm, GLU, scale.

    The second norm is not computed on what it normalises: mean and variance of a linear function follow from those of
    its few inputs, and scaling goes into the matrix.
    """

    def __init__(self, narrow: Any, norm: Any, _gelu: Any, wide: Any, wide_norm: Any, _glu: Any, scale: Any) -> None:
        self._hidden, self._dilation = narrow.out_channels, narrow.dilation[0]
        self._taps = narrow.weight.permute(2, 0, 1).reshape(-1, narrow.in_channels).contiguous()  # [3·hidden, C]
        self._bias = narrow.bias[:, None]
        self._norm, self._wide_norm, self._scale = norm, wide_norm, scale.scale
        self._matrix, self._wide_bias = wide.weight[:, :, 0].contiguous(), wide.bias

    def add_to(self, y: torch.Tensor) -> None:
        channels, length = y.shape[1:]
        hidden = self._narrow(y)
        matrix = self._normalised(hidden)
        matrix[:, :channels] *= self._scale[:, None]
        hidden = functional.pad(hidden, (0, 0, 0, 1), value=1.0)
        for part in _parts(length, 2 * len(y) * channels):
            z = torch.bmm(matrix, hidden[..., part])
            y[..., part].addcmul_(z[:, :channels], z[:, channels:].sigmoid_())

    def _narrow(self, y: torch.Tensor) -> torch.Tensor:
        size, shift = self._hidden, self._dilation
        before, here, after = torch.split(torch.bmm(self._taps.expand(len(y), -1, -1), y), size, dim=1)
        hidden = here + self._bias
        hidden[..., shift:] += before[..., :-shift]
        hidden[..., :-shift] += after[..., shift:]
        hidden = functional.group_norm(hidden, 1, self._norm.weight, self._norm.bias, self._norm.eps)
        return torch.ops.aten.gelu_(hidden)  # type: ignore[no-any-return]

    def _normalised(self, hidden: torch.Tensor) -> torch.Tensor:
        """The matrix that gives the normalised result, the bias being its last column: `[n, 2C, hidden + 1]`."""
        mean = hidden.mean(dim=-1, keepdim=True)
        centred = hidden - mean
        covariance = torch.bmm(centred, centred.transpose(1, 2)) / hidden.shape[-1]
        means = torch.matmul(self._matrix, mean)[..., 0] + self._wide_bias
        variance = (torch.matmul(self._matrix, covariance) * self._matrix).sum(dim=-1).mean(dim=-1)
        variance = variance + means.var(dim=-1, correction=0)
        gain = torch.rsqrt(variance + self._wide_norm.eps)[:, None] * self._wide_norm.weight
        bias = (self._wide_bias - means.mean(dim=-1, keepdim=True)) * gain + self._wide_norm.bias
        return torch.cat([gain[:, :, None] * self._matrix, bias[:, :, None]], dim=-1)


class _Encoder(nn.Module):
    """HEncLayer over frequencies."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self._pad, self._kernel, self._stride = layer.conv.padding[0], layer.conv.kernel_size[0], layer.stride
        weight = layer.conv.weight[..., 0]
        self._conv = weight.transpose(1, 2).reshape(len(weight), -1).contiguous()  # [C, kernel·Cin]
        self._bias = layer.conv.bias[:, None]
        self._residual = layer.dconv
        self._rewrite, self._rewrite_bias = layer.rewrite.weight[:, :, 0, 0].contiguous(), layer.rewrite.bias[:, None]

    def forward(self, x: torch.Tensor, inject: None = None) -> torch.Tensor:
        """`[B, Cin, F, T]` to `[B, C, F/stride, T]`, which lies in memory as `[B, F/stride, C, T]`."""
        assert inject is None  # noqa: S101  (only what comes from an `empty` layer is)
        return _joined([self._one(rows) for rows in x.transpose(1, 2)])

    def _one(self, rows: torch.Tensor) -> torch.Tensor:
        """`[F, Cin, T]` to `[F/stride, C, T]`."""
        count, inputs, length = rows.shape
        channels = len(self._conv)
        result = rows.new_empty((count + 2 * self._pad - self._kernel) // self._stride + 1, channels, length)
        for part in _parts(len(result), 2 * channels * length):
            begin = part.start * self._stride - self._pad
            end = (part.stop - 1) * self._stride - self._pad + self._kernel
            slab = functional.pad(
                rows[max(begin, 0) : end].contiguous(), (0, 0, 0, 0, max(-begin, 0), max(end - count, 0))
            )
            patches = slab.as_strided(
                (part.stop - part.start, self._kernel * inputs, length), (self._stride * inputs * length, length, 1)
            )
            y = torch.ops.aten.gelu_(_product(self._conv, patches, self._bias))
            if self._residual:
                self._residual(y)
            torch.ops.aten.glu.out(_product(self._rewrite, y, self._rewrite_bias), 1, out=result[part])
        return result


class _Decoder(nn.Module):
    """HDecLayer over frequencies."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self._pad, self._last, self._stride = layer.pad, layer.last, layer.stride
        taps = torch.tensor(_WINOGRAD_TAPS, dtype=torch.float64)
        weight = layer.rewrite.weight.double()  # [2C, C, 3, 3]
        self._rewrite = torch.einsum("kf,oift->ktoi", taps, weight).float().contiguous()  # [6, 3, 2C, C]
        self._rewrite_bias = layer.rewrite.bias[:, None]
        self._residual = layer.dconv
        weight = layer.conv_tr.weight[..., 0]  # [C, Cout, kernel]
        self._conv = weight.permute(2, 1, 0).reshape(-1, len(weight)).contiguous()  # [kernel·Cout, C]
        self._bias = layer.conv_tr.bias.repeat(self._stride)[:, None]
        self._into, self._from = torch.tensor(_WINOGRAD_IN), torch.tensor(_WINOGRAD_OUT)
        self.empty = False  # Demucs asks

    def forward(self, x: torch.Tensor, skip: torch.Tensor, _length: int) -> tuple[torch.Tensor, None]:
        """Two `[B, C, F, T]` to `[B, Cout, F·stride, T]`, which lies in memory as `[B, F·stride, Cout, T]`."""
        pairs = zip(x.transpose(1, 2), skip.transpose(1, 2), strict=True)
        return _joined([self._one(one, other) for one, other in pairs]), None

    def _one(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        count, channels, length = x.shape
        steps = len(self._conv) // 2  # stride · Cout
        result = x.new_empty(count + 1, steps, length)
        carry = x.new_zeros(steps, length)
        for part in _parts(count, 2 * channels * length, multiple=_TILE):
            y = self._rewritten(x, skip, part)
            if self._residual:
                self._residual(y)
            first, second = torch.split(torch.bmm(self._conv.expand(len(y), -1, -1), y), steps, dim=1)
            first[1:] += second[:-1]
            first[0] += carry
            carry = second[-1].clone()
            self._finish(first, result[part])
        self._finish(carry, result[-1])
        return result.view((count + 1) * self._stride, -1, length)[self._pad : -self._pad]

    def _rewritten(self, x: torch.Tensor, skip: torch.Tensor, part: slice) -> torch.Tensor:
        """The 3 by 3 convolution of the sum of both, and its GLU: `[n, C, T]`."""
        count, channels, length = x.shape
        size, wide = part.stop - part.start, length + 2
        tiles = -(-size // _TILE)
        slab = x.new_zeros(_TILE * tiles + 2, channels, wide)
        first, last = max(part.start - 1, 0), min(part.stop + 1, count)
        inner = slab[first - part.start + 1 : last - part.start + 1, :, 1:-1]
        torch.add(x[first:last], skip[first:last], out=inner)
        row = channels * wide
        overlapping = slab.as_strided((tiles, len(self._into), row), (_TILE * row, row, 1))
        into = torch.bmm(self._into.expand(tiles, -1, -1), overlapping).view(tiles, -1, channels, wide)
        products = x.new_empty(len(self._into), tiles, 2 * channels, length)
        for place, (product, matrices) in enumerate(zip(products, self._rewrite, strict=True)):
            for shift, matrix in enumerate(matrices):
                shifted = into[:, place, :, shift : shift + length]
                product.baddbmm_(matrix.expand(tiles, -1, -1), shifted, beta=float(shift > 0))
        z = torch.bmm(self._from.expand(tiles, -1, -1), products.flatten(2).transpose(0, 1))
        return functional.glu(z.view(-1, 2 * channels, length)[:size].add_(self._rewrite_bias), dim=1)

    def _finish(self, values: torch.Tensor, result: torch.Tensor) -> None:
        torch.add(values, self._bias, out=result)
        if not self._last:
            torch.ops.aten.gelu_(result)


def _product(matrix: torch.Tensor, x: torch.Tensor, plus: torch.Tensor) -> torch.Tensor:
    """`[M, K]` by each of `[n, K, T]`, and `plus`."""
    return torch.bmm(matrix.expand(len(x), -1, -1), x).add_(plus)


def _parts(length: int, width: int, *, multiple: int = 1) -> Iterator[slice]:
    """What of an axis to compute at once, `width` values being needed for each of it."""
    size = max(1, _BLOCK // width // multiple) * multiple
    return (slice(begin, min(begin + size, length)) for begin in range(0, length, size))


def _joined(results: list[torch.Tensor]) -> torch.Tensor:
    """Results `[F, C, T]` of a batch as `[B, C, F, T]`."""
    return (results[0][None] if len(results) == 1 else torch.stack(results)).transpose(1, 2)
