"""The bar of a download, on standard error."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import TaskID

    from stemwright.weights.config import OnProgress


@contextmanager
def progress() -> Iterator[OnProgress]:
    """Show a bar for each download as soon as it begins, until all is done; lines where nobody looks at a terminal."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from stemwright.cli.console import escape, wide_console

    console = wide_console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    bar = Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal)
    tasks: dict[str, TaskID] = {}
    started = False

    def show(label: str, done: int, total: int | None, /) -> None:
        nonlocal started
        if not started:
            bar.start()
            started = True
        if label not in tasks:
            tasks[label] = bar.add_task(f"downloading {escape(label)}", total=total)
            if not console.is_terminal:
                console.print(f"downloading {escape(label)}" + (f", {total / 1e6:.0f} MB" if total else ""))
        bar.update(tasks[label], completed=done, total=total)
        if done == total:
            bar.remove_task(tasks.pop(label))

    try:
        yield show
    finally:
        bar.stop()
