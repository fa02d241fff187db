"""A job in Drumalong's words: five stages, each with its range of percent."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from stemwright.records import Record
from stemwright.studio.stages import SHARES
from stemwright.web.problems import reason_of

if TYPE_CHECKING:
    from stemwright.studio.snapshot import JobSnapshot

Status: TypeAlias = Literal["pending", "processing", "complete", "failed"]
STAGES: Final = {"hashing": 0, "separating": 10, "transcribing": 70, "saving": 90, "complete": 100}  # where each begins
_OURS: Final = {  # what each of theirs but the last consists of, in the order of the work
    "hashing": ("hashing",),
    "separating": ("downloading", "reading", "separating", "encoding"),
    "transcribing": ("transcribing",),  # a chart for stems that were there begins before its share
    "saving": ("saving",),
}
_ENDS: Final = dict(pairwise(STAGES.values()))  # where each ends, by where it begins
SPANS: Final = {  # of our stages: theirs, and which percent of a run are which of theirs
    "queued": ("hashing", (0.0, 0.0), (0, 0)),
    "preview": ("separating", SHARES["preview"], (10, 10)),
} | {
    ours: (theirs, (SHARES[parts[0]][0], SHARES[parts[-1]][1]), (STAGES[theirs], _ENDS[STAGES[theirs]]))
    for theirs, parts in _OURS.items()
    for ours in parts
}
_STATUSES: Final[dict[str, Status]] = {"queued": "pending", "running": "processing", "succeeded": "complete"}
_DOING: Final = {
    "hashing": "Reading the song",
    "separating": "Taking the drums out of the song",
    "transcribing": "Listening to the drums",
    "saving": "Saving drums and chart",
}


def status_of(job: JobSnapshot) -> Status:
    """The status of a job there."""
    return _STATUSES.get(job.status, "failed")


def stage_of(job: JobSnapshot) -> tuple[str, int]:
    """The stage and its percent; of a job that failed, where it was."""
    if job.status == "succeeded":
        return "complete", 100
    stage, (low, high), (first, last) = SPANS.get(job.stage, SPANS["queued"])
    done = (job.progress - low) / (high - low) if high > low else 0.0
    return stage, int(first + min(1.0, max(0.0, done)) * (last - first))


def message_of(job: JobSnapshot, *, cached: bool = False) -> str:
    """What to show to a user who waits."""
    if job.status == "succeeded":
        return "This song was known already" if cached else "Drums and chart are ready"
    if job.ended:
        return reason_of(job)
    if job.status == "queued":
        ahead = (job.position or 1) - 1
        return f"Waiting; {ahead} before it" if ahead else "Waiting; it is next"
    left = f", about {job.eta_seconds:.0f} s left" if (job.eta_seconds or 0) >= 1 else ""
    return _DOING[stage_of(job)[0]] + left


class StageMessage(Record):
    """What a listener is told of a stage; `cached` of the last one only."""

    stage: str
    progress: int
    message: str
    cached: bool | None = None


class Telling:
    """What one listener is told: every stage that a job went through once, in order, however quickly it did."""

    def __init__(self) -> None:
        self._last = ""

    def messages(self, job: JobSnapshot, *, cached: bool = False) -> list[StageMessage]:
        """The messages for a state: those stages that were not told yet at their beginning, then the present one."""
        stage, percent = stage_of(job)
        if status_of(job) == "failed":
            return [StageMessage(stage="failed", progress=percent, message=message_of(job))]
        names = [*STAGES]
        told = names.index(self._last) + 1 if self._last else 0
        missed = ["hashing"][told:] if cached else names[told : names.index(stage)]
        self._last = stage
        now = StageMessage(stage=stage, progress=percent, message=message_of(job, cached=cached))
        if stage == "complete":
            now = now.model_copy(update={"cached": cached})
        return [*(StageMessage(stage=one, progress=STAGES[one], message=_DOING[one]) for one in missed), now]
