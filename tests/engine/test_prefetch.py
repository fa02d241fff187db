from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from stemwright.engine.prefetch import prefetch

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_gives_all_in_order() -> None:
    assert list(prefetch(range(1000))) == list(range(1000))


def test_works_ahead_but_not_far() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    stream = prefetch(items(), most=2)
    assert next(stream) == 0
    deadline = time.monotonic() + 5
    while len(made) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)
    assert len(made) == 4  # the one taken, two that wait, and the one at hand
    stream.close()


def test_what_making_raises_comes_after_the_items_before() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyError("no")

    stream = prefetch(items())
    assert next(stream) == 1
    with pytest.raises(KeyError, match="no"):
        next(stream)


def test_caller_that_stops_ends_the_thread_and_closes_the_source() -> None:
    closed = threading.Event()
    before = threading.active_count()

    def items() -> Iterator[int]:
        try:
            yield from range(1_000_000)
        finally:
            closed.set()

    stream = prefetch(items())
    next(stream)
    stream.close()
    assert closed.wait(5)
    assert threading.active_count() == before
