from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from stemwright.engine.process.turns import Turns
from stemwright.errors import BusyError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Hall:
    """People who come to places, in the order in which they get one."""

    def __init__(self, places: int, *, waiting: int = 16) -> None:
        self.turns = Turns(places, waiting=waiting)
        self.inside: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.leave: dict[str, asyncio.Event] = {}

    async def come(self, name: str) -> None:
        """The first letter of a name is its group."""
        self.leave[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._stay(name))
        await self.settle()

    async def _stay(self, name: str) -> None:
        async with self.turns.place(name[0]):
            self.inside.append(name)
            try:
                await self.leave[name].wait()
            finally:
                self.inside.remove(name)

    async def go(self, name: str) -> None:
        self.leave[name].set()
        await self.settle()

    async def cancel(self, name: str) -> None:
        self.tasks[name].cancel()
        await self.settle()

    @staticmethod
    async def settle() -> None:
        for _ in range(10):
            await asyncio.sleep(0)


@asynccontextmanager
async def hall(places: int, *, waiting: int = 16) -> AsyncIterator[Hall]:
    found = Hall(places, waiting=waiting)
    try:
        yield found
    finally:
        for task in found.tasks.values():
            task.cancel()
        ends = await asyncio.gather(*found.tasks.values(), return_exceptions=True)
        assert not [end for end in ends if not isinstance(end, BusyError | asyncio.CancelledError | None)]
        assert not found.turns._lines  # nobody is remembered


def test_no_group_holds_all_places_and_another_comes_in_at_once() -> None:
    async def story() -> None:
        async with hall(3) as here:
            for name in ("a1", "a2", "a3", "a4"):
                await here.come(name)
            assert here.inside == ["a1", "a2"]
            await here.come("b1")
            assert here.inside == ["a1", "a2", "b1"]
            await here.go("b1")
            assert here.inside == ["a1", "a2"]
            await here.go("a1")
            assert here.inside == ["a2", "a3"]

    asyncio.run(story())


def test_lines_take_turns_however_long_one_is() -> None:
    async def story() -> None:
        async with hall(2) as here:
            for number in range(10):
                await here.come(f"a{number}")
            await here.come("b0")
            for name in ("c0", "b1", "c1"):
                await here.come(name)
            assert here.inside == ["a0", "b0"]
            await here.go("a0")
            assert here.inside == ["b0", "a1"]
            await here.go("b0")
            assert here.inside == ["a1", "c0"]
            await here.go("c0")
            assert here.inside == ["a1", "b1"]
            await here.go("a1")
            assert here.inside == ["b1", "a2"]
            await here.go("b1")
            assert here.inside == ["a2", "c1"]

    asyncio.run(story())


def test_single_place_serves_everybody() -> None:
    async def story() -> None:
        async with hall(1) as here:
            for name in ("a1", "a2", "b1"):
                await here.come(name)
            for name, following in (("a1", "a2"), ("a2", "b1")):
                assert here.inside == [name]
                await here.go(name)
                assert here.inside == [following]

    asyncio.run(story())


def test_who_leaves_the_line_or_a_place_leaves_nothing_behind() -> None:
    async def story() -> None:
        async with hall(2) as here:
            for name in ("a1", "a2", "a3", "b1", "b2"):
                await here.come(name)
            await here.cancel("a2")  # in the line
            await here.cancel("a1")  # in a place
            assert here.inside == ["b1", "a3"]
            here.leave["b1"].set()
            here.tasks["b2"].cancel()  # in the moment in which it gets the place
            await here.settle()
            assert here.tasks["b2"].cancelled()
            await here.cancel("a3")
            await here.come("c1")
            await here.come("d1")
            assert here.inside == ["c1", "d1"]

    asyncio.run(story())


def test_lines_have_an_end_and_one_long_line_closes_no_other() -> None:
    async def story() -> None:
        async with hall(2, waiting=2) as here:
            for number in range(6):
                await here.come(f"a{number}")
            assert isinstance(here.tasks["a5"].exception(), BusyError)
            assert not here.tasks["a4"].done()
            await here.come("b0")
            assert here.inside == ["a0", "b0"]
            for group in "bcdefg":
                for number in range(1, 5):
                    await here.come(f"{group}{number}")
            assert sum(task.done() for task in here.tasks.values()) > 1
            with pytest.raises(BusyError):
                async with here.turns.place("z"):
                    pass

    asyncio.run(story())
