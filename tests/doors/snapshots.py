"""Jobs as doors see them, for tests of their words."""

from __future__ import annotations

from typing import Any

from stemwright.studio.snapshot import JobSnapshot

CREATED = 1_761_474_600.512  # 2025-10-26T10:30:00.512Z


def snapshot(**changes: Any) -> JobSnapshot:
    """A job that runs, but for what is said otherwise."""
    plain = {
        "id": "1",
        "song_id": "2",
        "status": "running",
        "stage": "separating",
        "progress": 0.0,
        "position": None,
        "eta_seconds": None,
        "priority": "normal",
        "options": {},
        "cached": False,
        "attempts": 1,
        "created_at": CREATED,
        "started_at": None,
        "finished_at": None,
        "error": None,
        "preview": None,
        "result": None,
    }
    return JobSnapshot.model_validate(plain | changes)
