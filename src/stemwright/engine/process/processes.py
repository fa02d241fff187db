"""A process and all that descends from it: ended together, whatever sessions they made; and put behind others."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Final

_NICE: Final = 10


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


def step_back() -> None:
    """Let the API answer first: this process, and what it starts, is nice.

    Linux with autogroups (the default of desktops) weighs sessions against each other, and within each its processes:
    where this one leads a session, all of that is nice too. Measured on 2 cores that had no time left: the API waited
    up to 120 ms for a processor without that.
    """
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    if os.getsid(0) == os.getpid():
        with contextlib.suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(_NICE), encoding="ascii")


def kill_own_descendants() -> None:
    """End all that descends from this process."""
    for pid in descendants(os.getpid()):
        _signal(pid, signal.SIGKILL)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, number)
