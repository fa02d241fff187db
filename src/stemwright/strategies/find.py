"""A strategy by what a user calls it: a preset, a file, one of several in a file, or a model on its own."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

from stemwright.errors import StrategyError, UnknownModelError, UnknownStrategyError
from stemwright.separators import catalogue
from stemwright.strategies.check import check
from stemwright.strategies.read import presets, read_file, single

if TYPE_CHECKING:
    from stemwright.strategies.tree import Strategy

_ENDINGS = (".yaml", ".yml")


def find_strategy(reference: str, *, repo: Path | None = None) -> Strategy:
    """A preset by name, `FILE` or `FILE#NAME`, or a model's name for that model alone; checked by the catalogue.

    `repo` is a folder of weights. Raises `UnknownStrategyError`, `StrategyError`.
    """
    strategy = _found(reference, repo)
    check(strategy, repo=repo)
    return strategy


def list_presets() -> list[Strategy]:
    """The strategies that come with the package, in their order."""
    book = presets()
    return [book.strategy(name) for name in book.names]


def is_preset(name: str) -> bool:
    """Whether a strategy of this name comes with the package."""
    return name in presets().names


def _found(reference: str, repo: Path | None) -> Strategy:
    file, _, name = reference.partition("#")
    if name or file.lower().endswith(_ENDINGS) or "/" in file:
        return _in_file(Path(file), name)
    book = presets()
    if reference in book.names:
        return book.strategy(reference)
    try:
        info = catalogue.find_model(reference, repo=repo)[1]
    except UnknownModelError:
        close = difflib.get_close_matches(reference, book.names)
        hint = f"did you mean {' or '.join(close)}?" if close else f"there are: {', '.join(book.names)}"
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
