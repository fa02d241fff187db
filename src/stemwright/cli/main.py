"""The `stemwright` command. Commands import what is heavy when they run, so that `--help` is quick."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from stemwright import __version__
from stemwright.app.process import prepare
from stemwright.cli import config, doctor, models, process, separate, serve, strategies, transcribe

if TYPE_CHECKING:
    from types import FrameType

app = typer.Typer(
    name="stemwright",
    help="Take songs apart: vocals, drums, bass and other as files of their own.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001  (typer calls it so)
    if wanted:
        typer.echo(f"stemwright {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    pass


app.command("separate")(separate.separate)
app.command("transcribe")(transcribe.transcribe)
app.command("process")(process.process)
app.command("models")(models.models)
app.command("strategies")(strategies.strategies)
app.command("doctor")(doctor.doctor)
app.command("serve")(serve.serve)
app.command("config")(config.config)


def main() -> None:
    """Run the command; a polite kill unwinds like Ctrl-C, so that nothing half-written stays."""
    signal.signal(signal.SIGTERM, _on_terminate)
    prepare()
    try:
        app()
    except Exception as error:
        from stemwright.cli.console import Reporter
        from stemwright.errors import resource_error

        if (ours := resource_error(error)) is None:
            raise
        Reporter(as_json="--json" in sys.argv).refuse(ours)
        sys.exit(1)


def _on_terminate(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)
