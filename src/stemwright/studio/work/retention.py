"""Retention: results expire, the disk budget is kept, and nothing lies around that no row knows, nor the other way."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING, Final

from sqlalchemy import Select, delete, func, select, update

from stemwright.errors import NotFoundError
from stemwright.studio import allowances
from stemwright.studio.store.tables import LIVE, File, Job, PendingUpload, Run, Separation, Song
from stemwright.studio.work.runs import count_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.orm import Session

    from stemwright.studio.config import JobsConfig
    from stemwright.studio.store.database import Database
    from stemwright.studio.store.objects import ObjectStore

_MINUTES: Final = 600.0  # seconds after which what a client may do in a minute is its whole again
_SONGS: Final = 500  # at once
_ROWS: Final = 5000  # read at once
_MASTERS: Final = (".flac", ".dat", ".json", ".mid", ".svg")  # files without which a separation is of no use
_OURS: Final = {"uploads", "separations", "notes"}  # of an owner
_MADE_AGAIN: Final = "song.original.flac"  # when it is asked for


def sweep(db: Database, store: ObjectStore, config: JobsConfig, *, thorough: bool = True) -> dict[str, int]:
    """Clean up once; how many of each kind went. Several processes may do so at once.

    `thorough` looks for orphans too, which lists all objects.
    """
    now = db.now()
    gone = {
        "expired": _expire(db, store, config, now=now),
        "uploads": _forget_uploads(db, store, before=now - config.uploads_seconds),
        "jobs": _forget_jobs(db, before=now - config.forget_jobs_seconds),
        "over_budget": _keep_budget(db, store, config),
        "folders": _old_folders(db, config, before=now - config.sweep_grace),
    }
    if thorough:
        gone |= _orphans(db, store, before=now - config.sweep_grace)
        gone["partials"] = store.forget_partials(before=now - config.sweep_grace)
    allowances.forget(db, before=now - _MINUTES)
    return {name: count for name, count in gone.items() if count}


def _expire(db: Database, store: ObjectStore, config: JobsConfig, *, now: float) -> int:
    if not config.results_seconds:
        return 0
    before = now - config.results_seconds
    with db.session() as session:
        old = select(Song.id).where(Song.used_at < before, Song.id.not_in(_busy()))
        ids = session.scalars(old.limit(_SONGS)).all()
    songs = sum(delete_song(db, store, song_id=song_id, owner=None, unused_since=before) for song_id in ids)
    return songs + _expire_separations(db, store, before=before)


def _expire_separations(db: Database, store: ObjectStore, *, before: float) -> int:
    """Delete stems that nobody used, though their song stays: drafts, and what another model made better."""
    shown = select(Song.separation_id).where(Song.separation_id.is_not(None))
    drafts = select(Run.preview_id).where(Run.status.in_(LIVE), Run.preview_id.is_not(None))
    stale = (Separation.used_at < before, Separation.id.not_in(shown), Separation.id.not_in(drafts))
    with db.session() as session:
        ids = session.scalars(select(Separation.id).where(*stale).limit(_SONGS)).all()
    count = 0
    for separation_id in ids:
        with db.session() as session:
            mine = update(Separation).where(Separation.id == separation_id, *stale).values(used_at=Separation.used_at)
            held = session.execute(mine, execution_options={"synchronize_session": False})
            separation = session.get(Separation, separation_id) if count_of(held) else None
            keys = _forget_separation(session, separation) if separation else []
        store.delete(keys)
        count += bool(keys)
    return count


def _busy() -> Select[str | None]:
    return select(Run.song_id).where(Run.status.in_(LIVE), Run.song_id.is_not(None))


def delete_song(
    db: Database, store: ObjectStore, *, song_id: str, owner: str | None, unused_since: float | None = None
) -> bool:
    """Remove a song, its rows first, then those files that no other song uses; whether it was there and not in use.

    A song that a run works on stays, and one that was used after `unused_since` (seconds since the epoch). `owner`
    None is the house itself.
    """
    with db.session() as session:
        mine = update(Song).where(Song.id == song_id)
        if owner is not None:
            mine = mine.where(Song.owner == owner)
        if unused_since is not None:
            mine = mine.where(Song.used_at < unused_since)
        # First a write that changes nothing: from here on all others wait for the song, in SQLite too.
        held = session.execute(mine.values(used_at=Song.used_at), execution_options={"synchronize_session": False})
        song = session.get(Song, song_id) if count_of(held) else None
        if song is None or session.scalar(_busy().where(Run.song_id == song_id)):  # asked once we have the song
            return False
        keys = [song.upload_key] if song.upload_key else []
        keys += _forget_files(session, select(File).where(File.song_id == song.id))
        keys += _forget_stems(session, song)
        session.delete(song)
    with db.session() as session:  # the same bytes may have been sent again meanwhile
        back = {*session.scalars(select(Song.upload_key).where(Song.upload_key.in_(keys)))}
    store.delete([key for key in keys if key not in back])
    return True


def _forget_stems(session: Session, song: Song) -> list[str]:
    """Delete the rows of a song's separations, unless another song has the same samples; the keys of their objects."""
    if not song.pcm_digest:
        return []
    stems = Separation.owner == song.owner, Separation.pcm_digest == song.pcm_digest
    hold = update(Separation).where(*stems).values(used_at=Separation.used_at)  # both songs may be deleted at once
    session.execute(hold, execution_options={"synchronize_session": False})
    same = select(func.count()).where(Song.owner == song.owner, Song.pcm_digest == song.pcm_digest, Song.id != song.id)
    if session.scalar(same):
        return []
    made = session.scalars(select(Separation).where(*stems)).all()
    return [key for separation in made for key in _forget_separation(session, separation)]


