"""Named points of a job at which a test may stop or kill a process; nothing happens there otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

hook: Callable[[str], None] | None = None


def reached(point: str) -> None:
    """Say that a point is reached."""
    if hook is not None:
        hook(point)
