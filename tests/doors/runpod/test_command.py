"""`stemwright runpod-worker`, where it cannot start; `test_handler.py` has one that works."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.command import run

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_worker_with_wrong_settings_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMWRIGHT_STORAGE_URL", "nowhere")
    assert "[bad_settings]" in run("runpod-worker", "--rp_serve_api", code=2).stderr


def test_worker_without_the_sdk_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runpod.py").write_text("raise ModuleNotFoundError('hidden', name='runpod')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert "pip install 'stemwright[server,runpod]'" in run("runpod-worker", code=1).stderr