def _forget_separation(session: Session, separation: Separation) -> list[str]:
    """Delete the rows of a separation; the keys of its objects."""
    keys = _forget_files(session, select(File).where(File.separation_id == separation.id))
    session.delete(separation)
    session.flush()
    return keys


def _forget_files(session: Session, query: Select[File]) -> list[str]:
    files = session.scalars(query).all()
    for file in files:
        session.delete(file)
    session.flush()
    return [file.object_key for file in files]


def _forget_uploads(db: Database, store: ObjectStore, *, before: float) -> int:
    """Delete uploads that were announced long ago and never submitted: their rows, then what came of them."""
    with db.session() as session:
        old = delete(PendingUpload).where(PendingUpload.created_at < before).returning(PendingUpload.object_key)
        keys = [*session.scalars(old, execution_options={"synchronize_session": False})]
    store.delete(keys)
    return len(keys)


def _forget_jobs(db: Database, *, before: float) -> int:
    """Delete the rows of jobs that ended long ago."""
    with db.session() as session:
        ended = select(Run.id).where(Run.status.not_in(LIVE), Run.finished_at < before)
        ended = ended.with_for_update(skip_locked=True)  # those whose song is deleted this moment have time
        old = delete(Job).where(Job.run_id.in_(ended), Job.created_at < before)
        unsynchronized = {"synchronize_session": False}
        count = count_of(session.execute(old, execution_options=unsynchronized))
        lonely = delete(Run).where(Run.id.in_(ended), ~select(Job.id).where(Job.run_id == Run.id).exists())
        session.execute(lonely, execution_options=unsynchronized)
        return count


def _keep_budget(db: Database, store: ObjectStore, config: JobsConfig) -> int:
    """Delete the songs that were not used for longest until what rows name fits into the budget."""
    if not config.disk_budget or _total(db) <= config.disk_budget:
        return 0
    with db.session() as session:
        oldest = select(Song.id).where(Song.id.not_in(_busy())).order_by(Song.used_at, Song.id).limit(_SONGS)
        ids = list(session.scalars(oldest))
    count = 0
    for song_id in ids:
        count += delete_song(db, store, song_id=song_id, owner=None)
        if _total(db) <= config.disk_budget:
            break
    return count


def _total(db: Database) -> int:
    """Bytes of all objects, by their rows."""
    with db.session() as session:
        files = session.scalar(select(func.sum(File.size_bytes))) or 0
        uploads = session.scalar(select(func.sum(Song.size_bytes)).where(Song.upload_key.is_not(None))) or 0
    return int(files + uploads)


