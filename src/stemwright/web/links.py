"""Links: the only place that knows where of the API a job, a song or a file is.

`root` is the sub-path that the studio is served below, empty for none (`web/roots.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from stemwright.web.schemas import (
    DrumChart,
    JobLinks,
    JobOut,
    NoteOut,
    Results,
    SeparationOut,
    SongOut,
    StemOut,
    UploadOut,
)

if TYPE_CHECKING:
    from stemwright.engine.receipt import DrumsRecord
    from stemwright.records import JsonObject
    from stemwright.studio.snapshot import JobSnapshot, MadeStems
    from stemwright.studio.songs import SeparationSummary, SongDetail
    from stemwright.studio.uploads import Opened


def job_out(job: JobSnapshot, *, root: str) -> JobOut:
    """A job with its links."""
    songs = f"{root}/api/v1/songs/{job.song_id}"
    here = f"{root}/api/v1/jobs/{job.id}"
    return JobOut(
        **dict(job)
        | {
            "preview": job.preview and _results(songs, job.preview),
            "result": job.result and _results(songs, job.result),
            "links": JobLinks(self=here, song=songs if job.song_id else None, events=f"{here}/events"),
        }
    )


def upload_out(opened: Opened, *, root: str) -> UploadOut:
    """Where to send a file: to the bucket, else to the API itself; or the song that it is already."""
    here = f"{root}/api/v1/uploads/{opened.upload_id}" if opened.upload_id else None
    return UploadOut(
        upload_id=opened.upload_id,
        song_id=opened.song_id,
        url=opened.url or here,
        method="PUT",
        headers=opened.headers,
        expires_at=opened.expires_at,
    )


def job_json(job: JobSnapshot, *, root: str) -> JsonObject:
    """A job with its links as JSON has it: what is pushed, and what callbacks say."""
    return job_out(job, root=root).model_dump(mode="json")


def _results(base: str, made: MadeStems) -> Results:
    which = f"?separation={made.separation}"
    return Results(
        separation=made.separation,
        model=made.model,
        draft=made.draft,
        stems={name: _stem(base, name, which) for name in made.stems},
        peaks={name: _peaks(base, name, which) for name in made.stems},
        zip=f"{base}/stems.zip{which}",
        receipt=f"{base}/receipt{which}",
        mix=f"{base}/mix.flac{which}",
        drums=_drums(base, which, made.drums),
    )


def _stem(base: str, name: str, which: str) -> str:
    return f"{base}/stems/{quote(name)}.flac{which}"


def _peaks(base: str, name: str, which: str) -> str:
    return f"{base}/peaks/{quote(name)}.dat{which}"


def _drums(base: str, which: str, chart: DrumsRecord | None) -> DrumChart | None:
    """Where a drum chart is, and what it says in short."""
    if chart is None:
        return None
    quantised = f"{base}/drums.mid{which}&quantised=true" if "midi_quantised" in chart.files else None
    return DrumChart(
        chart=f"{base}/drums.json{which}",
        midi=f"{base}/drums.mid{which}",
        midi_quantised=quantised,
        picture=f"{base}/drums.svg{which}",
        onsets=chart.onsets,
        bpm=chart.bpm,
    )


def song_out(song: SongDetail, *, root: str) -> SongOut:
    """A song with its links."""
    base = f"{root}/api/v1/songs/{song.id}"
    links = {
        "self": base,
        "jobs": f"{root}/api/v1/jobs?song_id={song.id}",
        "zip": f"{base}/stems.zip",
        "mix": f"{base}/mix.flac",
        "receipt": f"{base}/receipt",
    }
    if any(one.drums for one in song.separations):
        links["drums"] = f"{base}/drums.json"
    if song.has_recording:
        links["original"] = f"{base}/original.flac"
    facts = {name: value for name, value in dict(song).items() if name != "has_recording"}
    notes = [NoteOut(**dict(note), url=f"{base}/notes/{quote(note.name)}") for note in song.notes]
    separations = [_separation(base, one) for one in song.separations]
    return SongOut(**facts | {"separations": separations, "notes": notes, "jobs": [*song.jobs], "links": links})


def _separation(base: str, one: SeparationSummary) -> SeparationOut:
    which = f"?separation={one.id}"
    stems = [
        StemOut(**dict(stem), url=_stem(base, stem.name, which), peaks=_peaks(base, stem.name, which))
        for stem in one.stems
    ]
    return SeparationOut(**dict(one) | {"stems": stems, "drums": _drums(base, which, one.drums)})
