"""Looks through the library's folders that many ask for at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from sounds import sound, write_wav
from stemwright.doors.mismo.config import Config
from stemwright.doors.mismo.requests import Requests
from studio.shelves import idle

if TYPE_CHECKING:
    from pathlib import Path

    from stemwright.doors.mismo.dispatcher import Dispatcher


def test_many_scans_at_once_are_two(tmp_path: Path) -> None:
    """However many ask, the folders are looked through once now and once more for those who came meanwhile."""
    music = tmp_path / "music"
    music.mkdir()
    write_wav(music / "fine.wav", sound("sine", seconds=0.3))
    nobody = cast("Dispatcher", None)  # scans tell no dispatcher

    async def ask() -> list[dict[str, int]]:
        with idle(tmp_path) as studio:
            requests = Requests(studio, Config(roots=(music,), jobs_dir=tmp_path / "jobs"), nobody)
            first = asyncio.ensure_future(requests.scan())
            while not requests._scanning.locked():
                await asyncio.sleep(0)
            return [*await asyncio.gather(*(requests.scan() for _ in range(20))), await first]

    *later, first = asyncio.run(ask())
    assert first == {"new": 1, "changed": 0, "gone": 0}
    assert later == [{"new": 0, "changed": 0, "gone": 0}] * 20
    assert len({id(answer) for answer in later}) == 1  # one look's answer
