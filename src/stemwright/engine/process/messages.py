"""What the server's processes and an engine process say to each other: one JSON object a line, both ways.

Each request is a record with the record of its answer. Both sides name the version that they speak: a child of another
one, such as that of a package which was upgraded under a running server, is refused.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, ClassVar, Final, Generic, Literal, TypeAlias, TypeVar, cast

from pydantic import Field, SerializeAsAny, ValidationError

from stemwright import __version__
from stemwright.audio.decode import DecodeLimits
from stemwright.engine.channel_strip import ChannelStrip
from stemwright.engine.receipt import DrumsRecord, NoticeRecord, Receipt
from stemwright.engine.settings import SeparationSettings
from stemwright.engine.song_facts import AnalysisRecord, SongFacts
from stemwright.engine.stored import Promise
from stemwright.errors import StemwrightError
from stemwright.records import Fault, JsonObject, Record
from stemwright.types import Digest, SampleRate, Seconds, StemName

VERSION: Final = f"{__version__}/2"  # the number is raised when a message changes
A = TypeVar("A", bound=Record)


class Request(Record, Generic[A]):
    """What an engine is to do; `A` is what it answers."""

    answer: ClassVar[type[Record]]


class Nothing(Record):
    """An answer that says only that it is done."""


class Scan(Request[SongFacts]):
    """Read a song once: its digest, length and tags; with `analysis` tempo and key, with `loudness` how loud it is."""

    answer = SongFacts
    what: Literal["scan"] = "scan"
    song: Path
    limits: DecodeLimits
    analysis: bool
    loudness: bool
    track: int | None = None  # of several in the file, from 1; the default one


class Separate(Request[Receipt]):
    """Make stems, their overviews and the receipt as files of the folder `root`."""

    answer = Receipt
    what: Literal["separate"] = "separate"
    song: Path
    file_name: str  # that the receipt calls the song by
    root: Path
    model: str  # or a strategy, or `auto`
    repo: Path | None
    device: str
    format: str
    settings: SeparationSettings
    limits: DecodeLimits
    track: int | None = None  # as of `Scan`


class ChartRecord(Record):
    """What a receipt says of a drum chart that was made of stored stems."""

    drums: DrumsRecord
    warnings: tuple[NoticeRecord, ...]


class Transcribe(Request[ChartRecord]):
    """Make the chart of a drum stem as files of the folder `root`."""

    answer = ChartRecord
    what: Literal["transcribe"] = "transcribe"
    drums: Path
    root: Path
    title: str
    seconds: Seconds  # that the stem lasts


class Transcode(Request[Nothing]):
    """Write stored stems, from file to file, in another format.

    `promises` say what the stems are, where another machine made them: anything else is refused.
    """

    answer = Nothing
    what: Literal["transcode"] = "transcode"
    files: dict[Path, Path]
    format: str
    bitrate: int | None = None  # bits/s; the format's own
    promises: dict[Path, Promise] = Field(default_factory=dict)


class Align(Request[Nothing]):
    """Write a recording as it goes beside its stems: at their rate and level, and as long."""

    answer = Nothing
    what: Literal["align"] = "align"
    source: Path
    target: Path
    format: str
    digest: Digest
    track: int  # that the stems were made of
    sample_rate: SampleRate
    gain_db: float


class MixRecord(Record):
    """A mix that was made."""

    gain_db: float


class Mix(Request[MixRecord]):
    """Mix stored stems, each with its strip, from `start` to `end` seconds."""

    answer = MixRecord
    what: Literal["mix"] = "mix"
    stems: dict[StemName, Path]
    target: Path
    format: str
    strips: dict[StemName, ChannelStrip]
    start: Seconds | None
    end: Seconds | None


class PackStems(Request[Nothing]):
    """Pack four stems and their mix into one `.stem.mp4`."""

    answer = Nothing
    what: Literal["stem_mp4"] = "stem_mp4"
    stems: dict[StemName, Path]
    target: Path
    format: str


class ImportRecord(Record):
    """A song that was imported as stems."""

    receipt: Receipt
    analysis: AnalysisRecord | None


class Import(Request[ImportRecord]):
    """Make stems of ours of several recordings of one song; `most_…` is what all may come to together."""

    answer = ImportRecord
    what: Literal["import"] = "import"
    files: dict[StemName, Path]
    root: Path
    limits: DecodeLimits
    most_seconds: Seconds
    most_decoded_bytes: int


AnyRequest: TypeAlias = Annotated[
    Scan | Separate | Transcribe | Transcode | Align | Mix | PackStems | Import, Field(discriminator="what")
]


class Progress(Record):
    """How far the child is: the share of a stage, 0–1, or None where it cannot be known."""

    stage: str
    fraction: float | None


class Said(Record):
    """A line from the child: progress, a fault, or the result, which ends its work."""

    version: str
    progress: Progress | None = None
    error: Fault | None = None
    result: JsonObject | None = None


class EngineVersionError(StemwrightError):
    """The engine process is of another version than the process that started it."""

    code = "engine_version"
    status = 500

    def __init__(self, theirs: object) -> None:
        super().__init__(f"one process speaks {str(theirs)[:40]!r}, the other {VERSION!r}: restart the server")


class _Sent(Record):
    version: str = VERSION
    request: SerializeAsAny[Record]


class _Read(Record):
    version: str
    request: AnyRequest


def line_of(request: Request[A]) -> bytes:
    """A request as a line."""
    return _Sent(request=request).model_dump_json().encode() + b"\n"


def request_of(line: str) -> AnyRequest:
    """The request of a line. Raises `EngineVersionError` when it comes from another version."""
    if (theirs := json.loads(line).get("version")) != VERSION:
        raise EngineVersionError(theirs)
    return _Read.model_validate_json(line).request


def said_by(line: bytes) -> Said:
    """What a child said in a line. Raises `EngineVersionError` when it is of another version."""
    try:
        said = Said.model_validate_json(line)
    except ValidationError:
        raise EngineVersionError(line.decode(errors="replace")) from None
    if said.version != VERSION:
        raise EngineVersionError(said.version)
    return said


def answer_of(request: Request[A], said: Said) -> A:
    """The answer to a request. Raises `EngineVersionError` when it is none."""
    try:
        return cast("A", request.answer.model_validate(said.result or {}))
    except ValidationError as error:
        raise EngineVersionError(f"{error.title}: {error.error_count()} faults") from error
