"""`stemwright models`: what is here, what can be had."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def models(
    repo: Annotated[Path | None, typer.Option(metavar="DIR", help="Look for weights in this folder too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> None:
    """List the models: here or to be had, sizes, licences."""
    from rich.table import Table

    from stemwright.cli.console import wide_console
    from stemwright.separators import catalogue

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
        size = f"{info.download_bytes / 1e6:.0f} MB" if info.download_bytes else ""
        words = {
            "ready": "[green]ready[/]",
            "download": f"[yellow]download, about {size}[/]",
            "missing": f"[red]needs the extra \\[{info.family}][/], then about {size}",
        }
        table.add_row(info.name, words[state], ", ".join(info.stems), info.licence, info.summary)
    wide_console().print(table)
    for problem in catalogue.problems():
        typer.echo(f"problem: {problem}", err=True)
