"""The tables. Times are seconds since the epoch by the database's clock; `owner` is in every row that belongs to one.

A song is a recording that an owner has (or stems that were imported). A separation is a set of stems made of some
samples; songs of equal samples share it. A run makes a separation. A job is one client's request for it; jobs that want
the same share a run. A track is a file in a folder that the operator listed; its song is found by its digest. An entry
of the outbox is what is still owed to a client. A pending upload is a file that was announced and is no song yet.
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Final

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, MetaData, String, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from stemwright.engine.receipt import Receipt
from stemwright.engine.song_facts import AnalysisRecord, KnownFacts
from stemwright.records import Fault, JsonObject
from stemwright.studio.options import JobOptions, RunOptions
from stemwright.studio.store.columns import RecordColumn, SentColumn

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine.default import DefaultExecutionContext

LIVE: Final = ("queued", "running")
FINAL: Final = ("succeeded", "failed", "cancelled")
_LIVE_SQL: Final = text("status IN ('queued', 'running')")


def new_id() -> str:
    """A fresh identifier; later ones sort behind earlier ones."""
    return f"{int(time.time() * 1000):012x}{secrets.token_hex(8)}"


def _now(context: DefaultExecutionContext) -> float:
    """The time by the clock of the database that a row goes to."""
    now: Callable[[], float] = context.connection.get_execution_options()["now"]
    return now()


class Base(DeclarativeBase):
    """What all tables share."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {int: BigInteger}  # noqa: RUF012  (SQLAlchemy reads it from the class)


