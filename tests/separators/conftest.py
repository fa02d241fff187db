"""Tiny models in Demucs' own formats, made once a session."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest

from tiny_demucs import make_network, make_repo, save_bag, save_safetensors, save_th

if TYPE_CHECKING:
    from pathlib import Path

RATE = 8000  # Hz: of most models here, for speed
BAG_WEIGHTS = ((1.0, 0.5, 0.0, 0.25), (0.5, 1.0, 2.0, 0.0))
ONE_EACH = tuple(tuple(float(row == column) for column in range(4)) for row in range(4))


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tiny networks are slower on two threads than on one, on a busy machine twenty times."""
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with: tiny (one htdemucs in a bag), hybrid, waves, safe (safetensors), alone (no bag), weighted (two,
    with weights), tuned (four, one a stem), mixed (htdemucs of 1 s and hdemucs of 2 s), short (a bag's own segment).
    """
    folder = tmp_path_factory.mktemp("repo")
    make_repo(folder, name="tiny", samplerate=RATE)
    make_repo(folder, name="hybrid", samplerate=RATE, kind="hdemucs", segment=2)
    make_repo(folder, name="waves", samplerate=RATE, kind="demucs", segment=1.5)
    make_repo(folder, name="safe", samplerate=RATE, layout="safetensors", seed=3)
    make_repo(folder, name="alone", bag=0)
    make_repo(folder, name="weighted", samplerate=RATE, bag=2, weights=BAG_WEIGHTS)
    make_repo(folder, name="tuned", samplerate=RATE, bag=4, weights=ONE_EACH)
    save_bag(folder, "mixed", ["tiny0", "hybrid0"])
    save_bag(folder, "short", ["tiny0", "hybrid0"], segment=0.75)
    return folder


@pytest.fixture(scope="session")
def hub_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of htdemucs as its repository on the hub has them, but tiny."""
    folder = tmp_path_factory.mktemp("hub")
    save_safetensors(make_network(), folder, "955717e8")
    save_bag(folder, "htdemucs", ["955717e8"])
    return folder


@pytest.fixture
def folder_with_network(tmp_path: Path) -> Path:
    """A folder of one's own with `one.th`, without a checksum."""
    save_th(make_network(), tmp_path, "one", checksum=False)
    return tmp_path
