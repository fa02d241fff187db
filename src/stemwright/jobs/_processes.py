"""A process and all that descends from it, ended together, whatever sessions they made for themselves."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path


def descendants(pid: int) -> list[int]:
    """The processes that descend from one, as Linux tells; none elsewhere."""
    found, pending = [], [pid]
    while pending:
        folder = Path(f"/proc/{pending.pop()}/task")
        with contextlib.suppress(OSError):  # it has ended
            for thread in folder.iterdir():
                with contextlib.suppress(OSError):
                    children = [int(word) for word in (thread / "children").read_text(encoding="ascii").split()]
                    found += children
                    pending += children
    return found


def kill_tree(pid: int) -> None:
    """End a process that leads a process group, its group, and its descendants, at once.

    It is stopped first, so that it starts nothing while its children are counted.
    """
    _signal(pid, signal.SIGSTOP)
    others = descendants(pid)
    with contextlib.suppress(OSError):
        os.killpg(pid, signal.SIGKILL)
    for other in others:
        _signal(other, signal.SIGKILL)


def kill_own_descendants() -> None:
    """End all that descends from this process."""
    for pid in descendants(os.getpid()):
        _signal(pid, signal.SIGKILL)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, number)
