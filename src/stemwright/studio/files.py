"""Files of a song: stems in any format, the recording beside them, overviews, zip, `.stem.mp4`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal
from weakref import WeakValueDictionary

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from stemwright.disk import sha256_of
from stemwright.engine.drum_names import PARTS
from stemwright.engine.naming import safe_name
from stemwright.engine.process.messages import A, Align, PackStems, Request, Transcode
from stemwright.errors import ConflictError, JobNotFoundError, NoChartError, UnknownStemError
from stemwright.studio.making import Bench, bench
from stemwright.studio.pool import run_in_pool_to_its_end
from stemwright.studio.songs import find_song
from stemwright.studio.store.database import now_of
from stemwright.studio.store.tables import File, Separation, Song, new_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from sqlalchemy.orm import Session

    from stemwright.engine.drum_names import Part
    from stemwright.engine.receipt import Receipt
    from stemwright.studio.studio import Studio
    from stemwright.types import StemName

TOKENS: Final = ("flac", "wav", "mp3", "opus", "m4a", "wav24", "wav32f", "alac16", "alac24")
MEDIA: Final = {
    "flac": "audio/flac",
    "wav": "audio/wav",
    "wav24": "audio/wav",
    "wav32f": "audio/wav",
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "m4a": "audio/mp4",
    "alac16": "audio/mp4",
    "alac24": "audio/mp4",
    "mp4": "audio/mp4",
    "dat": "application/octet-stream",
    "json": "application/json",
    "mid": "audio/midi",
    "svg": "image/svg+xml",
    "zip": "application/zip",
}
_WHOLE: Final = "song"  # what a file of all stems is called
EXTENSION: Final = {"wav24": "wav", "wav32f": "wav", "alac16": "m4a", "alac24": "m4a"}
_making: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A stored file: where it is, and what to call it."""

    object_key: str
    size_bytes: int
    digest: str
    media_type: str
    file_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stems:
    """The stems of one separation of a song."""

    song: Song
    separation: Separation
    files: dict[str, File]

    @property
    def names(self) -> list[str]:
        """Of the stems."""
        return _names(self.separation)

    def masters(self) -> dict[str, File]:
        """The stems' own files, by their names."""
        return {name: self.files[f"{name}.flac"] for name in self.names}


def _names(separation: Separation) -> list[str]:
    return [stem.name for stem in separation.receipt.stems]


def _stems(
    session: Session,
    song_id: str,
    *,
    owner: str,
    separation: str | None,
    having: Callable[[Separation], bool] | None = None,
) -> Stems:
    """The separation of a song that is named, or its present one, or another one `having` what this lacks.

    Raises `JobNotFoundError`, `ConflictError`.
    """
    song = find_song(session, song_id, owner=owner)
    wanted = separation or song.separation_id
    if wanted is None:
        raise ConflictError("this song has no stems yet")
    found = session.get(Separation, wanted)
    if found is None or found.owner != owner or found.pcm_digest != song.pcm_digest:
        raise JobNotFoundError("there is no such separation of this song")
    if having and not separation and not having(found):
        same = select(Separation).where(Separation.owner == owner, Separation.pcm_digest == found.pcm_digest)
        others = session.scalars(same.order_by(Separation.draft, Separation.created_at.desc()))
        found = next((other for other in others if having(other)), found)
    now = now_of(session)
    if now - min(song.used_at, found.used_at) > 60:
        session.execute(update(Song).where(Song.id == song.id).values(used_at=now))
        session.execute(update(Separation).where(Separation.id == found.id).values(used_at=now))
    files = {file.name: file for file in session.scalars(select(File).where(File.separation_id == found.id))}
    return Stems(song=song, separation=found, files=files)


def find_stems(studio: Studio, song_id: str, *, owner: str, separation: str | None) -> Stems:
    """The stems of a song. Raises `JobNotFoundError`, `ConflictError`."""
    with studio.db.session() as session:
        return _stems(session, song_id, owner=owner, separation=separation)


def _served(stems: Stems, file: File, token: str) -> Served:
    stem, extension = file.name.removesuffix(f".{token}"), EXTENSION.get(token, token)
    title = safe_name(stems.song.title)
    return Served(
        object_key=file.object_key,
        size_bytes=file.size_bytes,
        digest=file.digest,
        media_type=MEDIA[token.rsplit(".", 1)[-1]],
        file_name=f"{title}.{extension}" if stem == _WHOLE else f"{title} - {stem}.{extension}",
    )


