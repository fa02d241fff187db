"""Separators whose output is known beforehand: real ones by the protocol, registered as a third party's would be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from stemwright.errors import OutOfMemoryError
from stemwright.separators.protocol import Availability, LoadOptions, ModelInfo, ModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Samples = npt.NDArray[np.float32]


def spec(*, name: str = "known", stems: tuple[str, ...] = ("vocals", "other"), **changes: object) -> ModelSpec:
    """A model at 44.1 kHz, stereo, with segments of 0.1 s."""
    info = ModelInfo(name=name, family="known", summary="for tests", stems=stems, licence="MIT", source="here")
    base = ModelSpec(info=info, stems=stems, sample_rate=44_100, channels=2, segment=4410)
    return replace(base, **changes)  # type: ignore[arg-type]


@dataclass
class Known:
    """Gives each stem as a function of the chunk, `[C, T]` to `[C, T]`."""

    spec: ModelSpec
    functions: tuple[Callable[[Samples], Samples], ...]
    batch_size: int = 1
    device: str = "cpu"
    largest: int | None = None  # samples: above it the memory does not suffice

    def separate(self, chunks: Samples, /) -> Samples:
        """As the protocol says."""
        assert chunks.shape[1:] == (self.spec.channels, self.spec.segment)
        assert chunks.dtype == np.float32
        if self.largest is not None and chunks.shape[0] * self.spec.segment > self.largest:
            raise OutOfMemoryError("too large a chunk")
        return np.stack([[function(chunk) for function in self.functions] for chunk in chunks]).astype(np.float32)

    def with_less_memory(self) -> Known | None:
        """As the protocol says."""
        if self.batch_size > 1:
            return replace(self, batch_size=self.batch_size // 2)
        if self.spec.segment < 1000:
            return None
        return replace(self, spec=replace(self.spec, segment=self.spec.segment // 2))


def share(part: float) -> Callable[[Samples], Samples]:
    """A stem that is a fixed share of the mix."""
    return lambda chunk: chunk * np.float32(part)


def pass_through(**changes: Any) -> Known:
    """One stem, the mix itself."""
    return Known(spec(stems=("other",), **changes), (share(1),))


def firm(taps: npt.NDArray[np.float64], **changes: Any) -> Known:
    """One stem, the mix filtered; each chunk on its own, silence around it."""

    def run(chunk: Samples) -> Samples:
        return np.stack([np.convolve(row, taps, mode="same") for row in chunk]).astype(np.float32)

    return Known(spec(stems=("other",), **changes), (run,))


MODELS: dict[str, Callable[[], Known]] = {
    "half": lambda: Known(spec(name="half"), (share(0.5), share(0.3))),
    "loud": lambda: Known(spec(name="loud"), (share(4.0), share(-3.0))),
    "broken": lambda: Known(spec(name="broken"), (share(float("nan")), share(1))),
    "large": lambda: Known(spec(name="large", segment=40_000), (share(0.5), share(0.5)), batch_size=2, largest=9_999),
    "huge": lambda: Known(spec(name="huge", segment=40_000), (share(0.5), share(0.5)), largest=99),
}


class KnownFamily:
    """The family of the above."""

    name = "known"

    def models(self) -> tuple[ModelInfo, ...]:
        """As the protocol says."""
        return tuple(make().spec.info for make in MODELS.values())

    def availability(self, name: str, /, *, repo: Path | None = None) -> Availability:
        """As the protocol says."""
        return "ready" if name in MODELS else "missing"

    def load(self, name: str, /, options: LoadOptions) -> Known:
        """As the protocol says."""
        return MODELS[name]()


FAMILY = KnownFamily()
