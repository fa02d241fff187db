"""Numbers so near zero (below 1.2e-38 in float32) that processors need many times longer for them."""

from __future__ import annotations

import ctypes
import functools
import platform
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_WORDS: Final = 8  # of 32 bits in `fenv_t` on x86-64, in glibc and musl; the last is the register MXCSR
_AS_ZERO: Final = 0x8040  # its bits "flush to zero" and "denormals are zero" (Intel's manual, volume 1, 10.2.3)


@contextmanager
def as_zero() -> Iterator[None]:
    """Within it, this thread takes subnormal numbers for zero; afterwards all is as it was before.

    Linux on x86-64 only; elsewhere it does nothing.
    """
    library = _library()
    if library is None:
        yield
        return
    before = (ctypes.c_uint32 * _WORDS)()
    library.fegetenv(before)
    within = (ctypes.c_uint32 * _WORDS)(*before)
    within[_WORDS - 1] |= _AS_ZERO
    library.fesetenv(within)
    try:
        yield
    finally:
        library.fesetenv(before)


@functools.cache
def _library() -> ctypes.CDLL | None:
    """The C library with its part for mathematics."""
    return ctypes.CDLL(None) if (sys.platform, platform.machine()) == ("linux", "x86_64") else None
