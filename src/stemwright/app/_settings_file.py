"""Settings from `stemwright.yaml`: finding it, reading it, putting variables into its texts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stemwright.app._settings_environment import CONFIG
from stemwright.app._settings_leaves import Leaf, Reading, suggestion
from stemwright.bounded_yaml import load_file
from stemwright.disk import ForeignFileError
from stemwright.errors import UntrustedFileError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

FILE: Final = "stemwright.yaml"
LONGEST: Final = 1 << 20  # characters that variables bring into one file
_REFERENCE = re.compile(r"\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(:-[^{}]*)?\})?")


@dataclass(frozen=True, slots=True)
class Substituted:
    """A tree with its variables put in."""

    tree: Any
    missing: tuple[str, ...]  # names of variables that are not set and have no default here
    malformed: tuple[str, ...]  # where a `${` is no reference, by dotted names

    @property
    def whole(self) -> bool:
        """Nothing was missing or malformed."""
        return not (self.missing or self.malformed)


def substitute(tree: object, *, environ: Mapping[str, str]) -> Substituted:
    """Put variables into every text of a parsed tree; keys stay as they are.

    `${NAME}` is the variable's value, `${NAME:-text}` the text where the variable is empty or not set, and `$${` the
    two characters `${`. What comes in is never parsed again: a value cannot become structure. Raises ValueError when
    the texts come to more than `LONGEST` characters.
    """
    texts = _Texts(environ)

    def walk(node: object, place: str) -> object:
        if isinstance(node, str):
            return texts.put(node, place)
        if isinstance(node, dict):
            return {key: walk(value, f"{place}.{key}" if place else str(key)) for key, value in node.items()}
        if isinstance(node, list):
            return [walk(item, place) for item in node]
        return node

    done = walk(tree, "")
    return Substituted(done, tuple(texts.missing), tuple(texts.malformed))


class _Texts:
    """Puts variables into texts, and notes what is wrong."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._length = 0  # characters that came in
        self.missing: dict[str, None] = {}
        self.malformed: dict[str, None] = {}

    def put(self, raw: str, place: str) -> str:
        """A text with its variables. Raises ValueError as `substitute`."""

        def value(match: re.Match[str]) -> str:
            done = self._value(match, place)
            self._length += len(done)
            if self._length > LONGEST:
                raise ValueError(f"more than {LONGEST} characters with its variables")
            return done

        return _REFERENCE.sub(value, raw)

    def _value(self, match: re.Match[str], place: str) -> str:
        name, default = match[1], match[2]
        if name is None:
            if match[0] == "${":
                self.malformed[place] = None
            return "${"
        if default is not None:
            return self._environ.get(name) or default.removeprefix(":-")
        if name not in self._environ:
            self.missing[name] = None
        return self._environ.get(name, "")


def find_file(path: Path | None, *, environ: Mapping[str, str]) -> Path | None:
    """The file to read: the one named, else that of `STEMWRIGHT_CONFIG`, else `./stemwright.yaml` if there is one."""
    named = path or (Path(text) if (text := environ.get(CONFIG)) else None)
    if named is not None:
        return named.absolute()
    here = Path(FILE).absolute()
    return here if here.exists() else None


def read_file(path: Path, *, environ: Mapping[str, str], leaves: Sequence[Leaf], found: bool = False) -> Reading:
    """What a file says; `found`: nobody named it. An empty value counts as not given. Raises `UntrustedFileError`."""
    reading = Reading()
    try:
        tree, faults = parse(path, found=found)
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
            faults.append(f"{path}: {_shown(name)}: there is no such setting{hint}")


def _shown(name: str) -> str:
    return name if len(name) <= 80 else f"{name[:79]}…"


def _first(group: str, *, known: Mapping[str, Leaf]) -> str:
    return next(name for name in known if name.startswith(f"{group}.")).removeprefix(f"{group}.")


def untrusted(error: ForeignFileError, *, remedy: str) -> UntrustedFileError:
    """What to tell of a file that others may have written; `remedy` is how to use it all the same."""
    return UntrustedFileError(
        f"{error.filename} {error.strerror}, so it is not obeyed: delete it, make it your own (chown, chmod go-w), or,"
        f" if you trust it, {remedy}"
    )


def parse(path: Path, *, found: bool = False) -> tuple[dict[object, object], list[str]]:
    """The tree of a file and what is wrong with it, without its text: it may hold secrets.

    Raises `ValueError` when it is not YAML, beyond its limits, or no mapping; `ForeignFileError` when it was `found`,
    not named, and others may have written it; `OSError`.
    """
    twice: list[str] = []
    tree = load_file(
        path, on_twice=lambda key, line: twice.append(f"{path}: {_shown(key)}: given again in line {line}"), found=found
    )
    if tree is not None and not isinstance(tree, dict):
        raise ValueError("not a mapping of settings to values")
    return tree or {}, twice
