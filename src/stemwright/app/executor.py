"""The executor process: `python -m stemwright.app.executor [QUEUE NAME]`; `stemwright serve` starts and watches it."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import signal
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from stemwright.app.process import keep_private, prepare, prepare_failpoints

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stemwright.app.settings import Settings
    from stemwright.studio.config import JobsConfig
    from stemwright.studio.work.executor import Role

LOCAL: Final = "local"
_TIMEOUT: Final = 10.0  # seconds that a predecessor gets to end


def main(queue: str | None = None, name: str = LOCAL) -> None:
    """Work until the parent says so or is gone; with a `queue` as one of a fleet, whose name begins with `name`."""
    from stemwright.app.settings import load_settings
    from stemwright.app.weights import use_weights
    from stemwright.app.wiring import jobs_config, role_of
    from stemwright.studio.work.executor import Role

    settings = load_settings(doors=False)  # it opens none, and does not get their secrets
    use_weights(settings)  # before it is asked which models there are
    config = jobs_config(settings)
    if queue is None:
        with alone(settings.data / "executor.lock"):
            run(settings, config, Role(slots=config.slots))
    else:
        name = f"{name}.{os.getpid()}"
        run(settings, config, role_of(settings, config, queue=queue, name=name, child=True))


def run(settings: Settings, config: JobsConfig, role: Role) -> None:
    """Work in a role until the process ends."""
    from stemwright.app.log import set_up_logs
    from stemwright.app.wiring import database, open_store
    from stemwright.studio.work.executor import run_executor
    from stemwright.web.links import job_json

    set_up_logs(
        form=settings.log.format, level=settings.log.level, process=role.member.queue if role.member else "executor"
    )
    body_of = functools.partial(job_json, root=settings.http.root_path or "")
    config.work.mkdir(exist_ok=True, mode=0o700)
    if role.member and role.member.queue == "cpu":
        config = replace(config, device="cpu")
    run_executor(database(settings), open_store(settings), config, role, body_of=body_of)


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
    main(*sys.argv[1:])
