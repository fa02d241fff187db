"""`stemwright worker` and `stemwright migrate`: the parts of a fleet beside `stemwright serve`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from stemwright.app.settings import Settings


class QueueName(StrEnum):
    """The queues of runs."""

    cpu = "cpu"
    gpu = "gpu"


_Config = Annotated[Path | None, typer.Option(metavar="FILE", help="Default: stemwright.yaml, if it is here.")]


def worker(
    queue: Annotated[QueueName | None, typer.Option(help="The queue that it takes jobs from.")] = None,
    idle: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=0, help="End after so long without work; 0: stay.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="A port for /livez and /metrics; 0: none.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The folder for what it writes while it works.")
    ] = None,
    config: _Config = None,
) -> None:
    """Work for a studio on other machines: take jobs from its database, one at a time.

    Settings come from stemwright.yaml and from the environment; database.url and storage.url say where the studio is.
    """
    given = {"queue": queue and queue.value, "idle": idle, "port": port}

    def start(settings: Settings) -> None:
        from stemwright.app.worker import work

        changed = {name: value for name, value in given.items() if value is not None}
        update = {"worker": settings.worker.model_copy(update=changed)}
        work(settings.model_copy(update=update | ({"data": data.absolute()} if data else {})))

    _run(start, config)


def migrate(config: _Config = None) -> None:
    """Give the database its tables, or bring them to the form that this edition needs; once before an update starts."""

    def start(settings: Settings) -> None:
        from stemwright.app.wiring import database, migrate

        db = database(settings)
        before = db.revision()
        migrate(db)
        typer.echo(
            f"the database is at {db.revision()}" + ("" if before == db.revision() else f" (it was at {before})")
        )
        db.close()

    _run(start, config)


def _run(start: Callable[[Settings], None], config: Path | None) -> None:
    """Do something with the settings, and say what went wrong; the exit code is 2 for what was asked, else 1."""
    from stemwright.app.settings import load_settings
    from stemwright.errors import SetupError, StemwrightError

    try:
        try:
            start(load_settings(config))
        except ModuleNotFoundError as error:
            raise SetupError(f"this needs {error.name}: pip install 'stemwright[server,fleet]'") from error
    except StemwrightError as error:
        typer.echo(f"error: {error.message} [{error.code}]", err=True)
        raise typer.Exit(1 if error.status >= 500 else 2) from error
