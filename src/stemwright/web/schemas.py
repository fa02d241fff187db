"""What the API answers, as it is documented."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Status = Literal["queued", "running", "succeeded", "failed", "cancelled"]
Text = Annotated[str, Field(max_length=300, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$", description="One line.")]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time", "examples": ["2026-11-21T17:49:32.248Z"]})]
_EXAMPLE_LINKS: dict[str, Any] = {
    "separation": "019a8c0f2b11f0c2d3e4a5b6c7d8",
    "model": "sketch",
    "draft": True,
    "stems": {"vocals": "/api/v1/songs/019a8c0f2b00/stems/vocals.flac?separation=019a8c0f2b11f0c2d3e4a5b6c7d8"},
    "peaks": {"vocals": "/api/v1/songs/019a8c0f2b00/peaks/vocals.dat?separation=019a8c0f2b11f0c2d3e4a5b6c7d8"},
    "zip": "/api/v1/songs/019a8c0f2b00/stems.zip?separation=019a8c0f2b11f0c2d3e4a5b6c7d8",
    "receipt": "/api/v1/songs/019a8c0f2b00/receipt?separation=019a8c0f2b11f0c2d3e4a5b6c7d8",
    "mix": "/api/v1/songs/019a8c0f2b00/mix.flac?separation=019a8c0f2b11f0c2d3e4a5b6c7d8",
    "drums": None,
}
_EXAMPLE_SONG: dict[str, Any] = {
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
_EXAMPLE_JOB: dict[str, Any] = {
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
_EXAMPLE_SEPARATION: dict[str, Any] = {
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
            "url": _EXAMPLE_LINKS["stems"]["vocals"],
            "peaks": _EXAMPLE_LINKS["peaks"]["vocals"],
        }
    ],
    "drums": None,
}


def _example(value: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [value]})


class Fault(BaseModel):
    """Why a job failed."""

    code: str = Field(description="Stable, such as `not_audio`, `timeout`, `engine_crashed`, `out_of_memory`.")
    message: str


class DrumChart(BaseModel):
    """Where a drum chart is, and what it says in short."""

    chart: str
    midi: str
    midi_quantised: str | None = Field(description="Null where no tempo is clear.")
    picture: str
    onsets: int
    bpm: float | None


class Results(BaseModel):
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


class JobLinks(BaseModel):
    """Where more can be had."""

    self: str
    song: str | None
    events: str


class JobOut(BaseModel):
    """A job."""

    model_config = _example(_EXAMPLE_JOB)

    id: str
    song_id: str | None = Field(description="Null when the song was deleted, or its upload was no song.")
    status: Status
    stage: str = Field(
        description="queued, hashing, preview, downloading, reading, separating, encoding, transcribing, saving, done"
        " or cancelled."
    )
    progress: float = Field(ge=0, le=100, description="Percent.")
    position: int | None = Field(description="In the queue; 1 is next.")
    eta_seconds: float | None = Field(description="By the measured speed of this machine; null while nothing is known.")
    priority: Literal["high", "normal", "low"]
    options: dict[str, Any] = Field(description="What was asked for; what is not named is at its default.")
    cached: bool = Field(description="The stems had been made before.")
    attempts: int
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    error: Fault | None
    preview: Results | None = Field(description="Draft stems, until the fine ones are there.")
    result: Results | None
    links: JobLinks


class JobPage(BaseModel):
    """A page of jobs."""

    items: list[JobOut]
    total: int


class DeliveryOut(BaseModel):
    """One try to call a job's URL."""

    message_id: str
    event: str
    attempt: int
    at: Time
    delivered: bool
    status: int | None
    error: str | None
    elapsed_seconds: float


class DeliveryList(BaseModel):
    """All tries."""

    items: list[DeliveryOut]


class QueueCounts(BaseModel):
    """One queue."""

    slots: int
    running: int
    queued: dict[str, int] = Field(description="By priority.")


