"""Which stem a file is, by what other tools call the files that they write."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_STEM: Final = re.compile(
    r"(?:(?:no|lead|backing|main)[ _-])?"
    r"(?:vocals?|drums?|bass|guitars?|piano|keys|synths?|strings|percussion|other|instrumental|accompaniment|karaoke)",
    re.IGNORECASE,
)
_USUAL: Final = {"vocal": "vocals", "drum": "drums"}
_BRACKETS: Final = re.compile(r"[(\[{]([^()\[\]{}]+)[)\]}]")


def stem_names(files: Iterable[str]) -> list[str]:
    """The stems of one song, by the names of their files without folders; a name that is not known stays as it is.

    Known are `(Vocals)` of UVR and audio-separator, `[song] bass`, `song - Drums`, and plain names in any case. Files
    that would get one name all keep their own.

    >>> stem_names(["1_My Song_(Vocals).wav", "[My Song] bass.flac", "My Song - Drums.mp3", "Kick In.wav"])
    ['vocals', 'bass', 'drums', 'Kick In']
    """
    bases = [file.rsplit(".", 1)[0].strip() for file in files]
    known = [_known(base) for base in bases]
    counts = Counter(known)
    return [name if name and counts[name] == 1 else base for name, base in zip(known, bases, strict=True)]


def _known(base: str) -> str | None:
    groups = [group.strip() for group in _BRACKETS.findall(base)]
    last = re.split(r"\s-\s|__|\]", base)[-1].strip()
    for part in (base, *reversed(groups), last):
        if _STEM.fullmatch(part):
            name = re.sub(r"[ -]", "_", part.lower())
            return _USUAL.get(name, name)
    return None
