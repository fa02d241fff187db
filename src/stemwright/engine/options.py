"""What a caller may ask of a separation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from stemwright.audio.decode import DecodeLimits
from stemwright.audio.formats import Format, parse_format
from stemwright.engine.naming import NameTemplate
from stemwright.errors import OptionError
from stemwright.types import MAX_RATE, MIN_RATE

if TYPE_CHECKING:
    from pathlib import Path

    from stemwright.engine.trees.intermediates import Intermediates
    from stemwright.strategies.tree import Strategy
    from stemwright.types import SampleRate, Seconds, StemName

PeaksFormat: TypeAlias = Literal["json", "dat"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeparateOptions:
    """How to separate songs. Raises `OptionError` for values that cannot be used with any model."""

    model: str = "auto"
    strategy: Strategy | None = None  # in the place of a model
    intermediates: Intermediates | None = None  # what a strategy's runs gave before
    repo: Path | None = None  # a folder of weights
    device: str = "auto"
    stems: tuple[StemName, ...] | None = None  # all of the model's; `no_X` is the mix without X
    overlap: float | None = None  # the model's own
    shifts: int = 0
    segment: Seconds | None = None  # the model's own
    exact: bool = True  # stems add up to the mix
    format: Format = field(default_factory=lambda: parse_format("flac"))
    bitrate: int | None = None  # bits/s; the format's own
    stem_mp4: bool = False  # one `.stem.mp4` of mix and four stems, coded in `format`, instead of a file a stem
    sample_rate: SampleRate | None = None  # the song's own
    template: NameTemplate = field(default_factory=NameTemplate)
    peaks: tuple[PeaksFormat, ...] = ()
    picture: bool = False  # an SVG of the waveforms
    drums: bool = False  # a chart of the stem `drums`
    force: bool = False  # do it again, overwrite what is in the way
    limits: DecodeLimits = field(default_factory=DecodeLimits)

    @property
    def wants_peaks(self) -> bool:
        """Whether waveform overviews are needed at all."""
        return bool(self.peaks) or self.picture

    def __post_init__(self) -> None:
        if self.overlap is not None and not 0 <= self.overlap < 0.99:
            raise OptionError(f"overlap {self.overlap} is outside 0–0.99")
        if not 0 <= self.shifts <= 100:
            raise OptionError(f"shifts {self.shifts} is outside 0–100")
        if self.segment is not None and not 0 < self.segment <= 600:
            raise OptionError(f"segment {self.segment} s is outside 0–600 s")
        own = self.overlap is not None or self.shifts or self.segment is not None
        if self.strategy is not None and (own or self.model != "auto"):
            raise OptionError("a strategy names its models, overlap, shifts and segments itself")
        if self.sample_rate is not None and not MIN_RATE <= self.sample_rate <= MAX_RATE:
            raise OptionError(f"sample rate {self.sample_rate} Hz is outside {MIN_RATE}–{MAX_RATE} Hz")
        self.format.check_bitrate(self.bitrate)
        if self.stem_mp4 and (self.format.container != "mp4" or self.format.bits not in {None, 16}):
            raise OptionError(f"a .stem.mp4 holds AAC or 16-bit ALAC, not {self.format.name}")
        if self.stems is not None and (not self.stems or len(set(self.stems)) < len(self.stems)):
            raise OptionError("name each stem once, and at least one")
