"""The README is true: each of its commands is run here."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sounds import sound, write_wav

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
COMMANDS = [line.partition("  #")[0].strip() for block in BLOCKS for line in block.splitlines() if line.strip()]
STEMWRIGHT = [command for command in COMMANDS if command.startswith("stemwright ")]


def test_readme_holds_only_commands_that_are_run_below() -> None:
    others = [command for command in COMMANDS if command not in STEMWRIGHT]
    assert others == ["make demo", "make test", ".venv/bin/pip install -e '.[demucs]'"]
    assert len(STEMWRIGHT) > 8


def test_every_file_that_the_readme_links_to_is_there() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert links
    for link in links:
        assert (ROOT / link).is_file(), link


def test_commands_run_one_after_the_other_as_a_reader_types_them(tmp_path: Path) -> None:
    (tmp_path / "album").mkdir()
    write_wav(tmp_path / "album" / "one.wav", sound("song", seconds=3, seed=1))
    write_wav(tmp_path / "album" / "two.wav", sound("song", seconds=2))
    (tmp_path / "song.mp3").write_bytes(_mp3(tmp_path / "album" / "two.wav"))
    env = os.environ | {"HF_HUB_OFFLINE": "1"}  # `auto` must not download weights in a test
    for command in STEMWRIGHT:
        words = shlex.split(command)
        done = subprocess.run(
            [sys.executable, "-m", *words],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    expected = [
        *(f"stems/song/{stem}.flac" for stem in ("vocals", "no_vocals")),
        *(f"out/{song}/{stem}.mp3" for song in ("one", "two") for stem in ("vocals", "drums", "bass", "other")),
        "stage/song/song.stem.mp4",
        "draw/song/waveforms.svg",
        "draw/song/mix.peaks.json",
        "fine/song/vocals.flac",
    ]
    for name in expected:
        assert (tmp_path / name).is_file(), name


def _mp3(song: Path) -> bytes:
    from stemwright.audio.ffmpeg import find_ffmpeg

    command = [find_ffmpeg(), "-v", "error", "-i", str(song), "-f", "mp3", "-"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def test_extra_is_installed_by_the_command_that_the_readme_gives() -> None:
    """The Makefile installs the same extra with the same words; here pip only has to understand them."""
    assert "--editable '.[demucs,dev]'" in (ROOT / "Makefile").read_text(encoding="utf-8")
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", "-e", ".[demucs]"]
    assert (
        "Would install stemwright"
        in subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    )


@pytest.mark.slow
def test_make_demo_in_a_fresh_clone_takes_our_song_apart(tmp_path: Path) -> None:
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout.split(b"\0")
    for name in filter(None, map(bytes.decode, names)):
        if (ROOT / name).is_file():
            target = tmp_path / "clone" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)
    done = subprocess.run(["make", "demo"], cwd=tmp_path / "clone", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for stem in ("vocals", "drums", "bass", "other"):
        assert f"out/song/{stem}.flac" in done.stdout
        assert (tmp_path / "clone" / "out" / "song" / f"{stem}.flac").stat().st_size > 100_000
    freeze = subprocess.run(
        [tmp_path / "clone/.venv/bin/pip", "list"], check=True, capture_output=True, text=True
    ).stdout
    assert "torch" not in freeze
    shutil.rmtree(tmp_path / "clone")
