"""Folders that doors tidy up, with what somebody else put there: only what is ours is deleted, or served."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import pytest

from stemwright.doors.mismo import folder as mismo
from stemwright.doors.mismo.config import Config
from stemwright.doors.stemset.config import DoorConfig, Stemset
from stemwright.doors.stemset.jobs import Uploads
from stemwright.doors.stemset.media import Media
from studio.shelves import idle

if TYPE_CHECKING:
    from pathlib import Path

NOBODY = 65534
HOURS_AGO = time.time() - 20_000
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user, which only root can")


def job_folder(jobs: Path, name: str = "a1b2", **changes: object) -> Path:
    """A folder of Mismo's, as the door makes it, of a separation that the studio no longer has."""
    folder = jobs / name
    (folder / "stems").mkdir(parents=True)
    (folder / "stems" / "vocals.wav").write_bytes(b"RIFF")
    (folder / "stems.zip").write_bytes(b"PK")
    facts = {
        "made_by": "stemwright",
        "job_id": name,
        "separation": "gone",
        "format": "wav",
        "model": "sketch",
        "draft": True,
        "sample_rate": 44100,
        "duration": 2.0,
        "gain_db": 0.0,
        "stems": {"vocals": str(folder / "stems" / "vocals.wav")},
        "zip": str(folder / "stems.zip"),
    }
    (folder / "stems.json").write_text(json.dumps(facts | changes))
    folder.chmod(0o755)
    return folder


def test_mismo_believes_a_folder_of_its_own_and_no_other(tmp_path: Path) -> None:
    config = Config(roots=(), jobs_dir=tmp_path / "jobs")
    job_folder(config.jobs_dir)
    assert mismo.read(config, "a1b2") is not None
    planted: dict[str, dict[str, object]] = {
        "c1": {"stems": {"vocals": "/etc/passwd"}},
        "c2": {"zip": "/etc/passwd"},
        "c3": {"stems": {"../../vocals": str(tmp_path / "jobs/vocals.wav")}},
        "c4": {"stems": ["/etc/passwd"]},
        "c5": {"separation": None},
        "c6": {"job_id": "a1b2"},
    }
    for name, changes in planted.items():
        job_folder(config.jobs_dir, name, **changes)
        assert mismo.read(config, name) is None, name


@pytest.mark.parametrize("text", ["[" * 100_000, '{"made_by": "stemwright"}', "null", ""])
def test_mismo_survives_a_note_that_means_nothing(text: str, tmp_path: Path) -> None:
    config = Config(roots=(), jobs_dir=tmp_path / "jobs")
    (job_folder(config.jobs_dir) / "stems.json").write_text(text)
    assert mismo.read(config, "a1b2") is None


@pytest.mark.parametrize("how", ["writable", pytest.param("another's", marks=as_root), "link", "pipe"])
def test_mismo_deletes_no_folder_that_others_may_have_planted(how: str, tmp_path: Path) -> None:
    config = Config(roots=(), jobs_dir=tmp_path / "jobs")
    expired = job_folder(config.jobs_dir)
    planted = job_folder(tmp_path / "precious" if how == "link" else config.jobs_dir, "planted")
    if how == "writable":
        planted.chmod(0o777)
    elif how == "another's":
        os.chown(planted, NOBODY, NOBODY)
    elif how == "pipe":
        (planted / "stems.json").unlink()
        os.mkfifo(planted / "stems.json")
    else:
        (config.jobs_dir / "planted").symlink_to(planted)
    with idle(tmp_path) as studio:
        assert mismo.sweep(studio, config, owner="local") == 1
    assert not expired.exists()
    assert (planted / "stems" / "vocals.wav").exists()


@as_root
def test_mismo_leaves_half_made_folders_of_others_alone(tmp_path: Path) -> None:
    config = Config(roots=(), jobs_dir=tmp_path / "jobs")
    for name, owner in (("ours", os.geteuid()), ("theirs", NOBODY)):
        folder = config.jobs_dir / f".stemwright-{name}"
        folder.mkdir(parents=True)
        os.chown(folder, owner, owner)
        os.utime(folder, (HOURS_AGO, HOURS_AGO))
    with idle(tmp_path) as studio:
        assert mismo.sweep(studio, config, owner="local") == 1
    assert [path.name for path in config.jobs_dir.iterdir()] == [".stemwright-theirs"]


@as_root
def test_stemset_removes_half_made_recordings_of_its_own_and_nothing_through_a_link(tmp_path: Path) -> None:
    media, elsewhere = tmp_path / "media", tmp_path / "elsewhere"
    for folder in (media / "h4n" / ".partial-ours", media / "h4n" / ".partial-theirs", elsewhere / ".partial-mine"):
        folder.mkdir(parents=True)
        (folder / "vocals.flac").touch()
    os.chown(media / "h4n" / ".partial-theirs", NOBODY, NOBODY)
    (media / "linked").symlink_to(elsewhere)
    (media / "h4n" / ".partial-link").symlink_to(elsewhere / ".partial-mine")
    with idle(tmp_path) as studio:
        stemset = Stemset(path=tmp_path / "config.yaml", media=media, profiles=(), worker_url=None, own={})
        config = DoorConfig(stemset=stemset, state=tmp_path / "state")
        Uploads(studio, config, stemset, owner="local")._clean()
    assert sorted(path.name for path in (media / "h4n").iterdir()) == [".partial-link", ".partial-theirs"]
    assert (elsewhere / ".partial-mine" / "vocals.flac").exists()


def test_stemset_serves_no_link_that_stands_in_a_recording_s_place(tmp_path: Path) -> None:
    folder = tmp_path / "media" / "h4n" / "song_01234567"
    folder.mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (folder / "vocals.flac").symlink_to(tmp_path / "secret")
    (folder / "vocals_waveform.png").write_bytes(b"\x89PNG")
    stems = {"vocals": {"stem_url": "vocals.flac", "waveform_url": "vocals_waveform.png"}}
    facts = {"created_at": "2026", "file_hash": "0" * 64, "stems": stems}
    (folder / "metadata.json").write_text(json.dumps(facts))
    [recording] = Media(tmp_path / "media").recordings("h4n")
    assert recording.file("vocals.flac") is None
    assert recording.file("vocals_waveform.png") is not None
    assert Media(tmp_path / "media").of_digest("h4n", "0" * 64) is None


@pytest.mark.parametrize("kind", ["pipe", "deep"])
def test_stemset_passes_over_a_recording_whose_facts_would_never_end(kind: str, tmp_path: Path) -> None:
    facts = tmp_path / "media" / "h4n" / "song_01234567" / "metadata.json"
    facts.parent.mkdir(parents=True)
    os.mkfifo(facts) if kind == "pipe" else facts.write_text("[" * 100_000)
    assert Media(tmp_path / "media").recordings("h4n") == []
