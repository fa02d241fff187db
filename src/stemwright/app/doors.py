"""Opens the doors: each with its settings, under `/doors/` and on a port of its own where one is set."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog
from starlette.responses import RedirectResponse

from stemwright.app.runpod import door_config as runpod_config
from stemwright.app.stemset import door_config as stemset_config
from stemwright.doors.demucs_web import door as demucs_web
from stemwright.doors.drumalong import door as drumalong
from stemwright.doors.mismo import door as mismo
from stemwright.doors.mismo.config import Config as MismoConfig
from stemwright.doors.runpod import door as runpod
from stemwright.doors.stemset import door as stemset

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI
    from starlette.types import ASGIApp, Receive, Scope, Send

    from stemwright.app.settings import Settings
    from stemwright.doors.door import Door
    from stemwright.web.common import State

log = structlog.get_logger("stemwright.doors")
_AGAIN = 5.0  # seconds before what runs beside a door, and failed, is started again


def open_doors(state: State, settings: Settings) -> dict[str, Door]:
    """All doors, by their names."""
    return {
        "drumalong": drumalong.create(state, drumalong.Config(public_url=settings.drumalong.public_url)),
        "demucs-web": demucs_web.create(state, _demucs_web(settings)),
        "mismo": mismo.create(state, _mismo(state, settings)),
        "runpod": runpod.create(state, runpod_config(settings)),
        "stemset": stemset.create(state, stemset_config(settings)),
    }


def _demucs_web(settings: Settings) -> demucs_web.Config:
    own = settings.demucs_web
    return demucs_web.Config(model=own.model, upload_max_bytes=own.upload_max_bytes)


def _mismo(state: State, settings: Settings) -> MismoConfig:
    own, jobs = settings.mismo, state.studio.config
    return MismoConfig(
        roots=own.library,
        jobs_dir=own.jobs_dir or settings.data / "mismo" / "jobs",
        stem_format=own.stem_format,
        engine_url=own.engine_url,
        keepalive=own.keepalive_seconds,
        timeout=own.timeout_seconds,
        scan=own.scan_seconds,
        device=jobs.device,
        slots=jobs.slots.get(jobs.queue, 0),
    )


def mount(app: FastAPI, doors: Mapping[str, Door]) -> None:
    """Serve all doors under `/doors/`; who leaves out the slash at the end is led there, as pages need it."""
    for name, door in doors.items():
        app.mount(f"/doors/{name}", door.app)
        app.add_route(f"/doors/{name}", lambda request: RedirectResponse(f"{request.url.path}/"))


class ByPort:
    """Sends a request to the door whose port it came to, else to the studio."""

    def __init__(self, main: ASGIApp, doors: Mapping[int, ASGIApp]) -> None:
        self._main, self._doors = main, doors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        server = scope.get("server")
        await (self._doors.get(server[1], self._main) if server else self._main)(scope, receive, send)


async def run_beside(doors: Mapping[str, Door]) -> None:
    """Run what doors have to run until cancelled; what fails is started again."""
    await asyncio.gather(*(_keep(name, door) for name, door in doors.items() if door.run))


async def _keep(name: str, door: Door) -> None:
    while door.run:
        try:
            await door.run()
        except Exception:
            log.exception("what runs beside a door failed", door=name)
        await asyncio.sleep(_AGAIN)
