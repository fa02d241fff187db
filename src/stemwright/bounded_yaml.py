"""The one reader of YAML: bytes to plain values, within limits that are checked before anything is made of them.

PyYAML copies nothing for an alias, but a walk of the tree does: 8 levels of 9 aliases are 43 million nodes. So
events are counted as they come, an alias as all that it stands for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from stemwright.disk import read_found, read_small

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import yaml


@dataclass(frozen=True, slots=True)
class Limits:
    """What a file may have at most."""

    size_bytes: int = 256 << 10
    depth: int = 32
    nodes: int = 20_000  # with all that aliases repeat
    aliases: int = 1_000
    circles: bool = False  # an alias may stand inside what it repeats: only for callers that bound their own walk


LIMITS: Final = Limits()


class YamlError(ValueError):
    """A text is not YAML, or exceeds the limits. Its words quote nothing of the text, which may hold secrets."""

    def __init__(self, message: str, *, line: int | None = None, problem: str | None = None) -> None:
        super().__init__(message)
        self.line = line
        self.problem = problem  # in PyYAML's words, which may quote the text


def compose(data: bytes, *, limits: Limits = LIMITS, loader: Any = None) -> yaml.Node | None:
    """The nodes of the only document in a text; None where it is empty. Raises `YamlError`."""
    import yaml

    loader = loader or yaml.SafeLoader
    if len(data) > limits.size_bytes:
        raise YamlError(f"more than {limits.size_bytes >> 10} KiB")
    try:
        _check(yaml.parse(data, Loader=loader), limits=limits)
        node: yaml.Node | None = yaml.compose(data, Loader=loader)
    except yaml.MarkedYAMLError as error:
        raise _as_ours(error) from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise YamlError("not YAML: it is no text", problem="it is no text") from None
    except RecursionError:
        raise YamlError("nested too deeply") from None
    return node


def load(
    data: bytes,
    *,
    limits: Limits = LIMITS,
    on_twice: Callable[[str, int], None] | None = None,
    constructors: Mapping[str, Callable[..., Any]] | None = None,
) -> Any:
    """The values of the only document in a text; None where it is empty.

    `on_twice` is told each key that a mapping has again, and its line. `constructors` make values of tags that YAML
    itself does not know. Raises `YamlError`.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        """Does not let the second of two equal keys win in silence."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
            seen: set[str] = set()
            for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
                if isinstance(key, yaml.ScalarNode):
                    if key.value in seen and on_twice:
                        on_twice(key.value, key.start_mark.line + 1)
                    seen.add(key.value)
            return super().construct_mapping(node, deep=deep)

    for tag, make in (constructors or {}).items():
        Loader.add_constructor(tag, make)
    node = compose(data, limits=limits, loader=Loader)
    if node is None:
        return None
    try:
        return Loader("").construct_document(node)
    except yaml.MarkedYAMLError as error:
        raise _as_ours(error) from None
    except (yaml.YAMLError, ValueError, OverflowError):  # a date that is none, a number of thousands of digits
        raise YamlError("a value in it makes no sense") from None
    except RecursionError:
        raise YamlError("nested too deeply") from None


def load_file(
    path: Path, *, limits: Limits = LIMITS, on_twice: Callable[[str, int], None] | None = None, found: bool = False
) -> Any:
    """The values in a file; `found`: it was not named by the user, so it must not be one of other users.

    Raises OSError, also for a file that is not regular or too large, `ForeignFileError`, and `YamlError`.
    """
    data = (read_found if found else read_small)(path, most=limits.size_bytes)
    return load(data, limits=limits, on_twice=on_twice)


@dataclass(slots=True)
class _Open:
    """A collection that has begun and not ended."""

    anchor: str | None
    nodes: int = 1


def _check(events: Any, *, limits: Limits) -> None:
    """Refuse what is too deep, or too large with all that its aliases repeat, while it is parsed."""
    import yaml

    sizes: dict[str, int] = {}  # of anchors
    stack = [_Open(None)]
    aliases = 0
    for event in events:
        size = 0
        if isinstance(event, yaml.AliasEvent):
            aliases += 1
            if not limits.circles and any(outer.anchor == event.anchor for outer in stack):
                raise YamlError("nested too deeply: an alias goes in a circle")
            size = sizes.get(str(event.anchor), 1)
        elif isinstance(event, yaml.CollectionStartEvent):
            stack.append(_Open(event.anchor))
        elif isinstance(event, yaml.ScalarEvent):
            size = 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionEndEvent):
            done = stack.pop()
            size = done.nodes
            if done.anchor:
                sizes[done.anchor] = size
        stack[-1].nodes += size
        if len(stack) > limits.depth + 1:
            raise YamlError("nested too deeply")
        if aliases > limits.aliases or stack[-1].nodes > limits.nodes:
            raise YamlError("too large with all that its aliases (*) repeat")


def _as_ours(error: yaml.MarkedYAMLError) -> YamlError:
    import yaml

    mark = error.problem_mark or error.context_mark
    syntax = isinstance(error, yaml.scanner.ScannerError | yaml.parser.ParserError)  # others quote what they found
    problem = error.problem if syntax else "a text that begins with & * ! or % needs quotes"
    where = "" if mark is None else f" in line {mark.line + 1}, column {mark.column + 1}"
    line = None if mark is None else mark.line + 1
    return YamlError(f"not YAML{where}: {problem}", line=line, problem=str(error.problem or error.context))
