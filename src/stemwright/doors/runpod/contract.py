"""The types of the web app, as its document writes them, and what they mean here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from stemwright.errors import UnknownStemError
from stemwright.separators import catalogue

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from stemwright.records import JsonObject

_STEMS: Final = {
    "2stems": ("vocals", "other"),
    "4stems": ("vocals", "drums", "bass", "other"),
    "5stems": ("vocals", "drums", "bass", "other", "piano"),
}
_REST: Final = ("accompaniment", "no_vocals")  # what `other` is beside two stems: Spleeter's name, and any model's
_KBPS: Final = 1000  # bit rates up to this are kbit/s


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    def plain(self) -> JsonObject:
        """As JSON has it, without what is not given."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Stems(_Record):
    """Which stems are wanted; `other` beside two stems is all but the vocals."""

    drums: bool | None = None
    bass: bool | None = None
    vocals: bool = False
    other: bool = False
    piano: bool | None = None


class Quality(_Record):
    """How the stems are handed over."""

    sample_rate: Literal[44100, 48000] = 44100
    output_format: Literal["wav", "mp3"] = "wav"
    bitrate: int | None = Field(default=None, ge=8, le=320_000)  # of MP3: kbit/s, or bits/s above 1000

    @property
    def bits(self) -> int | None:
        """The bit rate of MP3 in bits/s; None for the format's own."""
        if self.bitrate is None or self.output_format != "mp3":
            return None
        return self.bitrate * 1000 if self.bitrate <= _KBPS else self.bitrate


class SeparationConfig(_Record):
    """`StemSeparationConfig`."""

    model: Literal["spleeter"] = "spleeter"
    model_variant: Literal["2stems", "4stems", "5stems"] = "4stems"
    stems: Stems | None = None  # all of the variant
    quality: Quality = Field(default_factory=Quality)

    @model_validator(mode="after")
    def _of_the_variant(self) -> SeparationConfig:
        known, wanted = _STEMS[self.model_variant], self.wanted
        if not wanted:
            raise ValueError("stems: at least one must be true")
        if wrong := [name for name in wanted if name not in known]:
            raise ValueError(f"stems: {self.model_variant} has {', '.join(known)}, but no {wrong[0]}")
        if (bits := self.quality.bits) is not None and not 32_000 <= bits <= 320_000:
            raise ValueError("quality.bitrate: MP3 takes 32 to 320 kbit/s")
        return self

    @property
    def wanted(self) -> tuple[str, ...]:
        """The stems that are wanted, as the web app calls them."""
        if self.stems is None:
            return _STEMS[self.model_variant]
        return tuple(name for name, wanted in self.stems.model_dump().items() if wanted)


class Results(_Record):
    """Where the stems are, and which model made them."""

    stems: dict[str, str]
    model: str
    draft: bool


class SeparationJob(_Record):
    """`StemSeparationJob`; `error` and `code` say why it failed."""

    id: str
    status: Literal["queued", "processing", "completed", "failed"]
    config: SeparationConfig
    progress: float  # percent
    estimated_time_remaining: float | None = None  # seconds
    results: Results | None = None
    error: str | None = None
    code: str | None = None


def stems_of(config: SeparationConfig, model: str, *, repo: Path | None) -> dict[str, str]:
    """What each stem that is wanted is called by the model. Raises `UnknownModelError`, `UnknownStemError`."""
    return {name: _called(name, config, _known(model, repo)) for name in config.wanted}


def _known(model: str, repo: Path | None) -> tuple[str, ...]:
    return catalogue.find_model(model, repo=repo)[1].stems


def _called(name: str, config: SeparationConfig, known: Iterable[str]) -> str:
    if config.model_variant == "2stems" and name == "other":
        return next((rest for rest in _REST if rest in known), _REST[-1])
    if name not in known:
        raise UnknownStemError(f"the model for {config.model_variant} has no {name}")
    return name


def model_of(config: SeparationConfig, models: Mapping[str, str]) -> str:
    """The model that the operator has for a variant; Spleeter's own where nothing else is set."""
    return models.get(config.model_variant, f"spleeter:{config.model_variant}")
