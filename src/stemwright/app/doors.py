"""Opens the doors: each with its settings, under `/doors/` and on a port of its own where one is set."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog
from starlette.responses import RedirectResponse

from stemwright.doors import catalogue
from stemwright.errors import StemwrightError

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
    """All doors that work, by their names.

    Raises the `StemwrightError` of a door that its settings keep from opening. Any other failure is one of its code: it
    is logged, and the door stays shut.
    """
    opened: dict[str, Door] = {}
    for name, create in catalogue.openers().working.items():
        if name not in settings.doors_found:
            continue
        try:
            opened[name] = create(state, settings.door(name), settings.data / name)
        except StemwrightError:
            raise
        except Exception:
            log.exception("a door does not open", door=name)
    return opened


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
