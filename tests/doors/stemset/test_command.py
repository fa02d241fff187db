from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from cli.command import lines, run
from server import Server, running
from sounds import read, sound, write_wav
from stemwright.disk import sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECONDS = 2.0
CONFIG = """
strategies:
  successive:
    _: sketch
    vocals: vocals
    not_vocals:
      _: sketch
      drums: drums
      not_drums: rest
profiles:
  - {name: h4n, source_folder: ./input, strategy: successive, output: {format: opus, bitrate: 64}}
  - {name: plain, source_folder: "${INPUT}", strategy: sketch, output: {format: wav}}
  - {name: gpu, source_folder: ./input, strategy: fast, remote: true, output: {format: mp3, bitrate: 96}}
gpu_worker_url: ${GPU_WORKER_URL}
"""


@pytest.fixture(autouse=True)
def _own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMWRIGHT_DATA", str(tmp_path / "data"))
    for name in ("INPUT", "GPU_WORKER_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration and two recordings, one of them under two names."""
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / ".env").write_text("INPUT=input\nGPU_WORKER_URL=http://127.0.0.1:9\n")
    (tmp_path / "input").mkdir()
    first = write_wav(tmp_path / "input" / "STE 001.wav", sound("song", seconds=SECONDS), bits=16)
    shutil.copy(first, tmp_path / "input" / "STE 002.wav")
    write_wav(tmp_path / "input" / "STE 003.wav", sound("song", seconds=SECONDS, seed=3), bits=16)
    return tmp_path


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("worker") / "data") as server:
        yield server


def told(folder: Path, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
    return lines(run("process", *arguments, "--json", cwd=folder, code=code))


def made(folder: Path, profile: str) -> dict[str, dict[str, Any]]:
    """What `metadata.json` says of each recording of a profile."""
    return {
        path.parent.name: json.loads(path.read_text()) for path in (folder / "media" / profile).glob("*/metadata.json")
    }


def test_folder_is_processed_once_and_known_by_its_content(folder: Path) -> None:
    first = told(folder, "h4n")
    assert [one["status"] for one in first] == ["done", "skipped", "done"]
    found = made(folder, "h4n")
    digests = {path.name: sha256_of(path) for path in (folder / "input").iterdir()}
    assert found.keys() == {f"STE_{number}_{digests[f'STE {number}.wav'][:8]}" for number in ("001", "003")}
    for name, facts in found.items():
        place = folder / "media" / "h4n" / name
        assert list(facts["stems"]) == ["vocals", "drums", "rest"]
        assert (facts["file_hash"], facts["strategy"]) == (digests[facts["filename"]], "successive")
        for stem, about in facts["stems"].items():
            samples = read(place / f"{stem}.opus", channels=2)
            assert samples.shape[1] == round(SECONDS * 48_000)
            assert about["stem_url"] == f"{stem}.opus"
            assert -70 <= about["measured_lufs"] < 0
            assert (place / about["waveform_url"]).stat().st_size > 100
    (folder / "input" / "STE 001.wav").rename(folder / "input" / "another name.wav")
    assert {one["status"] for one in told(folder, "h4n")} == {"skipped"}


def test_what_is_lost_is_made_again_and_so_is_what_is_forced(folder: Path) -> None:
    (folder / "input" / "STE 002.wav").unlink()
    (folder / "input" / "STE 003.wav").unlink()
    told(folder, "plain")
    [name] = made(folder, "plain")
    stems = folder / "media" / "plain" / name
    (stems / "bass_waveform.png").unlink()
    told(folder, "plain")
    assert (stems / "bass_waveform.png").exists()
    before = (stems / "metadata.json").stat().st_mtime_ns
    assert [one["status"] for one in told(folder, "plain")] == ["skipped"]
    assert (stems / "metadata.json").stat().st_mtime_ns == before
    text = (folder / "config.yaml").read_text().replace("strategy: sketch,", "strategy: fast,")
    (folder / "config.yaml").write_text(text)
    done = run("process", "plain", cwd=folder)
    assert "processed with the strategy sketch; --force does it again" in done.stderr
    assert [one["status"] for one in told(folder, "plain", "--force")] == ["done"]
    assert made(folder, "plain")[name]["strategy"] == "fast"


def test_folder_goes_on_after_a_recording_that_fails(folder: Path) -> None:
    (folder / "input" / "STE 001.wav").write_bytes(b"RIFF")
    (folder / "input" / "STE 002.wav").unlink()
    said = told(folder, "plain", code=1)
    assert [one["status"] for one in said] == ["failed", "done"]
    assert len(made(folder, "plain")) == 1


def test_remote_profile_lets_the_worker_do_it_and_has_the_files_here(
    folder: Path, worker: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPU_WORKER_URL", worker.url)
    assert [one["status"] for one in told(folder, "gpu")] == ["done", "skipped", "done"]
    assert worker.http.get("/api/v1/jobs").json()["total"] == 2
    for name, facts in made(folder, "gpu").items():
        assert list(facts["stems"]) == ["vocals", "drums", "bass", "other"]
        mix = sum(read(folder / "media" / "gpu" / name / f"{stem}.mp3", channels=2) for stem in facts["stems"])
        original = read(folder / "input" / facts["filename"], channels=2)
        assert mix.shape == original.shape  # type: ignore[union-attr]
        size = (folder / "media" / "gpu" / name / "bass.mp3").stat().st_size
        assert 8 * size / SECONDS == pytest.approx(96_000, rel=0.2)
    assert {one["status"] for one in told(folder, "gpu")} == {"skipped"}


def test_worker_that_is_down_or_refuses_is_told_as_such(
    folder: Path, worker: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    [down] = told(folder, "gpu", code=1)  # the others would fare no better
    assert down["error"]["code"] == "worker_failed"
    monkeypatch.setenv("GPU_WORKER_URL", worker.url)
    text = (folder / "config.yaml").read_text().replace("strategy: fast, remote", "strategy: successives, remote")
    (folder / "config.yaml").write_text(text)
    said = told(folder, "gpu", code=1)
    assert {one["error"]["code"] for one in said} == {"worker_refused"}
    assert "successives" in said[0]["error"]["message"]
    assert not list((folder / "media").glob("gpu/*"))


@pytest.mark.parametrize(
    ("profile", "change", "code", "words"),
    [
        ("nobody", ("", ""), 2, "Profile 'nobody' not found"),
        ("plain", ("${INPUT}", "./nothing"), 2, "the folder of plain is not here"),
        ("plain", ("${INPUT}", "media"), 1, "no song in"),
        ("plain", ("${INPUT}", "${NOT_SET}-${NOR_THIS}"), 2, "not set, here or in .env: NOT_SET, NOR_THIS"),
        ("h4n", ("drums: drums", "guitar: guitar"), 2, "guitar"),
    ],
)
def test_what_cannot_work_is_told_before_anything_is_done(
    folder: Path, profile: str, change: tuple[str, str], code: int, words: str
) -> None:
    (folder / "media").mkdir()
    (folder / "config.yaml").write_text((folder / "config.yaml").read_text().replace(*change))
    assert words in " ".join(run("process", profile, cwd=folder, code=code).stderr.split())
    assert not list((folder / "media").iterdir())
