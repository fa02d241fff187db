"""The groups of the doors found, beside all other settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

from pydantic import BeforeValidator, ValidationError

from stemwright.app._settings_leaves import leaves
from stemwright.doors import catalogue
from stemwright.setting_values import split_list

if TYPE_CHECKING:
    from pydantic import BaseModel

    from stemwright.setting_values import Group

_FOLDERS: Final = {
    "incoming",
    "lock",
    "objects",
    "temp",
    "work",
    "workers",
}  # in the data folder, where each door has one too


def parse_door(value: object) -> str:
    """A door and its port, such as `NAME=8001`, as text. Raises `ValueError`.

    A door that is registered and does not work may be named: an update that broke it must not keep the server down.
    """
    if not isinstance(value, str):
        raise ValueError("give a text")
    name, _, port = value.strip().partition("=")
    names = [entry.name for entry in catalogue.entries()]
    if name not in names:
        raise ValueError(f"the doors are {', '.join(names)}")
    if not port.isascii() or not port.isdecimal() or int(port) > 65_535:
        raise ValueError(f"give a port from 0 to 65535, such as {name}=8001")
    return f"{name}={int(port)}"


Doors: TypeAlias = Annotated[tuple[Annotated[str, BeforeValidator(parse_door)], ...], BeforeValidator(split_list)]


def groups_beside(base: type[BaseModel]) -> catalogue.Parts[type[Group]]:
    """The groups of all doors that can stand beside the settings of `base`; what is wrong with the others."""
    found = catalogue.settings()
    taken = {leaf.variable for leaf in leaves(base)}
    working: dict[str, type[Group]] = {}
    wrong = dict(found.problems)
    for entry in catalogue.entries():
        kind = found.working.get(entry.name)
        if kind is None:
            continue
        own = {leaf.variable for leaf in leaves(kind, within=f"{entry.group}.")}
        if fault := _fault(entry.group, kind, base=base) or _clash(own & taken):
            wrong[entry.name] = f"the door {entry.name} does not work: {entry.package}.settings: {fault}"
        else:
            working[entry.name] = kind
            taken |= own
    return catalogue.Parts(working=working, problems=wrong)


def _fault(group: str, kind: type[Group], *, base: type[BaseModel]) -> str:
    if group in base.model_fields or hasattr(base, group):
        return f"{group} is the name of a setting already"
    if group in _FOLDERS:
        return f"{group} is a folder of the studio already"
    try:
        kind()
    except ValidationError as error:
        return f"every setting needs a default that is valid: {error.errors()[0]['loc'][0]}"
    return ""


def _clash(variables: set[str]) -> str:
    return f"{', '.join(sorted(variables))} is the variable of a setting already" if variables else ""
