"""How this process and its children get weights, as the settings say."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stemwright.weights.config import HUB, Config, OnProgress, configure

if TYPE_CHECKING:
    from stemwright.app.settings import Settings

_TRUE: Final = {"1", "ON", "YES", "TRUE"}  # as Hugging Face's tools read them


def use_weights(settings: Settings, *, offline: bool = False, on_progress: OnProgress | None = None) -> None:
    """Set it; `offline` makes it so whatever the settings say. Variables of Hugging Face's own tools count too."""
    model, environment = settings.model, os.environ
    configure(
        Config(
            cache=model.cache,
            offline=offline or model.offline or environment.get("HF_HUB_OFFLINE", "").upper() in _TRUE,
            mirror=model.mirror,
            hub=environment.get("HF_ENDPOINT") or HUB,
            hub_cache=_hub_cache(),
            on_progress=on_progress,
        )
    )


def _hub_cache() -> Path | None:
    """Where Hugging Face's tools keep downloads. Source: huggingface_hub's list of environment variables."""
    environment = os.environ
    if place := environment.get("HF_HUB_CACHE"):
        return Path(place)
    if home := environment.get("HF_HOME"):
        return Path(home) / "hub"
    try:
        return Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface" / "hub"
    except RuntimeError:  # a user without a home
        return None
