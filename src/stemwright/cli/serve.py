"""`stemwright serve`: the studio."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from stemwright.app.settings import Settings


def serve(
    host: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Where to listen. Default: 127.0.0.1.")] = None,
    port: Annotated[
        int | None, typer.Option(metavar="N", min=0, max=65535, help="Default: 8000; 0 is any free one.")
    ] = None,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Where everything is kept.")] = None,
    door: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PORT", help="Open a door on a port of its own; may be given again."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Default: stemwright.yaml, if it is here.")
    ] = None,
) -> None:
    """Run the studio server: upload songs, watch them being taken apart, come back later.

    Settings come from stemwright.yaml and from the environment; `stemwright config` shows them.
    """
    from stemwright.errors import SetupError, StemwrightError

    try:
        run, settings = _prepared(config)
        given = {"host": host, "port": port, "data": data and data.absolute(), "doors": _doors(door)}
        run(settings.model_copy(update={name: value for name, value in given.items() if value is not None}))
    except StemwrightError as error:
        typer.echo(f"error: {error.message} [{error.code}]", err=True)
        raise typer.Exit(1 if isinstance(error, SetupError) else 2) from error


def _doors(given: list[str] | None) -> tuple[str, ...] | None:
    """The doors that were given, checked. Raises `OptionError`."""
    from stemwright.app.door_settings import parse_door
    from stemwright.errors import OptionError

    try:
        return tuple(map(parse_door, given)) if given else None
    except ValueError as error:
        raise OptionError(f"--door: {error}") from error


def _prepared(config: Path | None) -> tuple[Callable[[Settings], None], Settings]:
    """The server and its settings. Raises `SetupError`, `OptionError`."""
    from stemwright.app.settings import load_settings
    from stemwright.errors import SetupError

    try:
        from stemwright.app.serve import serve as run
    except ModuleNotFoundError as error:
        raise SetupError(f"the server needs {error.name}: pip install 'stemwright[server]'") from error
    return run, load_settings(config)