def stored_file(studio: Studio, song_id: str, name: str, *, owner: str, separation: str | None) -> Served:
    """A file that a separation came with, such as `vocals.peaks.dat` or `receipt.json`. Raises `JobNotFoundError`."""
    with studio.db.session() as session:
        stems = _stems(session, song_id, owner=owner, separation=separation)
        if name not in stems.files:
            raise JobNotFoundError(f"there is no {name} of this song")
        return _served(stems, stems.files[name], name.rsplit(".", 1)[-1])


def receipt(studio: Studio, song_id: str, *, owner: str, separation: str | None) -> Receipt:
    """How the stems were made. Raises `JobNotFoundError`, `ConflictError`."""
    return find_stems(studio, song_id, owner=owner, separation=separation).separation.receipt


def chart_file(studio: Studio, song_id: str, part: Part, *, owner: str, separation: str | None) -> Served:
    """A file of the drum chart. Raises `JobNotFoundError`, `ConflictError`, `NoChartError`."""
    name = ".".join(PARTS[part])
    with studio.db.session() as session:
        stems = _stems(session, song_id, owner=owner, separation=separation, having=_has_chart)
        if not _has_chart(stems.separation):
            raise NoChartError("this song has no drum chart; a job with `transcribe` makes one")
        if name not in stems.files:
            raise NoChartError("the drum chart has no clear tempo, so there is nothing to move its hits to")
        return _served(stems, stems.files[name], PARTS[part][1])


def _has_chart(separation: Separation) -> bool:
    return separation.receipt.drums is not None


async def stem_file(
    studio: Studio, song_id: str, stem: str, token: str, *, owner: str, separation: str | None
) -> Served:
    """A stem in a format; encoded once, when it is first asked for, and kept.

    Raises `JobNotFoundError`, `UnknownStemError`, `ConflictError`, and what encoding raises.
    """

    async def encode(stems: Stems, at: Bench, target: Path) -> None:
        source = at.folder / "source.flac"
        await run_in_pool_to_its_end(studio.store.fetch, stems.files[f"{stem}.flac"].object_key, source)
        await _ask(at, stems, Transcode(files={source: target}, format=token))

    def check(stems: Stems) -> None:
        if stem not in stems.names:
            raise UnknownStemError(f"there is no stem {stem!r}; there are: {', '.join(stems.names)}")

    return await _made_once(
        studio, song_id, f"{stem}.{token}", token, owner=owner, separation=separation, check=check, make=encode
    )


async def stem_mp4_file(studio: Studio, song_id: str, *, owner: str, separation: str | None) -> Served:
    """The `.stem.mp4` for Traktor and its like; made once, and kept. Raises as `stem_file`; four stems are needed."""

    async def pack(stems: Stems, at: Bench, target: Path) -> None:
        paths = await fetched(studio, stems, at.folder)
        await _ask(at, stems, PackStems(stems=paths, target=target, format="m4a"))

    def check(stems: Stems) -> None:
        if len(stems.names) != 4:
            raise ConflictError(f"a .stem.mp4 holds four stems, and this song has {len(stems.names)}")

    return await _made_once(
        studio,
        song_id,
        f"{_WHOLE}.stem.mp4",
        "stem.mp4",
        owner=owner,
        separation=separation,
        check=check,
        make=pack,
    )


async def original_file(
    studio: Studio, song_id: str, token: Literal["flac", "wav"], *, owner: str, separation: str | None
) -> Served:
    """The recording beside its stems: at their rate and level, as long; made once, and kept.

    Raises as `stem_file`, and `NotFoundError` where the recording is not here.
    """

    async def align(stems: Stems, at: Bench, target: Path) -> None:
        source, receipt = at.folder / "recording", stems.separation.receipt
        await run_in_pool_to_its_end(studio.store.fetch, str(stems.song.upload_key), source)
        request = Align(
            source=source,
            target=target,
            format=token,
            digest=receipt.input.digest,
            track=receipt.input.track,
            sample_rate=receipt.stems[0].sample_rate,
            gain_db=receipt.gain_db,
        )
        await _ask(at, stems, request)

    def check(stems: Stems) -> None:
        if stems.song.upload_key is None:
            raise JobNotFoundError("the recording of this song is not here")

    name = f"{_WHOLE}.original.{token}"
    return await _made_once(
        studio, song_id, name, f"original.{token}", owner=owner, separation=separation, check=check, make=align
    )


