"""What the operator sets for this door."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from stemwright.setting_values import Alias, Folders, Group, InSeconds, Lower, OptionalFolder, Socket


class Settings(Group):
    """The door of Mismo DJ."""

    library: Folders = Field(
        default=(),
        description="Folders whose recordings the door mismo may read, as absolute paths; none: it reads no file.",
    )
    jobs_dir: Annotated[OptionalFolder, Alias("JOBS_DIR")] = Field(
        default=None,
        description="Where it puts stems, a folder for each job; none: `mismo/jobs` in the data folder.",
    )
    stem_format: Annotated[Literal["wav", "wav24", "wav32f"], Lower, Alias("STEM_FORMAT")] = Field(
        default="wav", description="`wav` (16 bits), `wav24` or `wav32f`: the stems there."
    )
    engine_url: Annotated[Socket, Alias("AUDIO_SERVER_WS_URL")] = Field(
        default=None, description="The WebSocket of Mismo's audio engine, which is then called; it may call us too."
    )
    keepalive_seconds: InSeconds = Field(
        default=20.0, gt=0, le=3600, description="Seconds between two looks whether the audio engine is there."
    )
    timeout_seconds: Annotated[InSeconds, Alias("ANALYSIS_TIMEOUT_MS", unit="ms")] = Field(
        default=0.0, ge=0, description="Seconds that a job of this door may run; 0: as long as any other job."
    )
    scan_seconds: InSeconds = Field(
        default=300.0, ge=0, description="Seconds between two looks through the library; 0: one, at the start."
    )
