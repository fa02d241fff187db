"""What a client may ask of a job."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from stemwright.types import MAX_RATE, MIN_RATE

Name = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]*$")]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:\-]*$")]
_FINE: Final = {"wav24", "wav32f", "flac24", "alac24"}  # of more than 16 bits, so the stems are kept so


class Priority(StrEnum):
    """Who goes first."""

    high = "high"
    normal = "normal"
    low = "low"


class AudioFormat(StrEnum):
    """How stems are handed over."""

    flac = "flac"
    flac16 = "flac16"
    flac24 = "flac24"
    wav = "wav"
    wav16 = "wav16"
    wav24 = "wav24"
    wav32f = "wav32f"
    mp3 = "mp3"
    opus = "opus"
    m4a = "m4a"
    alac16 = "alac16"
    alac24 = "alac24"

    @property
    def token(self) -> str:
        """How a stem's file in this format ends; FLAC is what stems are kept in, of 16 or 24 bits."""
        plain = {"flac16": "flac", "flac24": "flac", "wav16": "wav"}
        return plain.get(self.value, self.value)


class JobOptions(BaseModel):
    """The options of a job, checked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    strategy: ModelName | None = Field(
        default=None, description="The name of a strategy, see `stemwright strategies`, or of a model."
    )
    model: ModelName | None = Field(default=None, description="A model's name, or `auto`: the best that is here.")
    stems: tuple[Name, ...] | None = Field(
        default=None, min_length=1, max_length=16, description="Only these; `no_vocals` is the mix without the vocals."
    )
    format: AudioFormat = Field(
        default=AudioFormat.flac, description="Made ready before the job ends; all others are encoded on demand."
    )
    sample_rate: int | None = Field(default=None, ge=MIN_RATE, le=MAX_RATE, description="Hz; the song's own if null.")
    transcribe: bool = Field(default=False, description="A chart of the stem `drums`: JSON, MIDI and a picture.")
    analysis: bool = Field(default=True, description="Tempo and key of the song.")
    separate: bool = Field(default=True, description="False: no stems, only tempo, key and loudness.")
    preview: bool = Field(default=False, description="Publish draft stems within seconds, by `quick` or `sketch`.")
    max_duration: float | None = Field(
        default=None, gt=0, le=1e6, description="Seconds; the job of a longer recording fails, with `too_long`."
    )
    priority: Priority = Priority.normal

    @field_validator("stems")
    @classmethod
    def _each_once(cls, stems: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if stems is not None and len(set(stems)) < len(stems):
            raise ValueError("name each stem once")
        return stems

    @model_validator(mode="after")
    def _one_of_two(self) -> JobOptions:
        if self.model and self.strategy:
            raise ValueError("give a strategy or a model, not both")
        if not self.separate and (not self.analysis or self.preview or self.transcribe or self.stems):
            raise ValueError("without stems there is only the analysis: no preview, no drum chart")
        return self

    def named(self, default: str) -> str:
        """The model or strategy asked for."""
        return self.strategy or self.model or default

    @property
    def master(self) -> str:
        """The format in which stems are kept: lossless, with as many bits as the one that was asked for."""
        return "flac24" if self.format.value in _FINE else "flac16"
