from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stemwright.weights import config, download
from weights.publisher import Publisher

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with Publisher() as publisher:
        yield publisher


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, that this process uses; no pauses between tries."""
    monkeypatch.setattr(config, "_current", config.Config(cache=tmp_path / "cache"))
    monkeypatch.setattr(download, "_PAUSE", 0.001)
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"
