"""The floors of the house: what may import what, and how large a module may grow."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import needs

SOURCE = Path(__file__).parent.parent / "src" / "stemwright"
FLOORS = [
    {"errors", "types", "failpoints", "disk", "children", "words", "memory", "subnormals"},
    {"bounded_yaml"},
    {"audio", "weights"},
    {"separators", "drums", "analysis"},
    {"strategies"},
    {"engine"},
    {"studio"},
    {"web"},
    {"doors"},
    {"app"},
    {"cli"},
]
FLOOR_OF = {name: number for number, names in enumerate(FLOORS) for name in names}
MODULES = sorted(SOURCE.rglob("*.py"))
TOP = {"__init__", "__main__"}  # the package itself: its version, and the way in


def imported(path: Path) -> set[str]:
    """First names below `stemwright` that a module imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    parts = [name.split(".") for name in names]
    return {part[1] for part in parts if part[0] == "stemwright" and len(part) > 1} & FLOOR_OF.keys()


def home(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


@pytest.mark.parametrize(
    "path", sorted((SOURCE / "doors").rglob("*/*.py")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_doors_do_not_import_each_other(path: Path) -> None:
    names = re.findall(r"^\s*(?:from|import) stemwright\.doors\.(\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert {*names} <= {path.parent.name, "door"}


def test_there_is_no_room_that_is_on_no_floor() -> None:
    assert {home(path) for path in MODULES} - TOP <= FLOOR_OF.keys()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_module_imports_only_floors_below_its_own(path: Path) -> None:
    own = home(path)
    if own in TOP:
        return
    for other in imported(path) - {own}:
        assert FLOOR_OF[other] < FLOOR_OF[own], f"{own} imports {other}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_module_stays_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_only_the_app_reads_the_environment() -> None:
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        if home(path) not in {"app"}:
            assert "os.environ" not in text, path
            assert not re.search(r"\bgetenv", text), path


def test_nothing_imports_the_training_or_the_tests() -> None:
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] not in {"training", "tests", "demo", "benchmarks"}, path


def test_help_loads_nothing_heavy() -> None:
    heavy = {"numpy", "scipy", "torch", "soxr", "pydantic", "rich.progress", "demucs"}
    code = "import sys, stemwright.cli.main; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not heavy & {*loaded}


def test_separating_by_sketch_does_not_load_torch() -> None:
    code = (
        "import sys; from stemwright.engine.separate import Engine;"
        "from stemwright.engine.options import SeparateOptions;"
        "Engine(SeparateOptions(model='sketch'))._load(); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


TESTS = Path(__file__).parent
ALWAYS = {"bash", "make", "mount", "sleep", "true", "umount"}  # of Debian itself, or of `make test`


def started_by_tests() -> set[str]:
    """Names of the programs that tests start: the first words of lists that are written out."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in TESTS.rglob("*.py")]
    lists = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.List)]
    starts = {"subprocess.run", "subprocess.Popen", "subprocess.check_output"}
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    given = [call.args[0] for call in calls if call.args and ast.unparse(call.func) in starts]
    assigned = [
        node.value
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "command"
    ]
    return {
        str(first.value)
        for node in lists
        if node in [*given, *assigned]
        and node.elts
        and isinstance(first := node.elts[0], ast.Constant)
        and isinstance(first.value, str)
    }


def test_every_program_and_file_that_tests_use_is_installed_by_make_test_and_known_to_needs() -> None:
    makefile = (TESTS.parent / "Makefile").read_text(encoding="utf-8")
    debian = re.search(r"^DEBIAN := ((?:.*\\\n)*.*)$", makefile, re.MULTILINE)
    assert debian is not None
    assert {*debian[1].replace("\\\n", " ").split()} >= needs.PACKAGES
    started = started_by_tests()
    assert {"curl", "espeak-ng", "node"} <= started
    assert started <= {*needs.PROGRAMS, "node", "npm"} | ALWAYS
    for path in TESTS.rglob("*.py"):
        if path.name not in {"needs.py", "test_house.py"}:
            assert "/usr/share" not in path.read_text(encoding="utf-8"), path


def test_yaml_is_read_in_one_place() -> None:
    for path in MODULES:
        if path.name != "bounded_yaml.py":
            found = re.search(r"\byaml\.(safe_|full_)?(load|compose|parse|scan)\w*\(", path.read_text(encoding="utf-8"))
            assert not found, path


def test_every_child_is_given_its_environment() -> None:
    starts = {"subprocess.run", "subprocess.Popen", "asyncio.create_subprocess_exec"}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in starts:
                assert "env" in {keyword.arg for keyword in node.keywords}, f"{path}:{node.lineno}"
