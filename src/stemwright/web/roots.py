"""Sub-paths: where below a host the studio is, such as `/stemwright` of `https://example.org/stemwright/`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from starlette.types import Scope

# First parts of the studio's own paths. As sub-paths they are refused: where a proxy cuts the sub-path `/api` off, the
# rest begins with it again.
OWN: Final = frozenset(
    {"add", "api", "assets", "doors", "health", "icon.svg", "livez", "metrics", "openapi.json", "readyz", "socket.io"}
    | {"songs"}
)
_PATH: Final = re.compile(r"(?:/[A-Za-z0-9_.~-]+)+")


def parse_root(value: object) -> str:
    """A sub-path such as `/stemwright`; an empty one is the host's root. Raises `ValueError`.

    >>> parse_root("/music/stemwright")
    '/music/stemwright'
    """
    if value == "":
        return ""
    text = value.strip() if isinstance(value, str) else ""
    parts = text.split("/")[1:]
    if len(text) > 200 or not _PATH.fullmatch(text) or {".", ".."} & {*parts}:
        raise ValueError("give a path such as /stemwright, with a slash at the beginning and none at the end")
    if parts[0] in OWN:
        raise ValueError(f"the studio has a path /{parts[0]} of its own; choose another one")
    return text


def root_of(scope: Scope) -> str:
    """The sub-path that a request came below; empty for the root."""
    return str(scope.get("root_path", ""))


def path_of(scope: Scope) -> str:
    """The path of a request below the sub-path."""
    return str(scope["path"]).removeprefix(root_of(scope))
