"""Sounds kept from run to run: whole or not at all, within the budget, and never in the way of the work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sounds import sound
from stemwright.engine.trees.intermediates import Intermediates
from stemwright.engine.trees.sound import Sound

MIX = sound("noise", seconds=0.1)
SIZE = MIX.nbytes + 32


def stored(path: Path) -> Sound:
    made = Sound.at(path, channels=2)
    made.write(MIX)
    made.close()
    return made


def fetch(kept: Intermediates, key: str, into: Path) -> Any:
    found = kept.fetch(key, into, channels=2, frames=MIX.shape[1])
    return found and np.concatenate([*found.blocks()], axis=1)


def test_sound_comes_back_as_it_was(tmp_path: Path) -> None:
    kept = Intermediates(tmp_path / "kept", budget=SIZE, worth=1)
    kept.keep("a", stored(tmp_path / "a"), took=2)
    assert np.array_equal(fetch(kept, "a", tmp_path / "copy"), MIX)
    assert fetch(kept, "b", tmp_path / "copy") is None
    assert (tmp_path / "kept").stat().st_mode & 0o77 == 0  # it is what somebody listens to


@pytest.mark.parametrize("change", ["flip", "cut", "more", "rename", "empty"])
def test_damaged_sound_is_not_trusted(tmp_path: Path, change: str) -> None:
    kept = Intermediates(tmp_path / "kept", budget=SIZE, worth=0)
    kept.keep("a", stored(tmp_path / "a"), took=1)
    [path] = kept.folder.iterdir()
    data = path.read_bytes()
    path.write_bytes(
        {"flip": data[:99] + b"\x00\x01" + data[101:], "cut": data[:-1], "more": data + b"x", "empty": b""}.get(
            change, data
        )
    )
    key = "b" if change == "rename" else "a"
    path.rename(path.with_stem(key))
    assert fetch(kept, key, tmp_path / "copy") is None
    assert not (tmp_path / "copy").exists()


def test_what_was_quick_to_make_or_is_too_large_is_not_kept(tmp_path: Path) -> None:
    Intermediates(tmp_path / "kept", budget=SIZE, worth=5).keep("a", stored(tmp_path / "a"), took=4.9)
    Intermediates(tmp_path / "kept", budget=SIZE - 1, worth=5).keep("a", stored(tmp_path / "a"), took=9)
    assert not (tmp_path / "kept").exists()


def test_those_that_were_not_used_for_longest_go_when_the_budget_is_full(tmp_path: Path) -> None:
    kept = Intermediates(tmp_path / "kept", budget=2 * SIZE + 100, worth=0)
    for number, key in enumerate("ab"):
        kept.keep(key, stored(tmp_path / key), took=1)
        os.utime(kept.folder / f"{key}.sound", (number, number))
    assert fetch(kept, "a", tmp_path / "copy") is not None  # used just now
    kept.keep("c", stored(tmp_path / "c"), took=1)
    assert {path.name for path in kept.folder.iterdir()} == {"a.sound", "c.sound"}


def test_folder_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    kept = Intermediates(tmp_path / "file" / "kept", budget=SIZE, worth=0)
    kept.keep("a", stored(tmp_path / "a"), took=1)
    assert fetch(kept, "a", tmp_path / "copy") is None


@pytest.mark.parametrize("point", ["fsync", "rename"])
def test_process_killed_while_it_keeps_leaves_nothing_that_is_trusted(tmp_path: Path, point: str) -> None:
    code = f"""
import os, pathlib, signal, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_intermediates import Intermediates, stored
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
os.fsync, pathlib.Path.rename = (die, Path.rename) if {point!r} == "fsync" else (os.fsync, die)
Intermediates(Path({str(tmp_path / "kept")!r}), budget={SIZE}, worth=0).keep(
    "a", stored(Path({str(tmp_path / "a")!r})), took=1
)
"""
    env = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", code], check=False, env=env, timeout=60)
    assert done.returncode == -signal.SIGKILL
    kept = Intermediates(tmp_path / "kept", budget=SIZE, worth=0)
    assert [path.suffix for path in kept.folder.iterdir()] == [".part"]
    assert fetch(kept, "a", tmp_path / "copy") is None
    kept.keep("a", stored(tmp_path / "a"), took=1)
    assert [path.name for path in kept.folder.iterdir()] == ["a.sound"]
