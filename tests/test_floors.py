"""Every lowest version that pyproject.toml allows is one that works: a fast suite runs on exactly these versions."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PLACE = ROOT / ".venv" / "floors"
NEWEST_PYTHON = (3, 12)  # the oldest numpy and scipy that we allow have no wheels for later ones
TOOLS = ("pytest", "hypothesis", "aiohttp", "soundfile")  # of the suite; no floors
SUITE = (  # a few of each: decoders and encoders, onnxruntime, forms, the server, push, zip, database, queue, callbacks
    "tests/audio/test_encode.py::test_lossless_formats_give_back_each_bit",
    "tests/separators/test_sketch.py::test_takes_our_own_song_apart",
    "tests/weights/test_onnx.py",
    "tests/studio/store/test_database.py",
    "tests/studio/store/test_objects.py",
    "tests/studio/work/test_queue.py",
    "tests/studio/work/test_webhooks.py",
    "tests/web/test_uploads.py",
    "tests/web/test_newcomer.py",
    "tests/web/test_ops.py",
    "tests/web/test_push.py",
    "tests/strategies/test_read.py",
    "tests/cli/test_config.py",
)
TOO_LONG = "two_hundred or each_second or any_bytes or any_cutting or hundred_thousand"


def project() -> dict[str, Any]:
    """The `[project]` table."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        table: dict[str, Any] = tomllib.load(file)["project"]
    return table


def requirements() -> list[Requirement]:
    """What the base installation and the server need."""
    table = project()
    return [Requirement(text) for text in (*table["dependencies"], *table["optional-dependencies"]["server"])]


def floor(requirement: Requirement) -> Version | None:
    """The lowest version that is allowed."""
    found = [Version(each.version) for each in requirement.specifier if each.operator in {">=", "=="}]
    return max(found, default=None)


@pytest.fixture(scope="module")
def python() -> Path:
    """The interpreter of an environment with exactly the floors, made anew when they change."""
    if sys.version_info[:2] > NEWEST_PYTHON:
        pytest.skip("the oldest numpy and scipy have no wheels for this Python")
    pins = [f"{each.name}=={floor(each)}" for each in requirements()]
    registered = json.dumps(project()["entry-points"])
    key = hashlib.sha256("\n".join([sys.version, *TOOLS, *pins, registered, str(ROOT)]).encode()).hexdigest()
    python, mark = PLACE / "bin" / "python", PLACE / "key"
    if mark.is_file() and mark.read_text() == key:
        return python
    ask: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "index",
        "versions",
        "python-multipart",
        "--retries=0",
        "--timeout=10",
    ]
    if subprocess.run(ask, capture_output=True, check=False).returncode:
        pytest.skip("PyPI cannot be reached")
    shutil.rmtree(PLACE, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", PLACE], check=True)
    constraints = PLACE / "constraints.txt"
    constraints.write_text("\n".join(pins))
    install: list[str | Path] = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--constraint",
        constraints,
    ]
    done = subprocess.run(
        [*install, "--editable", f"{ROOT}[server]", *TOOLS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    mark.write_text(key)
    return python


def test_every_dependency_has_a_floor() -> None:
    table = project()
    extras: dict[str, list[str]] = table["optional-dependencies"]
    all_of_them = [Requirement(text) for texts in (table["dependencies"], *extras.values()) for text in texts]
    assert [each.name for each in all_of_them if floor(each) is None] == ["types-pyyaml"]


@pytest.mark.slow
def test_environment_has_the_floors_and_nothing_conflicts(python: Path) -> None:
    code = "import importlib.metadata as m, json; print(json.dumps([[d.name, d.version] for d in m.distributions()]))"
    said = json.loads(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout)
    installed = {canonicalize_name(name): Version(version) for name, version in said}
    wanted = {canonicalize_name(each.name): floor(each) for each in requirements()}
    assert {name: installed.get(name) for name in wanted} == wanted
    check = subprocess.run([python, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stdout


@pytest.mark.slow
def test_fast_suite_passes_on_the_floors(python: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PYTHON"))}
    environ["PATH"] = f"{python.parent}{os.pathsep}{environ['PATH']}"
    ask: list[str | Path] = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", f"not ({TOO_LONG})", *SUITE]
    done = subprocess.run(ask, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 150, done.stdout[-2000:]
    assert "importorskip" not in done.stdout
    assert "could not import" not in done.stdout, done.stdout[-4000:]  # nothing was skipped for want of a package
