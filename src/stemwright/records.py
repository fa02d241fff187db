"""What the records that cross rooms share: they are frozen, checked, and hold nothing that is not theirs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue, PlainSerializer, WithJsonSchema

JsonObject: TypeAlias = dict[str, JsonValue]


class Record(BaseModel):
    """A frozen record; a field that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Fault(Record):
    """What went wrong: a stable code, and what to do about it in words."""

    code: str = Field(description="Stable, such as `not_audio`, `timeout`, `engine_crashed`, `out_of_memory`.")
    message: str


def iso(at: float) -> str:
    """A time in seconds since the epoch as RFC 3339, in UTC.

    >>> iso(1_764_589_772.25)
    '2025-12-01T11:49:32.250Z'
    """
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Moment: TypeAlias = Annotated[  # seconds since the epoch; JSON has it as RFC 3339
    float,
    PlainSerializer(iso, return_type=str, when_used="json"),
    WithJsonSchema(
        {"type": "string", "format": "date-time", "examples": ["2026-11-21T17:49:32.248Z"]}, mode="serialization"
    ),
]
