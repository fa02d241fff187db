"""What a process needs before anything heavy is imported."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import time
from pathlib import Path

from stemwright import children, failpoints

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # of malloc.h


def prepare() -> None:
    """Set up the memory allocator and numpy's BLAS, and keep onnxruntime quiet, before they are loaded.

    BLAS gets one thread: our products are small, and its other threads spin between them. A 180 s song took 23.4 s of
    processor time with a thread a core, 15.8 s with one. Torch has threads of its own. What the user has set stays.
    The allocator keeps large blocks for the next chunk instead of mapping fresh pages each time, and has one arena for
    all threads: 180 s took 3.6 s of system time and 620 MB without that, 2.5 s and 590 MB with it.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # onnxruntime 1.31 reports to its makers otherwise, from its import on
    for name in ("OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        os.environ.setdefault(name, "1")
    children.configure(os.environ)
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, 32 << 20)
        libc.mallopt(_M_TRIM_THRESHOLD, 256 << 20)
        libc.mallopt(_M_ARENA_MAX, 1)


def keep_private() -> None:
    """Let nobody but this user read what this process and its children write: a server's files are not for others."""
    os.umask(0o077)


def prepare_failpoints(process: str) -> None:
    """Where a test asks for it, stop at named points, to be killed there or to go on.

    `STEMWRIGHT_STOP_AT` names a folder. Who reaches a point for which an empty file `process.point` lies there writes
    its process id into it, and waits until the file is gone.
    """
    folder = os.environ.get("STEMWRIGHT_STOP_AT", "")
    if not folder:
        return

    def stop(reached: str) -> None:
        mark = Path(folder, f"{process}.{reached}")
        if mark.exists() and not mark.stat().st_size:
            mark.write_text(str(os.getpid()), encoding="ascii")
            while mark.exists():
                time.sleep(0.05)

    failpoints.hook = stop
