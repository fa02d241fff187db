"""Settings from `stemwright.yaml`: finding it, reading it, putting variables into its texts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from stemwright.app._settings_environment import CONFIG
from stemwright.app._settings_leaves import Leaf, Reading, suggestion
from stemwright.disk import ForeignFileError
from stemwright.setting_files import parse, substitute, untrusted
from stemwright.words import shortened

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

FILE: Final = "stemwright.yaml"


def find_file(path: Path | None, *, environ: Mapping[str, str]) -> Path | None:
    """The file to read: the one named, else that of `STEMWRIGHT_CONFIG`, else `./stemwright.yaml` if there is one."""
    named = path or (Path(text) if (text := environ.get(CONFIG)) else None)
    if named is not None:
        return named.absolute()
    here = Path(FILE).absolute()
    return here if here.exists() else None


def read_file(
    path: Path, *, environ: Mapping[str, str], leaves: Sequence[Leaf], ignored: Collection[str], found: bool = False
) -> Reading:
    """What a file says; `found`: nobody named it. An empty value counts as not given; groups in `ignored` do too.

    Raises `UntrustedFileError`.
    """
    reading = Reading()
    try:
        tree, faults = parse(path, found=found)
        tree = {key: value for key, value in tree.items() if key not in ignored}
        reading.faults.extend(faults)
        whole = substitute(tree, environ=environ)
    except ForeignFileError as error:
        raise untrusted(error, remedy=f"name it by --config or {CONFIG}") from error
    except OSError as error:
        reading.faults.append(f"{path}: {error.strerror or 'cannot be read'}")
        return reading
    except ValueError as error:
        reading.faults.append(f"{path}: {error}")
        return reading
    if whole.missing:
        reading.faults.append(f"{path}: variables that are not set: {', '.join(whole.missing)}")
    reading.faults.extend(
        f"{path}: {place}: a ${{ that is no ${{NAME}} or ${{NAME:-text}}; write $${{ for the characters themselves"
        for place in whole.malformed
    )
    by_name = {leaf.name: leaf for leaf in leaves}
    for name, raw in _flat(tree, known=by_name, faults=reading.faults, path=path):
        done = substitute(raw, environ=environ)
        if not done.whole or done.tree is None or done.tree == "":
            continue
        reading.values[name] = _beside(path, value=done.tree) if by_name[name].folder else done.tree
        reading.origins[name] = "file"
    return reading


def _beside(path: Path, *, value: object) -> object:
    """A relative folder is one beside the file."""
    if not isinstance(value, str) or value.startswith("~"):
        return value
    return str(path.parent / value)


def _flat(
    tree: dict[object, object], *, known: Mapping[str, Leaf], faults: list[str], path: Path
) -> Iterator[tuple[str, object]]:
    """Values by the names of leaves; unknown names go to the faults."""
    groups = {name.partition(".")[0] for name in known if "." in name}
    for key, value in tree.items():
        if str(key) in known and "." in str(key):
            group, _, inner = str(key).partition(".")
            faults.append(f"{path}: {key}: write {inner} indented below {group}:")
        elif key not in groups:
            yield from _known({str(key): value}, known=known, faults=faults, path=path)
        elif isinstance(value, dict):
            inside = {f"{key}.{inner}": each for inner, each in value.items()}
            yield from _known(inside, known=known, faults=faults, path=path)
        elif value is not None:
            faults.append(f"{path}: {key}: give settings below it, indented, such as {_first(str(key), known=known)}")


def _known(
    values: dict[str, object], *, known: Mapping[str, Leaf], faults: list[str], path: Path
) -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if name in known:
            yield name, value
        else:
            hint = suggestion(name, known, tail=f".{name.rpartition('.')[2]}")
            faults.append(f"{path}: {shortened(name)}: there is no such setting{hint}")


def _first(group: str, *, known: Mapping[str, Leaf]) -> str:
    return next(name for name in known if name.startswith(f"{group}.")).removeprefix(f"{group}.")
