"""What the steps of a run hand to each other. DBOS keeps it as JSON, and may read it in another process."""

from __future__ import annotations

from typing import Generic, TypeVar

from stemwright.engine.process.messages import ChartRecord
from stemwright.engine.receipt import Receipt
from stemwright.records import Fault, Record
from stemwright.studio.options import RunOptions
from stemwright.types import Digest, Seconds

T = TypeVar("T", bound=Record)


class Lease(Record):
    """The right to work on a run: what has an older one, or that of another process, writes nothing."""

    run_id: str
    worker: str
    number: int


class Task(Record):
    """A run that was begun, and what is known of its song."""

    lease: Lease
    owner: str
    options: RunOptions
    song_id: str
    title: str
    upload_key: str | None
    file_name: str
    track: int | None = None  # of several audio tracks in the recording, from 1; its default one
    pcm_digest: Digest | None
    duration: Seconds | None
    analysed: bool  # tempo and key are known
    measured: bool  # the loudness is known without stems


class Hashed(Record):
    """A song that was read, and the model that will separate it."""

    pcm_digest: Digest
    duration: Seconds
    title: str
    model: str


class StoredFile(Record):
    """A file that was stored and has no row yet."""

    name: str
    object_key: str
    size_bytes: int
    digest: Digest


class Made(Record):
    """Stems that were made and stored, or found; a chart that was made of them."""

    found: str | None = None  # the separation that has been there before
    id: str | None = None  # of the separation that was made
    key: Digest | None = None
    receipt: Receipt | None = None
    chart: ChartRecord | None = None
    files: tuple[StoredFile, ...] = ()


class StepFault(Fault):
    """Why a step failed; `final`: the upload is to blame, so that keeping it is of no use."""

    final: bool


class Outcome(Record, Generic[T]):
    """What came of a step."""

    value: T | None = None
    fault: StepFault | None = None
