"""`stemwright models`: what is here, what can be had, what is said of it; and getting it."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from stemwright.separators.protocol import Availability, ModelInfo

_NARROW: Final = 150  # columns, below which the table would break its lines


class Action(StrEnum):
    """What to do."""

    list = "list"
    show = "show"
    pull = "pull"


def models(
    action: Annotated[
        Action, typer.Argument(help="`pull NAME...` downloads weights; `show NAME...` tells all of a model.")
    ] = Action.list,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="Which models.")] = None,
    repo: Annotated[Path | None, typer.Option(metavar="DIR", help="Look for weights in this folder too.")] = None,
    every: Annotated[bool, typer.Option("--all", help="List all models, not only those that matter first.")] = False,
    search: Annotated[str | None, typer.Option(metavar="TEXT", help="List those whose name or summary has it.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Download what is here too.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Never connect.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list of all.")] = False,
) -> None:
    """List the models: here or to be had, size, speed, quality, licence. Or show or download some.

    Weights are checked by their SHA-256 and kept in the folder `model.cache` of the settings. `show` names every
    publisher, and what each says of the licence, word for word.
    """
    from stemwright.app.settings import load_settings
    from stemwright.app.weights import use_weights
    from stemwright.cli.console import Reporter
    from stemwright.errors import OptionError, SetupError, StemwrightError

    try:
        use_weights(load_settings(), offline=offline)
        if action is Action.list and not names:
            _list(repo, every=every, search=search, as_json=as_json)
        elif action is Action.show and names:
            _show(names, repo)
        elif action is Action.pull and names:
            _pull(names, again=again)
        else:
            raise OptionError("stemwright models, or stemwright models show NAME..., or stemwright models pull NAME...")
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
    from stemwright.weights.publishers import find, troubles

    found = [catalogue.find_model(name) for name in names]
    for family, info in found:
        if not again and family.availability(info.name) == "ready":
            typer.echo(f"{info.name} is here")
        elif isinstance(family, Downloads):
            with progress() as on_progress:
                family.pull(info.name, on_progress=on_progress, again=again)
            for publisher, reason in troubles(info.publishers).items():
                typer.echo(f"not from {publisher}: {reason}", err=True)
            here = find(info.publishers)
            typer.echo(f"{info.name} is here now" + (f", from {here.publisher.name}" if here else ""))
        else:
            typer.echo(f"{info.name} needs no download")


def _list(repo: Path | None, *, every: bool, search: str | None, as_json: bool) -> None:
    from stemwright.cli.console import wide_console
    from stemwright.separators import catalogue

    known = [(info, family.availability(info.name, repo=repo)) for family, info in catalogue.list_models()]
    if as_json:
        typer.echo(json.dumps([_row(info) | {"state": state} for info, state in known], indent=2))
        return
    if search is not None:
        shown = [pair for pair in known if search.lower() in f"{pair[0].name} {pair[0].summary}".lower()]
    else:
        shown = [pair for pair in known if every or pair[0].name in catalogue.FIRST]
    console = wide_console()
    (_blocks if console.width < _NARROW else _table)(console, shown, repo)
    if search is not None and not shown:
        typer.echo(f"no model has {search!r} in its name or summary")
    elif len(shown) < len(known) and search is None:
        console.print(f"{len(known) - len(shown)} more: stemwright models --all, or --search TEXT", soft_wrap=False)
    for problem in catalogue.problems():
        typer.echo(f"problem: {problem}", err=True)


def _row(info: ModelInfo) -> dict[str, object]:
    fields = ("name", "family", "summary", "stems", "licence", "source", "download_bytes", "draft", "sdr")
    publishers = [
        {"name": each.name, "licence": each.licence, "bytes": each.download_bytes} for each in info.publishers
    ]
    said = [asdict(statement) for statement in info.statements]
    return {field: getattr(info, field) for field in fields} | {"publishers": publishers, "statements": said}


def _table(console: Console, shown: list[tuple[ModelInfo, Availability]], repo: Path | None) -> None:
    from rich.table import Table

    heads = ("model", "state", "speed here", "SDR", "licence", "what it is")
    table = Table(*heads, box=None, pad_edge=False, header_style="bold")
    for info, state in shown:
        table.add_row(info.name, _words(info, state, repo), _speed(info), info.sdr or "", info.licence, info.summary)
    console.print(table)


def _blocks(console: Console, shown: list[tuple[ModelInfo, Availability]], repo: Path | None) -> None:
    """A paragraph a model, for narrow terminals."""
    for info, state in shown:
        quality = f"SDR {info.sdr} dB" if info.sdr else ""
        console.print(f"[bold]{info.name}[/]", soft_wrap=False)
        for part in (info.summary, _words(info, state, repo), _speed(info), quality, f"licence: {info.licence}"):
            if part:
                console.print(f"  {part}", soft_wrap=False)


def _show(names: list[str], repo: Path | None) -> None:
    """Everything that is known of models. Raises `UnknownModelError`."""
    from stemwright.cli.console import wide_console
    from stemwright.separators import catalogue
    from stemwright.weights.publishers import find, troubles

    console = wide_console()
    for family, info in [catalogue.find_model(name, repo=repo) for name in names]:
        console.print(f"[bold]{info.name}[/]: {info.summary}")
        console.print(f"  state: {_words(info, family.availability(info.name, repo=repo), repo)}")
        console.print(f"  stems: {', '.join(info.stems)}")
        if speed := _speed(info):
            console.print(f"  speed here: {speed}")
        if info.sdr:
            console.print(f"  SDR on MUSDB18's test songs, as its authors published it: {info.sdr} dB")
        here, wrong = find(info.publishers), troubles(info.publishers)
        for publisher in info.publishers:
            size = f"about {publisher.download_bytes / 1e6:.0f} MB"
            state = "; it is here" if here and here.publisher == publisher else ""
            console.print(f"  from: {publisher.name}, {size}, licence: {publisher.licence}{state}")
            if reason := wrong.get(publisher.name):
                console.print("    not asked for ten minutes:", reason, markup=False)
        if not info.publishers:
            console.print(f"  from: {info.source}, licence: {info.licence}")
        for statement in info.statements:
            console.print(f"  “{statement.text}”", f"({statement.source})", markup=False)


def _speed(info: ModelInfo) -> str:
    from stemwright.cli.speeds import known_speed

    speed = known_speed(info.name)
    return f"{speed:.1f}x real time" if speed else ""


def _words(info: ModelInfo, state: Availability, repo: Path | None) -> str:
    from stemwright.weights.config import current
    from stemwright.weights.publishers import troubles

    size = f"{info.download_bytes / 1e6:.0f} MB" if info.download_bytes else ""
    if state == "ready":
        return "[green]ready[/]"
    if state == "download":
        return f"[yellow]download, about {size}[/]"
    if repo is not None:
        return "[red]not in that folder[/]"
    if current().offline:
        return f"[red]not here, and offline; about {size}[/]"
    if troubles(info.publishers):
        return "[red]not to be had a moment ago[/]"
    return f"[red]needs the extra \\[{info.family}][/], then about {size}"
