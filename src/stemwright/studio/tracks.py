"""Tracks: the files of the operator's own folders, and what is known of them."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import delete, func, select, update

from stemwright.audio.sniff import SUFFIXES
from stemwright.engine.song_facts import KnownFacts
from stemwright.errors import JobNotFoundError
from stemwright.studio.store.tables import Separation, Song, Track
from stemwright.studio.store.texts import by_code_point
from stemwright.studio.work.runs import retry_on_db_error  # others may be quicker to note the same file
from stemwright.words import has_controls

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import Session

    from stemwright.studio.studio import Studio

_BATCH: Final = 500
_DEEPEST: Final = 32  # folders in folders


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackView:
    """A track: where it is, and its tempo, key, duration and loudness as far as they are known."""

    id: str
    root: str
    relative_path: str
    size_bytes: int
    source_digest: str | None
    found: KnownFacts
    created_at: float

    @property
    def path(self) -> Path:
        """Where it is."""
        return Path(self.root, self.relative_path)


def track_id(root: str | Path, relative_path: str) -> str:
    """The id of a track, a UUID that follows from its path, so that it outlives the database."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"file://{root}/{relative_path}"))


def scan(studio: Studio, roots: Sequence[Path], *, owner: str) -> dict[str, int]:
    """Look through the listed folders: how many tracks are new, changed and gone.

    Hidden files, links, and names that are no UTF-8 or hold control characters are left out. A folder that is not
    there now keeps its tracks; one that is no longer listed loses them.
    """
    counts = {"new": 0, "changed": 0, "gone": 0}
    listed = [str(root) for root in roots]
    with studio.db.session() as session:
        session.execute(delete(Track).where(Track.owner == owner, Track.root.not_in(listed)))
    for root in roots:
        if not root.is_dir():
            continue
        there = _known(studio, str(root), owner)
        fresh: list[SeenFile] = []
        for name, size, modified in _files(root):
            known = there.pop(name, None)
            if known == (size, modified):
                continue
            counts["new" if known is None else "changed"] += 1
            fresh.append(SeenFile(name, size, modified))
            if len(fresh) == _BATCH:
                _note(studio, str(root), fresh, owner)
                fresh = []
        _note(studio, str(root), fresh, owner)
        counts["gone"] += len(there)
        gone = [track_id(root, name) for name in there]
        for at in range(0, len(gone), _BATCH):
            with studio.db.session() as session:
                session.execute(delete(Track).where(Track.owner == owner, Track.id.in_(gone[at : at + _BATCH])))
    return counts


def _known(studio: Studio, root: str, owner: str) -> dict[str, tuple[int, int]]:
    columns = select(Track.relative_path, Track.size_bytes, Track.modified_ns)
    with studio.db.session() as session:
        return {row[0]: (row[1], row[2]) for row in session.execute(columns.where(_at(owner, root)))}


def _at(owner: str, root: str) -> ColumnElement[bool]:
    return (Track.owner == owner) & (Track.root == root)


def _note(studio: Studio, root: str, files: Sequence[SeenFile], owner: str) -> None:
    """Write down files as they are now."""

    def note() -> None:
        with studio.db.session() as session:
            for file in files:
                _row(session, root, file, owner=owner)

    retry_on_db_error(note)


class SeenFile(NamedTuple):
    """A file as it is now."""

    relative_path: str
    size_bytes: int
    modified_ns: int


def _row(session: Session, root: str, file: SeenFile, *, owner: str) -> Track:
    """The row of a file; what was known of other bytes is forgotten."""
    name = file.relative_path
    track = session.get(Track, track_id(root, name))
    if track is None:
        track = Track(id=track_id(root, name), owner=owner, root=root, relative_path=name)
        session.add(track)
    if (track.size_bytes, track.modified_ns) != (file.size_bytes, file.modified_ns):
        track.size_bytes, track.modified_ns = file.size_bytes, file.modified_ns
        track.source_digest = track.found = None
    return track


def _files(root: Path) -> Iterator[tuple[str, int, int]]:
    """Recordings below a folder by their names: relative path, bytes, time of change."""
    folders = [("", 0)]
    while folders:
        folder, depth = folders.pop()
        try:
            entries = list(os.scandir(root / folder))
        except OSError:
            continue
        for entry in entries:
            name = f"{folder}/{entry.name}" if folder else entry.name
            if entry.name.startswith(".") or not _is_text(name) or has_controls(name):
                continue
            try:
                if entry.is_dir(follow_symlinks=False) and depth < _DEEPEST:
                    folders.append((name, depth + 1))
                elif entry.is_file(follow_symlinks=False) and Path(name).suffix.lower() in SUFFIXES:
                    state = entry.stat(follow_symlinks=False)
                    yield name, state.st_size, state.st_mtime_ns
            except OSError:
                continue


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def known_digest(studio: Studio, root: Path, file: SeenFile, *, owner: str) -> str | None:
    """The SHA-256 of a file that was read before and has not changed since, by size and time."""
    with studio.db.session() as session:
        track = session.get(Track, track_id(root, file.relative_path))
        same = track and track.owner == owner
        if not track or not same or (track.size_bytes, track.modified_ns) != file[1:]:
            return None
        return track.source_digest


