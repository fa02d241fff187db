"""The settings of a separation as options of a command: one for each field, with its type, default and description."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic.fields import FieldInfo

_PARAMETER = "settings"


def without_options(command: Callable[..., None]) -> Callable[[], None]:
    """The name and the help of a command that is not the one that was asked for."""

    def listed() -> None:
        raise AssertionError("a command that is listed only")

    listed.__doc__ = command.__doc__
    return listed


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """A command that gets what was typed for the settings as its parameter `settings`, a mapping by their names."""
    from stemwright.engine.settings import SeparationSettings

    hints = get_type_hints(command, include_extras=True)
    options = [_option(name, field) for name, field in SeparationSettings.model_fields.items()]
    parameters = []
    for parameter in inspect.signature(command).parameters.values():
        if parameter.name == _PARAMETER:
            parameters += options
        else:
            parameters.append(parameter.replace(annotation=hints[parameter.name]))

    @functools.wraps(command)
    def run(**given: Any) -> None:
        typed = {option.name: given.pop(option.name) for option in options}
        command(**given, settings=typed)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del run.__wrapped__
    return run


def _option(name: str, field: FieldInfo) -> inspect.Parameter:
    from stemwright.engine.settings import LISTS

    kind = str | None if name in LISTS else field.annotation
    metavar = "A,B" if name in LISTS else None
    annotation = Annotated[kind, typer.Option(help=field.description, metavar=metavar)]  # type: ignore[valid-type]
    return inspect.Parameter(
        name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=field.get_default(), annotation=annotation
    )
