"""What the API answers, as it is documented."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from stemwright.records import JsonObject, Moment, Record
from stemwright.studio.jobs import DeliveryRecord, QueueState
from stemwright.studio.models import ModelRecord, StrategyRecord
from stemwright.studio.snapshot import JobState
from stemwright.studio.songs import NoteFile, SeparationFacts, SongSummary, StemSummary

Text = Annotated[str, Field(max_length=300, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$", description="One line.")]
_STEM = "/api/v1/songs/019a8c0f2b00/stems/vocals.flac?separation=019a8c0f2b11f0c2d3e4a5b6c7d8"
_PEAKS = "/api/v1/songs/019a8c0f2b00/peaks/vocals.dat?separation=019a8c0f2b11f0c2d3e4a5b6c7d8"
_EXAMPLE_LINKS: JsonObject = {
    "separation": "019a8c0f2b11f0c2d3e4a5b6c7d8",
    "model": "sketch",
    "draft": True,
    "stems": {"vocals": _STEM},
    "peaks": {"vocals": _PEAKS},
    "zip": "/api/v1/songs/019a8c0f2b00/stems.zip?separation=019a8c0f2b11f0c2d3e4a5b6c7d8",
    "receipt": "/api/v1/songs/019a8c0f2b00/receipt?separation=019a8c0f2b11f0c2d3e4a5b6c7d8",
    "mix": "/api/v1/songs/019a8c0f2b00/mix.flac?separation=019a8c0f2b11f0c2d3e4a5b6c7d8",
    "drums": None,
}
_EXAMPLE_SONG: JsonObject = {
    "id": "019a8c0f2b00",
    "title": "Sodium",
    "artist": "ichbin",
    "kind": "recording",
    "file_name": "sodium.mp3",
    "size_bytes": 4_213_760,
    "duration": 175.4,
    "sample_rate": 44_100,
    "channels": 2,
    "state": "ready",
    "model": "sketch",
    "draft": True,
    "analysis": None,
    "created_at": "2026-11-21T17:49:32.048Z",
}
_EXAMPLE_JOB: JsonObject = {
    "id": "019a8c0f2b22",
    "song_id": "019a8c0f2b00",
    "status": "succeeded",
    "stage": "done",
    "progress": 100.0,
    "position": None,
    "eta_seconds": None,
    "priority": "normal",
    "options": {"model": "sketch"},
    "cached": False,
    "attempts": 1,
    "created_at": "2026-11-21T17:49:32.248Z",
    "started_at": "2026-11-21T17:49:32.876Z",
    "finished_at": "2026-11-21T17:49:40.565Z",
    "error": None,
    "preview": None,
    "result": _EXAMPLE_LINKS,
    "links": {
        "self": "/api/v1/jobs/019a8c0f2b22",
        "song": "/api/v1/songs/019a8c0f2b00",
        "events": "/api/v1/jobs/019a8c0f2b22/events",
    },
}
_EXAMPLE_SEPARATION: JsonObject = {
    "id": "019a8c0f2b11f0c2d3e4a5b6c7d8",
    "model": "sketch",
    "draft": True,
    "created_at": "2026-11-21T17:49:40.528Z",
    "gain_db": 0.0,
    "residual_db": -97.2,
    "warnings": [{"code": "draft", "message": "sketch gives a draft."}],
    "stems": [
        {
            "name": "vocals",
            "loudness": {"integrated_lufs": -16.4, "true_peak_dbtp": -5.9},
            "url": _STEM,
            "peaks": _PEAKS,
        }
    ],
    "drums": None,
}


def _example(value: JsonObject) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [value]})


class DrumChart(Record):
    """Where a drum chart is, and what it says in short."""

    chart: str
    midi: str
    midi_quantised: str | None = Field(description="Null where no tempo is clear.")
    picture: str
    onsets: int
    bpm: float | None


class Results(Record):
    """Where stems are."""

    model_config = _example(_EXAMPLE_LINKS)

    separation: str
    model: str
    draft: bool = Field(description="Made by a quick model; a finer one would give better stems.")
    stems: dict[str, str]
    peaks: dict[str, str] = Field(description="Waveform overviews, as BBC audiowaveform writes them.")
    zip: str
    receipt: str
    mix: str
    drums: DrumChart | None = Field(description="Where a job asked for `transcribe`.")


class JobLinks(Record):
    """Where more can be had."""

    self: str
    song: str | None
    events: str


class JobOut(JobState):
    """A job."""

    model_config = _example(_EXAMPLE_JOB)

    preview: Results | None = Field(description="Draft stems, until the fine ones are there.")
    result: Results | None
    links: JobLinks


class JobPage(Record):
    """A page of jobs."""

    items: list[JobOut]
    total: int


class DeliveryList(Record):
    """All tries."""

    items: list[DeliveryRecord]


class QueueOut(QueueState):
    """The queues."""

    model_config = _example(
        {
            "queues": {"cpu": {"slots": 1, "running": 1, "queued": {"high": 0, "normal": 3, "low": 0}}},
            "oldest_queued_at": "2026-11-21T17:49:32.248Z",
        }
    )


class LimitsOut(Record):
    """What the studio takes: larger and longer files are refused."""

    upload_max_bytes: int = Field(description="Of one upload.")
    midi_max_bytes: int = Field(description="Of one MIDI file.")
    max_duration: float = Field(description="Seconds of one recording.")
    direct_uploads: bool = Field(description="Files that are announced (`POST /uploads`) go straight to the bucket.")


class UploadOut(Record):
    """Where to send a file that was announced, or the song that it is already."""

    model_config = _example(
        {
            "upload_id": "019a8c0f2b33",
            "song_id": None,
            "url": "/api/v1/uploads/019a8c0f2b33",
            "method": "PUT",
            "headers": {"content-length": "4213760", "x-amz-checksum-sha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NM="},
            "expires_at": "2026-11-21T18:49:32.048Z",
        }
    )

    upload_id: str | None = Field(description="What `POST /jobs` takes once the file is there.")
    song_id: str | None = Field(description="The song that these bytes are already: nothing is to be sent.")
    url: str | None = Field(description="Of the bucket, or a path of this server.")
    method: Literal["PUT"]
    headers: dict[str, str] = Field(description="To be sent as they are, no more and no less; they are signed.")
    expires_at: Moment | None = Field(description="When the URL ends.")


class SongBrief(SongSummary):
    """A song in a list."""

    model_config = _example(_EXAMPLE_SONG)


class SongPage(Record):
    """A page of songs."""

    items: list[SongBrief]
    total: int


class StemOut(StemSummary):
    """A stem."""

    url: str
    peaks: str


class SeparationOut(SeparationFacts):
    """A set of stems of a song."""

    stems: list[StemOut]
    drums: DrumChart | None


class NoteOut(NoteFile):
    """A MIDI file that goes with a song."""

    url: str


class SongOut(SongSummary):
    """A song with all that there is of it."""

    model_config = _example(
        _EXAMPLE_SONG
        | {
            "separation": _EXAMPLE_SEPARATION["id"],
            "separations": [_EXAMPLE_SEPARATION],
            "notes": [],
            "jobs": [_EXAMPLE_JOB["id"]],
            "links": {"self": "/api/v1/songs/019a8c0f2b00", "zip": "/api/v1/songs/019a8c0f2b00/stems.zip"},
        }
    )

    separation: str | None = Field(description="Whose stems are given where none is named.")
    separations: list[SeparationOut]
    notes: list[NoteOut]
    jobs: list[str]
    links: dict[str, str]


class SongChange(BaseModel):
    """What can be changed."""

    model_config = ConfigDict(
        extra="forbid",
        str_strip_whitespace=True,
        json_schema_extra={"examples": [{"title": "Sodium", "artist": "ichbinsoftware"}]},
    )

    title: Text | None = Field(default=None, min_length=1)
    artist: Text | None = None


class ModelOut(ModelRecord):
    """A model."""


class ModelList(Record):
    """All models."""

    items: list[ModelOut]
    default: str


class StrategyOut(StrategyRecord):
    """A strategy: a tree of models."""


class StrategyList(Record):
    """All strategies."""

    items: list[StrategyOut]


class Life(Record):
    """That the process answers."""

    status: Literal["ok"]


class Health(Record):
    """Whether the server works."""

    status: Literal["ok", "degraded"]
    checks: dict[str, str]
    version: str
