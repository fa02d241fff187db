"""What is made while a client waits: a turn at an engine, a private folder, and an eye on the disk."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from stemwright.engine.process.messages import A, Request
    from stemwright.engine.process.pool import EngineProcess
    from stemwright.studio.studio import Studio
    from stemwright.types import Seconds

LONG: Final = "long"  # all long work is one group, whichever songs it is for
_LOOK: Final[Seconds] = 0.25  # between two looks at the disk


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """An engine for one piece of work, and a private folder that is gone afterwards."""

    studio: Studio
    engine: EngineProcess
    folder: Path

    async def ask(self, request: Request[A], /, *, timeout: Seconds) -> A:
        """Let the engine do something, as long as the disk has room; its answer.

        Raises what the engine raises, and `DiskFullError` once less than the reserve is free: then it was stopped.
        """
        work = asyncio.ensure_future(self.engine.call(request, timeout=timeout))
        try:
            while not (await asyncio.wait({work}, timeout=_LOOK))[0]:
                self.studio.require_room()
            return work.result()
        finally:
            if not work.done():
                work.cancel()
                await asyncio.wait({work})


@contextlib.asynccontextmanager
async def bench(studio: Studio, *, of: str, seconds: Seconds) -> AsyncIterator[Bench]:
    """A bench for work on a song (`of`) that reads so many seconds of audio, of all stems together.

    Work for one song, and all long work, take one engine fewer than there are: a short mix of another song finds one.
    Raises `BusyError`, and `DiskFullError` before anything is done.
    """
    studio.require_room()
    async with studio.encoders.engine(group_of(studio, of=of, seconds=seconds)) as engine:
        with working_folder(studio) as folder:
            yield Bench(studio=studio, engine=engine, folder=folder)


def group_of(studio: Studio, *, of: str, seconds: Seconds) -> str:
    """With whom work waits: all that is long together, the rest by its song."""
    return LONG if seconds > studio.config.long_seconds else of


@contextlib.contextmanager
def working_folder(studio: Studio) -> Iterator[Path]:
    """A private folder beside the uploads, gone afterwards. Raises `DiskFullError` while the reserve is not free."""
    studio.require_room()
    folder = Path(tempfile.mkdtemp(prefix="make-", dir=studio.incoming))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
