"""The floors of the house: what may import what, and how large a module may grow."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import needs

SOURCE = Path(__file__).parent.parent / "src" / "stemwright"
FLOORS = [
    {"errors", "types", "failpoints", "disk", "children", "words", "memory", "subnormals"},
    {"bounded_yaml", "records", "setting_values"},
    {"setting_files"},
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
    """The room of a module; the commands that doors bring are the command line's."""
    parts = path.relative_to(SOURCE).parts
    return "cli" if parts[0] == "doors" and parts[-1] == "command.py" else parts[0].removesuffix(".py")


@pytest.mark.parametrize(
    "path", sorted((SOURCE / "doors").rglob("*/*.py")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_doors_do_not_import_each_other(path: Path) -> None:
    names = re.findall(r"^\s*(?:from|import) stemwright\.doors\.(\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert {*names} <= {path.parent.name, "door"}


DOORS = ("demucs-web", "drumalong", "mismo", "runpod", "stemset")


def test_app_and_command_line_know_no_door_by_name() -> None:
    names = re.compile("|".join(DOORS).replace("-", "[-_ ]?"), re.IGNORECASE)
    for path in sorted(MODULES):
        if path.relative_to(SOURCE).parts[0] in {"app", "cli"}:
            assert not names.search(path.read_text(encoding="utf-8")), path


def test_app_and_command_line_know_no_family_by_name() -> None:
    with (SOURCE.parents[1] / "pyproject.toml").open("rb") as file:
        families = tomllib.load(file)["project"]["entry-points"]["stemwright.separators"]
    names = re.compile("|".join(families).replace("-", "[-_ ]?"), re.IGNORECASE)
    for path in MODULES:
        if path.relative_to(SOURCE).parts[0] in {"app", "cli"}:
            text = re.sub(r'Alias\("DEMUCS_\w+"\)|custom models', "", path.read_text(encoding="utf-8"))
            assert not names.search(text), path  # the variables of another system are read as it calls them


def test_a_door_is_registered_as_anybody_s_and_nothing_outside_its_folder_imports_it() -> None:
    with (SOURCE.parents[1] / "pyproject.toml").open("rb") as file:
        registered = tomllib.load(file)["project"]["entry-points"]["stemwright.doors"]
    folders = {path.parent.name for path in (SOURCE / "doors").glob("*/__init__.py")}
    assert {*registered} == {*DOORS}
    assert {*registered.values()} == {f"stemwright.doors.{folder}" for folder in folders}
    for folder in folders:
        assert {f"{name}.py" for name in ("settings", "door")} <= {
            path.name for path in (SOURCE / "doors" / folder).iterdir()
        }
        for path in MODULES:
            if path.parent.name != folder:
                imports = rf"^\s*(from|import) stemwright\.doors(\.| import ){folder}\b"
                assert not re.search(imports, path.read_text(encoding="utf-8"), re.MULTILINE), path


# Circles that are known, and are to go; a new one is a fault.
KNOWN_CIRCLES: set[frozenset[str]] = set()


def imports_of(root: Path) -> dict[str, set[str]]:
    """Each module below a package's folder, with the modules of it that it imports, wherever in it and for whatever."""
    paths = {}
    for path in root.rglob("*.py"):
        parts = (root.name, *path.relative_to(root).with_suffix("").parts)
        paths[".".join(parts).removesuffix(".__init__")] = path
    found = {}
    for name, path in paths.items():
        imported = set[str]()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                whole = {f"{node.module}.{alias.name}" for alias in node.names}  # `from package import module`
                imported |= (whole & paths.keys()) or {node.module}
        found[name] = imported & paths.keys() - {name}
    return found


def circles(graph: dict[str, set[str]]) -> set[frozenset[str]]:
    """The groups of modules each of which leads to all others of its group."""

    def reached(start: str) -> set[str]:
        seen, left = set[str](), [start]
        while left:
            fresh = graph[left.pop()] - seen
            seen |= fresh
            left += fresh
        return seen

    reach = {name: reached(name) for name in graph}
    groups = {frozenset(other for other in reach[name] if name in reach[other]) for name in graph}
    return {group for group in groups if group}


def test_a_circle_of_imports_is_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"e"}, "e": {"d"}, "f": set()}
    assert circles(graph) == {frozenset("bc"), frozenset("de")}
    assert "stemwright.disk" in imports_of(SOURCE)["stemwright.engine.output"]
    assert "stemwright.separators.protocol" in imports_of(SOURCE)["stemwright.engine.song_separator"]  # for types only


@pytest.mark.parametrize("root", [SOURCE, *(SOURCE.parents[1] / name for name in ("training", "demo", "benchmarks"))])
def test_modules_do_not_import_each_other_in_circles(root: Path) -> None:
    graph = imports_of(root)
    assert graph
    assert circles(graph) == {group for group in KNOWN_CIRCLES if group <= graph.keys()}


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
    heavy = {"numpy", "scipy", "torch", "soxr", "pydantic", "yaml", "rich", "fastapi", "demucs", "runpod"}
    code = (
        "import atexit, sys; from stemwright.cli.main import main; sys.argv[1:] = ['--help'];"
        "atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr)); main()"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "process" in done.stdout  # commands of doors are there
    assert "stemwright.doors.stemset.command" in done.stderr.split()
    assert not heavy & {*done.stderr.split()}


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


def room(path: Path) -> str:
    return str(path.relative_to(SOURCE))


UNTYPED: dict[str, int] = {  # lines where JSON, or somebody else's types, are read as they come
    "doors/catalogue.py": 2,  # typer's `context_settings`
    "doors/stemset/config.py": 1,  # the strategies of a file, which `strategies/` reads with their lines
    "studio/store/migrations/versions/v0003_records_and_outbox.py": 8,  # the JSON of an earlier edition
    "web/common.py": 1,  # OpenAPI's, as FastAPI takes it
}


def test_records_cross_the_rooms_and_no_dicts_of_anything() -> None:
    found = {}
    for path in MODULES:
        count = path.read_text(encoding="utf-8").count("dict[str, Any]")
        if count and home(path) in {"engine", "studio", "web", "doors"}:
            found[room(path)] = count
    assert found == UNTYPED


def test_links_are_made_in_the_web_alone() -> None:
    for path in MODULES:
        if home(path) in {"engine", "studio", "app", "cli"}:
            assert "/api/v1" not in path.read_text(encoding="utf-8"), path


def test_sql_is_in_the_studio_alone() -> None:
    for path in MODULES:
        if home(path) != "studio":
            imports = re.search(
                r"^\s*(from|import) (sqlalchemy|alembic|dbos)\b", path.read_text(encoding="utf-8"), re.M
            )
            assert not imports, path


def test_doors_know_the_studio_and_the_web_and_nothing_of_queue_and_tables() -> None:
    for path in (SOURCE / "doors").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        inside = {*re.findall(r"stemwright\.studio\.(work|store)\.?(\w*)", text)}
        assert inside <= {("store", "objects")}, path  # files that a door serves from a folder of its own
        if path.name != "command.py":  # which is a part of the command line
            assert not re.search(r"stemwright\.(app|cli)\b", text), path
