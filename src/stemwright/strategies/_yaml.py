"""YAML as nodes that know their lines, within bounds that no file can leave: size, depth, aliases in circles."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from stemwright.bounded_yaml import Limits, YamlError, compose
from stemwright.disk import read_small
from stemwright.errors import StrategyError
from stemwright.strategies.tree import Place

if TYPE_CHECKING:
    from pathlib import Path

    import yaml

MAX_BYTES: Final = 64 << 10
_MAX_DEPTH: Final = 24
_MAX_VISITS: Final = 5_000  # of nodes, counting those that aliases repeat
_LIMITS: Final = Limits(
    size_bytes=MAX_BYTES, depth=_MAX_DEPTH, nodes=4 * _MAX_VISITS, circles=True
)  # `Item` looks closer


@dataclass(slots=True)
class _Visits:
    count: int = 0


@dataclass(frozen=True, slots=True)
class Item:
    """A node of a YAML document."""

    node: yaml.Node
    place: Place
    _above: tuple[int, ...] = ()  # the nodes that this one is in
    _visits: _Visits = field(default_factory=_Visits, repr=False)

    @property
    def is_mapping(self) -> bool:
        """Whether it has keys."""
        return self._kind == "mapping"

    @property
    def _kind(self) -> str:
        return type(self.node).__name__.removesuffix("Node").lower()

    def mapping(self, what: str) -> dict[str, Item]:
        """Its values by key. Raises `StrategyError`, also when a key comes twice."""
        if not self.is_mapping:
            raise self.place.fault(f"{what} is a mapping of names to values, not {self._shown()}")
        items: dict[str, Item] = {}
        for key, value in self.node.value:
            name = self._entered(key, self.place).text("a key")
            place = self.place.below(shown(name), line=key.start_mark.line + 1)
            if name in items:
                raise place.fault(f"{shown(name)} is named twice")
            items[name] = self._entered(value, place)
        return items

    def sequence(self, what: str) -> list[Item]:
        """Its members. Raises `StrategyError`."""
        if self._kind != "sequence":
            raise self.place.fault(f"{what} is a list, not {self._shown()}")
        return [
            self._entered(value, self.place.below(str(number), line=value.start_mark.line + 1))
            for number, value in enumerate(self.node.value, 1)
        ]

    def text(self, what: str) -> str:
        """Its text as it was written, which is never empty. Raises `StrategyError`."""
        text = self.node.value
        if not isinstance(text, str) or not text.strip():
            raise self.place.fault(f"{what} is a word, not {self._shown()}")
        return text

    def number(self, what: str, *, low: float, high: float) -> float:
        """A number from `low` to `high`. Raises `StrategyError`."""
        try:
            value = float(self.text(what))
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise self.place.fault(f"{what} is a number from {low:g} to {high:g}, not {self._shown()}")
        return value

    def _entered(self, node: yaml.Node, place: Place) -> Item:
        """A node within. Raises `StrategyError` when it holds itself, or there are too many."""
        above = (*self._above, id(self.node))
        self._visits.count += 1
        if id(node) in above:
            raise place.fault("it contains itself: an alias goes in a circle")
        if len(above) > _MAX_DEPTH or self._visits.count > _MAX_VISITS:
            raise StrategyError(f"{place.file}: nested too deeply, or too large with all its aliases")
        if node.tag.startswith("!") or not node.tag.startswith("tag:yaml.org,2002:") or "python" in node.tag:
            raise place.fault("tags (!name) have no meaning here")
        return Item(node, place, above, self._visits)

    def _shown(self) -> str:
        if isinstance(self.node.value, str):
            return f"{shown(self.node.value)!r}" if self.node.value else "nothing"
        return f"a {self._kind}"


def parse(data: bytes, *, file: str) -> Item:
    """The document in a file's bytes. Raises `StrategyError` when it is no YAML, empty or beyond the bounds."""
    try:
        node = compose(data, limits=_LIMITS)
    except YamlError as error:
        if error.problem is None:
            raise StrategyError(f"{file}: {error}") from None
        raise StrategyError(f"{file}:{error.line or 1}: not YAML: {shown(error.problem)}") from None
    if node is None:
        raise StrategyError(f"{file}: there is nothing in it")
    return Item(node, Place(file, node.start_mark.line + 1))


def read(path: Path) -> Item:
    """The document in a file. Raises `StrategyError`."""
    try:
        data = read_small(path, most=MAX_BYTES)
    except (OSError, ValueError) as error:  # a ValueError for a name with a zero byte
        reason = error.strerror if isinstance(error, OSError) else "no name of a file"
        raise StrategyError(f"{shown(str(path))}: {reason or 'cannot be read'}") from error
    return parse(data, file=path.name)


def shown(text: str, *, longest: int = 80) -> str:
    """A text from a file as people can be shown it, at most so many characters."""
    text = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
