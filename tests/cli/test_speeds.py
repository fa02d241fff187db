"""How fast models were here, as it is remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stemwright.cli.speeds import known_speed, note_speed
from stemwright.weights import config

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of weights that is empty."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(config, "_current", config.Config(cache=folder, offline=True))
    return folder


def test_speed_is_the_median_of_the_last_five_long_runs(cache: Path) -> None:
    assert known_speed("sketch") is None
    for elapsed in (1.0, 60.0, 30.0, 20.0, 15.0, 12.0):
        note_speed("sketch", duration=60.0, elapsed=elapsed)
    note_speed("sketch", duration=5.0, elapsed=0.1)
    assert known_speed("sketch") == 3.0
    assert known_speed("htdemucs") is None


@pytest.mark.parametrize("text", ["{", "[1]", '{"sketch": 7}', '{"sketch": ["x"]}', "[" * 100_000, '{"sketch": []}'])
def test_damaged_note_is_as_none_and_is_mended_by_the_next_run(text: str, cache: Path) -> None:
    cache.mkdir()
    (cache / "speeds.json").write_text(text)
    assert known_speed("sketch") is None
    note_speed("sketch", duration=60.0, elapsed=20.0)
    assert known_speed("sketch") == 3.0
