"""What the door needs to know of the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from stemwright.doors.mismo.settings import Settings
    from stemwright.studio.config import JobsConfig
    from stemwright.types import Seconds

DOOR: Final = "mismo"
TRIES: Final = 3  # of a callback, as the document has it
STAGES: Final[tuple[Literal["basic_features", "characteristics", "stems"], ...]] = (
    "basic_features",
    "characteristics",
    "stems",
)  # as they are told


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What the operator sets. Times in seconds."""

    roots: tuple[Path, ...]  # folders whose files may be analysed
    jobs_dir: Path  # where folders with stems are made
    stem_format: str = "wav"  # or wav24, wav32f
    engine_url: str | None = None  # the audio engine's WebSocket, to be called
    keepalive: Seconds = 20.0
    timeout: Seconds = 0.0  # of a running job; 0 leaves that to the server
    scan: Seconds = 300.0  # between two looks through the folders; 0 is one look, at the start
    device: str = "auto"  # shown
    slots: int = 1  # shown


def config_of(settings: Settings, jobs: JobsConfig, *, home: Path) -> Config:
    """What follows from the settings of the door and from those of jobs; `home` is the door's folder."""
    return Config(
        roots=settings.library,
        jobs_dir=settings.jobs_dir or home / "jobs",
        stem_format=settings.stem_format,
        engine_url=settings.engine_url,
        keepalive=settings.keepalive_seconds,
        timeout=settings.timeout_seconds,
        scan=settings.scan_seconds,
        device=jobs.device,
        slots=jobs.slots.get(jobs.queue, 0),
    )
