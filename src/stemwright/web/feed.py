"""The feed: one look at the database each quarter second for all listeners; any process may have made the change."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import structlog

from stemwright.errors import JobNotFoundError
from stemwright.studio import jobs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from stemwright.studio.snapshot import JobSnapshot
    from stemwright.studio.studio import Studio

_EVERY: Final = 0.25  # seconds between two looks
_AT_LEAST: Final = 0.7  # seconds after which an unchanged job that lives is told again
_SLACK: Final = 5.0  # seconds by which the clocks of other machines may be behind
log = structlog.get_logger("stemwright.feed")


class Snapshots:
    """What one listener has yet to be told: of each job the newest state only, so that who is slow misses no end."""

    def __init__(self, *, one_job: bool) -> None:
        self._one_job = one_job
        self._waiting: dict[str, JobSnapshot] = {}
        self._news = asyncio.Event()
        self._ended = self._lost = False
        self.closed = False  # by the server, which stops

    def tell(self, snapshot: JobSnapshot) -> None:
        """Add a state, in place of an older one of the same job."""
        self._waiting.pop(snapshot.id, None)
        self._waiting[snapshot.id] = snapshot
        self._news.set()

    def lose(self) -> None:
        """The job is gone."""
        self._lost = True
        self._news.set()

    def close(self) -> None:
        """There will be no more."""
        self.closed = True
        self._news.set()

    async def next(self) -> JobSnapshot | None:
        """The next state; None after the last one of a job. Raises `JobNotFoundError` when the job is deleted."""
        while not self._waiting:
            if self._ended or self.closed:
                return None
            if self._lost:
                raise JobNotFoundError("the job was deleted")
            self._news.clear()
            await self._news.wait()
        snapshot = self._waiting.pop(next(iter(self._waiting)))
        self._ended = self._one_job and snapshot.ended
        return snapshot


class Feed:
    """Tells listeners the state of jobs: at once, whenever it changes, and each second while they live."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._of_job: defaultdict[str, set[Snapshots]] = defaultdict(set)
        self._of_owner: defaultdict[str, set[Snapshots]] = defaultdict(set)
        self._owner: dict[str, str] = {}  # of jobs that live and whose owner listens
        self._last: dict[str, tuple[float, JobSnapshot]] = {}
        self._since = 0.0  # what ended after that may not have been told
        self._looking = asyncio.Lock()  # who begins to listen does so between two looks: nothing is lost or late
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def close(self) -> None:
        """Let all listeners go, for the server stops: a stream without end would hold it up."""
        self._closed = True
        for snapshots in [*self._of_job.values(), *self._of_owner.values()]:
            for listener in snapshots:
                listener.close()

    @contextlib.asynccontextmanager
    async def job(self, job_id: str, *, owner: str) -> AsyncIterator[Snapshots]:
        """The states of one job, the present one first, up to its end. Raises `JobNotFoundError`."""
        snapshots = Snapshots(one_job=True)
        try:
            async with self._looking:
                snapshots.tell(await asyncio.to_thread(jobs.get_job, self._studio, job_id, owner=owner))
                self._listen(self._of_job, job_id, snapshots)
            yield snapshots
        finally:
            _leave(self._of_job, job_id, snapshots)

    @contextlib.asynccontextmanager
    async def all(self, *, owner: str) -> AsyncIterator[Snapshots]:
        """The states of all jobs of an owner: of those that live first, then whatever changes, without end."""
        snapshots = Snapshots(one_job=False)
        try:
            async with self._looking:
                for snapshot in (await asyncio.to_thread(jobs.live_jobs, self._studio, owner)).values():
                    snapshots.tell(snapshot)
                self._listen(self._of_owner, owner, snapshots)
            yield snapshots
        finally:
            _leave(self._of_owner, owner, snapshots)

    def _listen(self, whom: defaultdict[str, set[Snapshots]], name: str, snapshots: Snapshots) -> None:
        whom[name].add(snapshots)
        if self._closed:
            snapshots.close()
        if self._task is None or self._task.done():
            self._since = self._studio.now()
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        """Look as long as somebody listens."""
        while self._of_job or self._of_owner:
            began = time.monotonic()
            try:
                async with self._looking:
                    await self._look()
            except Exception:
                log.exception("the feed could not look at the jobs")
            took = time.monotonic() - began
            await asyncio.sleep(max(took, _EVERY - took))  # at most half of the time, however many jobs there are
        self._last.clear()
        self._owner.clear()

    async def _look(self) -> None:
        snapshots: dict[str, JobSnapshot] = {}
        before = self._studio.now() - _SLACK
        for owner in [*self._of_owner]:
            live = await asyncio.to_thread(jobs.live_jobs, self._studio, owner, since=self._since)
            self._owner |= dict.fromkeys(live, owner)
            snapshots |= live
        self._since = before
        snapshots |= await asyncio.to_thread(
            jobs.get_jobs, self._studio, {*self._of_job, *self._owner} - snapshots.keys()
        )
        now = time.monotonic()
        for job_id, snapshot in snapshots.items():
            told, last = self._last.get(job_id, (0.0, None))
            ended = snapshot.ended
            if last is None or _told(snapshot) != _told(last) or (not ended and now - told >= _AT_LEAST):
                self._last[job_id] = (now, snapshot)
                self._tell(job_id, snapshot)
            if ended:
                self._owner.pop(job_id, None)
        self._forget(snapshots)

    def _tell(self, job_id: str, snapshot: JobSnapshot) -> None:
        for listener in [*self._of_job.get(job_id, ()), *self._of_owner.get(self._owner.get(job_id, ""), ())]:
            listener.tell(snapshot)

    def _forget(self, snapshots: Mapping[str, JobSnapshot]) -> None:
        """Let go of jobs that nobody asks for, and of those that were deleted."""
        for job_id in self._last.keys() - snapshots.keys():
            del self._last[job_id]
        for job_id in self._owner.keys() - snapshots.keys():
            del self._owner[job_id]
        for job_id in self._of_job.keys() - snapshots.keys():
            for listener in self._of_job[job_id]:
                listener.lose()


def _leave(whom: defaultdict[str, set[Snapshots]], name: str, snapshots: Snapshots) -> None:
    if name in whom:
        whom[name].discard(snapshots)
        if not whom[name]:
            del whom[name]


def _told(snapshot: JobSnapshot) -> JobSnapshot:
    """What of a state counts as a change."""
    return snapshot.model_copy(update={"eta_seconds": None})
