"""The models of a strategy, loaded when they are needed; few of them are in memory at a time."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from stemwright.separators import catalogue
from stemwright.separators.protocol import LoadOptions, is_half

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable
    from pathlib import Path
    from typing import TypeAlias

    from stemwright.separators.protocol import ModelInfo, ModelSpec, Separator
    from stemwright.strategies.tree import ModelUse
    from stemwright.types import StemName

    ModelKey: TypeAlias = tuple[str, float | None]
    Wanted: TypeAlias = tuple[StemName, ...] | None  # None for all

_LOADED: Final = 2  # models that are kept in memory


class Models:
    """Loads models by their use in a tree, and keeps what is known of each."""

    def __init__(self, names: Iterable[str], *, device: str, repo: Path | None, exact: bool) -> None:
        """Look the models up in the catalogue. Raises `UnknownModelError`."""
        self.exact = exact
        self.learnt: dict[Hashable, float] = {}  # seconds that a run took for each second of sound
        self._device = device
        self._places = {model: catalogue.at_path(model, repo=repo) for model in names}
        self._known = {model: catalogue.find_model(name, repo=at)[1] for model, (name, at) in self._places.items()}
        self._specs: dict[ModelKey, ModelSpec] = {}
        self._loaded: OrderedDict[tuple[str, float | None, Wanted], Separator] = OrderedDict()

    @property
    def infos(self) -> dict[str, ModelInfo]:
        """What the catalogue knows of each model, by the name that the tree gives it."""
        return dict(self._known)

    @property
    def specs(self) -> dict[ModelKey, ModelSpec]:
        """The models that were loaded so far."""
        return dict(self._specs)

    @property
    def half(self) -> bool:
        """Whether the models compute in float16."""
        return is_half(self._device)

    @property
    def device(self) -> str:
        """The devices that the models in memory use."""
        return ", ".join(dict.fromkeys(separator.device for separator in self._loaded.values()))

    def spec_of(self, use: ModelUse, *, stems: Wanted = None) -> ModelSpec:
        """What is known of a model that was loaded; it is loaded for `stems` if it has not been."""
        if key_of(use) not in self._specs:
            self._specs[key_of(use)] = self.separator(use, stems=stems).spec
        return self._specs[key_of(use)]

    def separator(self, use: ModelUse, *, stems: Wanted) -> Separator:
        """A model, loaded for these stems. Raises as `catalogue.load`."""
        key = (*key_of(use), stems)
        if key not in self._loaded:
            while len(self._loaded) >= _LOADED:
                self._loaded.popitem(last=False)
            name, folder = self._places[use.model]
            how = LoadOptions(device=self._device, repo=folder, segment=use.segment, stems=stems, raw=not self.exact)
            self._loaded[key] = catalogue.load(name, options=how)
        self._loaded.move_to_end(key)
        return self._loaded[key]

    def missing(self, models: Iterable[str]) -> list[str]:
        """Those of these models that are neither here nor can be downloaded now, by their names in the catalogue."""
        named = sorted({self._places[model][0] for model in models if self._places[model][1] is None})
        return [name for name in named if catalogue.find_model(name)[0].availability(name) == "missing"]


def key_of(use: ModelUse) -> ModelKey:
    """What a model in memory is known by: its name and its segment."""
    return use.model, use.segment
