"""The words of the protocol: what is found in a song, callbacks, and what the audio engine is told."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

from stemwright.doors.mismo.config import STAGES
from stemwright.studio.snapshot import iso, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stemwright.errors import StemwrightError
    from stemwright.studio.outbox import Placed
    from stemwright.studio.tracks import TrackView

_PITCHES: Final = {"C": 0, "C#": 1, "Db": 1, "D": 2, "D#": 3, "Eb": 3, "E": 4, "F": 5, "F#": 6, "Gb": 6, "G": 7} | {
    "G#": 8,
    "Ab": 8,
    "A": 9,
    "A#": 10,
    "Bb": 10,
    "B": 11,
}
_STATUS: Final = {"queued": "queued", "running": "processing", "succeeded": "completed"}


def bpm_of(facts: Mapping[str, Any]) -> float | int | None:
    """The tempo, a whole number where it is one."""
    bpm = (facts.get("tempo") or {}).get("bpm")
    return int(bpm) if bpm is not None and float(bpm).is_integer() else bpm


def key_of(facts: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The key as texts: its pitch class, `"0"` for C to `"11"` for B, and `"1"` for major or `"0"` for minor."""
    key = facts.get("key")
    if not key:
        return None, None
    return str(_PITCHES[key["tonic"]]), "1" if key["mode"] == "major" else "0"


def basic_features(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Tempo and key; null where there is none."""
    tempo, key = facts.get("tempo") or {}, facts.get("key") or {}
    pitch, mode = key_of(facts)
    return {
        "bpm": bpm_of(facts),
        "bpm_confidence": tempo.get("confidence"),
        "bpm_alternative": tempo.get("octave"),
        "key": pitch,
        "mode": mode,
        "key_name": key.get("name"),
        "camelot": key.get("camelot"),
        "key_confidence": key.get("confidence"),
    }


def characteristics(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What is measured of the sound as a whole; null where BS.1770 defines no value."""
    level = facts.get("loudness") or {}
    return {
        "duration": facts.get("duration"),
        "sample_rate": facts.get("sample_rate"),
        "channels": facts.get("channels"),
        "loudness": level.get("integrated_lufs"),
        "true_peak": level.get("true_peak_dbtp"),
    }


def error_of(code: str, message: str) -> dict[str, str]:
    """An error as clients see it; what happened inside is for the log."""
    return {"code": code, "message": shown(code, message)}


def not_done(snapshot: Mapping[str, Any]) -> dict[str, str]:
    """The error of a job that ended without one of its own: it was cancelled, or all that it made is gone."""
    if snapshot["status"] == "cancelled":
        return error_of("cancelled", "the analysis was cancelled")
    return error_of("not_found", "the recording is no longer here")


def said(error: StemwrightError) -> dict[str, str]:
    """An exception as clients see it."""
    return error_of(error.code, error.message)


def callback(order: Placed, stage: str, *, data: dict[str, Any] | None, error: dict[str, str] | None) -> str:
    """The body of a callback."""
    body: dict[str, Any] = {
        "job_id": order.name,
        "stage": stage,
        "status": "failed" if error else "completed",
        "timestamp": iso(time.time()),
    }
    body |= {"error": error} if error else {"data": data}
    return json.dumps(body, allow_nan=False)


def track_info(track: TrackView, *, request_id: object) -> dict[str, Any]:
    """The answer to `getTrackInfo`."""
    pitch, mode = key_of(track.found)
    answer = {
        "success": True,
        "trackId": track.id,
        "filePath": str(track.path),
        "bpm": bpm_of(track.found),
        "key": pitch,
        "mode": mode,
    }
    return answer | ({} if request_id is None else {"requestId": request_id})


def refusal(error: dict[str, str], *, track_id: object = None, request_id: object = None) -> dict[str, Any]:
    """The answer to a message that cannot be followed."""
    named = {"trackId": track_id, "requestId": request_id}
    return {"success": False, "error": error} | {name: value for name, value in named.items() if value is not None}


def stems_news(
    facts: Mapping[str, Any], *, stems: dict[str, str] | None, error: dict[str, str] | None
) -> dict[str, Any]:
    """What the audio engine is told once the stems are there, or will never be."""
    news = {"success": error is None, "type": "stemsFailed" if error else "stemsReady"}
    named = {"requestId": facts.get("request_id"), "trackId": facts.get("track_id")}
    news |= {name: value for name, value in named.items() if value is not None}
    return news | ({"error": error} if error else {"stems": stems})


def job_status(order: Placed, snapshot: Mapping[str, Any]) -> str:
    """The status of a job: queued, processing, completed or failed."""
    if any(told["status"] == "failed" for told in order.told.values()):
        return "failed"
    return _STATUS.get(snapshot["status"], "failed")


def job(
    order: Placed, snapshot: Mapping[str, Any], *, facts: Mapping[str, Any], stems: dict[str, Any] | None
) -> dict[str, Any]:
    """A job as those see it who ask for it; `stems` is the data of its last stage, once the files are there."""
    status, wanted = job_status(order, snapshot), order.facts["stages"]
    if status == "completed" and "stems" in wanted and stems is None and order.open:
        status = "processing"  # the files are put into their folder this moment
    faults = (told["error"] for told in order.told.values() if told["status"] == "failed")
    found = snapshot["error"] or next(faults, None) or not_done(snapshot)
    results: dict[str, Any] = {}
    if "key" in facts and "basic_features" in wanted:
        results["basic_features"] = basic_features(facts)
    if facts.get("loudness") and "characteristics" in wanted:
        results["characteristics"] = characteristics(facts)
    if stems and "stems" in wanted:
        results["stems"] = stems
    return {
        "id": order.name,
        "job_id": order.name,
        "status": status,
        "priority": snapshot["priority"],
        "stage": snapshot["stage"],
        "progress": snapshot["progress"],
        "queue_position": snapshot["position"],
        "eta_seconds": snapshot["eta_seconds"],
        "options": {stage: stage in wanted for stage in STAGES},
        "file_path": order.facts["file_path"],
        "track_id": order.facts.get("track_id"),
        "callback_metadata": order.facts.get("metadata"),
        "created_at": iso(order.created_at),
        "started_at": snapshot["started_at"],
        "completed_at": snapshot["finished_at"],
        "error": error_of(found["code"], found["message"]) if status == "failed" else None,
        "told": {stage: told["status"] for stage, told in order.told.items()},
        "results": results,
    }
