"""Recordings whose drums have been heard, by the digest of their samples: the same song in two files is one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, Select, and_, select

from stemwright.engine.drum_names import PARTS, STEM
from stemwright.errors import ConflictError, JobNotFoundError
from stemwright.studio import files, songs
from stemwright.studio.store.tables import LIVE, File, Job, Run, Separation, Song

if TYPE_CHECKING:
    from stemwright.engine.drum_names import Part
    from stemwright.records import JsonObject
    from stemwright.studio.files import Served
    from stemwright.studio.studio import Studio
    from stemwright.types import Digest, SampleRate, Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Charted:
    """A recording with a drum chart, and what is known of it."""

    song_id: str  # the first of the songs with these samples
    separation_id: str
    pcm_digest: Digest
    file_name: str  # as its client calls it
    duration: Seconds
    sample_rate: SampleRate
    bpm: float | None
    onsets: int
    created_at: float  # seconds since the epoch
    elapsed: Seconds  # that the separation took


_ONSETS = Separation.receipt["drums"]["onsets"].as_integer()
_BPM = Separation.receipt["drums"]["bpm"].as_float()


def _query(owner: str) -> Select[Any]:
    """Songs with the separations of their samples that have a chart; the best separation and the first song first."""
    same = and_(Separation.owner == Song.owner, Separation.pcm_digest == Song.pcm_digest)
    columns = (Song.id, Song.pcm_digest, Song.file_name, Song.duration, Song.sample_rate)
    made = (Separation.id.label("separation_id"), Separation.created_at, Separation.elapsed)
    return (
        select(*columns, *made, _ONSETS.label("onsets"), _BPM.label("bpm"))
        .join(Separation, same)
        .where(Song.owner == owner, _ONSETS.is_not(None))
        .order_by(Separation.draft, Separation.created_at.desc(), Song.created_at, Song.id)
    )


def _charted(row: Row[Any]) -> Charted:
    return Charted(
        song_id=row.id,
        separation_id=row.separation_id,
        pcm_digest=row.pcm_digest,
        file_name=row.file_name,
        duration=row.duration,
        sample_rate=row.sample_rate,
        bpm=row.bpm,
        onsets=row.onsets,
        created_at=row.created_at,
        elapsed=row.elapsed,
    )


def list_charted(studio: Studio, *, owner: str) -> list[Charted]:
    """Every recording that has a drum chart, newest first."""
    found: dict[str, Charted] = {}
    with studio.db.session() as session:
        for row in session.execute(_query(owner)):
            found.setdefault(row.pcm_digest, _charted(row))
    return sorted(found.values(), key=lambda one: one.created_at, reverse=True)


def find_charted(studio: Studio, pcm_digest: Digest, *, owner: str) -> Charted:
    """The recording with these samples, if it has a drum chart. Raises `JobNotFoundError`."""
    with studio.db.session() as session:
        row = session.execute(_query(owner).where(Song.pcm_digest == pcm_digest).limit(1)).first()
    if row is None:
        raise JobNotFoundError("there is no such song")
    return _charted(row)


def charted_by(studio: Studio, job_id: str, *, owner: str) -> tuple[Charted, bool]:
    """The recording that a job has a chart of, and whether that was there before. Raises `JobNotFoundError`."""
    chart = and_(File.separation_id == Run.separation_id, File.name == ".".join(PARTS["chart"]))
    facts = select(Run.separation_id, Run.started_at, Job.cached, File.created_at)
    with studio.db.session() as session:
        made = session.execute(
            facts.select_from(Job)
            .join(Run, Run.id == Job.run_id)
            .join(File, chart)
            .where(Job.id == job_id, Job.owner == owner)
        ).first()
        row = made and session.execute(_query(owner).where(Separation.id == made.separation_id).limit(1)).first()
    if not made or not row:
        raise JobNotFoundError("there is no drum chart of this job; the song may have been deleted")
    return _charted(row), made.cached or made.created_at < made.started_at


def onsets_of(studio: Studio, charted: Charted, *, owner: str) -> list[JsonObject]:
    """The hits of a chart, in order of time, as docs/drums.md has them. Raises `JobNotFoundError`."""
    served = chart_file(studio, charted, "chart", owner=owner)
    onsets: list[JsonObject] = json.loads(studio.store.get(served.object_key))["onsets"]
    return onsets


def chart_file(studio: Studio, charted: Charted, part: Part, *, owner: str) -> Served:
    """A file of the chart. Raises `JobNotFoundError`, `NoChartError`."""
    return files.chart_file(studio, charted.song_id, part, owner=owner, separation=charted.separation_id)


async def drums_file(studio: Studio, charted: Charted, token: str, *, owner: str) -> Served:
    """The drum stem in a format. Raises as `files.stem_file`."""
    which = charted.separation_id
    return await files.stem_file(studio, charted.song_id, STEM, token, owner=owner, separation=which)


def delete_charted(studio: Studio, pcm_digest: Digest, *, owner: str) -> None:
    """Delete every song with these samples, and all that was made of them.

    Raises `JobNotFoundError` where there is no chart of them; `ConflictError` while a job works on them.
    """
    find_charted(studio, pcm_digest, owner=owner)
    with studio.db.session() as session:
        same = select(Song.id).where(Song.owner == owner, Song.pcm_digest == pcm_digest)
        ids = session.scalars(same).all()
        if session.scalar(select(Run.id).where(Run.song_id.in_(ids), Run.status.in_(LIVE))):
            raise ConflictError("a job for this song is under way")
    for song_id in ids:
        songs.delete_song(studio, song_id, owner=owner)
