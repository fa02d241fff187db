"""Strategies from YAML: the file's own names, references between them, presets below them."""

from __future__ import annotations

import functools
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stemwright.errors import UnknownStrategyError
from stemwright.strategies._yaml import parse, read, shown
from stemwright.strategies.tree import (
    METHODS,
    About,
    Ensemble,
    Member,
    ModelUse,
    Node,
    Output,
    Place,
    Reference,
    Strategy,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stemwright.strategies._yaml import Item

MODEL_KEY: Final = "_"
_ABOUT_KEY: Final = "_about"
_ABOUT: Final = ("summary", "quality", "speed")
_PLAIN: Final = ("model", "overlap", "shifts", "segment")
_WEIGHTS: Final = ("weight", "weights")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}")
_RESERVED: Final = {"mix", "receipt", "waveforms"}  # files beside the stems
_MAX_CHAIN: Final = 8  # strategies that refer to one another
_MAX_MEMBERS: Final = 16
_HEAVIEST: Final = 1000.0
_PRESETS: Final = Path(__file__).with_name("presets.yaml")


class Book:
    """The strategies of one file by name; those of `below` can be referred to as well."""

    def __init__(
        self, document: Item, *, name: str, origin: str, folder: Path = Path(), below: Book | None = None
    ) -> None:
        """`name` is for a file, in `folder`, that holds one tree and nothing else. Raises `StrategyError`."""
        items = document.mapping("a strategy file")
        if MODEL_KEY in items:
            self._trees = {name: document}
        elif "strategies" in items:
            self._trees = {
                key: replace(tree, place=replace(tree.place, path=key))
                for key, tree in items["strategies"].mapping("strategies").items()
            }
        else:
            raise document.place.fault(f"neither a tree ({MODEL_KEY}: model) nor strategies: by name")
        self._origin, self._below, self._folder = origin, below, folder
        self._made: dict[str, Strategy] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Its own, in the order of the file."""
        return tuple(self._trees)

    def strategy(self, name: str) -> Strategy:
        """One by name. Raises `UnknownStrategyError`, `StrategyError`."""
        return self._strategy(name, ())

    def _strategy(self, name: str, above: tuple[str, ...]) -> Strategy:
        if name in self._made:
            return self._made[name]
        if name not in self._trees:
            if self._below is not None:
                return self._below.strategy(name)
            raise UnknownStrategyError(f"there is no strategy {shown(name)!r}; there are: {', '.join(self.names)}")
        item = self._trees[name]
        if name in above:
            raise item.place.fault(f"strategies refer to one another in a circle: {' > '.join((*above, name))}")
        if len(above) >= _MAX_CHAIN:
            raise item.place.fault(f"more than {_MAX_CHAIN} strategies refer to one another")
        if not _NAME.fullmatch(name):
            raise item.place.fault("a strategy's name is made of letters, digits, _, - and .")
        keys = item.mapping("a strategy")
        about = _about(keys.pop(_ABOUT_KEY, None))
        root = self._node(item, keys, (*above, name))
        made = self._made[name] = Strategy(name=name, root=root, about=about, origin=self._origin)
        return made

    def _node(self, item: Item, keys: Mapping[str, Item], above: tuple[str, ...]) -> Node:
        if MODEL_KEY not in keys:
            raise item.place.fault(f"a node names its model with the key {MODEL_KEY!r}")
        source = self._source(keys[MODEL_KEY], above)
        outputs = []
        for slot, value in keys.items():
            if slot == MODEL_KEY:
                continue
            if slot.startswith("_"):
                raise value.place.fault(f"no such setting; how a model is run is told below {MODEL_KEY!r}")
            if value.is_mapping:
                target: str | Node = self._node(value, value.mapping("a subtree"), above)
            else:
                target = _stem_name(value)
            outputs.append(Output(slot=slot, target=target, place=value.place))
        if not outputs:
            raise item.place.fault("a node says what becomes of its model's slots")
        place = replace(item.place, line=keys[MODEL_KEY].place.line)
        return Node(source=source, outputs=tuple(outputs), place=place)

    def _source(self, item: Item, above: tuple[str, ...]) -> ModelUse | Reference | Ensemble:
        if item.is_mapping and "ensemble" in (keys := item.mapping("a source")):
            _only(keys, ("ensemble", "of"))
            method = keys["ensemble"].text("ensemble")
            if method not in METHODS:
                raise keys["ensemble"].place.fault(f"an ensemble is one of {', '.join(METHODS)}, not {shown(method)!r}")
            if "of" not in keys:
                raise item.place.fault("an ensemble lists its members below `of`")
            members = [self._member(member, method, above) for member in keys["of"].sequence("of")]
            if not 2 <= len(members) <= _MAX_MEMBERS:
                raise keys["of"].place.fault(f"an ensemble has 2 to {_MAX_MEMBERS} members, not {len(members)}")
            return Ensemble(method=method, members=tuple(members))
        return self._single(item, above)

    def _single(self, item: Item, above: tuple[str, ...], *, extra: tuple[str, ...] = ()) -> ModelUse | Reference:
        if not item.is_mapping:
            return ModelUse(model=self._model(item))
        keys = item.mapping("a source")
        if "strategy" in keys:
            _only(keys, ("strategy", *extra))
            try:
                return Reference(strategy=self._strategy(keys["strategy"].text("strategy"), above))
            except UnknownStrategyError as error:
                raise keys["strategy"].place.fault(error.message) from None
        if "model" not in keys:
            raise item.place.fault("give model:, strategy: or ensemble:")
        _only(keys, (*_PLAIN, *extra))
        return ModelUse(
            model=self._model(keys["model"]),
            overlap=keys["overlap"].number("overlap", low=0, high=0.98) if "overlap" in keys else None,
            shifts=_whole(keys["shifts"], "shifts", high=100) if "shifts" in keys else 0,
            segment=keys["segment"].number("segment", low=0.1, high=600) if "segment" in keys else None,
        )

    def _model(self, item: Item) -> str:
        """A model's name, or the path of a custom model's YAML, which a file states relative to itself."""
        text = item.text("a model")
        return str(self._folder / text) if text.endswith((".yaml", ".yml")) else text

    def _member(self, item: Item, method: str, above: tuple[str, ...]) -> Member:
        source = self._single(item, above, extra=_WEIGHTS)
        if not item.is_mapping:
            return Member(source=source, place=item.place)
        keys = item.mapping("a member")
        weights = keys["weights"].mapping("weights") if "weights" in keys else {}

        def weight(of: Item) -> float:
            value = of.number("a weight", low=0, high=_HEAVIEST)
            if value not in {0, 1} and method != "mean":
                raise of.place.fault(f"{method} knows the weights 0 and 1 only")
            return value

        return Member(
            source=source,
            place=item.place,
            weight=weight(keys["weight"]) if "weight" in keys else 1.0,
            weights={slot: weight(value) for slot, value in weights.items()},
        )


@functools.cache
def presets() -> Book:
    """The strategies that come with the package."""
    return Book(parse(_PRESETS.read_bytes(), file=_PRESETS.name), name="", origin="built in")


def read_file(path: Path, *, origin: str | None = None) -> Book:
    """The strategies in a file, which is shown as `origin`, or by its path. Raises `StrategyError`."""
    name = path.stem if _NAME.fullmatch(path.stem) else "strategy"
    return Book(read(path), name=name, origin=origin or str(path), folder=path.parent, below=presets())


def _about(item: Item | None) -> About:
    if item is None:
        return About()
    keys = item.mapping(_ABOUT_KEY)
    _only(keys, _ABOUT)
    return About(**{name: shown(value.text(name), longest=200) for name, value in keys.items()})


def _only(keys: Mapping[str, Item], known: Iterable[str]) -> None:
    for key, value in keys.items():
        if key not in known:
            raise value.place.fault(f"no such setting here; there are: {', '.join(known)}")


def _whole(item: Item, what: str, *, high: int) -> int:
    value = item.number(what, low=0, high=high)
    if not value.is_integer():
        raise item.place.fault(f"{what} is a whole number, not {value:g}")
    return int(value)


def _stem_name(item: Item) -> str:
    name = item.text("a stem's name")
    if not _NAME.fullmatch(name):
        raise item.place.fault(f"a stem's name is made of letters, digits, _, - and ., not {shown(name)!r}")
    if name.casefold() in _RESERVED:
        raise item.place.fault(f"no stem can be called {name}: a file beside the stems has that name")
    return name


def single(model: str, *, stems: Iterable[str]) -> Strategy:
    """A model on its own as a strategy, all its slots under their own names."""
    place = Place(model, 1)
    outputs = tuple(Output(slot=stem, target=stem, place=place.below(stem, line=1)) for stem in stems)
    root = Node(source=ModelUse(model=model), outputs=outputs, place=place)
    return Strategy(name=model, root=root, origin="a model")