class Song(Base):
    """A recording, or stems that were imported."""

    __tablename__ = "songs"
    __table_args__ = (
        UniqueConstraint("owner", "source_digest"),
        Index("ix_songs_owner_created_at", "owner", "created_at"),
        Index("ix_songs_owner_pcm_digest", "owner", "pcm_digest"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    owner: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(16), default="recording")  # or `stems`
    title: Mapped[str]
    artist: Mapped[str] = mapped_column(default="")
    search: Mapped[str]  # title and artist in lower case
    file_name: Mapped[str]
    source_digest: Mapped[str] = mapped_column(String(64))  # SHA-256 of the bytes that were uploaded, and of the track
    track: Mapped[int | None]  # of several audio tracks in the recording, from 1; None: its default one
    size_bytes: Mapped[int]
    upload_key: Mapped[str | None]
    pcm_digest: Mapped[str | None] = mapped_column(String(64))
    duration: Mapped[float | None]  # seconds
    sample_rate: Mapped[int | None]
    channels: Mapped[int | None]
    analysis: Mapped[AnalysisRecord | None] = mapped_column(RecordColumn(AnalysisRecord))
    separation_id: Mapped[str | None] = mapped_column(ForeignKey("separations.id", ondelete="SET NULL"))
    created_at: Mapped[float] = mapped_column(default=_now)
    used_at: Mapped[float] = mapped_column(default=_now)


class PendingUpload(Base):
    """A file that a client announced; it becomes a song's recording when it is submitted, and goes after a day."""

    __tablename__ = "uploads"
    __table_args__ = (
        Index("ix_uploads_owner_created_at", "owner", "created_at"),
        Index("ix_uploads_created_at", "created_at"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    owner: Mapped[str] = mapped_column(String(64))
    object_key: Mapped[str] = mapped_column(index=True)
    size_bytes: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))  # of its bytes, as the client says; who takes them compares
    name: Mapped[str]
    created_at: Mapped[float] = mapped_column(default=_now)


class Separation(Base):
    """A set of stems."""

    __tablename__ = "separations"
    __table_args__ = (
        UniqueConstraint("owner", "key"),
        Index("ix_separations_owner_pcm_digest", "owner", "pcm_digest"),
        Index("ix_separations_model_created_at", "model", "created_at"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    owner: Mapped[str] = mapped_column(String(64))
    key: Mapped[str] = mapped_column(String(64))  # everything that can change a sample
    pcm_digest: Mapped[str] = mapped_column(String(64))
    model: Mapped[str]
    draft: Mapped[bool]
    receipt: Mapped[Receipt] = mapped_column(RecordColumn(Receipt))
    duration: Mapped[float]  # seconds of song
    elapsed: Mapped[float]  # seconds of work; 0 for imported stems
    created_at: Mapped[float] = mapped_column(default=_now)
    used_at: Mapped[float] = mapped_column(default=_now)


class File(Base):
    """An object that belongs to a separation, or to a song (MIDI that was imported)."""

    __tablename__ = "files"
    __table_args__ = (UniqueConstraint("separation_id", "name"), UniqueConstraint("song_id", "name"))

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    owner: Mapped[str] = mapped_column(String(64))
    separation_id: Mapped[str | None] = mapped_column(ForeignKey("separations.id", ondelete="CASCADE"))
    song_id: Mapped[str | None] = mapped_column(ForeignKey("songs.id", ondelete="CASCADE"))
    name: Mapped[str]
    object_key: Mapped[str] = mapped_column(index=True)
    size_bytes: Mapped[int]
    digest: Mapped[str] = mapped_column(String(64))  # SHA-256 of its bytes
    created_at: Mapped[float] = mapped_column(default=_now)


class Run(Base):
    """The making of a separation. Its id is the workflow's."""

    __tablename__ = "runs"
    __table_args__ = (
        Index("uq_runs_live", "owner", "key", unique=True, sqlite_where=_LIVE_SQL, postgresql_where=_LIVE_SQL),
        Index("ix_runs_status_rank", "status", "rank"),
        Index("ix_runs_updated_at", "updated_at"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    owner: Mapped[str] = mapped_column(String(64))
    song_id: Mapped[str | None] = mapped_column(ForeignKey("songs.id", ondelete="SET NULL"), index=True)
    key: Mapped[str] = mapped_column(String(64))  # of the bytes and the options
    options: Mapped[RunOptions] = mapped_column(RecordColumn(RunOptions))
    queue: Mapped[str] = mapped_column(String(16))
    priority: Mapped[str] = mapped_column(String(8))
    rank: Mapped[int]  # lower goes first
    status: Mapped[str] = mapped_column(String(16), default="queued")
    stage: Mapped[str] = mapped_column(String(16), default="queued")
    progress: Mapped[float] = mapped_column(default=0.0)  # 0–100
    eta: Mapped[float | None]  # when it will be ready, by what is known while it runs
    attempts: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str | None] = mapped_column(String(96), index=True)  # the process that works on it, or ended it
    lease: Mapped[int] = mapped_column(default=0)  # raised whenever it is begun: what has an older one writes nothing
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    separation_id: Mapped[str | None] = mapped_column(ForeignKey("separations.id", ondelete="SET NULL"))
    preview_id: Mapped[str | None] = mapped_column(ForeignKey("separations.id", ondelete="SET NULL"))
    created_at: Mapped[float] = mapped_column(default=_now)
    started_at: Mapped[float | None]
    finished_at: Mapped[float | None]
    updated_at: Mapped[float] = mapped_column(default=_now)


class Job(Base):
    """One client's request for a run."""

    __tablename__ = "jobs"
    __table_args__ = (
        UniqueConstraint("owner", "idempotency_key"),
        Index("ix_jobs_owner_created_at", "owner", "created_at"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    owner: Mapped[str] = mapped_column(String(64))
    song_id: Mapped[str | None] = mapped_column(ForeignKey("songs.id", ondelete="SET NULL"), index=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), index=True)
    options: Mapped[JobOptions] = mapped_column(RecordColumn(JobOptions, brief=True))
    callback_url: Mapped[str | None]
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    request_digest: Mapped[str] = mapped_column(String(64))
    cached: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[float] = mapped_column(default=_now)
    cancelled_at: Mapped[float | None]


class Delivery(Base):
    """One try to tell a client's URL about a job."""

    __tablename__ = "deliveries"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    owner: Mapped[str] = mapped_column(String(64))
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    message_id: Mapped[str] = mapped_column(String(64))
    event: Mapped[str] = mapped_column(String(32))
    attempt: Mapped[int]
    at: Mapped[float] = mapped_column(default=_now)
    delivered: Mapped[bool]
    status: Mapped[int | None]
    error: Mapped[str | None]
    elapsed: Mapped[float]


class Track(Base):
    """A file in one of the operator's own folders, as it was when it was last seen."""

    __tablename__ = "tracks"
    __table_args__ = (
        UniqueConstraint("owner", "root", "relative_path"),
        Index("ix_tracks_owner_source_digest", "owner", "source_digest"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)  # follows from the path, see `studio.tracks`
    owner: Mapped[str] = mapped_column(String(64))
    root: Mapped[str]
    relative_path: Mapped[str]
    size_bytes: Mapped[int]
    modified_ns: Mapped[int]
    source_digest: Mapped[str | None] = mapped_column(String(64))  # SHA-256 of its bytes, once they were read
    found: Mapped[KnownFacts | None] = mapped_column(RecordColumn(KnownFacts))  # they outlive the song's files
    created_at: Mapped[float] = mapped_column(default=_now)


class OutboxEntry(Base):
    """Something that is owed to a client: what it is, what of it was sent, and whether more is to come."""

    __tablename__ = "outbox"
    __table_args__ = (
        Index("ix_outbox_owner_door_name", "owner", "door", "name"),
        Index("ix_outbox_door_open", "door", "open"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    owner: Mapped[str] = mapped_column(String(64))
    door: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(128))  # by which the client knows it
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    facts: Mapped[JsonObject] = mapped_column(JSON)  # what the door needs to know; it alone understands them
    sent: Mapped[dict[str, Fault | None]] = mapped_column(SentColumn, default=dict)  # stages, with what went wrong
    open: Mapped[bool] = mapped_column(default=True)  # something is still to be sent
    created_at: Mapped[float] = mapped_column(default=_now)


class Worker(Base):
    """A process of the fleet that takes runs, or keeps house; those that left or died stay for a while."""

    __tablename__ = "workers"
    __table_args__ = (Index("ix_workers_state_seen_at", "state", "seen_at"),)

    id: Mapped[str] = mapped_column(String(96), primary_key=True)  # host, process and a random part
    host: Mapped[str]
    queue: Mapped[str] = mapped_column(String(16))  # that it takes runs from; `keeper` takes none
    device: Mapped[str] = mapped_column(String(32))
    models: Mapped[list[str]] = mapped_column(JSON)  # that it can run
    release: Mapped[str] = mapped_column(String(32))
    version: Mapped[str] = mapped_column(String(16))  # of the workflows that it takes
    state: Mapped[str] = mapped_column(String(8), default="live")  # `left`: it ended, or was found dead
    started_at: Mapped[float] = mapped_column(default=_now)
    seen_at: Mapped[float] = mapped_column(default=_now)


class Lock(Base):
    """Work that one process at a time does for all; held until a time, and renewed before it."""

    __tablename__ = "locks"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    holder: Mapped[str] = mapped_column(String(96))
    until: Mapped[float]


class Allowance(Base):
    """What is left of what a client may do in a minute."""

    __tablename__ = "allowances"

    client: Mapped[str] = mapped_column(String(96), primary_key=True)
    left: Mapped[float]
    at: Mapped[float]  # when that was so
