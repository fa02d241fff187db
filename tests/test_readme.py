"""The README is true: each of its commands is run here."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from needs import needs
from server import running
from sounds import sound, write_wav

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server import Server

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
COMMANDS = [line.partition("  #")[0].strip() for block in BLOCKS for line in block.splitlines() if line.strip()]
STEMWRIGHT = [command for command in COMMANDS if command.startswith("stemwright ")]
CURL = [command for command in COMMANDS if command.startswith("curl ")]


def test_readme_holds_only_commands_that_are_run_below() -> None:
    others = [command for command in COMMANDS if command not in {*STEMWRIGHT, *CURL}]
    assert others == ["make demo", "make serve", "make test", ".venv/bin/pip install -e '.[demucs]'"]
    assert len(STEMWRIGHT) > 8
    assert len(CURL) > 3


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
    env = os.environ | {"STEMWRIGHT_MODEL_OFFLINE": "true"}  # `auto` must not download weights in a test
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


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Server]:
    with running(tmp_path / "data") as server:
        yield server


def _script(studio: Server, folder: Path, text: str) -> str:
    """Run shell commands against a server, in a folder with a song; what they print."""
    write_wav(folder / "song.wav", sound("song", seconds=2, seed=2))
    (folder / "song.mp3").write_bytes(_mp3(folder / "song.wav"))
    script = "set -e\n" + text.replace("http://127.0.0.1:8000", studio.url).replace(
        "curl ", "curl --fail-with-body -sS "
    )
    done = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr + studio.log.read_text()[-3000:]
    return done.stdout


def test_server_answers_the_commands_of_the_readme(studio: Server, tmp_path: Path) -> None:
    said = [json.loads(_script(studio, tmp_path, command)) for command in CURL]
    assert said[0]["links"]["self"].startswith("/api/v1/jobs/")
    assert [song["title"] for song in said[2]["items"]] == ["song"]
    assert said[3]["total"] == 2


def test_api_guide_is_true_from_its_first_command_to_its_last(studio: Server, tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    said = _script(studio, tmp_path, "\n".join(re.findall(r"```sh\n(.*?)```", guide, re.DOTALL)))
    assert '"status": "succeeded"' in said
    lengths = {
        name: (tmp_path / name).stat().st_size for name in ("vocals.flac", "drums.mp3", "stems.zip", "karaoke.m4a")
    }
    assert min(lengths.values()) > 5000, lengths
    assert (tmp_path / "drums.mid").read_bytes().startswith(b"MThd")
    assert "</svg>" in (tmp_path / "drums.svg").read_text(encoding="utf-8")
    assert (tmp_path / "part.flac").stat().st_size <= 100_000
    assert (tmp_path / "song.stem.mp4").stat().st_size > lengths["karaoke.m4a"]


def test_extra_is_installed_by_the_command_that_the_readme_gives() -> None:
    """The Makefile installs the same extra with the same words; here pip only has to understand them."""
    assert "--editable '.[demucs,server,fleet,runpod,dev]'" in (ROOT / "Makefile").read_text(encoding="utf-8")
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", "-e", ".[demucs]"]
    assert (
        "Would install stemwright"
        in subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    )


@pytest.mark.slow
@needs("git")
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
    assert "dbos" not in freeze  # the base install stays small
    _serve(tmp_path / "clone", tmp_path / "data")
    shutil.rmtree(tmp_path / "clone")


def _serve(clone: Path, data: Path) -> None:
    """`make serve` says where the studio is, answers there, and ends when it is told to."""
    env = os.environ | {"STEMWRIGHT_PORT": "0", "STEMWRIGHT_DATA": str(data)}
    with subprocess.Popen(
        ["make", "serve"], cwd=clone, env=env, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout
        url = next(found[0] for line in process.stdout if (found := re.search(r"http://\S+", line)))
        assert "Stemwright" in httpx.get(url).text
        assert httpx.get(f"{url}/livez").json() == {"status": "ok"}
        os.killpg(process.pid, signal.SIGINT)
        process.wait(60)
