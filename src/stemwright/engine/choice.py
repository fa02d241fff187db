"""Which model or strategy a job means, found without loading any."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from stemwright.engine.drum_names import STEM, no_stem
from stemwright.engine.trees.tree import Tree
from stemwright.errors import ModelUnavailableError, NoDrumStemError, UnknownStemError
from stemwright.separators import catalogue
from stemwright.strategies.draw import Needs
from stemwright.strategies.find import find_strategy, is_strategy

if TYPE_CHECKING:
    from pathlib import Path

    from stemwright.separators.protocol import ModelInfo
    from stemwright.strategies.tree import Strategy

log = logging.getLogger("stemwright.jobs")
BEST: Final = "htdemucs"
DRAFT: Final = "sketch"
QUICK: Final = "quick"  # the strategy that makes drafts with a better voice
_AT_MOST: Final = 0.1  # seconds of work for a second of song, above which a draft is not worth it


def resolve(name: str, *, repo: Path | None) -> str:
    """What `auto` stands for here: the best model where it is or can be had, else the draft. Other names stay."""
    if name != "auto":
        return name
    try:
        family, info = catalogue.find_model(BEST, repo=repo)
    except Exception as error:  # noqa: BLE001  (a family of a third party may fail in any way)
        log.warning("auto is the draft: %s cannot be found", BEST, extra={"error": str(error)[:300]})
        return DRAFT
    return DRAFT if family.availability(info.name, repo=repo) == "missing" else BEST


def preview_by(speed: float | None) -> str:
    """What makes a preview: `quick` where its weights are here and it was not too slow, else the draft model.

    `speed` is that of `quick` on this machine, in seconds of work for a second of song, where it is known.
    """
    ready = Needs.of(find_strategy(QUICK)).state == "ready"
    return QUICK if ready and (speed is None or speed <= _AT_MOST) else DRAFT


def check(name: str, *, stems: tuple[str, ...] | None, transcribe: bool, repo: Path | None) -> None:
    """Refuse what cannot work.

    Raises `UnknownModelError`, `ModelUnavailableError`, `UnknownStemError`, and `NoDrumStemError` where a chart is
    wanted without the stem that it is made of.
    """
    info, missing = _info(resolve(name, repo=repo), repo)
    if missing:
        raise ModelUnavailableError(f"{info.name} cannot be used here: packages or weights of {missing} are missing")
    known = {*info.stems, *(f"no_{stem}" for stem in info.stems)}
    if stems and info.stems and (wrong := [stem for stem in stems if stem not in known]):
        raise UnknownStemError(f"{info.name} has no stem {wrong[0]!r}; there are: {', '.join(sorted(known))}")
    made = stems or info.stems
    if transcribe and made and STEM not in made:
        raise NoDrumStemError(no_stem(made))


def strategy_of(name: str, *, repo: Path | None) -> Strategy | None:
    """The strategy of this name, or None. Raises `StrategyError`."""
    return find_strategy(name, repo=repo) if is_strategy(name, repo=repo) else None


def _info(name: str, repo: Path | None) -> tuple[ModelInfo, str]:
    """A model, or a strategy as a model, and the names of the models that are missing for it."""
    strategy = strategy_of(name, repo=repo)
    if strategy is not None:
        lacking = [model for model, state, _ in Needs.of(strategy, repo=repo).models if state == "missing"]
        return Tree(strategy, repo=repo).info, ", ".join(lacking)
    family, info = catalogue.find_model(name, repo=repo)
    return info, info.name if family.availability(info.name, repo=repo) == "missing" else ""
