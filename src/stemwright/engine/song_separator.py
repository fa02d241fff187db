"""What takes songs apart, whichever it is: one model with its chunk loop, or a strategy's tree of models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from stemwright.engine.receipt import NodeRecord
    from stemwright.engine.unmix import SongShape
    from stemwright.separators.protocol import ModelInfo
    from stemwright.types import Digest, Notice, Samples, Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the model is run; a strategy has settings of its own for each run, so these are None."""

    overlap: float | None = None
    shifts: int | None = None
    segment: Seconds | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where the weights come from, for the receipt; what runs of a strategy differ in is None."""

    licence: str
    publisher: str | None = None
    back_end: str | None = None


class SeparationRun(Protocol):
    """One song that is being taken apart."""

    @property
    def notices(self) -> Sequence[Notice]:
        """What the user must be told."""
        ...

    def peak_bytes(self) -> int:
        """The room on the disk that it needs on the way."""
        ...

    def run(self, blocks: Iterable[Samples]) -> Iterator[tuple[Samples, Samples]]:
        """Take the song, `[C, T]` float32 a block; yield mix and stems in step, `[C, t]` and `[S, C, t]` float32."""
        ...

    def nodes(self) -> tuple[NodeRecord, ...]:
        """The runs of a strategy, once it is done."""
        ...


class SongSeparator(Protocol):
    """A loaded model or strategy."""

    @property
    def info(self) -> ModelInfo:
        """The strategy as a model, or the model itself."""
        ...

    @property
    def digest(self) -> Digest | None:
        """Of the weights, and of a strategy's tree."""
        ...

    @property
    def origin(self) -> Origin:
        """Where its weights come from."""
        ...

    @property
    def device(self) -> str:
        """The device really used."""
        ...

    @property
    def settings(self) -> Settings:
        """How it is run."""
        ...

    def song(
        self, digest: Digest, *, shape: SongShape, folder: Path, on_progress: Callable[[float], None]
    ) -> SeparationRun:
        """Prepare one song, of this digest, in a private folder; `on_progress` gets 0–1, and may raise to stop."""
        ...

    def with_less_memory(self) -> tuple[SongSeparator, Notice] | None:
        """The same set to need less memory, or None when at the end."""
        ...
