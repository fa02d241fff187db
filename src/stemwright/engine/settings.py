"""What a user may set of a separation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Self, TypeAlias

from pydantic import Field, StringConstraints, ValidationError, field_validator

from stemwright.errors import OptionError
from stemwright.records import Record
from stemwright.types import MAX_RATE, MIN_RATE

Name: TypeAlias = Annotated[
    str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_. \-]*$")
]
if TYPE_CHECKING:
    from collections.abc import Mapping

OF_STRATEGY: Final = "a strategy names its models, overlap, shifts and segments itself"


class SeparationSettings(Record):
    """The settings that can change a sample of the stems.

    A field that is added here is an option of the command line, a field of the API and of the doors that take settings,
    and part of the key of a result; the engine reads it.
    """

    stems: tuple[Name, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=16,
        description="Only these; `no_vocals` is the mix without the vocals. Default: all.",
    )
    sample_rate: int | None = Field(
        default=None, ge=MIN_RATE, le=MAX_RATE, description="Of the stems, in Hz. Default: the song's own."
    )
    overlap: float | None = Field(
        default=None,
        ge=0,
        lt=0.99,
        description="Share that two chunks of the song have in common, 0–0.99. Default: the model's.",
    )
    shifts: int = Field(
        default=0,
        ge=0,
        le=100,
        description="Average so many randomly shifted runs: a little better, that many times slower.",
    )
    segment: float | None = Field(
        default=None,
        gt=0,
        le=600,
        description="Seconds of a chunk; shorter ones need less memory. Default: the model's.",
    )
    exact: bool = Field(
        default=True,
        description="Stems add up to the song: what the model leaves over goes to `other`. If not, stems are as the "
        "model's own software gives them.",
    )

    @field_validator("stems")
    @classmethod
    def _each_once(cls, stems: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if stems is not None and len(set(stems)) < len(stems):
            raise ValueError("name each stem once")
        return stems

    @classmethod
    def checked(cls, **given: object) -> Self:
        """Settings by their names. Raises `OptionError`, which names all that are wrong."""
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            faults = [
                f"{'.'.join(map(str, fault['loc']))}: {_said(fault['msg'])} (it is {fault['input']!r})"
                for fault in error.errors(include_url=False)
            ]
            raise OptionError("; ".join(faults)) from None

    @classmethod
    def typed(cls, given: Mapping[str, object]) -> Self:
        """Settings as people type them: a list is a text with commas. Raises `OptionError`."""
        return cls.checked(**{name: listed(value) if name in LISTS else value for name, value in given.items()})

    @property
    def settings(self) -> SeparationSettings:
        """These settings alone, of a record that has more fields."""
        return SeparationSettings(**{name: getattr(self, name) for name in SeparationSettings.model_fields})

    @property
    def of_model(self) -> bool:
        """Whether something is set that a strategy sets itself for each of its models."""
        return self.overlap is not None or self.shifts > 0 or self.segment is not None


LISTS: Final = frozenset(  # the fields that hold lists
    name for name, field in SeparationSettings.model_fields.items() if "tuple" in str(field.annotation)
)


def listed(value: object) -> object:
    """The parts of a text with commas; anything else as it is.

    >>> listed("vocals, drums")
    ['vocals', 'drums']
    """
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _said(message: str) -> str:
    return message.removeprefix("Value error, ").replace("Input should", "it should")
