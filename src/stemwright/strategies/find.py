"""A strategy by what a user calls it: a preset, a file, one of several in a file, or a model on its own."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stemwright.errors import StrategyError, UnknownModelError, UnknownStrategyError
from stemwright.separators import catalogue
from stemwright.strategies.check import check
from stemwright.strategies.read import presets, read_file, single

if TYPE_CHECKING:
    from stemwright.strategies.read import Book
    from stemwright.strategies.tree import Strategy

OWN: Final = "strategies.yaml"  # in the folder of weights: strategies that have names like those of the package
_ENDINGS: Final = (".yaml", ".yml")


def find_strategy(reference: str, *, repo: Path | None = None) -> Strategy:
    """A strategy by name, `FILE` or `FILE#NAME`, or a model's name for that model alone; checked by the catalogue.

    `repo` is a folder of weights, and of strategies of one's own. Raises `UnknownStrategyError`, `StrategyError`.
    """
    strategy = _found(reference, repo)
    check(strategy, repo=repo)
    return strategy


def list_strategies(repo: Path | None = None) -> list[Strategy]:
    """Those of the operator in `repo`/strategies.yaml, then those that come with the package, in their order.

    Raises `StrategyError` for a file that cannot be read.
    """
    own = _own(repo)
    found = {name: own.strategy(name) for name in own.names} if own else {}
    book = presets()
    return [*found.values(), *(book.strategy(name) for name in book.names if name not in found)]


def is_strategy(name: str, *, repo: Path | None = None) -> bool:
    """Whether a strategy has this name, in `repo`/strategies.yaml or in the package. Raises `StrategyError`."""
    own = _own(repo)
    return name in presets().names or (own is not None and name in own.names)


def _own(repo: Path | None) -> Book | None:
    """The operator's strategies. Raises `StrategyError`."""
    path = repo / OWN if repo else None
    return read_file(path, origin=OWN) if path and path.is_file() else None


def _found(reference: str, repo: Path | None) -> Strategy:
    file, _, name = reference.partition("#")
    if name or file.lower().endswith(_ENDINGS) or "/" in file:
        return _in_file(Path(file), name)
    known = {strategy.name: strategy for strategy in list_strategies(repo)}
    if reference in known:
        return known[reference]
    try:
        info = catalogue.find_model(reference, repo=repo)[1]
    except UnknownModelError:
        close = difflib.get_close_matches(reference, known)
        hint = f"did you mean {' or '.join(close)}?" if close else f"there are: {', '.join(known)}"
        raise UnknownStrategyError(
            f"there is no strategy {reference!r}; {hint} (a file's name ends in .yaml)"
        ) from None
    if not info.stems:
        raise StrategyError(f"what {reference} gives is not known before it is loaded: write its slots into a file")
    return single(reference, stems=info.stems)


def _in_file(file: Path, name: str) -> Strategy:
    book = read_file(file)
    if name:
        if name not in book.names:
            raise UnknownStrategyError(f"{file} has no strategy {name!r}; it has: {', '.join(book.names)}")
        return book.strategy(name)
    if len(book.names) != 1:
        raise UnknownStrategyError(f"{file} has several strategies; say {file}#NAME, one of: {', '.join(book.names)}")
    return book.strategy(book.names[0])
