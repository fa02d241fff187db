"""What every door is: an ASGI app, and perhaps something that runs beside it.

A door is a package, registered under the entry point group `stemwright.doors`, with the modules `settings` (a class
`Settings`), `door` (a function `create(state, settings, home)` that gives a `Door`) and perhaps `command`
(`COMMANDS`, functions for the command line by their names). docs/doors.md shows one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import ASGIApp


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One door, open.

    `app` finds its original paths at its root: it is mounted at `/doors/<name>` of the main port (`root_path` of the
    scope says so), and at `/` of a port of its own. `run` goes on as long as the server and is cancelled at its end.
    """

    app: ASGIApp
    run: Callable[[], Awaitable[None]] | None = None
