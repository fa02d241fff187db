"""Which model or strategy a job means, found without loading any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stemwright.engine.drum_names import STEM, no_stem
from stemwright.engine.settings import OF_STRATEGY, SeparationSettings
from stemwright.engine.trees.tree import Tree
from stemwright.errors import ModelUnavailableError, NoDrumStemError, OptionError, UnknownStemError
from stemwright.separators import catalogue
from stemwright.separators.catalogue import DRAFT, resolve
from stemwright.strategies.draw import Needs, tree_of
from stemwright.strategies.find import find_strategy, is_strategy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stemwright.separators.protocol import Family, ModelInfo
    from stemwright.strategies.tree import Strategy

QUICK: Final = "quick"  # the strategy that makes drafts with a better voice
_AT_MOST: Final = 0.1  # seconds of work for a second of song, above which a draft is not worth it


def preview_by(speed: float | None) -> str:
    """What makes a preview: `quick` where its weights are here and it was not too slow, else the draft model.

    `speed` is that of `quick` on this machine, in seconds of work for a second of song, where it is known.
    """
    ready = Needs.of(find_strategy(QUICK)).state == "ready"
    return QUICK if ready and (speed is None or speed <= _AT_MOST) else DRAFT


def needed(name: str, *, repo: Path | None) -> tuple[str, ...]:
    """The models that a model or a strategy needs. Raises `StrategyError`."""
    strategy = strategy_of(name, repo=repo)
    return tuple(strategy.models()) if strategy else (name,)


def check(
    name: str,
    *,
    settings: SeparationSettings | None = None,
    transcribe: bool = False,
    repo: Path | None,
    can_run: Callable[[str], bool | None] = lambda _: None,
) -> None:
    """Refuse what cannot work. `can_run` says whether a model can, or None where this machine has to find out.

    Raises `UnknownModelError`, `ModelUnavailableError`, `UnknownStemError`, `OptionError` for settings of a model that
    are given to a strategy, and `NoDrumStemError` where a chart is wanted without the stem that it is made of.
    """
    settings = settings or SeparationSettings()
    if settings.of_model and is_strategy(name, repo=repo):
        raise OptionError(OF_STRATEGY)
    name = resolve(name, repo=repo)
    info, here, stems = *_info(name, repo), settings.stems
    missing = ", ".join(
        model for model in needed(name, repo=repo) if not (here[model] if (able := can_run(model)) is None else able)
    )
    if missing:
        raise ModelUnavailableError(f"{info.name} cannot be used here: packages or weights of {missing} are missing")
    known = {*info.stems, *(f"no_{stem}" for stem in info.stems)}
    if stems and info.stems and (wrong := [stem for stem in stems if stem not in known]):
        raise UnknownStemError(f"{info.name} has no stem {wrong[0]!r}; there are: {', '.join(sorted(known))}")
    made = stems or info.stems
    if transcribe and made and STEM not in made:
        raise NoDrumStemError(no_stem(made))


def identity(name: str, *, repo: Path | None) -> list[object]:
    """What makes the stems, for a result's key: a model or a tree, and the weights that its publishers are to have.

    A folder of weights is told by the names, sizes and times of its files. Raises `UnknownModelError`, `StrategyError`.
    """
    strategy = strategy_of(name, repo=repo)
    models = strategy.models() if strategy else (name,)
    weights = {model: [repr(one.parts) for one in _model(model, repo)[1].publishers] for model in sorted(models)}
    return [name, tree_of(strategy) if strategy else None, weights, _state_of(repo)]


def _model(name: str, repo: Path | None) -> tuple[Family, ModelInfo]:
    own, folder = catalogue.at_path(name, repo=repo)
    return catalogue.find_model(own, repo=folder)


def _state_of(repo: Path | None) -> list[list[object]]:
    """What tells one state of a folder of weights from another without reading them."""
    if repo is None or not repo.is_dir():
        return []
    return sorted([path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in repo.iterdir())


def strategy_of(name: str, *, repo: Path | None) -> Strategy | None:
    """The strategy of this name, or None. Raises `StrategyError`."""
    return find_strategy(name, repo=repo) if is_strategy(name, repo=repo) else None


def _info(name: str, repo: Path | None) -> tuple[ModelInfo, dict[str, bool]]:
    """A model, or a strategy as a model, and which of the models that it needs this machine has or can get."""
    strategy = strategy_of(name, repo=repo)
    if strategy is not None:
        here = {model: state != "missing" for model, state, _ in Needs.of(strategy, repo=repo).models}
        return Tree(strategy, repo=repo).info, here
    family, info = catalogue.find_model(name, repo=repo)
    return info, {name: family.availability(info.name, repo=repo) != "missing"}
