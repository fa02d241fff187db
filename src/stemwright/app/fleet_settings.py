"""The groups `database`, `fleet` and `worker` of the settings."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field, SecretStr, model_validator

from stemwright.setting_values import Address, Alias, Group, InSeconds, Lower, Whole, Words, parse_database_url

DatabaseUrl: TypeAlias = Annotated[
    SecretStr | None,
    AfterValidator(lambda value: None if value is None else SecretStr(parse_database_url(value.get_secret_value()))),
]


class DatabaseSettings(Group):
    """Where rows are kept."""

    url: Annotated[DatabaseUrl, Alias("DATABASE_URL")] = Field(
        default=None,
        description="A PostgreSQL that several machines share, as `postgresql://user:password@host/name` "
        "([fleet.md](fleet.md)); none: a file in `data`.",
    )
    pool: Whole = Field(
        default=4, ge=2, le=100, description="Connections to it that each process keeps; it opens up to twice as many."
    )


class FleetSettings(Group):
    """How processes that share a database look after each other."""

    beat: InSeconds = Field(default=5.0, ge=0.1, le=3600, description="Seconds between two signs of life.")
    dead: InSeconds = Field(
        default=30.0,
        ge=1,
        le=86_400,
        description="Seconds of silence after which a process counts as dead, and others take over what it worked on; "
        "at least three times `beat`.",
    )
    gpu: Words = Field(
        default=(),
        description="Models for which GPU workers can be started: their runs wait in the queue `gpu` where none is.",
    )
    page: bool = Field(
        default=False,
        description="`true`: the page `/fleet`, and the API, show workers, queues, runs and failures, to everybody "
        "who reaches the studio.",
    )
    wake_url: Annotated[Address, Alias("GPU_WORKER_URL")] = Field(
        default=None,
        description="Is sent a POST, at most once in ten seconds, while more runs wait in the queue `gpu` than it has "
        "workers: something that starts one.",
    )
    wake_token: SecretStr | None = Field(
        default=None, description="Is sent along as `Authorization: Bearer`, as hosts want their API keys."
    )

    @model_validator(mode="after")
    def _heard_in_time(self) -> FleetSettings:
        """Refuse settings by which a process that missed one beat would count as dead."""
        if self.dead < 3 * self.beat:
            raise ValueError("fleet.dead must be at least three times fleet.beat")
        return self


class WorkerSettings(Group):
    """What `stemwright worker` does."""

    queue: Annotated[Literal["cpu", "gpu"], Lower] = Field(
        default="cpu", description="The queue that it takes runs from: `cpu`, or `gpu` for `model.device`."
    )
    idle: InSeconds = Field(default=0.0, ge=0, description="It ends after so many seconds without work; 0: it stays.")
    port: Whole = Field(
        default=0, ge=0, le=65_535, description="A port for `/livez` and `/metrics` of the worker, at `host`; 0: none."
    )
