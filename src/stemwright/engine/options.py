"""What a caller may ask of a separation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from stemwright.audio.decode import DecodeLimits
from stemwright.audio.formats import Format, parse_format
from stemwright.engine.naming import NameTemplate
from stemwright.engine.settings import OF_STRATEGY, SeparationSettings
from stemwright.errors import OptionError

if TYPE_CHECKING:
    from pathlib import Path

    from stemwright.engine.trees.intermediates import Intermediates
    from stemwright.strategies.tree import Strategy

PeaksFormat: TypeAlias = Literal["json", "dat"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeparateOptions:
    """How to separate songs. Raises `OptionError` for values that cannot be used with any model."""

    model: str = "auto"
    strategy: Strategy | None = None  # in the place of a model
    intermediates: Intermediates | None = None  # what a strategy's runs gave before
    repo: Path | None = None  # a folder of weights
    device: str = "auto"
    settings: SeparationSettings = field(default_factory=SeparationSettings)
    format: Format = field(default_factory=lambda: parse_format("flac"))
    bitrate: int | None = None  # bits/s; the format's own
    stem_mp4: bool = False  # one `.stem.mp4` of mix and four stems, coded in `format`, instead of a file a stem
    template: NameTemplate = field(default_factory=NameTemplate)
    peaks: tuple[PeaksFormat, ...] = ()
    picture: bool = False  # an SVG of the waveforms
    drums: bool = False  # a chart of the stem `drums`
    force: bool = False  # do it again, overwrite what is in the way
    limits: DecodeLimits = field(default_factory=DecodeLimits)
    track: int | None = None  # of several audio tracks of a file, from 1; the one that the file marks as its default

    @property
    def wants_peaks(self) -> bool:
        """Whether waveform overviews are needed at all."""
        return bool(self.peaks) or self.picture

    def __post_init__(self) -> None:
        if self.strategy is not None and (self.settings.of_model or self.model != "auto"):
            raise OptionError(OF_STRATEGY)
        self.format.check_bitrate(self.bitrate)
        if self.stem_mp4 and (self.format.container != "mp4" or self.format.bits not in {None, 16}):
            raise OptionError(f"a .stem.mp4 holds AAC or 16-bit ALAC, not {self.format.name}")
