"""What a client may ask of a job, and what a run needs to know of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, TypeAlias

from pydantic import Field, StringConstraints, model_validator

from stemwright.engine.settings import SeparationSettings

ModelName: TypeAlias = Annotated[
    str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:\-]*$")
]
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


class _Wanted(SeparationSettings):
    """What comes out of a job, and how."""

    format: AudioFormat = Field(
        default=AudioFormat.flac, description="Made ready before the job ends; all others are encoded on demand."
    )
    transcribe: bool = Field(default=False, description="A chart of the stem `drums`: JSON, MIDI and a picture.")
    analysis: bool = Field(default=True, description="Tempo and key of the song.")
    separate: bool = Field(default=True, description="False: no stems, only tempo, key and loudness.")
    preview: bool = Field(default=False, description="Publish draft stems within seconds, by `quick` or `sketch`.")
    max_duration: float | None = Field(
        default=None, gt=0, le=1e6, description="Seconds; the job of a longer recording fails, with `too_long`."
    )

    @property
    def master(self) -> str:
        """The format in which stems are kept: lossless, with as many bits as the one that was asked for."""
        return "flac24" if self.format.value in _FINE else "flac16"


class JobOptions(_Wanted):
    """The options of a job, checked."""

    strategy: ModelName | None = Field(
        default=None, description="The name of a strategy, see `stemwright strategies`, or of a model."
    )
    model: ModelName | None = Field(default=None, description="A model's name, or `auto`: the best that is here.")
    priority: Priority = Priority.normal
    track: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Of a recording with several audio tracks that is uploaded, from 1: each is a song of its own. A "
        "number that it does not have fails with `no_such_track`. Default: the one that the file marks as its default.",
    )

    @model_validator(mode="after")
    def _agree(self) -> JobOptions:
        if self.model and self.strategy:
            raise ValueError("give a strategy or a model, not both")
        if not self.separate and (not self.analysis or self.preview or self.transcribe or self.stems or self.of_model):
            raise ValueError(
                "without stems there is only the analysis: no preview, no drum chart, no settings of models"
            )
        return self

    def named(self, default: str) -> str:
        """The model or strategy asked for."""
        return self.strategy or self.model or default


class RunOptions(_Wanted):
    """What a run needs to know of a job's options: those that say what comes out."""

    model: str  # or a strategy, or `auto`
    resolved: str  # what `auto` stood for when the run was made

    @classmethod
    def of(cls, options: JobOptions, *, model: str, resolved: str) -> RunOptions:
        """The options of the run for a job."""
        wanted = {name: getattr(options, name) for name in _Wanted.model_fields}
        return cls(**wanted, model=model, resolved=resolved)
