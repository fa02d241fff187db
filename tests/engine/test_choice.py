"""What makes a preview."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from stemwright.engine import choice


@pytest.mark.parametrize(
    ("state", "speed", "by"),
    [
        ("ready", None, "quick"),
        ("ready", 0.1, "quick"),
        ("ready", 0.11, "sketch"),  # too slow here to be worth it
        ("download", None, "sketch"),  # a preview does not wait for weights
        ("missing", 0.01, "sketch"),
    ],
)
def test_preview_is_by_quick_where_its_weights_are_here_and_it_is_fast(
    state: str, speed: float | None, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stemwright.engine.choice.Needs.of", lambda *_, **__: SimpleNamespace(state=state))
    assert choice.preview_by(speed) == by
