"""The command itself, `models` and `doctor`."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

import stemwright
from cli.command import STEMWRIGHT, run
from sounds import sound, write_wav
from tiny_demucs import make_repo

if TYPE_CHECKING:
    from pathlib import Path


def test_version_is_the_packages() -> None:
    assert run("--version").stdout == f"stemwright {stemwright.__version__}\n"


@pytest.mark.parametrize("arguments", [["doctor"], ["strategies", "show", "quick"], ["models", "show", "htdemucs"]])
def test_terminal_that_knows_only_ascii_is_no_error(arguments: list[str]) -> None:
    ascii_only = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run([*STEMWRIGHT, *arguments], capture_output=True, env=ascii_only, check=False)
    assert b"Traceback" not in done.stderr
    assert done.stdout.isascii()
    assert done.stdout.strip()


def test_song_is_separated_where_the_terminal_knows_only_ascii(tmp_path: Path) -> None:
    song = write_wav(tmp_path / "Gr\u00fc\u00dfe.wav", sound("noise", seconds=0.3))
    ascii_only = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for more in ([], ["--json"]):
        done = subprocess.run(
            [*STEMWRIGHT, "separate", song, "-m", "sketch", "-o", tmp_path / "out", *more],
            capture_output=True,
            env=ascii_only,
            check=False,
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("arguments", [["-"], ["/dev/stdin"]])
def test_standard_input_is_refused_with_what_to_do(tmp_path: Path, arguments: list[str]) -> None:
    command = [*STEMWRIGHT, "separate", *arguments, "-m", "sketch", "-o", str(tmp_path / "out")]
    done = subprocess.run(command, input=b"RIFF", capture_output=True, check=False)
    assert done.returncode == 1
    assert b"save the recording to a file first" in done.stderr


def test_help_takes_no_more_than_a_few_starts_of_python() -> None:
    def seconds(command: list[str]) -> float:
        times = []
        for _ in range(5):
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            times.append(time.perf_counter() - start)
        return statistics.median(times)

    bare = seconds([sys.executable, "-c", "import email.message, inspect"])
    assert seconds([*STEMWRIGHT, "--help"]) < 8 * bare  # 0.3 s where Python starts in 0.04 s


@pytest.mark.parametrize("command", ["separate", "models", "doctor"])
def test_every_command_explains_itself(command: str) -> None:
    assert "--help" in run(command, "--help").stdout


def test_models_tells_what_is_here_and_what_can_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMWRIGHT_MODEL_CACHE", str(tmp_path))
    monkeypatch.setenv("STEMWRIGHT_MODEL_OFFLINE", "false")  # listing models never connects
    listed = {model["name"]: model for model in json.loads(run("models", "--json").stdout)}
    assert {"sketch", "htdemucs", "htdemucs_ft", "htdemucs_6s", "hdemucs_mmi"} <= listed.keys()
    assert listed["sketch"]["state"] == "ready"
    assert listed["htdemucs"]["state"] == "download"
    assert listed["htdemucs"]["download_bytes"] > 10e6
    assert listed["htdemucs_6s"]["stems"] == ["drums", "bass", "other", "vocals", "guitar", "piano"]
    text = run("models", "--all").stdout
    assert all(name in text for name in listed)
    assert "MIT" in text
    assert "hdemucs_mmi" not in run("models").stdout


def test_models_finds_weights_in_a_folder(tmp_path: Path) -> None:
    make_repo(tmp_path / "repo", name="htdemucs", samplerate=8000)
    listed = {
        model["name"]: model["state"]
        for model in json.loads(run("models", "--repo", tmp_path / "repo", "--json").stdout)
    }
    assert listed["htdemucs"] == "ready"


def test_doctor_finds_this_machine_well() -> None:
    checks = {check["name"]: check for check in json.loads(run("doctor", "--json").stdout)}
    assert {"ffmpeg", "encoders", "devices", "demucs", "sketch", "htdemucs", "output disk"} <= checks.keys()
    assert "fault" not in {check["state"] for check in checks.values()}
    assert "ffmpeg" in run("doctor").stdout


def test_doctor_says_what_is_missing(tmp_path: Path) -> None:
    """A folder in front of all others hides imageio-ffmpeg, and an empty PATH the system's ffmpeg."""
    (tmp_path / "imageio_ffmpeg.py").write_text("raise ImportError('hidden')\n")
    env = {"PATH": str(tmp_path), "PYTHONPATH": str(tmp_path), "HOME": os.environ.get("HOME", "/")}
    done = subprocess.run([*STEMWRIGHT, "doctor"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no ffmpeg" in done.stdout


def test_works_without_a_system_ffmpeg(tmp_path: Path) -> None:
    from sounds import sound, write_wav

    song = write_wav(tmp_path / "song.wav", sound("noise", seconds=0.3))
    python = shutil.which(sys.executable) or sys.executable
    done = subprocess.run(
        [python, "-m", "stemwright", "separate", song, "-m", "sketch", "-o", tmp_path / "out", "-f", "mp3", "--json"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["receipt"]["versions"]["ffmpeg"] != "5.1.9-0+deb12u1"
