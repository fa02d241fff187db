"""Import: stems that a user already has, and MIDI files, as a song of the library."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Final

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from stemwright.disk import sha256_of
from stemwright.engine.import_receipt import IMPORTED
from stemwright.engine.naming import safe_name
from stemwright.engine.process.messages import Import, ImportRecord
from stemwright.errors import ConflictError, JobNotFoundError, NotAudioError, OptionError, TooLargeError
from stemwright.strategies.plan import digest_of
from stemwright.studio.files import Served
from stemwright.studio.making import LONG, bench
from stemwright.studio.pool import run_in_pool_to_its_end
from stemwright.studio.songs import find_song
from stemwright.studio.stem_names import stem_names
from stemwright.studio.store.tables import File, Separation, Song, new_id
from stemwright.studio.submit import check_kind
from stemwright.studio.work import retention

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from stemwright.studio.studio import Studio
    from stemwright.studio.submit import Upload

MOST_FILES: Final = 32
_MIDI: Final = (".mid", ".midi")
NOT_STEMS: Final = frozenset({"start", "end", "separation"})  # options of a mix, where gains are named by stems
_NOTES: Final = 200  # of one song


async def import_song(studio: Studio, uploads: Sequence[Upload], *, title: str | None, artist: str, owner: str) -> str:
    """Make a song of stems (and MIDI files); its id. The same files once more are the same song.

    Raises `OptionError` for no stems or names that will not do, the `InputError`s of decoding, `DiskFullError`.
    """
    studio.require_room()
    notes = [one for one in uploads if is_midi(one)]
    recordings = [one for one in uploads if not is_midi(one)]
    stems = dict(zip(stem_names(one.name for one in recordings), recordings, strict=True))
    if taken := sorted(stems.keys() & NOT_STEMS):
        raise OptionError(f"a stem cannot be called {taken[0]!r}: that means something else in a mix")
    if not stems:
        raise OptionError("send at least one recording, called as the stem is (`vocals.wav`)")
    if len(stems) + len(notes) < len(uploads):
        raise OptionError("two files are called the same")
    for upload in stems.values():
        await asyncio.to_thread(check_kind, upload)
    for upload in notes:
        check_midi(studio, upload)
    source = digest_of(sorted((name, upload.digest) for name, upload in stems.items()))
    song_id = await asyncio.to_thread(_there, studio, source, owner)
    if song_id is None:
        song_id = await _import(studio, stems, source, title=title, artist=artist, owner=owner)
    await asyncio.to_thread(add_notes, studio, song_id, notes, owner=owner)
    return song_id


def _there(studio: Studio, source: str, owner: str) -> str | None:
    """The song of an earlier import of the same files; one that has lost its stems since makes room."""
    with studio.db.session() as session:
        found = session.execute(
            select(Song.id, Song.separation_id).where(Song.owner == owner, Song.source_digest == source)
        ).first()
    if found is None or found[1]:
        return found[0] if found else None
    retention.delete_song(studio.db, studio.store, song_id=found[0], owner=owner)
    return None


async def _import(
    studio: Studio, stems: dict[str, Upload], source: str, *, title: str | None, artist: str, owner: str
) -> str:
    config = studio.config
    async with bench(studio, of=LONG, seconds=math.inf) as at:
        request = Import(
            files={name: upload.path for name, upload in stems.items()},
            root=at.folder,
            limits=config.limits,
            most_seconds=config.max_import_duration,
            most_decoded_bytes=config.max_decoded_bytes,
        )
        made = await at.ask(request, timeout=max(config.timeout_min, config.max_import_duration))
        return await run_in_pool_to_its_end(
            _save, studio, made, at.folder, source, title=title, artist=artist, owner=owner, uploads=stems
        )


def _save(
    studio: Studio,
    made: ImportRecord,
    folder: Path,
    source: str,
    *,
    title: str | None,
    artist: str,
    owner: str,
    uploads: dict[str, Upload],
) -> str:
    """Store what was made, then its rows."""
    separation_id, song_id = new_id(), new_id()
    files = []
    for path in sorted(folder.iterdir()):
        key = f"{owner}/separations/{separation_id}/{path.name}"
        size = studio.store.put_file(path, key)
        files.append(
            File(
                id=new_id(),
                owner=owner,
                separation_id=separation_id,
                name=path.name,
                object_key=key,
                size_bytes=size,
                digest=sha256_of(path),
            )
        )
    receipt = made.receipt
    name = title or " + ".join(sorted(uploads))[:200]
    song = Song(
        id=song_id,
        owner=owner,
        kind="stems",
        title=name,
        artist=artist,
        search=f"{name} {artist}".lower(),
        file_name=", ".join(upload.name for upload in uploads.values())[:1000],
        source_digest=source,
        size_bytes=sum(upload.size_bytes for upload in uploads.values()),
        pcm_digest=receipt.input.digest,
        duration=receipt.input.duration,
        sample_rate=receipt.input.sample_rate,
        channels=receipt.input.channels,
        analysis=made.analysis,
        separation_id=separation_id,
    )
    separation = Separation(
        id=separation_id,
        owner=owner,
        key=digest_of([IMPORTED, source, separation_id]),
        pcm_digest=receipt.input.digest,
        model=receipt.model.name,
        draft=False,
        receipt=receipt,
        duration=receipt.input.duration,
        elapsed=0.0,
    )
    try:
        with studio.db.session() as session:
            session.add(separation)
            session.flush()
            session.add_all([song, *files])
    except IntegrityError:  # the same files came twice at once
        studio.store.delete([file.object_key for file in files])
        if (there := _there(studio, source, owner)) is None:
            raise
        return there
    return song_id


def is_midi(upload: Upload) -> bool:
    """Whether a file is called as a MIDI file is."""
    return upload.name.lower().endswith(_MIDI)


def check_midi(studio: Studio, upload: Upload) -> None:
    """Raise `NotAudioError` unless a file begins as a Standard MIDI File does, `TooLargeError` beyond the limit."""
    if upload.size_bytes > (most := studio.config.midi_max_bytes):
        allowed = f"the {most / 1e6:g} MB that a MIDI file may have (setting making.midi_max_bytes)"
        raise TooLargeError(f"{upload.name} has more than {allowed}")
    with upload.path.open("rb") as file:
        head = file.read(14)
    if head[:4] != b"MThd" or head[4:8] != b"\x00\x00\x00\x06" or len(head) < 14:
        raise NotAudioError(f"{upload.name} is no Standard MIDI File")


def add_notes(studio: Studio, song_id: str, uploads: Sequence[Upload], *, owner: str) -> None:
    """Add MIDI files to a song; one of the same name is replaced.

    Raises `JobNotFoundError`, `NotAudioError`, `ConflictError` for too many.
    """
    for upload in uploads:
        if not is_midi(upload):
            raise NotAudioError(f"{upload.name} is not called as a MIDI file is (.mid)")
        check_midi(studio, upload)
    with studio.db.session() as session:
        find_song(session, song_id, owner=owner)
        there = len(session.scalars(select(File.id).where(File.song_id == song_id)).all())
        if there + len(uploads) > _NOTES:
            raise ConflictError(f"a song has at most {_NOTES} MIDI files")
    for upload in uploads:
        _add_note(studio, song_id, upload, owner=owner)


def _add_note(studio: Studio, song_id: str, upload: Upload, *, owner: str) -> None:
    name = f"{safe_name(upload.name.rsplit('.', 1)[0])}.mid"
    key = f"{owner}/notes/{song_id}/{new_id()}.mid"
    size = studio.store.put_file(upload.path, key)
    with studio.db.session() as session:
        song = find_song(session, song_id, owner=owner)
        song.used_at = studio.db.now()
        old = session.scalar(select(File).where(File.song_id == song_id, File.name == name))
        stale = old.object_key if old else None
        if old:
            session.delete(old)
            session.flush()
        session.add(
            File(
                id=new_id(),
                owner=owner,
                song_id=song_id,
                name=name,
                object_key=key,
                size_bytes=size,
                digest=upload.digest,
            )
        )
    if stale:
        studio.store.delete([stale])


def note_file(studio: Studio, song_id: str, name: str, *, owner: str) -> Served:
    """A MIDI file of a song. Raises `JobNotFoundError`."""
    with studio.db.session() as session:
        find_song(session, song_id, owner=owner)
        file = session.scalar(select(File).where(File.song_id == song_id, File.name == name))
        if file is None:
            raise JobNotFoundError(f"this song has no notes {name}")
        return Served(
            object_key=file.object_key,
            size_bytes=file.size_bytes,
            digest=file.digest,
            media_type="audio/midi",
            file_name=file.name,
        )
