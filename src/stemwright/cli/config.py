"""`stemwright config`: the settings in force, and where each comes from."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stemwright.app.settings import Described, Settings
    from stemwright.errors import StemwrightError

# Words that YAML reads as nothing but a text: `auto`, `/srv/data`, `100 MB`, `127.0.0.1`.
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*|[0-9]+ [kMGTP]?i?B|[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+", re.ASCII)
_NO_TEXT = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}


def config(
    file: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", help="Default: $STEMWRIGHT_CONFIG, else ./stemwright.yaml if there is one."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> None:
    """Print the settings in force, as YAML.

    Says of each where it comes from: default, file, or the environment variable. Secrets are asterisks. When something
    is wrong, all of it is listed, and the exit code is 2.
    """
    from stemwright.app.settings import door_problems, load_settings
    from stemwright.errors import StemwrightError

    for problem in door_problems(with_server=False):
        typer.echo(f"warning: settings are ignored: {problem}", err=True)
    try:
        settings = load_settings(file)
    except StemwrightError as error:
        _refuse(error, as_json=as_json)
        raise typer.Exit(2) from error
    if as_json:
        rows = [
            {"name": one.name, "value": one.value, "origin": one.origin, "variable": one.variable}
            for one in settings.describe()
        ]
        typer.echo(json.dumps(rows, indent=2))
    else:
        typer.echo("\n".join(_yaml(settings)))


def _yaml(settings: Settings) -> Iterator[str]:
    """The settings as lines of YAML in ASCII, whatever is in a path."""
    yield "# no file" if settings.file is None else f"# file: {_text(str(settings.file))}"
    inside = ""
    for one in settings.describe():
        group, _, name = one.name.rpartition(".")
        if group != inside:
            yield f"{group}:"
        inside = group
        yield f"{'  ' * bool(group)}{name}: {_value(one)}  # {one.origin}"


def _value(one: Described) -> str:
    value = one.typed
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    return _text(value) if isinstance(value, str) else json.dumps(value)


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _NO_TEXT:
        return text
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if " " <= character <= "~":
        return character
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x1_0000 else f"\\U{number:08x}"


def _refuse(error: StemwrightError, *, as_json: bool) -> None:
    """Say all that is wrong, a line each."""
    from stemwright.app.settings import SettingsError

    faults = error.faults if isinstance(error, SettingsError) else (error.message,)
    if as_json:
        body = {"code": error.code, "message": error.message, "faults": faults}
        typer.echo(json.dumps({"status": "failed", "error": body}))
    for fault in faults:
        shown = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in fault)
        typer.echo(f"error ({error.code}): {shown}", err=True)
