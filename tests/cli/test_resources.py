"""A resource of the process that runs out is a sentence with a code, whoever used it up; here a third party's model."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from cli.command import STEMWRIGHT, lines
from sounds import sound, write_wav
from stemwright.audio.decode import DecodeLimits
from stemwright.engine.process.messages import Separate, line_of, said_by
from stemwright.engine.settings import SeparationSettings

GREEDY = """
from separators_for_tests import KnownFamily

def nested(depth):
    return nested(depth + 1)

def open_files():
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    return [open("/dev/null") for _ in range(100)]

class Greedy(KnownFamily):
    name = "greedy"
    def load(self, name, /, options):
        return {"half": lambda: bytearray(1 << 60), "loud": lambda: nested(0), "broken": open_files}[name]()

FAMILY = Greedy()
"""
CODES = {"half": "out_of_memory", "loud": "too_complex", "broken": "exhausted"}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A model that wants more than there is, registered as an installed package of a third party would be."""
    package = tmp_path / "site" / "greedy-1.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: greedy\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[stemwright.separators]\ngreedy = greedy:FAMILY\n")
    (tmp_path / "site" / "greedy.py").write_text(GREEDY)
    return os.environ | {"PYTHONPATH": os.pathsep.join((str(tmp_path / "site"), str(Path(__file__).parents[1])))}


@pytest.mark.parametrize(("model", "code"), CODES.items())
def test_song_fails_with_a_code_and_no_traceback(
    model: str, code: str, environment: dict[str, str], tmp_path: Path
) -> None:
    song = write_wav(tmp_path / "song.wav", sound("noise", seconds=0.2))
    command = [*STEMWRIGHT, "separate", str(song), "--model", model, "-o", str(tmp_path / "out"), "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert [line["error"]["code"] for line in lines(done)] == [code]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("model", "code"), CODES.items())
def test_engine_process_answers_with_a_code(model: str, code: str, environment: dict[str, str], tmp_path: Path) -> None:
    song = write_wav(tmp_path / "song.wav", sound("noise", seconds=0.2))
    request = Separate(
        song=song,
        file_name="song.wav",
        root=tmp_path / "out",
        model=model,
        repo=None,
        device="auto",
        format="wav32f",
        settings=SeparationSettings(),
        limits=DecodeLimits(),
    )
    command = [STEMWRIGHT[0], "-m", "stemwright.app.engine"]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(line_of(request))
        process.stdin.flush()
        error = next(said.error for line in process.stdout if (said := said_by(line)).error)
        process.stdin.close()
    assert error
    assert error.code == code


def test_command_without_songs_too_ends_with_a_code(environment: dict[str, str], tmp_path: Path) -> None:
    asked = 'name = "greedy"\n    def availability(self, name, /, *, repo=None):\n        return nested(0)'
    (tmp_path / "site" / "greedy.py").write_text(GREEDY.replace('name = "greedy"', asked))
    done = subprocess.run(
        [*STEMWRIGHT, "models", "--json"], env=environment, capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 1
    assert lines(done) == [
        {
            "status": "failed",
            "error": {"code": "too_complex", "message": "what was given is nested too deeply to be read"},
        }
    ]
