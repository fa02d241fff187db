"""The words of the protocol: what is found in a song, callbacks, and what the audio engine is told."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from stemwright.doors.mismo.config import STAGES
from stemwright.records import Fault, JsonObject, Record, iso
from stemwright.studio.options import Priority
from stemwright.studio.snapshot import shown

if TYPE_CHECKING:
    from stemwright.engine.song_facts import KnownFacts
    from stemwright.errors import StemwrightError
    from stemwright.studio.outbox import Entry
    from stemwright.studio.snapshot import JobSnapshot
    from stemwright.studio.tracks import TrackView

Stage: TypeAlias = Literal["basic_features", "characteristics", "stems"]
Status: TypeAlias = Literal["queued", "processing", "completed", "failed"]
RequestId: TypeAlias = str | int | None
_PITCHES: Final = {"C": 0, "C#": 1, "Db": 1, "D": 2, "D#": 3, "Eb": 3, "E": 4, "F": 5, "F#": 6, "Gb": 6, "G": 7} | {
    "G#": 8,
    "Ab": 8,
    "A": 9,
    "A#": 10,
    "Bb": 10,
    "B": 11,
}
_STATUS: Final[dict[str, Status]] = {"queued": "queued", "running": "processing", "succeeded": "completed"}


class Promise(Record):
    """What the door owes of a job, as the outbox keeps it."""

    kind: Literal["request", "callback", "engine"] = "request"  # who is told: nobody, a URL, an audio engine
    file_path: str
    stages: tuple[Stage, ...]  # in the order in which they are told
    digest: str  # SHA-256 of the file
    callback_url: str | None = None
    delivery: Literal["path"] | None = None
    track_id: str | None = None
    request_id: RequestId = None
    asker: str | None = None  # the connection of the engine that asked
    metadata: JsonObject | None = None

    @classmethod
    def of(cls, entry: Entry) -> Promise:
        """The promise of an entry."""
        return cls.model_validate(entry.facts)


class BasicFeatures(Record):
    """Tempo and key; null where there is none."""

    bpm: float | int | None
    bpm_confidence: float | None
    bpm_alternative: float | None
    key: str | None  # its pitch class: `"0"` for C to `"11"` for B
    mode: str | None  # `"1"` for major, `"0"` for minor
    key_name: str | None
    camelot: str | None
    key_confidence: float | None


class Characteristics(Record):
    """What is measured of the sound as a whole; null where BS.1770 defines no value."""

    duration: float | None
    sample_rate: int | None
    channels: int | None
    loudness: float | None
    true_peak: float | None


class StemsData(Record):
    """The stems, as files of a folder."""

    delivery_mode: Literal["path"]
    stems: dict[str, str]
    zip: str
    processing_time: float
    model: str


StageData: TypeAlias = BasicFeatures | Characteristics | StemsData


def bpm_of(facts: KnownFacts) -> float | int | None:
    """The tempo, a whole number where it is one."""
    tempo = facts.analysis.tempo if facts.analysis else None
    if tempo is None:
        return None
    return int(tempo.bpm) if tempo.bpm.is_integer() else tempo.bpm


def key_of(facts: KnownFacts) -> tuple[str | None, str | None]:
    """The key as texts: its pitch class, `"0"` for C to `"11"` for B, and `"1"` for major or `"0"` for minor."""
    key = facts.analysis.key if facts.analysis else None
    if key is None:
        return None, None
    return str(_PITCHES[key.tonic]), "1" if key.mode == "major" else "0"


def basic_features(facts: KnownFacts) -> BasicFeatures:
    """Tempo and key."""
    tempo, key = (facts.analysis.tempo, facts.analysis.key) if facts.analysis else (None, None)
    pitch, mode = key_of(facts)
    return BasicFeatures(
        bpm=bpm_of(facts),
        bpm_confidence=tempo.confidence if tempo else None,
        bpm_alternative=tempo.octave if tempo else None,
        key=pitch,
        mode=mode,
        key_name=key.name if key else None,
        camelot=key.camelot if key else None,
        key_confidence=key.confidence if key else None,
    )


def characteristics(facts: KnownFacts) -> Characteristics:
    """What is measured of the sound as a whole."""
    level = facts.loudness
    return Characteristics(
        duration=facts.duration,
        sample_rate=facts.sample_rate,
        channels=facts.channels,
        loudness=level.integrated_lufs if level else None,
        true_peak=level.true_peak_dbtp if level else None,
    )


def fault_of(code: str, message: str) -> Fault:
    """An error as clients see it; what happened inside is for the log."""
    return Fault(code=code, message=shown(code, message))


def not_done(snapshot: JobSnapshot) -> Fault:
    """The error of a job that ended without one of its own: it was cancelled, or all that it made is gone."""
    if snapshot.status == "cancelled":
        return fault_of("cancelled", "the analysis was cancelled")
    return fault_of("not_found", "the recording is no longer here")


def said(error: StemwrightError) -> Fault:
    """An exception as clients see it."""
    return fault_of(error.code, error.message)


class _Callback(Record):
    job_id: str
    stage: Stage
    status: Literal["completed", "failed"]
    timestamp: str
    data: StageData | None = None
    error: Fault | None = None


def callback(entry: Entry, stage: Stage, *, data: StageData | None, error: Fault | None) -> str:
    """The body of a callback: `error`, or `data`."""
    status: Literal["completed", "failed"] = "failed" if error else "completed"
    body = _Callback(job_id=entry.name, stage=stage, status=status, timestamp=iso(time.time()), data=data, error=error)
    return body.model_dump_json(exclude={"data"} if error else {"error"})


class TrackInfo(Record):
    """The answer to `getTrackInfo`."""

    success: Literal[True] = True
    trackId: str  # noqa: N815  (its name in the protocol)
    filePath: str  # noqa: N815
    bpm: float | int | None
    key: str | None
    mode: str | None
    requestId: RequestId = None  # noqa: N815

    def text(self) -> str:
        """As it is sent."""
        return self.model_dump_json(exclude={"requestId"} if self.requestId is None else None)


class Refusal(Record):
    """The answer to a message that cannot be followed."""

    success: Literal[False] = False
    error: Fault
    trackId: str | None = None  # noqa: N815
    requestId: RequestId = None  # noqa: N815

    def text(self) -> str:
        """As it is sent."""
        return self.model_dump_json(exclude_none=True)


class StemsNews(Record):
    """What the audio engine is told once the stems are there, or will never be."""

    success: bool
    type: Literal["stemsReady", "stemsFailed"]
    requestId: RequestId = None  # noqa: N815
    trackId: str | None = None  # noqa: N815
    error: Fault | None = None
    stems: dict[str, str] | None = None

    def text(self) -> str:
        """As it is sent."""
        return self.model_dump_json(exclude_none=True)


def track_info(track: TrackView, *, request_id: RequestId) -> TrackInfo:
    """The answer to `getTrackInfo`."""
    pitch, mode = key_of(track.found)
    return TrackInfo(
        trackId=track.id,
        filePath=str(track.path),
        bpm=bpm_of(track.found),
        key=pitch,
        mode=mode,
        requestId=request_id,
    )


def stems_ready(stems: dict[str, str], *, track_id: str | None, request_id: RequestId) -> StemsNews:
    """The news that stems are there."""
    return StemsNews(success=True, type="stemsReady", requestId=request_id, trackId=track_id, stems=stems)


def stems_failed(error: Fault, *, track_id: str | None, request_id: RequestId) -> StemsNews:
    """The news that there will be no stems."""
    return StemsNews(success=False, type="stemsFailed", requestId=request_id, trackId=track_id, error=error)


class Results(Record):
    """What was found so far, of that which was wanted."""

    basic_features: BasicFeatures | None = None
    characteristics: Characteristics | None = None
    stems: StemsData | None = None


class JobAnswer(Record):
    """A job as those see it who ask for it."""

    id: str
    job_id: str
    status: Status
    priority: Priority
    stage: str
    progress: float
    queue_position: int | None
    eta_seconds: float | None
    options: dict[Stage, bool]
    file_path: str
    track_id: str | None
    callback_metadata: JsonObject | None
    created_at: str
    started_at: str | None
    completed_at: str | None
    error: Fault | None
    told: dict[str, Literal["completed", "failed"]]
    results: Results


def job_status(entry: Entry, snapshot: JobSnapshot) -> Status:
    """The status of a job: queued, processing, completed or failed."""
    return "failed" if any(entry.sent.values()) else _STATUS.get(snapshot.status, "failed")


def job(entry: Entry, snapshot: JobSnapshot, *, facts: KnownFacts, stems: StemsData | None) -> JobAnswer:
    """A job for those who ask for it; `stems` is the data of its last stage, once the files are there."""
    promise = Promise.of(entry)
    status, wanted = job_status(entry, snapshot), promise.stages
    if status == "completed" and "stems" in wanted and stems is None and entry.open:
        status = "processing"  # the files are put into their folder this moment
    found = snapshot.error or next(filter(None, entry.sent.values()), None) or not_done(snapshot)
    heard, measured = facts.analysis is not None, facts.loudness is not None
    results: dict[str, StageData | None] = {
        "basic_features": basic_features(facts) if heard and "basic_features" in wanted else None,
        "characteristics": characteristics(facts) if measured and "characteristics" in wanted else None,
        "stems": stems if "stems" in wanted else None,
    }
    return JobAnswer(
        id=entry.name,
        job_id=entry.name,
        status=status,
        priority=snapshot.priority,
        stage=snapshot.stage,
        progress=snapshot.progress,
        queue_position=snapshot.position,
        eta_seconds=snapshot.eta_seconds,
        options={stage: stage in wanted for stage in STAGES},
        file_path=promise.file_path,
        track_id=promise.track_id,
        callback_metadata=promise.metadata,
        created_at=iso(entry.created_at),
        started_at=None if snapshot.started_at is None else iso(snapshot.started_at),
        completed_at=None if snapshot.finished_at is None else iso(snapshot.finished_at),
        error=fault_of(found.code, found.message) if status == "failed" else None,
        told={stage: "failed" if fault else "completed" for stage, fault in entry.sent.items()},
        results=Results.model_validate({name: value for name, value in results.items() if value}),
    )
