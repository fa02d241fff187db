"""The stems of a song mixed again."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stemwright.engine.naming import safe_name
from stemwright.engine.process.messages import Mix
from stemwright.errors import UnknownStemError
from stemwright.studio.files import EXTENSION, MEDIA, fetched, find_stems
from stemwright.studio.making import bench

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stemwright.engine.channel_strip import ChannelStrip
    from stemwright.studio.studio import Studio


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixed:
    """A mixdown as a file in a private folder; the sender removes the folder."""

    path: Path
    media_type: str
    file_name: str
    gain_db: float

    def remove(self) -> None:
        """Delete it."""
        shutil.rmtree(self.path.parent, ignore_errors=True)


async def mixdown(
    studio: Studio,
    song_id: str,
    token: str,
    *,
    strips: Mapping[str, ChannelStrip],
    start: float | None,
    end: float | None,
    owner: str,
    separation: str | None,
) -> Mixed:
    """The stems mixed again, each with its settings, from `start` to `end` seconds.

    Raises `JobNotFoundError`, `ConflictError`, `UnknownStemError`, `OptionError` for a region outside the song,
    `BusyError`, `DiskFullError`.
    """
    stems = await asyncio.to_thread(find_stems, studio, song_id, owner=owner, separation=separation)
    if unknown := sorted(strips.keys() - {*stems.names}):
        raise UnknownStemError(f"there is no stem {unknown[0]!r}; there are: {', '.join(stems.names)}")
    folder = Path(tempfile.mkdtemp(prefix="mix-", dir=studio.incoming))
    target = folder / f"mix.{token}"
    try:
        async with bench(studio, of=song_id, seconds=len(stems.names) * stems.separation.duration) as at:
            request = Mix(
                stems=await fetched(studio, stems, at.folder),
                target=target,
                format=token,
                strips={**strips},
                start=start,
                end=end,
            )
            made = await at.ask(request, timeout=studio.config.timeout(stems.separation.duration))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    name = f"{safe_name(stems.song.title)} - mix.{EXTENSION.get(token, token)}"
    return Mixed(path=target, media_type=MEDIA[token], file_name=name, gain_db=made.gain_db)
