"""`stemwright models`: what is here, what can be had; and getting it."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from stemwright.separators.protocol import Availability, ModelInfo


class Action(StrEnum):
    """What to do."""

    list = "list"
    pull = "pull"


def models(
    action: Annotated[Action, typer.Argument(help="`pull NAME...` downloads weights.")] = Action.list,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="Models to download.")] = None,
    repo: Annotated[Path | None, typer.Option(metavar="DIR", help="Look for weights in this folder too.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Download what is here too.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Never connect.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> None:
    """List the models: here or to be had, sizes, licences. Or download some.

    Downloads go on where they broke off, are checked by their SHA-256, and are kept in the folder `model.cache` of the
    settings.
    """
    from stemwright.app.settings import load_settings
    from stemwright.app.weights import use_weights
    from stemwright.cli.console import Reporter
    from stemwright.errors import OptionError, SetupError, StemwrightError

    try:
        use_weights(load_settings(), offline=offline)
        if action is Action.list and not names:
            _list(repo, as_json=as_json)
        elif action is Action.pull and names:
            _pull(names, again=again)
        else:
            raise OptionError("stemwright models, or stemwright models pull NAME...")
    except StemwrightError as error:
        Reporter(as_json=as_json).refuse(error)
        raise typer.Exit(1 if isinstance(error, SetupError) else 2) from error
    except KeyboardInterrupt:
        typer.echo("stopped; what is here already will be gone on with", err=True)
        raise typer.Exit(130) from None


def _pull(names: list[str], *, again: bool) -> None:
    """Download the weights of models. Raises what the families do."""
    from stemwright.cli.downloads import progress
    from stemwright.separators import catalogue
    from stemwright.separators.protocol import Downloads

    found = [catalogue.find_model(name) for name in names]
    for family, info in found:
        if not again and family.availability(info.name) == "ready":
            typer.echo(f"{info.name} is here")
        elif isinstance(family, Downloads):
            with progress() as on_progress:
                family.pull(info.name, on_progress=on_progress, again=again)
            typer.echo(f"{info.name} is here now")
        else:
            typer.echo(f"{info.name} needs no download")


def _list(repo: Path | None, *, as_json: bool) -> None:
    from rich.table import Table

    from stemwright.cli.console import wide_console
    from stemwright.separators import catalogue
    from stemwright.weights.config import current

    known = [
        (info, family.availability(info.name, repo=repo))
        for family, info in sorted(catalogue.list_models(), key=lambda pair: pair[0].name != "sketch")
    ]
    if as_json:
        fields = ("name", "family", "summary", "stems", "licence", "source", "download_bytes", "draft")
        rows = [{field: getattr(info, field) for field in fields} | {"state": state} for info, state in known]
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table("model", "state", "stems", "licence", "what it is", box=None, pad_edge=False, header_style="bold")
    for info, state in known:
        words = _words(info, state, offline=current().offline, repo=repo)
        table.add_row(info.name, words, ", ".join(info.stems), info.licence, info.summary)
    wide_console().print(table)
    for problem in catalogue.problems():
        typer.echo(f"problem: {problem}", err=True)


def _words(info: ModelInfo, state: Availability, *, offline: bool, repo: Path | None) -> str:
    size = f"{info.download_bytes / 1e6:.0f} MB" if info.download_bytes else ""
    if state == "ready":
        return "[green]ready[/]"
    if state == "download":
        return f"[yellow]download, about {size}[/]"
    if repo is not None:
        return "[red]not in that folder[/]"
    if offline:
        return f"[red]not here, and offline; about {size}[/]"
    return f"[red]needs the extra \\[{info.family}][/], then about {size}"
