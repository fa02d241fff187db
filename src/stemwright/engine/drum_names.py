"""What the files of a drum chart are called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stemwright.types import StemName

Part: TypeAlias = Literal["chart", "midi", "midi_quantised", "picture"]
STEM: Final[StemName] = "drums"
PARTS: Final[dict[Part, tuple[str, str]]] = {  # what their files are called: (stem, extension)
    "chart": (STEM, "json"),
    "midi": (STEM, "mid"),
    "midi_quantised": (f"{STEM}-quantised", "mid"),  # only where there are beats
    "picture": (STEM, "svg"),
}


def no_stem(stems: Sequence[StemName]) -> str:
    """What to say where the drum stem is not made."""
    return f"a drum chart is made of the stem {STEM}, which is not among those that are made: {', '.join(stems)}"
