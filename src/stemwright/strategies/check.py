"""Whether a strategy can work: its models, their slots, every part of the sound accounted for, no stem twice."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from stemwright.errors import UnknownModelError
from stemwright.separators import catalogue
from stemwright.strategies.tree import RESIDUAL, WITHOUT, Ensemble, ModelUse, Node, Reference, uses

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import TypeAlias

    from stemwright.strategies.tree import Place, Source, Strategy

    Slots: TypeAlias = tuple[str, ...] | None  # None where they are not known before the model is loaded

_MAX_RUNS = 64


def check(strategy: Strategy, *, repo: Path | None = None) -> None:
    """Check by what the catalogue knows, without loading anything.

    Raises `StrategyError`, which names the place in the file.
    """
    known: dict[str, Slots] = {}
    for use, place in uses(strategy.root):
        if use.model not in known:
            try:
                name, folder = catalogue.at_path(use.model, repo=repo)
                known[use.model] = catalogue.find_model(name, repo=folder)[1].stems or None
            except UnknownModelError as error:
                raise place.fault(error.message) from error
    check_slots(strategy, known.__getitem__)


def check_slots(strategy: Strategy, slots_of: Callable[[str], Slots]) -> None:
    """Check against the slots that each model has. Raises `StrategyError`, which names the place in the file."""
    done: dict[int, int] = {}

    def within(strategy: Strategy) -> int:
        """The number of runs of models that it takes."""
        if id(strategy) not in done:
            done[id(strategy)] = of_node(strategy.root)
            _check_names(strategy)
        return done[id(strategy)]

    def of_node(node: Node) -> int:
        runs = sum(1 if isinstance(part, ModelUse) else within(part.strategy) for part in _parts(node.source))
        _check_node(node, slots(node.source, slots_of))
        runs += sum(of_node(output.target) for output in node.outputs if isinstance(output.target, Node))
        if runs > _MAX_RUNS:
            raise node.place.fault(f"more than {_MAX_RUNS} runs of models")
        return runs

    within(strategy)


def slots(source: Source, slots_of: Callable[[str], Slots]) -> Slots:
    """The slots that a source gives, without `residual` and `not_X`. Raises `StrategyError` for wrong weights."""
    if isinstance(source, ModelUse):
        return slots_of(source.model)
    if not isinstance(source, Ensemble):
        return source.strategy.stems
    found: dict[str, None] = {}
    for member in source.members:
        own = slots(member.source, slots_of)
        if own is None:
            return None
        if unknown := [slot for slot in member.weights if slot not in own]:
            raise member.place.fault(f"a weight for {unknown[0]}, which it does not give; it gives {', '.join(own)}")
        found |= {slot: None for slot in own if member.weight_of(slot)}
    return tuple(found)


def _parts(source: Source) -> list[ModelUse | Reference]:
    return [member.source for member in source.members] if isinstance(source, Ensemble) else [source]


def _check_node(node: Node, given: Slots) -> None:
    """Every slot must be there, and together they must hold the whole of the input, once."""
    if given is None:
        return
    named = [output.slot for output in node.outputs]
    for output in node.outputs:
        _check_slot(output.slot, given, output.place)
    derived = [slot for slot in named if slot not in given]
    opposites = [slot for slot in derived if slot != RESIDUAL]
    if opposites:
        own = opposites[0].removeprefix(WITHOUT)
        if sorted(named) != sorted([own, opposites[0]]):
            raise node.place.fault(f"{opposites[0]} is all but {own}: name {own} beside it and nothing else")
    elif not derived:
        if missing := [slot for slot in given if slot not in named]:
            raise node.place.fault(
                f"nothing is said of the slot{'s' * (len(missing) > 1)} {', '.join(missing)}; "
                f"name {'them' if len(missing) > 1 else 'it'}, or {RESIDUAL} for all that is left"
            )
        if len(named) == 1:
            raise node.place.fault(f"one slot takes nothing apart: name {WITHOUT}{named[0]} or {RESIDUAL} too")
    elif named == [RESIDUAL]:
        raise node.place.fault(f"{RESIDUAL} is what other slots leave: name one")


def _check_slot(slot: str, given: tuple[str, ...], place: Place) -> None:
    if slot in given or slot == RESIDUAL or slot.removeprefix(WITHOUT) in given:
        return
    close = difflib.get_close_matches(slot, [*given, *(WITHOUT + name for name in given)], n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise place.fault(
        f"there is no such slot; there are {', '.join(given)}, {RESIDUAL} and {WITHOUT}{given[0]} and the like{hint}"
    )


def _check_names(strategy: Strategy) -> None:
    first: dict[str, Place] = {}
    for leaf in strategy.root.leaves():
        name = str(leaf.target).casefold()
        if name in first:
            raise leaf.place.fault(f"the stem {leaf.target} is named twice, first in line {first[name].line}")
        first[name] = leaf.place
