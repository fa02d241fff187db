"""A job in the words of the Demucs web server."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from stemwright.records import iso
from stemwright.web.problems import reason_of

if TYPE_CHECKING:
    from stemwright.studio.snapshot import JobSnapshot

Status: TypeAlias = Literal["queued", "processing", "completed", "failed"]
_STATUSES: Final[dict[str, Status]] = {"queued": "queued", "running": "processing", "succeeded": "completed"}
_UUID: Final = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-4([0-9a-f]{3})-a([0-9a-f]{3})-([0-9a-f]{10})00")
_DOING: Final = {
    "hashing": "Reading the song",
    "encoding": "Writing the stems",
    "saving": "Writing the stems",
}


def uuid_of(job_id: str) -> str:
    """The id of a job, 28 hexadecimal digits, as a UUID: this server's clients expect one.

    >>> uuid_of("019f86a3c2d10123456789abcdef")
    '019f86a3-c2d1-4012-a345-6789abcdef00'
    """
    return f"{job_id[:8]}-{job_id[8:12]}-4{job_id[12:15]}-a{job_id[15:18]}-{job_id[18:]}00"


def job_id_of(uuid: object) -> str:
    """The other way; empty for what no job can be called.

    >>> job_id_of("019f86a3-c2d1-4012-a345-6789abcdef00"), job_id_of("../etc")
    ('019f86a3c2d10123456789abcdef', '')
    """
    found = _UUID.fullmatch(uuid) if isinstance(uuid, str) else None
    return "".join(found.groups()) if found else ""


def status_of(job: JobSnapshot) -> Status:
    """The status of a job there."""
    return _STATUSES.get(job.status, "failed")


def progress_of(job: JobSnapshot) -> int:
    """Whole percent; 100 once all is there, and not before."""
    return 100 if job.status == "succeeded" else min(99, int(job.progress))


def message_of(job: JobSnapshot) -> str:
    """What to show to a user who waits."""
    status = status_of(job)
    if status == "failed":
        return reason_of(job)
    if status == "completed":
        return "The stems are ready"
    if status == "queued":
        ahead = (job.position or 1) - 1
        return f"Waiting; {ahead} before it" if ahead else "Waiting; it is next"
    left = f", about {job.eta_seconds:.0f} s left" if (job.eta_seconds or 0) >= 1 else ""
    return _DOING.get(job.stage, "Separating") + left


def whole(at: float | None) -> str | None:
    """A time in seconds since the epoch as RFC 3339, in whole seconds, UTC.

    >>> whole(1_764_589_772.75)
    '2025-12-01T11:49:32Z'
    """
    return None if at is None else f"{iso(at)[:19]}Z"


def end_of(job: JobSnapshot) -> str | None:
    """When a job is going to end, as far as that is known."""
    return None if job.eta_seconds is None else whole(time.time() + job.eta_seconds)