async def _made_once(
    studio: Studio,
    song_id: str,
    name: str,
    token: str,
    *,
    owner: str,
    separation: str | None,
    check: Callable[[Stems], None],
    make: Callable[[Stems, Bench, Path], Awaitable[None]],
) -> Served:
    """A file of a separation, made if missing. When its client leaves, another client that waits for it makes it."""
    stem = name.removesuffix(f".{token}")
    having = None if stem == _WHOLE else lambda one: stem in _names(one)

    def look() -> tuple[Stems, Served | None]:
        with studio.db.session() as session:
            stems = _stems(session, song_id, owner=owner, separation=separation, having=having)
            check(stems)
            file = stems.files.get(name)
            return stems, _served(stems, file, token) if file else None

    stems, there = await asyncio.to_thread(look)
    if there:
        return there
    lock = _making.setdefault((stems.separation.id, name), asyncio.Lock())
    async with lock:
        stems, there = await asyncio.to_thread(look)
        if there:
            return there
        reads = 4 if name.endswith(".stem.mp4") else 1  # stems
        async with bench(studio, of=stems.song.id, seconds=reads * stems.separation.duration) as at:
            target = at.folder / name
            await make(stems, at, target)
            await run_in_pool_to_its_end(_keep, studio, stems, target)
        return (await asyncio.to_thread(look))[1] or _gone()


def _gone() -> Served:
    raise JobNotFoundError("the song was deleted meanwhile")


def _keep(studio: Studio, stems: Stems, path: Path) -> None:
    """Store a file that was made, then its row; if another replica was quicker, or the song has gone, nothing."""
    separation = stems.separation
    digest = sha256_of(path)
    key = f"{separation.owner}/separations/{separation.id}/{digest[:16]}-{path.name}"
    size = studio.store.put_file(path, key)
    row = File(
        id=new_id(),
        owner=separation.owner,
        separation_id=separation.id,
        name=path.name,
        object_key=key,
        size_bytes=size,
        digest=digest,
    )
    try:
        with studio.db.session() as session:
            session.add(row)
    except IntegrityError:
        with studio.db.session() as session:
            known = session.scalar(select(File.id).where(File.object_key == key))
        if not known:
            studio.store.delete([key])


async def _ask(at: Bench, of: Stems, request: Request[A], /) -> A:
    """Let an engine do something with stems."""
    return await at.ask(request, timeout=at.studio.config.timeout(of.separation.duration))


async def fetched(studio: Studio, stems: Stems, folder: Path) -> dict[StemName, Path]:
    """The stems as files of a folder: their paths by their names."""
    paths = {}
    for number, (name, file) in enumerate(stems.masters().items()):
        path = folder / f"{number}.flac"
        await run_in_pool_to_its_end(studio.store.fetch, file.object_key, path)
        paths[name] = path
    return paths


async def zipped(
    studio: Studio, song_id: str, token: str, *, owner: str, separation: str | None, only_stems: bool = False
) -> tuple[int, str, AsyncIterator[bytes]]:
    """All stems, the drum chart and the receipt as one zip: its length in bytes, its name, and its bytes as sent.

    `only_stems` leaves out chart and receipt. Raises as `stem_file`.
    """
    stems = await asyncio.to_thread(find_stems, studio, song_id, owner=owner, separation=separation)
    parts = [
        await stem_file(studio, song_id, name, token, owner=owner, separation=stems.separation.id)
        for name in stems.names
    ]
    names = [f"{name}.{EXTENSION.get(token, token)}" for name in stems.names]
    charted = () if only_stems else (".".join(part) for part in PARTS.values())
    for name in charted:
        if name in stems.files:
            parts.append(_served(stems, stems.files[name], name.rsplit(".", 1)[1]))
            names.append(name)
    receipt = None if only_stems else stems.separation.receipt
    length, pieces = await asyncio.to_thread(_zip, studio, parts, names, receipt=receipt)
    return length, f"{safe_name(stems.song.title)}.zip", pieces


def _zip(
    studio: Studio, parts: list[Served], names: list[str], *, receipt: Receipt | None
) -> tuple[int, AsyncIterator[bytes]]:
    """Stored, not compressed: audio does not shrink, and the length is known."""
    from zipstream import ZipStream

    for part in parts[:1]:
        studio.store.head(part.object_key)  # a store that is away is an error, and no zip that ends early
    stream = ZipStream(sized=True)
    for part, name in zip(parts, names, strict=True):
        stream.add(studio.store.pieces(part.object_key), arcname=name, size=part.size_bytes)
    if receipt is not None:
        stream.add(f"{receipt.model_dump_json(indent=2)}\n".encode(), arcname="receipt.json")
    return len(stream), _sent(stream)


async def _sent(stream: Any) -> AsyncIterator[bytes]:
    pieces = iter(stream)
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece
