"""What files are called: a template, and texts from outside made safe."""

from __future__ import annotations

import hashlib
import re
import string
import unicodedata
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from stemwright.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_TEMPLATE = "{song}/{stem}.{ext}"
TEMPLATE_FIELDS = ("song", "stem", "ext", "artist", "title", "album", "model")
_LONGEST_NAME = 150  # bytes of one field; file systems take 255 for a name
_MARK = 8  # digits at the end of a name that was cut
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
_RESERVED = re.compile(r"(?i)^(con|prn|aux|nul|com\d|lpt\d)(\.|$)")


@dataclass(frozen=True, slots=True)
class NameTemplate:
    """How the files of a song are called, such as `{artist} - {title}/{stem}.{ext}`."""

    text: str = DEFAULT_TEMPLATE

    def __post_init__(self) -> None:
        """Raise `OptionError` when the template cannot be used."""
        try:
            parsed = [part[1:] for part in string.Formatter().parse(self.text) if part[1] is not None]
        except ValueError as error:
            raise OptionError(f"name template {self.text!r}: {error}") from error
        names = [name for name, _, _ in parsed]
        if any(spec or conversion for _, spec, conversion in parsed) or not {*names} <= {*TEMPLATE_FIELDS}:
            known = ", ".join(f"{{{name}}}" for name in TEMPLATE_FIELDS)
            raise OptionError(f"name template {self.text!r}: only {known} can be used")
        if not {"stem", "ext"} <= {*names}:
            raise OptionError(f"name template {self.text!r} must hold {{stem}} and {{ext}}")
        plain = self.text.format(**dict.fromkeys(TEMPLATE_FIELDS, "x"))
        parts = PurePosixPath(plain).parts
        if plain.startswith("/") or "\\" in plain or ".." in parts:
            raise OptionError(f"name template {self.text!r} leads out of the output folder")

    def path(self, fields: Mapping[str, str], *, stem: str, ext: str) -> PurePosixPath:
        """Relative path of one file; values from outside are made safe."""
        values = {name: safe_name(fields.get(name, ""), otherwise="unknown") for name in TEMPLATE_FIELDS}
        return PurePosixPath(self.text.format(**values | {"stem": safe_name(stem), "ext": ext}))


def safe_name(text: str, *, otherwise: str = "untitled") -> str:
    """A text from outside as one part of a path: no separators, no control characters, not hidden, not too long.

    A name that is cut ends in a few digits of its SHA-256, so that names which differ only at the end stay different.
    """
    text = text.encode("utf-8", "replace").decode()  # a file's name may hold bytes that are no text
    name = _UNSAFE.sub("_", text).strip(" .")
    if len(whole := name.encode()) > _LONGEST_NAME:
        start = whole[: _LONGEST_NAME - _MARK - 1].decode("utf-8", "ignore").strip(" .")
        name = f"{start}~{hashlib.sha256(whole).hexdigest()[:_MARK]}"
    return f"_{name}" if _RESERVED.match(name) else name or otherwise


def folded(name: str) -> str:
    """The same for all names that some file system takes for one."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
