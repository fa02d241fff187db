"""The `stemwright` command. Commands import what is heavy when they run, so that `--help` is quick."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from stemwright import __version__
from stemwright.app.process import prepare
from stemwright.cli import config, doctor, models, separate, serve, strategies, transcribe, worker
from stemwright.cli.setting_options import with_settings, without_options
from stemwright.doors import catalogue

if TYPE_CHECKING:
    from types import FrameType

_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EPIPE}

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


app.command("transcribe")(transcribe.transcribe)
app.command("models")(models.models)
app.command("strategies")(strategies.strategies)
app.command("doctor")(doctor.doctor)
app.command("serve")(serve.serve)
app.command("worker")(worker.worker)
app.command("migrate")(worker.migrate)
app.command("config")(config.config)


def add_separate() -> None:
    """Add `separate` before the other commands; its options are made only when it was asked for, as that takes time."""
    asked = next((word for word in sys.argv[1:] if not word.startswith("-")), None) == "separate"
    app.command("separate")((with_settings if asked else without_options)(separate.separate))
    app.registered_commands.insert(0, app.registered_commands.pop())


def add_commands_of_doors() -> list[str]:
    """Add the commands of all doors; one sentence for each that cannot be added. None replaces another."""
    found = catalogue.commands()
    taken = {str(info.name): "Stemwright" for info in app.registered_commands}
    wrong = [*found.problems.values()]
    for door, commands in found.working.items():
        for name, command in commands.items():
            if name in taken:
                wrong.append(f"the command {name} of the door {door} is left out: {taken[name]} has one of that name")
                continue
            taken[name] = f"the door {door}"
            app.command(name, context_settings=command.context)(command.function)
    return wrong


def main() -> None:
    """Run the command; a polite kill unwinds like Ctrl-C, so that nothing half-written stays.

    So does the end of the terminal, unless `nohup` or the like wants it to be ignored.
    """
    signal.signal(signal.SIGTERM, _on_terminate)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        signal.signal(signal.SIGHUP, _on_hang_up)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a letter shows a question mark
    prepare()
    add_separate()
    for problem in add_commands_of_doors():
        typer.echo(f"warning: {problem}", err=True)
    try:
        _run()
    except Exception as error:
        from stemwright.cli.console import Reporter
        from stemwright.errors import OutputError, resource_error

        if isinstance(error, OSError) and error.errno in _UNWRITABLE:
            _forget_output()
            if error.errno != errno.EPIPE:  # which is the end of a reader such as `head`: nobody wants to be told
                text = f"the output cannot be written: {error.strerror}"
                Reporter(as_json=False).refuse(OutputError(text))
        elif ours := resource_error(error):
            Reporter(as_json="--json" in sys.argv).refuse(ours)
        else:
            raise
        sys.exit(1)


def _run() -> None:
    """The command, and then all that it has printed, so that a full disk behind `>` is noticed."""
    try:
        app()
    finally:
        sys.stdout.flush()


def _forget_output() -> None:
    """Let the interpreter's end flush into nothing."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())


def _on_hang_up(number: int, frame: FrameType | None) -> None:
    """The terminal is gone: end as by a polite kill, for which a server has a way of its own."""
    if signal.getsignal(signal.SIGTERM) is _on_terminate:
        _on_terminate(number, frame)
    signal.raise_signal(signal.SIGTERM)


def _on_terminate(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)
