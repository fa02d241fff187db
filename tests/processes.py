"""Runs a command in a process of its own and tells what it and its children cost. Linux only: it reads /proc."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PROC = Path("/proc")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_FORKED = 0x40  # PF_FORKNOEXEC of linux/sched.h: between fork and exec
_INTERVAL = 0.02  # seconds between two looks at the memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a command took, with all of its children."""

    wall: float  # seconds
    cpu: float  # seconds, user and system
    peak_rss: int  # bytes: the largest sum over the processes that lived at one time; shared pages count in each
    rss_95: int  # bytes: 19 of 20 looks found no more
    output: str  # standard output and standard error


class CommandFailedError(Exception):
    """A command ended with another exit code than 0."""


def measure(command: Sequence[str | Path], *, timeout: float, environment: Mapping[str, str] | None = None) -> Cost:
    """Run a command to its end; `environment` is added to that of this process.

    Raises `CommandFailedError` with what the command said, and `subprocess.TimeoutExpired`.
    """
    words = [str(word) for word in command]
    with tempfile.TemporaryFile() as log:
        started = time.monotonic()
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **(environment or {})}
        )
        try:
            looks, code, cpu = _watch(process, words, deadline=started + timeout, timeout=timeout)
        except BaseException:
            process.kill()
            process.wait()
            raise
        wall = time.monotonic() - started
        log.seek(0)
        output = log.read().decode("utf-8", "replace")
    if code:
        raise CommandFailedError(f"{' '.join(words)} ended with {code}:\n{output[-2000:]}")
    return Cost(wall=wall, cpu=cpu, peak_rss=max(looks), rss_95=sorted(looks)[len(looks) * 19 // 20], output=output)


def tree_rss(pid: int) -> int:
    """Resident memory now of a process and of all that descend from it, in bytes.

    A child that is about to become another program lives in its parent's memory for that moment (vfork), which would
    count twice: it is left out.
    """
    total, pending = 0, [pid]
    while pending:
        folder = _PROC / str(pending.pop())
        try:
            flags = int((folder / "stat").read_text().rpartition(")")[2].split()[6])
            if not flags & _FORKED:
                total += int((folder / "statm").read_text().split()[1]) * _PAGE
            threads = [*(folder / "task").iterdir()]
        except OSError:  # it has ended
            continue
        for thread in threads:
            try:
                pending += [int(child) for child in (thread / "children").read_text().split()]
            except OSError:
                continue
    return total


def _watch(
    process: subprocess.Popen[bytes], words: list[str], *, deadline: float, timeout: float
) -> tuple[list[int], int, float]:
    """Wait for the end; memory at each look, exit code, processor seconds (of children that were waited for too)."""
    looks = [0]
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return looks, process.returncode, usage.ru_utime + usage.ru_stime
        if time.monotonic() > deadline:
            raise subprocess.TimeoutExpired(words, timeout)
        looks.append(tree_rss(process.pid))
        time.sleep(_INTERVAL)


def killed_at_rename(count: int) -> str:
    """Python that makes a process kill itself before its rename number `count`, from 0."""
    return f"""
import os, pathlib, signal
rename, left = os.replace, [{count}]
def replace(*names, **folders):
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    return rename(*names, **folders)
os.replace = replace
"""


def alive(pid: int) -> bool:
    """Whether a process lives; one that nobody has buried yet does not."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False
