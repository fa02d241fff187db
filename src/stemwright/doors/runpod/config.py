"""What the operator sets for this door, and for a worker on RunPod."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stemwright.audio.decode import DecodeLimits

if TYPE_CHECKING:
    from pathlib import Path

    from stemwright.doors.runpod.settings import Settings
    from stemwright.types import Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Models by variant, limits, links."""

    models: dict[str, str] = field(default_factory=dict)  # by variant; Spleeter's where none is named
    max_duration: Seconds = 600.0
    keep_seconds: Seconds = 7 * 86_400.0  # results; 0 for ever
    link_seconds: Seconds = 86_400.0  # that a link to a result is good for
    public_url: str | None = None  # of the door runpod, for links to a local folder
    allow: tuple[str, ...] = ()  # hosts and networks that recordings may be fetched from though they are not public


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """What a worker on RunPod needs beside it."""

    door: Config
    device: str = "auto"
    repo: Path | None = None
    limits: DecodeLimits = field(default_factory=DecodeLimits)
    max_bytes: int = 100_000_000


def config_of(settings: Settings, *, keep_seconds: Seconds, allow: tuple[str, ...]) -> Config:
    """What follows from the settings of the door."""
    return Config(
        models={"2stems": settings.model_2stems, "4stems": settings.model_4stems, "5stems": settings.model_5stems},
        max_duration=settings.max_duration,
        keep_seconds=keep_seconds,
        link_seconds=settings.link_seconds,
        public_url=settings.public_url,
        allow=allow,
    )
