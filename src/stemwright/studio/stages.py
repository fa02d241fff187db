"""The stages of a run, in the order of the work, and which percent of it each is."""

from __future__ import annotations

from typing import Final

SHARES: Final = {  # percent of a run, from … to
    "hashing": (0.0, 4.0),
    "preview": (4.0, 12.0),
    "downloading": (12.0, 13.0),
    "reading": (13.0, 14.0),
    "separating": (14.0, 92.0),
    "encoding": (92.0, 95.0),
    "transcribing": (95.0, 98.0),
    "saving": (98.0, 100.0),
}
