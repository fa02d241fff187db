"""Which model a job means, found without loading any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stemwright.errors import ModelUnavailableError, UnknownStemError
from stemwright.separators import catalogue

if TYPE_CHECKING:
    from pathlib import Path

BEST: Final = "htdemucs"
DRAFT: Final = "sketch"


def resolve(name: str, *, repo: Path | None) -> str:
    """What `auto` stands for here: the best model where it is or can be had, else the draft. Other names stay."""
    if name != "auto":
        return name
    try:
        family, info = catalogue.find_model(BEST, repo=repo)
    except Exception:  # noqa: BLE001  (a family of a third party may fail in any way)
        return DRAFT
    return DRAFT if family.availability(info.name, repo=repo) == "missing" else BEST


def check(name: str, *, stems: tuple[str, ...] | None, repo: Path | None) -> None:
    """Refuse what cannot work. Raises `UnknownModelError`, `ModelUnavailableError`, `UnknownStemError`."""
    family, info = catalogue.find_model(resolve(name, repo=repo), repo=repo)
    if family.availability(info.name, repo=repo) == "missing":
        raise ModelUnavailableError(f"{info.name} cannot be used here: its packages or weights are missing")
    known = {*info.stems, *(f"no_{stem}" for stem in info.stems)}
    if stems and info.stems and (wrong := [stem for stem in stems if stem not in known]):
        raise UnknownStemError(f"{info.name} has no stem {wrong[0]!r}; there are: {', '.join(sorted(known))}")
