"""A strategy with its models: what the engine holds in the place of a separator."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from stemwright.engine.song_separator import Origin, Settings
from stemwright.engine.trees.song import TreeRun
from stemwright.errors import ModelUnavailableError
from stemwright.separators import catalogue
from stemwright.separators.protocol import LoadOptions, ModelInfo, ModelSpec, is_half
from stemwright.strategies.check import check, check_slots
from stemwright.strategies.plan import Run, make_plan, needed, settings_digest
from stemwright.strategies.tree import pruned, uses

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from pathlib import Path
    from typing import TypeAlias

    from stemwright.engine.trees.intermediates import Intermediates
    from stemwright.engine.unmix import SongShape
    from stemwright.separators.protocol import Separator
    from stemwright.strategies.tree import ModelUse, Strategy
    from stemwright.types import Digest, StemName

    Wanted: TypeAlias = tuple[StemName, ...] | None  # None for all

_LOADED: Final = 2  # models that are kept in memory


class Tree:
    """A strategy, ready to take songs apart once it is loaded; few of its models are in memory at a time."""

    def __init__(
        self,
        strategy: Strategy,
        *,
        device: str = "auto",
        repo: Path | None = None,
        exact: bool = True,
        intermediates: Intermediates | None = None,
    ) -> None:
        """Check the strategy by what the catalogue knows. Raises `StrategyError`."""
        check(strategy, repo=repo)
        self.strategy, self.exact, self.intermediates = strategy, exact, intermediates
        self._device = device
        self._places = {model: catalogue.at_path(model, repo=repo) for model in strategy.models()}
        self._known = {model: catalogue.find_model(name, repo=at)[1] for model, (name, at) in self._places.items()}
        self._specs: dict[tuple[str, float | None], ModelSpec] = {}
        self._loaded: OrderedDict[tuple[str, float | None, Wanted], Separator] = OrderedDict()
        self.learnt: dict[Hashable, float] = {}  # seconds that a run took for each second of sound
        self.stems: tuple[StemName, ...] = strategy.stems  # those that are wanted …
        self.used = strategy  # … and as much of the tree as they need
        self.digest: Digest | None = None  # of all that can change a sample, once it is loaded
        self.settings = Settings()

    @property
    def info(self) -> ModelInfo:
        """The strategy as a model."""
        known = [*self._known.values()]
        return ModelInfo(
            name=self.strategy.name,
            family="strategy",
            summary=self.strategy.about.summary,
            stems=self.strategy.stems,
            licence=", ".join(dict.fromkeys(info.licence for info in known)),
            source=self.strategy.origin,
            download_bytes=sum(info.download_bytes for info in known),
            draft=any(info.draft for info in known),
        )

    @property
    def origin(self) -> Origin:
        """Where its models' weights come from: what their catalogue says."""
        return Origin(licence=self.info.licence)

    @property
    def half(self) -> bool:
        """Whether its models compute in float16."""
        return is_half(self._device)

    @property
    def device(self) -> str:
        """The devices that its models use."""
        return ", ".join(dict.fromkeys(separator.device for separator in self._loaded.values()))

    def load(self, *, stems: Wanted) -> None:
        """Load each model once, so that whatever is missing is missed before anything is done.

        Models that none of these `stems` need are left out. Raises as `catalogue.load`, `StrategyError`.
        """
        if self.digest is not None:
            return
        self.stems = stems or self.strategy.stems
        self.used = replace(self.strategy, root=pruned(self.strategy.root, self.stems))
        wanted = self._wanted()
        for use, _ in uses(self.used.root):
            try:
                self.spec_of(use, stems=wanted.get(_key(use)))
            except ModelUnavailableError as error:
                raise ModelUnavailableError(error.message + self._lacking_besides(use.model)) from error
        slots = {model: spec.stems for (model, _), spec in self._specs.items()}
        check_slots(self.used, slots.__getitem__)
        self.digest = settings_digest(self.used, specs=self.spec_of, exact=self.exact)

    def _lacking_besides(self, model: str) -> str:
        """The other models that are not here and cannot be downloaded now, for the end of an error's message."""
        used = dict.fromkeys(use.model for use, _ in uses(self.used.root) if use.model != model)
        named = sorted({self._places[other][0] for other in used if self._places[other][1] is None})
        lacking = [name for name in named if catalogue.find_model(name)[0].availability(name) == "missing"]
        if not lacking:
            return ""
        return f"; not here either: {', '.join(lacking)} (stemwright models pull {' '.join(lacking)})"

    def spec_of(self, use: ModelUse, *, stems: Wanted = None) -> ModelSpec:
        """What is known of a model that was loaded; it is loaded for `stems` if it has not been."""
        if _key(use) not in self._specs:
            self._specs[_key(use)] = self.separator(use, stems=stems).spec
        return self._specs[_key(use)]

    def separator(self, use: ModelUse, *, stems: Wanted) -> Separator:
        """A model, loaded for these stems. Raises as `catalogue.load`."""
        key = (*_key(use), stems)
        if key not in self._loaded:
            while len(self._loaded) >= _LOADED:
                self._loaded.popitem(last=False)
            name, folder = self._places[use.model]
            how = LoadOptions(device=self._device, repo=folder, segment=use.segment, stems=stems, raw=not self.exact)
            self._loaded[key] = catalogue.load(name, options=how)
        self._loaded.move_to_end(key)
        return self._loaded[key]

    def song(self, digest: Digest, *, shape: SongShape, folder: Path, on_progress: Callable[[float], None]) -> TreeRun:
        """One song, of this digest, to be taken apart in this folder; `on_progress` gets 0–1, and may raise to stop."""
        return TreeRun(self, digest, shape=shape, folder=folder, on_progress=on_progress)

    def with_less_memory(self) -> None:
        """A run that needs less memory is found for each run, not for the whole."""

    def _wanted(self) -> dict[tuple[str, float | None], tuple[StemName, ...]]:
        """The stems that a first run of each model needs, where they are known without loading it."""

        def guessed(use: ModelUse) -> ModelSpec:
            info = self._known[use.model]
            return ModelSpec(info=info, stems=info.stems, sample_rate=1, channels=2, segment=1, shift=1)

        if not all(guessed(use).stems for use, _ in uses(self.used.root)):
            return {}
        plan = make_plan(self.used, song="", specs=guessed, exact=self.exact)
        there = {*needed(plan, self.stems)}
        found: dict[tuple[str, float | None], tuple[StemName, ...]] = {}
        for run in plan.runs():
            if stems := used_stems(run, there):
                found.setdefault(_key(run.use), stems)
        return found


def used_stems(run: Run, sounds: set[Digest]) -> tuple[StemName, ...]:
    """The stems of a run that are among these sounds, in a fixed order."""
    return tuple(sorted({stem for sound, stem in run.stems.items() if sound in sounds}))


def _key(use: ModelUse) -> tuple[str, float | None]:
    return use.model, use.segment
