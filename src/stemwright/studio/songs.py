"""The library: list, look up, rename, delete songs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast

from pydantic import Field
from sqlalchemy import func, select

from stemwright.engine.receipt import DrumsRecord, Loudness, NoticeRecord
from stemwright.engine.song_facts import AnalysisRecord
from stemwright.errors import ConflictError, JobNotFoundError
from stemwright.records import Moment, Record
from stemwright.studio.store.tables import LIVE, File, Job, Run, Separation, Song
from stemwright.studio.store.texts import by_code_point
from stemwright.studio.work import retention
from stemwright.studio.work.runs import hold_song

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import InstrumentedAttribute, Session

    from stemwright.studio.studio import Studio

Kind: TypeAlias = Literal["recording", "stems"]
State: TypeAlias = Literal["new", "queued", "running", "ready"]


class SongSummary(Record):
    """A song in a list."""

    id: str
    title: str
    artist: str
    kind: Kind
    file_name: str
    size_bytes: int
    duration: float | None = Field(description="Seconds.")
    sample_rate: int | None
    channels: int | None
    state: State
    model: str | None
    draft: bool | None
    analysis: AnalysisRecord | None = Field(description="Tempo and key.")
    created_at: Moment


class StemSummary(Record):
    """A stem."""

    name: str
    loudness: Loudness


class SeparationFacts(Record):
    """A set of stems of a song, but for the stems."""

    id: str
    model: str
    draft: bool
    created_at: Moment
    gain_db: float
    residual_db: float | None
    warnings: tuple[NoticeRecord, ...]


class SeparationSummary(SeparationFacts):
    """A set of stems of a song."""

    stems: tuple[StemSummary, ...]
    drums: DrumsRecord | None


class NoteFile(Record):
    """A MIDI file that goes with a song."""

    name: str
    size_bytes: int


class SongDetail(SongSummary):
    """A song with all that there is of it."""

    separation: str | None = Field(description="Whose stems are given where none is named.")
    separations: tuple[SeparationSummary, ...]
    notes: tuple[NoteFile, ...]
    jobs: tuple[str, ...]
    has_recording: bool


_CAMELOT: Final = Song.analysis["key"]["camelot"].as_string()  # 1A to 12B: neighbours mix well
_SORTS: Final[dict[str, tuple[ColumnElement[Any] | InstrumentedAttribute[Any], ...]]] = {
    "created_at": (Song.created_at,),
    "used_at": (Song.used_at,),
    "title": (func.lower(by_code_point(Song.title)),),
    "artist": (func.lower(by_code_point(Song.artist)),),
    "duration": (Song.duration,),
    "bpm": (Song.analysis["tempo"]["bpm"].as_float(),),
    "key": (func.length(_CAMELOT), by_code_point(_CAMELOT)),
}


def list_songs(
    studio: Studio, *, owner: str, search: str | None, sort: str, limit: int, offset: int
) -> tuple[list[SongSummary], int]:
    """Songs whose title and artist hold all the words of `search`, and how many there are in all.

    `sort` is `created_at`, `used_at`, `title`, `artist`, `duration`, `bpm` or `key` (around the circle of fifths), with
    `-` before it for descending; songs without it come last.
    """
    query = select(Song).where(Song.owner == owner)
    for word in (search or "").lower().split():
        query = query.where(Song.search.contains(word, autoescape=True))
    columns = _SORTS[sort.removeprefix("-")]
    order = [(column.desc() if sort.startswith("-") else column.asc()).nulls_last() for column in columns]
    with studio.db.session() as session:
        total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
        songs = list(session.scalars(query.order_by(*order, Song.id).limit(limit).offset(offset)))
        states = _states(session, [song.id for song in songs])
        models = _models(session, songs)
        return [_brief(song, states.get(song.id), models.get(song.separation_id or "")) for song in songs], total


def _states(session: Session, ids: list[str]) -> dict[str, str]:
    """What is under way for songs."""
    rows = session.execute(select(Run.song_id, Run.status).where(Run.song_id.in_(ids), Run.status.in_(LIVE)))
    return {str(row[0]): row[1] for row in rows}


def _models(session: Session, songs: list[Song]) -> dict[str, tuple[str, bool]]:
    ids = {song.separation_id for song in songs if song.separation_id}
    rows = session.execute(select(Separation.id, Separation.model, Separation.draft).where(Separation.id.in_(ids)))
    return {row[0]: (row[1], row[2]) for row in rows}


def _brief(song: Song, state: str | None, made: tuple[str, bool] | None) -> SongSummary:
    return SongSummary(
        id=song.id,
        title=song.title,
        artist=song.artist,
        kind=cast("Kind", song.kind),
        file_name=song.file_name,
        size_bytes=song.size_bytes,
        duration=song.duration,
        sample_rate=song.sample_rate,
        channels=song.channels,
        state=cast("State", state or ("ready" if made else "new")),
        model=made[0] if made else None,
        draft=made[1] if made else None,
        analysis=song.analysis,
        created_at=song.created_at,
    )


def find_song(session: Session, song_id: str, *, owner: str) -> Song:
    """A song of that owner. Raises `JobNotFoundError`."""
    song = session.get(Song, song_id)
    if song is None or song.owner != owner:
        raise JobNotFoundError("there is no such song")
    return song


def get_song(studio: Studio, song_id: str, *, owner: str) -> SongDetail:
    """A song with all that there is of it. Raises `JobNotFoundError`."""
    with studio.db.session() as session:
        return _detail(session, find_song(session, song_id, owner=owner))


def _detail(session: Session, song: Song) -> SongDetail:
    made = []
    if song.pcm_digest:
        same = select(Separation).where(Separation.owner == song.owner, Separation.pcm_digest == song.pcm_digest)
        made = list(session.scalars(same.order_by(Separation.created_at)))
    notes = session.scalars(select(File).where(File.song_id == song.id).order_by(by_code_point(File.name)))
    jobs = session.scalars(select(Job.id).where(Job.song_id == song.id).order_by(Job.created_at.desc()).limit(20))
    current = next((one for one in made if one.id == song.separation_id), None)
    brief = _brief(song, _states(session, [song.id]).get(song.id), (current.model, current.draft) if current else None)
    return SongDetail(
        **dict(brief),
        separation=song.separation_id,
        separations=tuple(map(_separation, made)),
        notes=tuple(NoteFile(name=note.name, size_bytes=note.size_bytes) for note in notes),
        jobs=tuple(jobs),
        has_recording=song.upload_key is not None,
    )


def _separation(one: Separation) -> SeparationSummary:
    return SeparationSummary(
        id=one.id,
        model=one.model,
        draft=one.draft,
        created_at=one.created_at,
        gain_db=one.receipt.gain_db,
        residual_db=one.receipt.residual_db,
        warnings=one.receipt.warnings,
        stems=tuple(StemSummary(name=stem.name, loudness=stem.loudness) for stem in one.receipt.stems),
        drums=one.receipt.drums,
    )


def update_song(
    studio: Studio, song_id: str, *, owner: str, title: str | None = None, artist: str | None = None
) -> SongDetail:
    """Change title or artist. Raises `JobNotFoundError`."""
    with studio.db.session() as session:
        hold_song(session, song_id)
        song = find_song(session, song_id, owner=owner)
        song.title = song.title if title is None else title
        song.artist = song.artist if artist is None else artist
        song.search = f"{song.title} {song.artist}".lower()
        session.flush()
        return _detail(session, song)


def delete_song(studio: Studio, song_id: str, *, owner: str) -> None:
    """Delete a song and the files that nobody else uses. Raises `JobNotFoundError`, `ConflictError`."""
    with studio.db.session() as session:
        find_song(session, song_id, owner=owner)
        if session.scalar(select(Run.id).where(Run.song_id == song_id, Run.status.in_(LIVE))):
            raise ConflictError("a job for this song is under way; cancel it first")
    if not retention.delete_song(studio.db, studio.store, song_id=song_id, owner=owner):
        raise ConflictError("a job for this song has begun this moment, or someone else deletes it")
