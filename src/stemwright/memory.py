"""Memory that was freed, given back to the system."""

from __future__ import annotations

import ctypes
import platform
import sys


def give_back() -> None:
    """Let go of what the allocator keeps of freed memory: the encoders that come next are processes of their own.

    Linux with glibc only; elsewhere it does nothing. Source: malloc_trim(3).
    """
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
