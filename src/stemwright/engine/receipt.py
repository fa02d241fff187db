"""The receipt: what was done to a song, with what, and how it came out."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib import metadata

from pydantic import Field

import stemwright
from stemwright.records import Record
from stemwright.types import Digest, Notice, SampleRate, Seconds, StemName

PIPELINE = 2  # raised when the same song, model and settings would give other samples

_PACKAGES = ("numpy", "scipy", "soxr", "onnxruntime", "torch", "demucs")


class Loudness(Record):
    """How loud a recording is."""

    integrated_lufs: float | None = Field(description="BS.1770-4; null when there is nothing above the gate")
    true_peak_dbtp: float | None = Field(description="BS.1770-4; null for digital silence")


class InputRecord(Record):
    """The song that went in."""

    name: str
    digest: Digest = Field(description="SHA-256 over the decoded samples, the rate and the number of channels")
    size_bytes: int
    container: str
    sample_rate: SampleRate
    channels: int
    frames: int = Field(description="samples of each channel")
    duration: Seconds
    track: int = Field(default=1, description="which of the file's audio tracks it was, from 1")
    late: Seconds = Field(
        default=0.0, description="silence at the start, since the sound begins so much after the film's picture"
    )
    loudness: Loudness


class ModelRecord(Record):
    """The model that was used."""

    requested: str
    name: str
    family: str
    licence: str = Field(description="of the weights, as their publisher states it")
    draft: bool
    weights_digest: Digest | None
    publisher: str | None = Field(
        default=None, description="where the weights came from; null for a folder of one's own"
    )
    back_end: str | None = Field(default=None, description="what ran the network; null for a strategy: see `nodes`")


class NodeRecord(Record):
    """One run of a model in a strategy."""

    paths: tuple[str, ...] = Field(description="where in the strategy's file; several where one run serves them all")
    model: str
    family: str
    licence: str
    draft: bool
    weights_digest: Digest | None
    publisher: str | None = Field(
        default=None, description="where the weights came from; null for a folder of one's own"
    )
    back_end: str = Field(default="onnxruntime", description="what ran the network")
    device: str | None = Field(description="null where its stems had been made before, or were not needed for what had")
    stems: tuple[StemName, ...] = Field(description="those of the model's that were used")
    overlap: float
    shifts: int
    segment: Seconds


class SettingsRecord(Record):
    """The settings that were in force, defaults filled in; each run of a strategy has its own: see `nodes`."""

    stems: tuple[StemName, ...]
    overlap: float | None
    shifts: int | None
    segment: Seconds | None
    exact: bool
    format: str
    bitrate: int | None = Field(description="bits/s")
    sample_rate: SampleRate


class StemRecord(Record):
    """One stem that came out."""

    name: StemName
    file: str = Field(description="relative to the output folder")
    size_bytes: int
    sample_rate: SampleRate
    channels: int
    frames: int
    digest: Digest = Field(description="as the input's, over the samples handed to the encoder")
    gain_db: float
    loudness: Loudness


class FileRecord(Record):
    """A file that is no stem of this run: a chart, an overview, a picture, or what an earlier run left."""

    file: str = Field(description="relative to the output folder")
    size_bytes: int
    digest: Digest | None = Field(default=None, description="SHA-256 of its bytes; null for an earlier run's stem")


class DrumsRecord(Record):
    """The chart that was made of the stem `drums`."""

    weights_digest: Digest
    onsets: int
    bpm: float | None = Field(description="null where no tempo is clear")
    octave_bpm: float | None = Field(description="the other tempo at which the same pulse can be counted")
    files: dict[str, str] = Field(description="chart, midi, midi_quantised (where there is a tempo) and picture")


class NoticeRecord(Record):
    """Something that the user must know."""

    code: str
    message: str

    @classmethod
    def of(cls, notice: Notice) -> NoticeRecord:
        """The record of a notice."""
        return cls(code=notice.code, message=notice.message)


class Receipt(Record):
    """Everything about one separation."""

    version: int = 1
    key: Digest = Field(description="equal for equal samples in, model, weights, settings and pipeline")
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    input: InputRecord
    model: ModelRecord
    nodes: tuple[NodeRecord, ...] = Field(default=(), description="the runs of a strategy; none for a single model")
    device: str
    settings: SettingsRecord
    gain_db: float = Field(description="one gain for all stems, 0 unless one would clip")
    residual_db: float | None = Field(
        description="level of what the model's stems leave of the mix, relative to the mix; null when nothing is left"
    )
    residual_added_to: StemName | None
    elapsed: Seconds
    real_time_factor: float = Field(description="elapsed / duration")
    versions: dict[str, str]
    warnings: tuple[NoticeRecord, ...]
    stems: tuple[StemRecord, ...]
    drums: DrumsRecord | None = Field(default=None, description="null where no chart was asked for")
    files: tuple[str, ...] = Field(description="all that was written, relative to the output folder")
    kept: tuple[str, ...] = Field(description="files that earlier runs of the same song left beside them")
    others: tuple[FileRecord, ...] = Field(default=(), description="all files but stems and receipt")


def versions(ffmpeg: str) -> dict[str, str]:
    """Versions of what took part, of the packages only those that are installed."""
    found = {"stemwright": stemwright.__version__, "python": platform.python_version(), "ffmpeg": ffmpeg}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
