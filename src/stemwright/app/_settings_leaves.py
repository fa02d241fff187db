"""Every single setting: its name in the file, its variable, its other names; and what was read for it."""

from __future__ import annotations

import difflib
import inspect
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, get_args

from pydantic import BaseModel, BeforeValidator, SecretStr

from stemwright.setting_values import Alias, parse_size, show_size
from stemwright.words import without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic.fields import FieldInfo

PREFIX: Final = "STEMWRIGHT_"
HIDDEN: Final = "********"
Shown: TypeAlias = str | int | float | list[str] | None


@dataclass(frozen=True, slots=True)
class Leaf:
    """One setting."""

    name: str  # in the file, such as `jobs.cpu_slots`
    info: FieldInfo

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return PREFIX + self.name.upper().replace(".", "_")

    @property
    def aliases(self) -> tuple[Alias, ...]:
        """Other variables that set it, the first before the others."""
        return tuple(mark for mark in self.info.metadata if isinstance(mark, Alias))

    @property
    def secret(self) -> bool:
        """Its value is never shown."""
        return SecretStr in {self.info.annotation, *get_args(self.info.annotation)}

    @property
    def folder(self) -> bool:
        """It is a path, which the file states relative to itself."""
        return Path in {self.info.annotation, *get_args(self.info.annotation)}

    def default(self) -> object:
        """The value when nobody sets it."""
        return self.info.get_default(call_default_factory=True)

    def plain(self, value: object) -> Shown:
        """A value as JSON has it, or asterisks for a secret."""
        if self.secret and value is not None:
            return HIDDEN
        if isinstance(value, Path | IPv4Network | IPv6Network):
            return str(value)
        if isinstance(value, tuple):
            return [str(item) for item in value]
        assert value is None or isinstance(value, str | int | float)  # noqa: S101  (for mypy: it is so by construction)
        return without_secrets(value) if isinstance(value, str) else value

    def typed(self, value: object) -> Shown:
        """A value as an operator types it: sizes with their units, whole numbers without a point."""
        sized = any(isinstance(mark, BeforeValidator) and mark.func is parse_size for mark in self.info.metadata)
        if sized and isinstance(value, int):
            return show_size(value) if value else 0
        if isinstance(value, float) and value.is_integer():
            return int(value)
        return self.plain(value)


@dataclass(frozen=True, slots=True)
class Reading:
    """What one source says: values by the names of leaves, where each comes from, what is wrong."""

    values: dict[str, object] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def leaves(model: type[BaseModel], *, within: str = "") -> tuple[Leaf, ...]:
    """All settings of a model and of the groups in it, in their order."""
    found: list[Leaf] = []
    for name, info in model.model_fields.items():
        kind = info.annotation
        if inspect.isclass(kind) and issubclass(kind, BaseModel):
            found += leaves(kind, within=f"{within}{name}.")
        else:
            found.append(Leaf(within + name, info))
    return tuple(found)


def nested(values: dict[str, object]) -> dict[str, Any]:
    """Values by dotted names as a tree."""
    tree: dict[str, Any] = {}
    for name, value in values.items():
        *groups, last = name.split(".")
        branch = tree
        for group in groups:
            branch = branch.setdefault(group, {})
        branch[last] = value
    return tree


def suggestion(wrong: str, names: Iterable[str], *, tail: str, prefix: str = "") -> str:
    """`; did you mean …?` for a name that is not known, or nothing.

    Meant are those that end in `tail`, else the one most like it, else the longest that it begins with; `prefix`
    goes before each.
    """
    known = list(names)
    begun = sorted((name for name in known if wrong.lower().startswith(name.lower())), key=len)
    close = difflib.get_close_matches(wrong, known, n=1, cutoff=0.7)
    meant = [name for name in known if name.endswith(tail)] or close or begun[-1:]
    return f"; did you mean {' or '.join(prefix + name for name in meant)}?" if meant else ""