class QueueOut(BaseModel):
    """The queues."""

    model_config = _example(
        {
            "queues": {"cpu": {"slots": 1, "running": 1, "queued": {"high": 0, "normal": 3, "low": 0}}},
            "oldest_queued_at": "2026-11-21T17:49:32.248Z",
        }
    )

    queues: dict[str, QueueCounts]
    oldest_queued_at: Time | None


class LimitsOut(BaseModel):
    """What the studio takes: larger and longer files are refused."""

    upload_max_bytes: int = Field(description="Of one upload.")
    midi_max_bytes: int = Field(description="Of one MIDI file.")
    max_duration: float = Field(description="Seconds of one recording.")


class SongBrief(BaseModel):
    """A song in a list."""

    model_config = _example(_EXAMPLE_SONG)

    id: str
    title: str
    artist: str
    kind: Literal["recording", "stems"]
    file_name: str
    size_bytes: int
    duration: float | None = Field(description="Seconds.")
    sample_rate: int | None
    channels: int | None
    state: Literal["new", "queued", "running", "ready"]
    model: str | None
    draft: bool | None
    analysis: dict[str, Any] | None = Field(description="Tempo and key.")
    created_at: Time


class SongPage(BaseModel):
    """A page of songs."""

    items: list[SongBrief]
    total: int


class Level(BaseModel):
    """How loud something is."""

    integrated_lufs: float | None
    true_peak_dbtp: float | None


class StemOut(BaseModel):
    """A stem."""

    name: str
    loudness: Level
    url: str
    peaks: str


class Notice(BaseModel):
    """Something that the user must know."""

    code: str
    message: str


class SeparationOut(BaseModel):
    """A set of stems of a song."""

    id: str
    model: str
    draft: bool
    created_at: Time
    gain_db: float
    residual_db: float | None
    warnings: list[Notice]
    stems: list[StemOut]
    drums: DrumChart | None


class NoteOut(BaseModel):
    """A MIDI file that goes with a song."""

    name: str
    size_bytes: int
    url: str


class SongOut(SongBrief):
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


class PublisherOut(BaseModel):
    """Where the weights of a model may be had."""

    name: str
    licence: str = Field(description="As this publisher states it, in a few words.")


class StatementOut(BaseModel):
    """What somebody says of the licence of weights."""

    text: str = Field(description="Word for word.")
    source: str


class ModelOut(BaseModel):
    """A model."""

    name: str
    family: str
    summary: str
    stems: list[str]
    licence: str
    draft: bool
    sdr: str | None = Field(description="dB, mean of the stems on MUSDB18's test songs, as its authors published it.")
    download_bytes: int = Field(description="Of its first use, about; 0 for none.")
    publishers: list[PublisherOut] = Field(description="In the order in which they are asked.")
    statements: list[StatementOut] = Field(description="Everything known of the licence of the weights.")
    availability: Literal["ready", "download", "missing"]
    seconds_per_second: float | None = Field(description="Measured on this machine: work for a second of song.")


class ModelList(BaseModel):
    """All models."""

    items: list[ModelOut]
    default: str


class StrategyModel(BaseModel):
    """A model that a strategy uses."""

    name: str
    state: Literal["ready", "download", "missing"]
    download_bytes: int = Field(description="Of its first use, about.")


class StrategyOut(BaseModel):
    """A strategy: a tree of models."""

    name: str
    origin: str = Field(description="`built in`, or the file that it is in.")
    summary: str
    quality: str
    speed: str
    stems: list[str]
    state: Literal["ready", "download", "missing"]
    models: list[StrategyModel]
    download_bytes: int
    tree: dict[str, Any] = Field(description="`source` and `outputs`: by slot a stem's name, or another such tree.")
    seconds_per_second: float | None = Field(description="Measured on this machine: work for a second of song.")


class StrategyList(BaseModel):
    """All strategies."""

    items: list[StrategyOut]


class Life(BaseModel):
    """That the process answers."""

    status: Literal["ok"]


class Health(BaseModel):
    """Whether the server works."""

    status: Literal["ok", "degraded"]
    checks: dict[str, str]
    version: str
