"""The chunk loop of every model: overlapping chunks in, edges discarded, triangular weights, flat memory."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stemwright.separators.protocol import Separator
    from stemwright.types import Samples


class OverlapAdd:
    """Runs a separator over a stream of any length.

    Chunk k gives the samples from `k * stride` to `k * stride + usable`, usable = segment − 2·context and
    stride = ⌊(1 − overlap)·usable⌋. What it sees beyond them on either side is real sound, or silence outside of the
    song. The last chunk is centred in its segment, or shorter if the model can do that. Weights rise and fall as a
    triangle over the usable samples. With context 0 this is exactly what `demucs.apply.apply_model` does, at the cost
    of one segment instead of the song.
    """

    def __init__(
        self,
        separator: Separator,
        *,
        overlap: float | None = None,
        delay: int = 0,
        on_chunk: Callable[[int], None] | None = None,
    ) -> None:
        """Silence of `delay` samples goes before the song, and is cut from the stems: one shift of the shift trick.

        `on_chunk` is told, after each chunk, how many more samples of the song are finished; it may raise to stop.
        """
        spec = separator.spec
        self._separator = separator
        self._segment = spec.segment
        self._context, self._shorter = spec.context, spec.shorter
        self._usable = spec.segment - 2 * spec.context
        self._stride = max(1, int((1 - (spec.overlap if overlap is None else overlap)) * self._usable))
        self._weight = _triangle(self._usable)
        self._to_drop = delay
        self._on_chunk = on_chunk

        self._input = np.zeros((spec.channels, delay), np.float32)  # samples from `_start` on …
        self._blocks: list[Samples] = []  # … and those that came since a chunk was cut
        self._start = 0
        self._pushed = delay
        self._offset = 0  # of the next chunk
        self._waiting: deque[tuple[int, Samples]] = deque()  # (usable samples, chunk) not yet separated
        self._sum = np.zeros((len(spec.stems), spec.channels, self._usable), np.float32)
        self._weight_sum = np.zeros(self._usable, np.float32)

    def push(self, block: Samples) -> Iterator[Samples]:
        """Take `[C, T]` float32 and yield what is finished, `[S, C, t]` float32, in order."""
        self._blocks.append(block)
        self._pushed += block.shape[1]
        while self._offset + self._usable + self._context <= self._pushed:
            self._enqueue(self._usable)
            yield from self._run(at_least=self._separator.batch_size)

    def finish(self) -> Iterator[Samples]:
        """Yield the rest, once no more blocks come."""
        while self._offset < self._pushed:
            self._enqueue(min(self._usable, self._pushed - self._offset))
        yield from self._run(at_least=1)

    def _enqueue(self, usable: int) -> None:
        """Cut the next chunk out of the input."""
        self._input = np.concatenate([self._input, *self._blocks], axis=1)
        self._blocks.clear()
        length = usable + 2 * self._context if self._shorter else self._segment
        begin = self._offset - (length - usable) // 2
        chunk = np.zeros((self._input.shape[0], length), np.float32)
        first, last = max(begin, self._start), min(begin + length, self._pushed)
        chunk[:, first - begin : last - begin] = self._input[:, first - self._start : last - self._start]
        self._waiting.append((usable, chunk))
        self._offset += self._stride
        keep = max(self._offset - self._segment // 2 - 1, self._start)
        self._input = self._input[:, keep - self._start :]
        self._start = keep

    def _run(self, *, at_least: int) -> Iterator[Samples]:
        while len(self._waiting) >= at_least and self._waiting:
            batch = [self._waiting.popleft()]
            while (
                self._waiting
                and len(batch) < self._separator.batch_size
                and self._waiting[0][1].shape == batch[0][1].shape
            ):
                batch.append(self._waiting.popleft())
            stems = self._separator.separate(np.stack([chunk for _, chunk in batch]))
            for (usable, _), estimate in zip(batch, stems, strict=True):
                yield self._add(estimate, usable)

    def _add(self, estimate: Samples, usable: int) -> Samples:
        """Take one chunk's stems; the samples that no later chunk touches."""
        skip = (estimate.shape[-1] - usable) // 2
        kept = estimate[..., skip : skip + usable]
        out = kept if self._stride == self._usable else self._blended(kept)  # else no chunk overlaps another
        dropped = min(self._to_drop, out.shape[-1])
        self._to_drop -= dropped
        if self._on_chunk:
            self._on_chunk(out.shape[-1] - dropped)
        return out[..., dropped:]

    def _blended(self, kept: Samples) -> Samples:
        """Weigh a chunk in; the samples that no later chunk touches."""
        usable = kept.shape[-1]
        self._sum[..., :usable] += self._weight[:usable] * kept
        self._weight_sum[:usable] += self._weight[:usable]
        done = min(self._stride, usable)
        out = self._sum[..., :done] / self._weight_sum[:done]
        self._sum = _shift_left(self._sum, self._stride)
        self._weight_sum = _shift_left(self._weight_sum, self._stride)
        return out


def _triangle(length: int) -> Samples:
    """Weights of a chunk: a triangle with its peak, 1, in the middle. Output: `[T]` float32."""
    half = length // 2
    weight = np.concatenate([np.arange(1, half + 1), np.arange(length - half, 0, -1)]).astype(np.float32)
    weight /= weight.max()
    return weight


def _shift_left(array: Samples, count: int) -> Samples:
    shifted = np.zeros_like(array)
    shifted[..., : array.shape[-1] - count] = array[..., count:]
    return shifted
