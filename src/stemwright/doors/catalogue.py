"""All doors by name: those of every package registered under the entry point group `stemwright.doors`.

Our own doors are registered exactly as a third party's would be. A module of a door is imported when it is asked for
here, never before; one that cannot be imported is a problem of that door alone.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from types import ModuleType

    from stemwright.doors.door import Door
    from stemwright.setting_values import Group
    from stemwright.web.common import State

    Create = Callable[[State, Any, Path], Door]

GROUP: Final = "stemwright.doors"
_OURS: Final = "stemwright."
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")  # it is in addresses, settings and variables
Part = TypeVar("Part")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A door that is registered, whether it works or not."""

    name: str  # `demucs-web`
    package: str  # `stemwright.doors.demucs_web`

    @property
    def group(self) -> str:
        """The name of its settings: `demucs_web`."""
        return self.name.replace("-", "_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts(Generic[Part]):
    """One part of every door, by the names of the doors; what is wrong with those that do not have it."""

    working: dict[str, Part]
    problems: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command of the command line that a door brings."""

    function: Callable[..., None]
    context: dict[str, Any]  # typer's `context_settings`


def entries() -> tuple[Entry, ...]:
    """All doors that are registered: ours, then others, each in the order of their names."""
    return _known()[0]


def settings() -> Parts[type[Group]]:
    """The classes of the doors' settings."""
    from stemwright.setting_values import Group

    def of(module: ModuleType) -> type[Group]:
        kind: object = module.Settings
        if not (isinstance(kind, type) and issubclass(kind, Group)):
            raise TypeError("Settings is no class of stemwright.setting_values.Group")
        return kind

    return _parts("settings", of)


def openers() -> Parts[Create]:
    """What opens the doors. Loads all that the server is made of."""

    def of(module: ModuleType) -> Create:
        create: Create = module.create
        return create

    return _parts("door", of)


def commands() -> Parts[dict[str, Command]]:
    """The commands of the doors that have some."""

    def of(module: ModuleType) -> dict[str, Command]:
        functions: Mapping[str, Callable[..., None]] = module.COMMANDS
        contexts: Mapping[str, dict[str, Any]] = getattr(module, "CONTEXT_SETTINGS", {})
        return {name: Command(function=one, context=contexts.get(name, {})) for name, one in functions.items()}

    return _parts("command", of, optional=True)


def problems(*, with_server: bool = True) -> dict[str, str]:
    """What is wrong, one sentence for each door that does not work; without the server what serves is not looked at."""
    found: list[Parts[Any]] = [settings(), commands(), *([openers()] if with_server else [])]
    wrong = _known()[1] | {}
    for parts in found:
        wrong = parts.problems | wrong  # the first sentence about a door stays
    return wrong


_kept: dict[tuple[str, ...], tuple[tuple[Entry, ...], dict[str, str]]] = {}  # by `sys.path`


def _known() -> tuple[tuple[Entry, ...], dict[str, str]]:
    """The doors, and what is wrong with entries; looked for once, for that reads every package's metadata."""
    path = tuple(sys.path)
    if path not in _kept:
        _kept[path] = _discover()
    return _kept[path]


def _discover() -> tuple[tuple[Entry, ...], dict[str, str]]:
    found: dict[str, Entry] = {}
    wrong: dict[str, str] = {}
    for entry in sorted(_registered(), key=lambda one: (not one.package.startswith(_OURS), one.name, one.package)):
        if not _NAME.fullmatch(entry.name):
            wrong[entry.name] = f"the door {entry.name!r} ({entry.package}) needs a name such as `my-door`"
        elif found.setdefault(entry.name, entry) != entry:
            text = f"the door {entry.name} is registered twice; that of {entry.package} is left out"
            wrong[f"{entry.name} of {entry.package}"] = text
    return tuple(found.values()), wrong


def _registered() -> Iterator[Entry]:
    from importlib import metadata

    for entry in metadata.entry_points(group=GROUP):
        yield Entry(name=entry.name, package=entry.module)


def _parts(module: str, of: Callable[[ModuleType], Part], *, optional: bool = False) -> Parts[Part]:
    """A part of every door. Somebody else's code may fail in any way, and may even end the process."""
    working: dict[str, Part] = {}
    wrong: dict[str, str] = {}
    for entry in entries():
        name = f"{entry.package}.{module}"
        try:
            if optional and importlib.util.find_spec(name) is None:
                continue
            working[entry.name] = of(importlib.import_module(name))
        except (Exception, SystemExit) as error:  # noqa: BLE001
            wrong[entry.name] = f"the door {entry.name} does not work: {name}: {type(error).__name__}: {error}"
    return Parts(working=working, problems=wrong)
