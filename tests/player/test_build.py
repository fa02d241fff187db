"""What is built of the player: small enough, by types that fit the API, and in every wheel."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from stemwright.web.page import FOLDER

ROOT = Path(__file__).parents[2]
PLAYER = ROOT / "player"


def test_first_view_is_at_most_200_kb_of_script() -> None:
    manifest = json.loads((FOLDER / ".vite" / "manifest.json").read_text())
    wanted, seen = ["index.html"], set()
    while wanted:
        name = wanted.pop()
        if name not in seen:
            seen.add(name)
            wanted += manifest[name].get("imports", [])
    size = sum(len(gzip.compress((FOLDER / manifest[name]["file"]).read_bytes())) for name in seen)
    assert size <= 200_000


def test_page_names_no_other_host_to_load_from() -> None:
    text = (FOLDER / "index.html").read_text()
    assert "http://" not in text
    assert "https://" not in text
    for style in (FOLDER / "assets").glob("*.css"):
        assert "url(http" not in style.read_text()


def test_types_are_those_of_the_documented_api(tmp_path: Path) -> None:
    made = tmp_path / "schema.ts"
    command = json.loads((PLAYER / "package.json").read_text())["scripts"]["types"]
    arguments = command.replace("src/api/schema.ts", str(made)).split()[1:]
    binary = PLAYER / "node_modules" / ".bin" / "openapi-typescript"
    subprocess.run([binary, *arguments], cwd=PLAYER, check=True, capture_output=True)
    assert made.read_text() == (PLAYER / "src" / "api" / "schema.ts").read_text(), "npm run types in player/"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """As much of the repository as a build looks at."""
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, tmp_path / name)
    web = tmp_path / "src" / "stemwright" / "web"
    web.mkdir(parents=True)
    (web.parent / "__init__.py").write_text('__version__ = "1"\n')
    return tmp_path


def build(source: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel"]
    return subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)


def test_wheel_without_the_page_is_refused_and_one_with_it_has_it(source: Path) -> None:
    pytest.importorskip("hatchling", reason="builds wheels, which the tests do not install")
    refused = build(source)
    assert refused.returncode != 0
    assert "make player" in refused.stderr
    page = source / "src" / "stemwright" / "web" / "page"
    (page / "assets").mkdir(parents=True)
    (page / "index.html").write_text("<!doctype html>")
    (page / "assets" / "a.js").write_text("1")
    made = build(source)
    assert made.returncode == 0, made.stderr
    with zipfile.ZipFile(next((source / "dist").glob("*.whl"))) as wheel:
        assert {"stemwright/web/page/index.html", "stemwright/web/page/assets/a.js"} <= {*wheel.namelist()}
