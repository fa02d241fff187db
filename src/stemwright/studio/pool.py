"""Threads for what copies files or waits for other machines, so that no answer stands behind it."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_P = ParamSpec("_P")
_T = TypeVar("_T")
_POOL: Final = ThreadPoolExecutor(8, thread_name_prefix="pool")


async def run_in_pool(work: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """`asyncio.to_thread` for what takes longer than an answer may; raises what the work raises."""
    call = functools.partial(contextvars.copy_context().run, work, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(_POOL, call)


async def run_in_pool_to_its_end(work: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """`run_in_pool` for what writes: when cancelled, wait for its end, or the thread would go on writing."""
    going = asyncio.ensure_future(run_in_pool(work, *args, **kwargs))
    try:
        return await asyncio.shield(going)
    except asyncio.CancelledError:
        await asyncio.wait({going})
        if not going.cancelled():
            going.exception()
        raise
