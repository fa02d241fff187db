"""What a process needs before anything heavy is imported."""

from __future__ import annotations

import os


def prepare() -> None:
    """Keep numpy's BLAS on one thread: our products are small, and its other threads spin between them.

    A 180 s song took 23.4 s of processor time with a thread a core, 15.8 s with one. Torch has threads of its own. What
    the user has set stays. It has no effect once numpy is loaded.
    """
    for name in ("OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        os.environ.setdefault(name, "1")
