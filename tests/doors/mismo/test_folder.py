"""What lies in the folder of jobs is written by us, or it is nobody's: its paths go to the audio engine."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from stemwright.doors.mismo.config import Config
from stemwright.doors.mismo.folder import read

if TYPE_CHECKING:
    from pathlib import Path


def config_of(folder: Path) -> Config:
    return Config(roots=(), jobs_dir=folder)


def facts_of(folder: Path, **changed: Any) -> dict[str, Any]:
    """What we write of a job, with its files."""
    place = folder / "job-1"
    (place / "stems").mkdir(parents=True, exist_ok=True)
    for path in (place / "stems" / "vocals.wav", place / "stems.zip"):
        path.write_bytes(b"x")
    facts: dict[str, Any] = {"made_by": "stemwright", "job_id": "job-1", "separation": "s", "format": "wav"}
    facts |= {"model": "sketch", "draft": True, "sample_rate": 44100, "duration": 2.0, "gain_db": 0.0}
    facts |= {"stems": {"vocals": str(place / "stems" / "vocals.wav")}, "zip": str(place / "stems.zip")}
    return facts | changed


def written(folder: Path, facts: object) -> Path:
    path = folder / "job-1" / "stems.json"
    path.write_text(json.dumps(facts))
    return path


def test_what_we_wrote_is_read(tmp_path: Path) -> None:
    facts = facts_of(tmp_path)
    written(tmp_path, facts)
    made = read(config_of(tmp_path), "job-1")
    assert made
    assert made.model_dump() == facts


@pytest.mark.parametrize(
    "changed",
    [
        {"stems": {"vocals": "/etc/passwd"}},
        {"stems": {"../../../etc/passwd": "/etc/passwd"}},
        {"stems": ["vocals"]},
        {"stems": None},
        {"zip": "/etc/passwd"},
        {"zip": None},
        {"separation": None},
        {"separation": ["s"]},
    ],
)
def test_paths_elsewhere_are_not_believed(tmp_path: Path, changed: dict[str, Any]) -> None:
    written(tmp_path, facts_of(tmp_path, **changed))
    assert read(config_of(tmp_path), "job-1") is None


def test_links_pipes_and_nonsense_are_not_read(tmp_path: Path) -> None:
    facts = facts_of(tmp_path)
    path = written(tmp_path, facts)
    elsewhere = tmp_path / "elsewhere.json"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    assert read(config_of(tmp_path), "job-1") is None
    path.unlink()
    os.mkfifo(path)  # to open it as usual would wait for ever
    assert read(config_of(tmp_path), "job-1") is None
    path.unlink()
    path.write_text("[" * 100_000)
    assert read(config_of(tmp_path), "job-1") is None
