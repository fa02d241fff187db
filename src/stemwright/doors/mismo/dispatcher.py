"""The dispatcher: watches the jobs that were promised to clients, and tells each stage once it is reached."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from stemwright.doors.mismo import folder, messages
from stemwright.doors.mismo.config import DOOR, TRIES
from stemwright.doors.mismo.messages import Promise, StemsData
from stemwright.engine.song_facts import KnownFacts
from stemwright.errors import ConflictError, JobNotFoundError, StemwrightError, writing
from stemwright.studio import jobs, outbox, tracks

if TYPE_CHECKING:
    from stemwright.doors.mismo.config import Config
    from stemwright.doors.mismo.engines import Engines
    from stemwright.doors.mismo.folder import MadeFolder
    from stemwright.doors.mismo.messages import Stage, StageData
    from stemwright.records import Fault
    from stemwright.studio.outbox import Entry
    from stemwright.studio.snapshot import JobSnapshot
    from stemwright.studio.studio import Studio

_EVERY: Final = 0.25  # seconds between two looks while a job lives …
_IDLE: Final = 2.0  # … and while none does: another process may have promised something
_ALL: Final = 30.0  # seconds between two looks at all that is open
_SLACK: Final = 5.0  # seconds by which the clocks of other machines may be behind
_UNSENT: Final = 86_400.0  # seconds for which news wait for an audio engine that is away
log = structlog.get_logger("stemwright.doors.mismo")


class Dispatcher:
    """Keeps promises: those of this process at once, and all that a restart has left."""

    def __init__(self, studio: Studio, config: Config, engines: Engines) -> None:
        self._studio, self._config, self._engines = studio, config, engines
        self._news = asyncio.Event()
        self._all = True  # look at all that is open
        self._leads = False  # of all processes that share the studio, this one sends what no engine here asked for

    def wake(self, *, everything: bool = False) -> None:
        """Look now: at what moved, or at all that is open."""
        self._all = self._all or everything
        self._news.set()

    async def promise(self, promise: Promise, *, name: str, job_id: str, owner: str) -> Entry:
        """Promise to tell of a job."""
        entry = await asyncio.to_thread(
            outbox.promise, self._studio, door=DOOR, name=name, job_id=job_id, facts=promise, owner=owner
        )
        self.wake()
        return entry

    async def lead(self) -> None:
        """Send what no audio engine that is connected elsewhere waits for, until cancelled."""
        self._leads = True
        self.wake(everything=True)
        try:
            await asyncio.Event().wait()
        finally:
            self._leads = False

    async def _is_ours(self, promise: Promise) -> bool:
        """Whether it is for this process to send: it leads, and the engine that asked is not at another that lives."""
        if promise.kind != "engine":
            return self._leads
        there = self._engines.process_of(promise.asker or "")
        if there is None:
            return True
        return self._leads and not await asyncio.to_thread(self._studio.workers.is_alive, there)

    async def run(self) -> None:
        """Go on until cancelled."""
        since = looked_at_all = 0.0
        while True:
            began = self._studio.now()
            self._news.clear()
            if self._all or began - looked_at_all > _ALL:
                self._all, looked_at_all = False, began
                found = await asyncio.to_thread(outbox.open_entries, self._studio, door=DOOR)
            else:
                found = await asyncio.to_thread(outbox.moved, self._studio, door=DOOR, since=since)
            since = began - _SLACK
            await self._serve_all(found)
            pause = _EVERY if await asyncio.to_thread(outbox.any_live, self._studio, door=DOOR) else _IDLE
            try:
                async with asyncio.timeout(pause):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def _serve_all(self, found: list[Entry]) -> None:
        """See to entries one after the other; one that fails does not hold up the others, and is seen to again."""
        wanted = {entry.job_id for entry in found if entry.job_id}
        snapshots = await asyncio.to_thread(jobs.get_jobs, self._studio, wanted)
        for entry in found:
            try:
                snapshot, promise = snapshots.get(entry.job_id or ""), Promise.of(entry)
                if snapshot and await self._is_ours(promise):
                    await self._serve(entry, promise, snapshot)
            except Exception:
                log.exception("an entry of the outbox could not be seen to", entry=entry.id)

    async def _serve(self, entry: Entry, promise: Promise, snapshot: JobSnapshot) -> None:
        overdue = await self._overdue(entry, snapshot)
        facts = KnownFacts()
        if snapshot.song_id:
            facts = await asyncio.to_thread(tracks.song_facts, self._studio, snapshot.song_id, owner=entry.owner)
        if facts.duration is not None and snapshot.status == "succeeded":
            await asyncio.to_thread(tracks.describe, self._studio, promise.digest, facts, owner=entry.owner)
        waiting = [stage for stage in promise.stages if stage not in entry.sent]
        for stage in waiting:
            try:
                data, fault = await self._outcome(stage, entry, snapshot, facts=facts, overdue=overdue)
            except StemwrightError:  # the next look may do
                raise
            except Exception:
                log.exception("a stage could not be delivered", entry=entry.id, stage=stage)
                data, fault = None, messages.fault_of("internal", "")
            if data is not None or fault:
                await self._send(entry, promise, stage, data=data, fault=fault, last=stage == waiting[-1])

    async def _overdue(self, entry: Entry, snapshot: JobSnapshot) -> Fault | None:
        """What is wrong with a job that runs for longer than the operator lets it; it is cancelled then."""
        limit, started = self._config.timeout, snapshot.started_at
        if not limit or snapshot.status != "running" or started is None or self._studio.now() - started <= limit:
            return None
        try:
            await asyncio.to_thread(jobs.cancel_job, self._studio, snapshot.id, owner=entry.owner)
        except (ConflictError, JobNotFoundError):  # it has ended this moment
            return None
        return messages.fault_of("timeout", f"the analysis was not done within {limit:g} s")

    async def _outcome(
        self, stage: Stage, entry: Entry, snapshot: JobSnapshot, *, facts: KnownFacts, overdue: Fault | None
    ) -> tuple[StageData | None, Fault | None]:
        """What came of a stage, or what went wrong; neither of them while it is not reached."""
        succeeded = snapshot.status == "succeeded"
        if stage == "basic_features" and facts.analysis:
            return messages.basic_features(facts), None
        if stage == "characteristics" and (facts.loudness or (facts.duration is not None and succeeded)):
            return messages.characteristics(facts), None
        if overdue or not snapshot.ended:
            return None, overdue
        if succeeded and stage == "stems":
            try:
                return await self._stems(entry, snapshot), None
            except StemwrightError as error:
                if error.retryable:
                    raise
                return None, messages.said(error)
        found = snapshot.error or messages.not_done(snapshot)
        return None, messages.fault_of(found.code, found.message)

    async def _stems(self, entry: Entry, snapshot: JobSnapshot) -> StemsData:
        """The stems in their folder. Raises `ConflictError` when its name is another's by now, and as `make`."""
        newest = await asyncio.to_thread(outbox.latest, self._studio, door=DOOR, name=entry.name, owner=entry.owner)
        if Promise.of(newest).digest != Promise.of(entry).digest:
            raise ConflictError("the same track_hash was given to another recording meanwhile")
        with writing():
            made = await folder.make(self._studio, self._config, entry.name, snapshot, owner=entry.owner)
        return stems_data(made, snapshot)

    async def _send(
        self, entry: Entry, promise: Promise, stage: Stage, *, data: StageData | None, fault: Fault | None, last: bool
    ) -> None:
        url = promise.callback_url
        body = messages.callback(entry, stage, data=data, error=fault)
        if promise.kind == "engine" and not await self._push(promise, data, fault):
            if self._studio.now() - entry.created_at > _UNSENT:
                await asyncio.to_thread(outbox.close, self._studio, entry.id)
            return
        await asyncio.to_thread(
            outbox.mark_sent,
            self._studio,
            entry.id,
            stage,
            fault,
            last=last,
            message={"url": url, "body": body, "attempts": TRIES} if url else None,
        )
        log.info("told", job=entry.name[:64], stage=stage, status="failed" if fault else "completed")

    async def _push(self, promise: Promise, data: StageData | None, fault: Fault | None) -> bool:
        """Tell the audio engine of its stems; whether anybody took it."""
        if isinstance(data, StemsData):
            news = messages.stems_ready(data.stems, track_id=promise.track_id, request_id=promise.request_id)
        else:
            failed = fault or messages.fault_of("internal", "")
            news = messages.stems_failed(failed, track_id=promise.track_id, request_id=promise.request_id)
        return await self._engines.push(promise.asker or "", news)


def stems_data(made: MadeFolder, snapshot: JobSnapshot) -> StemsData:
    """The data of the last stage, of what a folder holds."""
    return StemsData(
        delivery_mode="path",
        stems=made.stems,
        zip=made.zip,
        processing_time=_seconds(snapshot),
        model=made.model,
    )


def _seconds(snapshot: JobSnapshot) -> float:
    """How long a job ran; 0 where the stems had been there before."""
    if snapshot.cached or not snapshot.started_at or not snapshot.finished_at:
        return 0.0
    return max(0.0, round(snapshot.finished_at - snapshot.started_at, 3))
