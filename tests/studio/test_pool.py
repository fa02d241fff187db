from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from stemwright.studio.pool import run_in_pool

WHO = contextvars.ContextVar("WHO", default="")


def test_answers_do_not_wait_for_what_is_done_aside() -> None:
    async def both() -> list[str]:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        go = threading.Event()
        long = [asyncio.ensure_future(run_in_pool(go.wait, 60)) for _ in range(4)]
        answers = [await asyncio.wait_for(asyncio.to_thread(str, number), 10) for number in range(3)]
        assert not any(one.done() for one in long)
        go.set()
        assert await asyncio.gather(*long) == [True] * 4
        return answers

    assert asyncio.run(both()) == ["0", "1", "2"]


def test_it_works_in_the_context_of_who_asks_and_raises_what_the_work_raises() -> None:
    async def ask() -> str:
        WHO.set("me")
        with pytest.raises(ZeroDivisionError):
            await run_in_pool(divmod, 1, 0)
        return await run_in_pool(WHO.get)

    assert asyncio.run(ask()) == "me"
