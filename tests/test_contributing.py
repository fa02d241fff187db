"""CONTRIBUTING.md is true: its separator works when it is installed, word for word, and its files are there."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from cli.command import STEMWRIGHT
from sounds import level_db, read, sound, write_wav

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
NAMED = sorted(
    {*re.findall(r"`((?:src|tests|docs|player)/[^` ]*)`", TEXT)} | {*re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", TEXT)}
)


@pytest.mark.parametrize("name", [name for name in NAMED if "NAME" not in name and "NNNN" not in name])
def test_file_that_is_named_is_there(name: str) -> None:
    assert (ROOT / name).exists()


def test_every_folder_of_the_house_is_on_the_map() -> None:
    rooms = {path.name for path in (ROOT / "src" / "stemwright").iterdir() if (path / "__init__.py").is_file()}
    assert rooms == {*re.findall(r"`([a-z]+)/`", TEXT)} & rooms


def test_separator_of_a_package_of_its_own_works_as_it_is_written(tmp_path: Path) -> None:
    [code] = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    [registered] = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    assert registered == '[project.entry-points."stemwright.separators"]\ngain = "gain_separator:FAMILY"\n'
    facts = tmp_path / "site" / "gain_separator-1.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: gain-separator\nVersion: 1\n")
    (facts / "entry_points.txt").write_text("[stemwright.separators]\ngain = gain_separator:FAMILY\n")
    (facts.parent / "gain_separator.py").write_text(code)
    mix = sound("song", seconds=3)
    song = write_wav(tmp_path / "song.wav", mix)
    command: list[str | Path] = [*STEMWRIGHT, "separate", song, "-m", "gain", "-o", tmp_path / "out", "-f", "wav32f"]
    environment = {**os.environ, "PYTHONPATH": str(facts.parent)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for stem in ("vocals", "other"):
        assert level_db(read(tmp_path / "out" / "song" / f"{stem}.wav", channels=2) - mix / 2, mix) < -100
