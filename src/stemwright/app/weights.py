"""How this process and its children get weights, as the settings say."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from stemwright.weights.config import Config, OnProgress, configure

if TYPE_CHECKING:
    from stemwright.app.settings import Settings


def use_weights(settings: Settings, *, offline: bool = False, on_progress: OnProgress | None = None) -> None:
    """Set it; `offline` makes it so whatever the settings say. Before the Hugging Face library is imported."""
    model = settings.model
    offline = offline or model.offline
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"  # Demucs' weights come from there
    configure(Config(cache=model.cache, offline=offline, mirror=model.mirror, on_progress=on_progress))
