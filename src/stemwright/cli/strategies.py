"""`stemwright strategies`: the trees of separators that come with it, or those in a file."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from stemwright.strategies.tree import Strategy


class Action(StrEnum):
    """What to do."""

    list = "list"
    show = "show"


def strategies(
    action: Annotated[Action, typer.Argument(help="`show NAME|FILE` checks one and draws it.")] = Action.list,
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME|FILE", help="A preset, a YAML file, or FILE#NAME of several."),
    ] = None,
    repo: Annotated[Path | None, typer.Option(metavar="DIR", help="Look for weights in this folder too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the strategies, trees of separators, or check and draw one."""
    from stemwright.app.settings import load_settings
    from stemwright.app.weights import use_weights
    from stemwright.cli.console import Reporter
    from stemwright.errors import OptionError, StemwrightError

    try:
        use_weights(load_settings())
        if action is Action.list and name is None:
            _list(repo, as_json=as_json)
        elif action is Action.show and name is not None:
            _show(name, repo, as_json=as_json)
        else:
            raise OptionError("stemwright strategies, or stemwright strategies show NAME|FILE")
    except StemwrightError as error:
        Reporter(as_json=as_json).refuse(error)
        raise typer.Exit(2) from error


def _list(repo: Path | None, *, as_json: bool) -> None:
    from rich.table import Table

    from stemwright.cli.console import wide_console
    from stemwright.strategies import draw
    from stemwright.strategies.find import list_strategies

    found = list_strategies(repo)
    if as_json:
        typer.echo(json.dumps([draw.as_json(strategy, repo=repo) for strategy in found], indent=2))
        return
    table = Table("strategy", "state", "stems", "quality", "speed", "what it is", box=None, header_style="bold")
    for strategy in found:
        about = strategy.about
        stems = ", ".join(strategy.stems)
        table.add_row(strategy.name, _state(strategy, repo), stems, about.quality, about.speed, about.summary)
    wide_console().print(table)


def _show(name: str, repo: Path | None, *, as_json: bool) -> None:
    from stemwright.cli.console import escape, wide_console
    from stemwright.strategies import draw
    from stemwright.strategies.find import find_strategy

    strategy = find_strategy(name, repo=repo)
    if as_json:
        typer.echo(json.dumps(draw.as_json(strategy, repo=repo), indent=2))
        return
    console, about = wide_console(), strategy.about
    console.print(f"[bold]{escape(strategy.name)}[/] ({escape(strategy.origin)})")
    for words, text in (("", about.summary), ("quality: ", about.quality), ("speed: ", about.speed)):
        if text:
            console.print(f"{words}{escape(text)}")
    console.print(f"weights: {_state(strategy, repo)}\n")
    for line in draw.lines(strategy):
        console.print(escape(line))


def _state(strategy: Strategy, repo: Path | None) -> str:
    """The state of its models in words, with rich's marks."""
    from stemwright.strategies.draw import Needs

    needs = Needs.of(strategy, repo=repo)
    size = f"about {needs.download_bytes / 1e6:.0f} MB"
    missing = [name for name, state, _ in needs.models if state == "missing"]
    return {
        "ready": "[green]ready[/]",
        "download": f"[yellow]download, {size}[/]",
        "missing": f"[red]lacks {', '.join(missing)}[/], {size}",
    }[needs.state]
