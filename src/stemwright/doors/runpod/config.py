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
class Storage:
    """Where results are put."""

    url: str  # `file:///folder` or `s3://bucket/prefix`
    endpoint: str | None = None  # of S3's API, for R2 and its like
    region: str = "auto"
    access_key_id: str | None = None
    secret_access_key: str | None = None
    link_seconds: Seconds = 86_400.0  # that a signed URL is good for
    public_url: str | None = None  # of the door runpod, for links to a local folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Models by variant, limits, storage."""

    storage: Storage
    models: dict[str, str] = field(default_factory=dict)  # by variant; Spleeter's where none is named
    max_duration: Seconds = 600.0
    keep_seconds: Seconds = 7 * 86_400.0  # results; 0 for ever
    allow: tuple[str, ...] = ()  # hosts and networks that recordings may be fetched from though they are not public


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """What a worker on RunPod needs beside it."""

    door: Config
    device: str = "auto"
    repo: Path | None = None
    limits: DecodeLimits = field(default_factory=DecodeLimits)
    max_bytes: int = 100_000_000


def config_of(settings: Settings, *, home: Path, keep_seconds: Seconds, allow: tuple[str, ...]) -> Config:
    """What follows from the settings of the door; `home` is its folder."""
    secret = settings.secret_access_key
    return Config(
        storage=Storage(
            url=settings.storage or f"file://{home}",
            endpoint=settings.endpoint,
            region=settings.region,
            access_key_id=settings.access_key_id,
            secret_access_key=secret.get_secret_value() if secret else None,
            link_seconds=settings.link_seconds,
            public_url=settings.public_url,
        ),
        models={"2stems": settings.model_2stems, "4stems": settings.model_4stems, "5stems": settings.model_5stems},
        max_duration=settings.max_duration,
        keep_seconds=keep_seconds,
        allow=allow,
    )
