"""The YAML that describes a custom model; docs/models.md shows it."""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from stemwright.bounded_yaml import Limits, YamlError, load_file
from stemwright.errors import ModelFileError
from stemwright.types import MAX_RATE, MIN_RATE

if TYPE_CHECKING:
    from pathlib import Path

_LIMITS: Final = Limits(size_bytes=64 << 10, depth=8, aliases=0)
_LONGEST: Final = 600.0  # seconds of a segment
_NAME = re.compile(r"\w[\w -]{0,39}")  # names of stems become names of files


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _is_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("a stem's name is of letters, digits, _, - and blanks")
    return text


def _is_file_name(text: str) -> str:
    if "/" in text or "\\" in text or text.startswith("."):
        raise ValueError("give the name of a file beside this one")
    return text


class Transform(_Part):
    """Short-time Fourier transform with periodic Hann windows."""

    n_fft: int = Field(ge=16, le=1 << 16)
    hop: int = Field(ge=4)
    bins: int | None = Field(default=None, ge=1)  # the lowest, that the network sees; all when None
    network: Literal["complex", "magnitude"] = "complex"  # spectra in and out, or magnitudes in and masks out

    @model_validator(mode="after")
    def _fits(self) -> Transform:
        if self.n_fft % 2 or self.hop > self.n_fft // 2:
            raise ValueError("`n_fft` must be even, and `hop` at most half of it")
        if self.bins is not None and self.bins > self.n_fft // 2 + 1:
            raise ValueError(f"`bins` is more than the {self.n_fft // 2 + 1} that there are")
        return self


class CustomFile(_Part):
    """All that the engine must be told about an ONNX file."""

    model: Annotated[str, AfterValidator(_is_file_name)]  # the ONNX file, beside this one
    stems: list[Annotated[str, AfterValidator(_is_name)]] = Field(min_length=1, max_length=32)
    sample_rate: int = Field(ge=MIN_RATE, le=MAX_RATE)
    channels: Literal[1, 2] = 2
    segment: float | None = Field(default=None, gt=0, le=_LONGEST)  # seconds; that of the network where it is fixed
    context: float = Field(default=0.0, ge=0, le=_LONGEST / 4)  # seconds at both edges of a segment that are discarded
    overlap: float = Field(default=0.25, ge=0, lt=0.99)
    stft: Transform | None = None  # None: the network takes and gives samples
    residual: str | None = None  # the stem that the network does not give: what the others leave of the mix
    standardise: bool = False
    summary: str = Field(default="a model of your own", max_length=200)
    licence: str = Field(default="unknown", max_length=100)

    @model_validator(mode="after")
    def _agrees(self) -> CustomFile:
        if len(set(self.stems)) < len(self.stems):
            raise ValueError("`stems` names one twice")
        if self.residual is not None and self.residual not in self.stems:
            raise ValueError(f"`residual` is {self.residual!r}, which is not in `stems`")
        if self.residual is not None and len(self.stems) == 1:
            raise ValueError("`residual` is the only stem")
        if self.segment is not None and 2 * self.context >= self.segment:
            raise ValueError("`context` at both edges leaves nothing of `segment`")
        return self

    @property
    def given(self) -> tuple[str, ...]:
        """The stems that the network gives, in its order."""
        return tuple(stem for stem in self.stems if stem != self.residual)


def read_custom(path: Path) -> CustomFile:
    """The description in a file. Raises `ModelFileError`, naming every field that is wrong."""
    try:
        return CustomFile.model_validate(mapping(path))
    except ValidationError as error:
        faults = [_fault(details["loc"], details["msg"], details["input"]) for details in error.errors()]
        raise ModelFileError(f"{path.name}: {'; '.join(faults)}") from error


def mapping(path: Path) -> dict[str, Any]:
    """The YAML of a file. Raises `ModelFileError`: not to be read, no YAML, no mapping."""
    try:
        tree = load_file(path, limits=_LIMITS)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise ModelFileError(f"{path.name} is no description of a model: it is too large") from error
        raise ModelFileError(f"{path} cannot be read: {error.strerror}") from error
    except YamlError as error:
        what = "no YAML" if error.problem else "no description of a model"
        raise ModelFileError(f"{path.name} is {what}: {error}") from error
    if not isinstance(tree, dict):
        raise ModelFileError(
            f"{path.name} is no description of a model: it must hold `model`, `stems`, `sample_rate` …"
        )
    return tree


def _fault(place: tuple[int | str, ...], message: str, value: object) -> str:
    where = ".".join(map(str, place))
    words = message.removeprefix("Value error, ")
    if not where:
        return words
    if words == "Field required":
        return f"{where} is missing"
    if words == "Extra inputs are not permitted":
        return f"{where}: there is no such field"
    return f"{where}: {words} (it is {str(value)[:60]!r})"
