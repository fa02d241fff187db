"""A strategy with its models: what the engine holds in the place of a separator."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from stemwright.engine.song_separator import Origin, Settings
from stemwright.engine.trees.models import Models, key_of
from stemwright.engine.trees.song import TreeRun, TreeWork
from stemwright.errors import ModelUnavailableError
from stemwright.separators.protocol import ModelInfo, ModelSpec
from stemwright.strategies.check import check, check_slots
from stemwright.strategies.plan import make_plan, needed, settings_digest
from stemwright.strategies.tree import pruned, uses

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stemwright.engine.trees.intermediates import Intermediates
    from stemwright.engine.trees.models import ModelKey, Wanted
    from stemwright.engine.unmix import SongShape
    from stemwright.strategies.tree import ModelUse, Strategy
    from stemwright.types import Digest, StemName


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
        self.strategy, self.intermediates = strategy, intermediates
        self.models = Models(strategy.models(), device=device, repo=repo, exact=exact)
        self.stems: tuple[StemName, ...] = strategy.stems  # those that are wanted …
        self.used = strategy  # … and as much of the tree as they need
        self.digest: Digest | None = None  # of all that can change a sample, once it is loaded
        self.settings = Settings()

    @property
    def info(self) -> ModelInfo:
        """The strategy as a model."""
        known = [*self.models.infos.values()]
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
    def device(self) -> str:
        """The devices that its models use."""
        return self.models.device

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
                self.models.spec_of(use, stems=wanted.get(key_of(use)))
            except ModelUnavailableError as error:
                raise ModelUnavailableError(error.message + self._lacking_besides(use.model)) from error
        slots = {model: spec.stems for (model, _), spec in self.models.specs.items()}
        check_slots(self.used, slots.__getitem__)
        self.digest = settings_digest(self.used, specs=self.models.spec_of, exact=self.models.exact)

    def _lacking_besides(self, model: str) -> str:
        """The other models that are not here and cannot be downloaded now, for the end of an error's message."""
        lacking = self.models.missing(use.model for use, _ in uses(self.used.root) if use.model != model)
        if not lacking:
            return ""
        return f"; not here either: {', '.join(lacking)} (stemwright models pull {' '.join(lacking)})"

    def song(self, digest: Digest, *, shape: SongShape, folder: Path, on_progress: Callable[[float], None]) -> TreeRun:
        """One song, of this digest, to be taken apart in this folder; `on_progress` gets 0–1, and may raise to stop."""
        work = TreeWork(
            used=self.used,
            order=self.strategy.stems,
            stems=self.stems,
            models=self.models,
            intermediates=self.intermediates,
        )
        return TreeRun(work, digest, shape=shape, folder=folder, on_progress=on_progress)

    def with_less_memory(self) -> None:
        """A run that needs less memory is found for each run, not for the whole."""

    def _wanted(self) -> dict[ModelKey, tuple[StemName, ...]]:
        """The stems that a first run of each model needs, where they are known without loading it."""
        infos = self.models.infos

        def guessed(use: ModelUse) -> ModelSpec:
            info = infos[use.model]
            return ModelSpec(info=info, stems=info.stems, sample_rate=1, channels=2, segment=1, shift=1)

        if not all(guessed(use).stems for use, _ in uses(self.used.root)):
            return {}
        plan = make_plan(self.used, song="", specs=guessed, exact=self.models.exact)
        there = {*needed(plan, self.stems)}
        found: dict[ModelKey, tuple[StemName, ...]] = {}
        for run in plan.runs():
            if stems := run.used_stems(there):
                found.setdefault(key_of(run.use), stems)
        return found
