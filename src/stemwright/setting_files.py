"""YAML files that people write: read within limits, with variables put into their texts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from stemwright.bounded_yaml import load_file
from stemwright.errors import UntrustedFileError
from stemwright.words import shortened

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from stemwright.disk import ForeignFileError

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
        path,
        on_twice=lambda key, line: twice.append(f"{path}: {shortened(key)}: given again in line {line}"),
        found=found,
    )
    if tree is not None and not isinstance(tree, dict):
        raise ValueError("not a mapping of settings to values")
    return tree or {}, twice