def _orphans(db: Database, store: ObjectStore, *, before: float) -> dict[str, int]:
    """Delete objects that no row knows and that are not young, and rows whose objects are gone.

    The order matters: objects are listed first, then it is asked which runs live, then what rows name. So an object
    that was listed is either that of a run which lived after, or its rows were committed before they are read. Uploads
    are read before songs, which take their objects over.
    """
    keys, old = set[str](), set[str]()
    for stored in store.list():
        keys.add(stored.key)
        if stored.modified <= before and _is_ours(stored.key):
            old.add(stored.key)
    with db.session() as session:
        live = {*session.scalars(select(Run.id).where(Run.status.in_(LIVE)))}
    old.difference_update(key for _, key in _named(db, PendingUpload))  # whose files may be still to come
    lost_files, lost_songs = list[tuple[str, str]](), list[tuple[str, str]]()
    for lost, names in ((lost_files, _named(db, File)), (lost_songs, _named(db, Song))):
        for row_id, key in names:
            old.discard(key)
            if key not in keys:
                lost.append((row_id, key))
    orphans = [key for key in sorted(old) if not _of_live_run(key, live)]
    store.delete(orphans)
    rows = sum(_forget_lost(db, store, row_id, key) for row_id, key in lost_files)
    rows += sum(_forget_upload(db, store, row_id, key) for row_id, key in lost_songs)
    return {"objects": len(orphans), "rows": rows}


def _named(db: Database, table: type[File | PendingUpload | Song]) -> Iterator[tuple[str, str]]:
    """Ids and object keys of all rows that name an object, page by page."""
    key, last = (Song.upload_key if issubclass(table, Song) else table.object_key), ""
    while True:
        with db.session() as session:
            page = select(table.id, key).where(table.id > last, key.is_not(None)).order_by(table.id).limit(_ROWS)
            rows = session.execute(page).all()
        if not rows:
            return
        yield from ((row[0], str(row[1])) for row in rows)
        last = rows[-1][0]


def _is_there(store: ObjectStore, key: str) -> bool:
    """Whether an object is there now; it may have been stored after all were listed."""
    try:
        store.head(key)
    except NotFoundError:
        return False
    return True


def _forget_lost(db: Database, store: ObjectStore, file_id: str, key: str) -> int:
    """Delete the row of a file that is not there; of a separation that lacks one of its stems, all."""
    if _is_there(store, key):
        return 0
    with db.session() as session:
        file = session.get(File, file_id)
        if file is None or file.object_key != key:
            return 0
        separation = session.get(Separation, file.separation_id) if file.separation_id else None
        if separation and file.name.endswith(_MASTERS) and file.name != _MADE_AGAIN:
            keys = _forget_separation(session, separation)
        else:
            keys = []
            session.delete(file)
    store.delete(keys)
    return 1


def _forget_upload(db: Database, store: ObjectStore, song_id: str, key: str) -> int:
    """Note that the recording of a song is gone."""
    if _is_there(store, key):
        return 0
    with db.session() as session:
        mine = update(Song).where(Song.id == song_id, Song.upload_key == key).values(upload_key=None)
        return count_of(session.execute(mine))


def _is_ours(key: str) -> bool:
    """Whether rows name objects of such keys; doors keep others, and other systems may share the bucket."""
    parts = key.split("/")
    return len(parts) > 2 and parts[1] in _OURS


def _of_live_run(key: str, live: set[str]) -> bool:
    """Whether an object belongs to stems in the making."""
    parts = key.split("/")
    return len(parts) > 2 and parts[1] == "separations" and parts[2] in live


def _old_folders(db: Database, config: JobsConfig, *, before: float) -> int:
    """Delete private folders and files that a killed process left; those of runs that live are in use."""
    left = list(config.work.glob("*"))
    with db.session() as session:
        live = {*session.scalars(select(Run.id).where(Run.status.in_(LIVE)))} if left else set()
    count = 0
    for path in left:
        with contextlib.suppress(FileNotFoundError):
            if path.name.partition("~")[0] not in live and path.stat().st_mtime <= before:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
                count += 1
    return count
