"""One step of the pipeline works while the next uses what it made before."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

_T = TypeVar("_T")
_END = object()


def prefetch(items: Iterable[_T], *, most: int = 2) -> Generator[_T]:
    """Yield the items, which a thread makes up to `most` ahead.

    What making them raises is raised here, after the items before. When the caller stops early, the thread ends after
    the item at which it is, before this generator is closed.
    """
    made: queue.Queue[tuple[_T | object, BaseException | None]] = queue.Queue(most)
    stop = threading.Event()

    def hand_over(item: _T | object, error: BaseException | None = None) -> None:
        while not stop.is_set():
            try:
                made.put((item, error), timeout=0.1)
            except queue.Full:
                continue
            return

    def work() -> None:
        try:
            for item in items:
                hand_over(item)
                if stop.is_set():
                    return
        except BaseException as error:  # noqa: BLE001  (it is raised where the items are used)
            hand_over(_END, error)
        else:
            hand_over(_END)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            item, error = made.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item  # type: ignore[misc]
    finally:
        stop.set()
        thread.join()