def remember(studio: Studio, root: Path, file: SeenFile, digest: str, *, owner: str) -> None:
    """Note what a file's bytes are."""
    if _is_text(file.relative_path):
        retry_on_db_error(_remember, studio, root, file, digest, owner)


def _remember(studio: Studio, root: Path, file: SeenFile, digest: str, owner: str) -> None:
    with studio.db.session() as session:
        track = _row(session, str(root), file, owner=owner)
        if track.source_digest != digest:
            track.source_digest, track.found = digest, None


def song_of(studio: Studio, digest: str, *, owner: str) -> str | None:
    """The song of these bytes, if its recording is here."""
    there = select(Song.id).where(Song.owner == owner, Song.source_digest == digest, Song.upload_key.is_not(None))
    with studio.db.session() as session:
        return session.scalar(there)


def song_facts(studio: Studio, song_id: str, *, owner: str) -> KnownFacts:
    """What is known of a song so far; nothing of one that is gone."""
    with studio.db.session() as session:
        song = session.get(Song, song_id)
        return _facts(session, song) if song and song.owner == owner else KnownFacts()


def _facts(session: Session, song: Song) -> KnownFacts:
    if song.duration is None:
        return KnownFacts()
    loudness = song.analysis.loudness if song.analysis else None
    if loudness is None and song.separation_id:
        loudness = session.get_one(Separation, song.separation_id).receipt.input.loudness
    return KnownFacts(
        duration=song.duration,
        sample_rate=song.sample_rate,
        channels=song.channels,
        analysis=song.analysis,
        loudness=loudness,
    )


def separations_of(studio: Studio, ids: set[str], *, owner: str) -> set[str]:
    """Those of these separations that are still here."""
    names, there = sorted(ids), set[str]()
    with studio.db.session() as session:
        for at in range(0, len(names), _BATCH):
            some = select(Separation.id).where(Separation.owner == owner, Separation.id.in_(names[at : at + _BATCH]))
            there |= {*session.scalars(some)}
    return there


def describe(studio: Studio, digest: str, found: KnownFacts, *, owner: str) -> None:
    """Keep what was found in a recording with its tracks: it stays when the song expires."""
    tracks = update(Track).where(Track.owner == owner, Track.source_digest == digest)
    with studio.db.session() as session:
        session.execute(tracks.values(found=found))


def get_track(studio: Studio, id: str, *, roots: Sequence[Path], owner: str) -> TrackView:  # noqa: A002
    """A track of a listed folder. Raises `JobNotFoundError`."""
    with studio.db.session() as session:
        track = session.get(Track, id)
        if track is None or track.owner != owner or track.root not in map(str, roots):
            raise JobNotFoundError("there is no such track")
        found = track.found
        if not found and track.source_digest:  # it is being analysed, or came to the studio in another way
            same = select(Song).where(Song.owner == owner, Song.source_digest == track.source_digest)
            song = session.scalar(same)
            found = _facts(session, song) if song else None
        return _view(track, found)


def list_tracks(
    studio: Studio, *, roots: Sequence[Path], search: str | None, limit: int, offset: int, owner: str
) -> tuple[list[TrackView], int]:
    """Tracks whose paths hold all the words of `search`, by path, and how many there are in all."""
    query = select(Track).where(Track.owner == owner, Track.root.in_([str(root) for root in roots]))
    for word in (search or "").split():
        query = query.where(Track.relative_path.icontains(word, autoescape=True))
    with studio.db.session() as session:
        total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
        page = query.order_by(by_code_point(Track.root), by_code_point(Track.relative_path)).limit(limit).offset(offset)
        return [_view(track, track.found) for track in session.scalars(page)], total


def count_tracks(studio: Studio, *, owner: str) -> dict[str, int]:
    """How many tracks each folder has."""
    counts = select(Track.root, func.count()).where(Track.owner == owner).group_by(Track.root)
    with studio.db.session() as session:
        return {row[0]: row[1] for row in session.execute(counts)}


def _view(track: Track, found: KnownFacts | None) -> TrackView:
    return TrackView(
        id=track.id,
        root=track.root,
        relative_path=track.relative_path,
        size_bytes=track.size_bytes,
        source_digest=track.source_digest,
        found=found or KnownFacts(),
        created_at=track.created_at,
    )
