"""Whether work can be done, as it is told to who asks often."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

import pytest

from stemwright.web import health
from stemwright.web.health import Health
from studio.shelves import idle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stemwright.studio.studio import Studio

OK = {"database": "ok", "storage": "ok", "disk": "ok"}


class Slow(Health):
    """Of a real studio whose database answers only while it may."""

    def __init__(self, studio: Studio) -> None:
        self.may, self.asked = threading.Event(), 0
        super().__init__(studio)
        self.may.set()

    def _database(self) -> str:
        self.asked += 1
        self.may.wait(20)
        return super()._database()


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    monkeypatch.setattr(health, "_FRESH", 0.05)
    monkeypatch.setattr(health, "_KEPT", 0.3)
    monkeypatch.setattr(health, "_TIMEOUT", 0.3)
    with idle(tmp_path) as studio:
        slow = Slow(studio)
        yield slow
        slow.may.set()


def test_who_asks_often_is_answered_from_one_look(state: Slow) -> None:
    async def ask() -> None:
        assert await asyncio.gather(*(state.states() for _ in range(50))) == [OK] * 50

    asyncio.run(ask())
    assert state.asked == 1


def test_a_look_that_takes_long_holds_nobody_up_and_one_that_never_ends_is_told(state: Slow) -> None:
    async def ask() -> None:
        assert await state.states() == OK
        state.may.clear()
        await asyncio.sleep(0.1)
        began = time.monotonic()
        assert await state.states() == OK  # while somebody looks
        assert time.monotonic() - began < 0.1
        await asyncio.sleep(0.6)
        assert await state.states() == OK | {"database": "does not answer"}
        state.may.set()
        await asyncio.sleep(0.2)
        assert await state.states() == OK

    asyncio.run(ask())


def test_objects_that_are_gone_are_told(state: Slow) -> None:
    async def ask() -> None:
        assert state._studio.store.folder
        state._studio.store.folder.rmdir()
        assert await state.states() == OK | {"storage": "is away"}

    asyncio.run(ask())


def test_a_folder_that_is_gone_is_told(state: Slow) -> None:
    async def ask() -> None:
        state._studio.incoming.rmdir()
        assert (await state.states())["disk"] == "FileNotFoundError"

    asyncio.run(ask())
