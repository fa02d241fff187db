"""What became of a song, and who is told how far it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from stemwright.engine.receipt import NoticeRecord

if TYPE_CHECKING:
    from pathlib import Path

    from stemwright.engine.receipt import Receipt
    from stemwright.types import Notice, StemName

Stage: TypeAlias = Literal["reading", "separating", "transcribing", "encoding"]


class OnProgress(Protocol):
    """Is told how far a song is; may raise, `CancelledError` for instance, to stop within one chunk."""

    def __call__(self, stage: Stage, fraction: float | None, /) -> None:
        """Take the share of the stage that is done, 0–1, or None where it cannot be known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SongResult:
    """What became of one song."""

    root: Path
    receipt: Receipt
    skipped: bool = False  # it had been done before, with the same settings
    notices: tuple[Notice, ...] = ()  # of this run, which the receipt does not tell

    def warnings(self) -> tuple[NoticeRecord, ...]:
        """All that the user must be told."""
        return (*map(NoticeRecord.of, self.notices), *self.receipt.warnings)

    def files(self) -> dict[StemName, Path]:
        """The stems' files."""
        return {stem.name: self.root / stem.file for stem in self.receipt.stems}

    def chart_files(self) -> dict[str, Path]:
        """The drum chart's files: chart, midi and so on; none where no chart was asked for."""
        drums = self.receipt.drums
        return {part: self.root / name for part, name in drums.files.items()} if drums else {}
