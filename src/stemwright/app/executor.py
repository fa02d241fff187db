"""The executor process: `python -m stemwright.app.executor`; started and watched over by `stemwright serve`."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import signal
import time
from typing import TYPE_CHECKING, Final

from stemwright.app.process import keep_private, prepare, prepare_failpoints

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TIMEOUT: Final = 10.0  # seconds that a predecessor gets to end


def main() -> None:
    """Work until the parent says so or is gone."""
    from stemwright.app.log import set_up_logs
    from stemwright.app.settings import load_settings
    from stemwright.app.weights import use_weights
    from stemwright.app.wiring import database_url, jobs_config, open_store
    from stemwright.studio.store.database import Database
    from stemwright.studio.work.executor import run_executor
    from stemwright.web.links import job_json

    settings = load_settings(doors=False)  # it opens none, and does not get their secrets
    use_weights(settings)
    set_up_logs(form=settings.log.format, level=settings.log.level, process="executor")
    config = jobs_config(settings)
    body_of = functools.partial(job_json, root=settings.http.root_path or "")
    config.work.mkdir(exist_ok=True, mode=0o700)
    with alone(settings.data / "executor.lock"):
        run_executor(
            Database(database_url(settings.data)), open_store(settings), config, executor_id="local", body_of=body_of
        )


@contextlib.contextmanager
def alone(path: Path, *, timeout: float = _TIMEOUT) -> Iterator[None]:
    """Make sure that no other executor of this data folder lives.

    One whose API was killed lives on for a moment, and must not take new work under the name that is now ours: nobody
    would take that over when it ends. After `timeout` seconds it is killed. Leaves the process when our parent dies.
    """
    parent, began = os.getppid(), time.monotonic()
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if os.getppid() != parent:
                raise SystemExit(0)
            if time.monotonic() - began > timeout:
                with contextlib.suppress(OSError, ValueError):
                    os.kill(int(os.pread(handle, 20, 0)), signal.SIGKILL)
            time.sleep(0.05)
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)


if __name__ == "__main__":
    keep_private()
    prepare()
    prepare_failpoints("executor")
    main()
