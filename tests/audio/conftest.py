"""Recordings that are made once, and both ffmpegs that users have."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from needs import require
from stemwright.audio.ffmpeg import ffmpeg_version

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `recordings.make` keeps what it has made; nothing else is written there."""
    return tmp_path_factory.mktemp("recordings")


@pytest.fixture(params=["system", "bundled"])
def ffmpeg(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ffmpegs that users have: the system's and the one of imageio-ffmpeg. Gives its version."""
    if request.param == "bundled":
        monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    else:
        require("ffmpeg")
    return ffmpeg_version()
