"""Tiny models in Demucs' own format."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tiny_demucs import make_repo

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def demucs_repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of weights: tiny and hybrid, one network each of another kind, and weighted, a bag of two."""
    folder = tmp_path_factory.mktemp("repo")
    make_repo(folder, name="tiny", samplerate=8000)
    make_repo(folder, name="hybrid", samplerate=8000, kind="hdemucs", segment=1.5)
    make_repo(folder, name="weighted", samplerate=8000, bag=2, weights=((1.0, 0.5, 0.0, 0.25), (0.5, 1.0, 2.0, 0.0)))
    return folder
