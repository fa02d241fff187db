"""What jobs need to know of the settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from stemwright.audio.decode import DecodeLimits
    from stemwright.types import Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsConfig:
    """How jobs are run. Times in seconds, sizes in bytes."""

    work: Path  # private files of running jobs; each executor's own
    engine_command: tuple[str, ...]  # a folder for temporary files is added where there is `temp`
    limits: DecodeLimits
    engine_environment: Mapping[str, str] = field(default_factory=dict)  # variables of its own
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)  # what files of doors may name
    temp: Path | None = None  # what engines write for a moment; none: the system's folder
    model: str = "auto"  # where a job names none
    device: str = "auto"
    repo: Path | None = None
    beat: Seconds = 5.0  # between two signs of life of a process of a fleet
    dead: Seconds = 30.0  # of silence, after which others take over what it worked on
    gpu_models: tuple[str, ...] = ()  # that a GPU worker can run which is not there yet
    wake_url: str | None = None  # asked to start one
    wake_token: str | None = field(default=None, repr=False)
    slots: dict[str, int] = field(default_factory=lambda: {"cpu": 1, "gpu": 0})
    attempts: int = 3
    timeout_factor: float = 30.0  # times the song's duration
    timeout_min: Seconds = 600.0
    ageing: Seconds = 1800.0  # of waiting, after which a job goes before fresh ones of the next higher priority
    engine_max_rss: int = 6 << 30
    engine_max_jobs: int = 50
    long_seconds: Seconds = 1800.0  # of audio, beyond which work on demand is long
    max_import_duration: Seconds = 21_600.0  # of all recordings of one import together
    max_decoded_bytes: int = 8 << 30  # of their samples
    midi_max_bytes: int = 10_000_000
    callback_secret: str | None = None
    callback_allow: tuple[str, ...] = ()
    callback_attempts: int = 4
    callback_timeout: Seconds = 10.0
    results_seconds: Seconds = 7 * 86400.0  # 0 keeps them
    disk_budget: int = 0  # of all objects; 0 is none
    disk_reserve: int = 1_000_000_000  # with less room on the disk, nothing is accepted
    uploads_seconds: Seconds = 86_400.0  # after which an upload goes that was announced and never submitted
    sweep_seconds: Seconds = 60.0
    sweep_grace: Seconds = 600.0  # objects without a row that are younger may be in the making
    forget_jobs_seconds: Seconds = 30 * 86400.0

    def timeout(self, duration: Seconds | None) -> Seconds:
        """How long a step for a song of so many seconds may take."""
        return max(self.timeout_min, self.timeout_factor * (duration or 0))

    @property
    def queue(self) -> str:
        """The queue of jobs for the device that is set."""
        return "gpu" if self.slots.get("gpu") and self.device != "cpu" else "cpu"
