"""What a remote worker answers, as typed records: nothing of it is believed that was not checked here."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar
from urllib.parse import unquote

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from stemwright.engine.stored import Promise
from stemwright.errors import WorkerAnswerError
from stemwright.types import MAX_RATE, MIN_RATE
from stemwright.words import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stemwright.engine.receipt import Receipt, StemRecord
    from stemwright.types import Seconds

_MOST_STEMS: Final = 32
_LONGEST_TEXT: Final = 1000  # characters of any text in a receipt
_LOUDEST: Final = 200.0  # dB either way: no measurement gives more
_STEM: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}")


def _no_way_up(path: str) -> str:
    if ".." in unquote(path):
        raise ValueError("leads up")
    return path


# At the worker's own origin, below its API, which may itself be below a sub-path: no scheme, no host, no way up.
WorkerPath = Annotated[
    str,
    StringConstraints(
        pattern=r"^(/[A-Za-z0-9_.~\-]{1,100}){0,8}/api/v1/[A-Za-z0-9_\-.~%/]{1,500}(\?[A-Za-z0-9_\-.~%=&]{0,500})?$"
    ),
    AfterValidator(_no_way_up),
]
Model = TypeVar("Model", bound=BaseModel)


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Fault(_Answer):
    """Why a job failed there."""

    code: Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,64}$")] = "internal"
    message: str = ""


class Problem(_Answer):
    """Why a request failed there: `application/problem+json`."""

    code: str | None = None
    detail: str


class Result(_Answer):
    """Where the stems of a job are."""

    receipt: WorkerPath
    stems: dict[str, WorkerPath] = Field(max_length=_MOST_STEMS)
    peaks: dict[str, WorkerPath] = Field(max_length=_MOST_STEMS)


class RemoteJob(_Answer):
    """A job of the worker."""

    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_\-]{1,64}$")]
    status: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    progress: float = Field(default=0.0, ge=0, le=100, allow_inf_nan=False)
    error: Fault | None = None
    result: Result | None = None


def read(content: bytes, model: type[Model]) -> Model:
    """An answer as a record. Raises `WorkerAnswerError`."""
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        place = plain(".".join(str(part) for part in error.errors(include_url=False)[0]["loc"]))
        raise WorkerAnswerError(f"the answer of the remote worker is not understood{place and f': {place}'}") from error


def check_receipt(receipt: Receipt, *, max_duration: Seconds, max_decoded_bytes: int) -> dict[str, Promise]:
    """What each stem must be, by its name. Raises `WorkerAnswerError` for a receipt that no separation writes."""
    names = [stem.name for stem in receipt.stems]
    if not 1 <= len(names) <= _MOST_STEMS or len({name.lower() for name in names}) < len(names):
        raise WorkerAnswerError(f"the remote worker has no stems, several of one name, or more than {_MOST_STEMS}")
    if not all(map(_STEM.fullmatch, names)):
        raise WorkerAnswerError("the remote worker has a stem that cannot be fetched")
    tree = receipt.model_dump(mode="python")
    try:
        json.dumps(tree, allow_nan=False, default=str)
    except ValueError:
        raise WorkerAnswerError("the receipt of the remote worker holds something that is not a number") from None
    if any(len(text) > _LONGEST_TEXT or not text.isprintable() for text in _texts(tree)):
        raise WorkerAnswerError("the receipt of the remote worker holds control characters, or a text without end")
    if not 0 < receipt.input.duration <= max_duration:
        raise WorkerAnswerError(f"the remote worker had a recording beyond the limit of {max_duration:g} s")
    if not all(map(_is_possible, receipt.stems)):
        raise WorkerAnswerError("the remote worker has a stem that is no sound")
    promises = {
        stem.name: Promise(sample_rate=stem.sample_rate, channels=stem.channels, frames=stem.frames)
        for stem in receipt.stems
    }
    if (size := sum(promise.size_bytes for promise in promises.values())) > max_decoded_bytes:
        raise WorkerAnswerError(f"the stems of the remote worker hold {size} bytes; {max_decoded_bytes} are allowed")
    return promises


def _is_possible(stem: StemRecord) -> bool:
    levels = (stem.loudness.integrated_lufs, stem.loudness.true_peak_dbtp, stem.gain_db)
    calm = all(level is None or abs(level) <= _LOUDEST for level in levels)
    return calm and MIN_RATE <= stem.sample_rate <= MAX_RATE and stem.channels in {1, 2} and stem.frames > 0


def _texts(tree: Any) -> Iterator[str]:
    """Every text of a tree, keys too."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict):
        for key, value in tree.items():
            yield from _texts(key)
            yield from _texts(value)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from _texts(value)
