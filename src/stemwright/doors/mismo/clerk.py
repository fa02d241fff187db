"""The clerk: watches the jobs that were promised to clients, and tells each stage once it is reached."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import structlog
from sqlalchemy.exc import DBAPIError

from stemwright.doors.mismo import folder, messages
from stemwright.doors.mismo.config import DOOR, TRIES
from stemwright.errors import ConflictError, JobNotFoundError, StemwrightError, writing
from stemwright.studio import jobs, outbox, tracks
from stemwright.studio.store.tables import FINAL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stemwright.doors.mismo.config import Config
    from stemwright.doors.mismo.engines import Engines
    from stemwright.studio.outbox import Placed
    from stemwright.studio.studio import Studio

_EVERY: Final = 0.25  # seconds between two looks while a job lives …
_IDLE: Final = 2.0  # … and while none does: another process may have placed an order
_ALL: Final = 30.0  # seconds between two looks at all that is open
_SLACK: Final = 5.0  # seconds by which the clocks of other machines may be behind
_UNTOLD: Final = 86_400.0  # seconds for which news wait for an audio engine that is away
log = structlog.get_logger("stemwright.doors.mismo")


class Clerk:
    """Keeps promises: those of this process at once, and all that a restart has left."""

    def __init__(self, studio: Studio, config: Config, engines: Engines) -> None:
        self._studio, self._config, self._engines = studio, config, engines
        self._news = asyncio.Event()
        self._all = True  # look at all that is open

    def wake(self, *, everything: bool = False) -> None:
        """Look now: at what moved, or at all that is open."""
        self._all = self._all or everything
        self._news.set()

    async def place(self, *, name: str, job_id: str, facts: dict[str, Any], owner: str) -> Placed:
        """Promise to tell of a job."""
        order = await asyncio.to_thread(
            outbox.place, self._studio, door=DOOR, name=name, job_id=job_id, facts=facts, owner=owner
        )
        self.wake()
        return order

    async def run(self) -> None:
        """Go on until cancelled."""
        since = looked_at_all = 0.0
        while True:
            began = time.time()
            self._news.clear()
            if self._all or began - looked_at_all > _ALL:
                self._all, looked_at_all = False, began
                found = await asyncio.to_thread(outbox.open_orders, self._studio, door=DOOR)
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

    async def _serve_all(self, found: list[Placed]) -> None:
        """See to orders one after the other; one that fails does not hold up the others, and is seen to again."""
        snapshots = await asyncio.to_thread(jobs.get_jobs, self._studio, {order.job_id for order in found})
        for order in found:
            try:
                if order.job_id in snapshots:
                    await self._serve(order, snapshots[order.job_id])
            except Exception:
                log.exception("an order could not be seen to", order=order.id)

    async def _serve(self, order: Placed, snapshot: Mapping[str, Any]) -> None:
        fault = await self._overdue(order, snapshot)
        facts: dict[str, Any] = {}
        if snapshot["song_id"]:
            facts = await asyncio.to_thread(tracks.song_facts, self._studio, snapshot["song_id"], owner=order.owner)
        if facts and snapshot["status"] == "succeeded":
            await asyncio.to_thread(tracks.describe, self._studio, order.facts["digest"], facts, owner=order.owner)
        waiting = [stage for stage in order.facts["stages"] if stage not in order.told]
        for stage in waiting:
            try:
                data, error = await self._outcome(stage, order, snapshot, facts=facts, fault=fault)
            except (StemwrightError, DBAPIError):  # the next look may do
                raise
            except Exception:
                log.exception("a stage could not be delivered", order=order.id, stage=stage)
                data, error = None, messages.error_of("internal", "")
            if data is not None or error:
                await self._tell(order, stage, data=data, error=error, last=stage == waiting[-1])

    async def _overdue(self, order: Placed, snapshot: Mapping[str, Any]) -> dict[str, str] | None:
        """What is wrong with a job that runs for longer than the operator lets it; it is cancelled then."""
        limit, started = self._config.timeout, snapshot["started_at"]
        if not limit or snapshot["status"] != "running" or started is None:
            return None
        if time.time() - datetime.fromisoformat(started).timestamp() <= limit:
            return None
        try:
            await asyncio.to_thread(jobs.cancel_job, self._studio, order.job_id, owner=order.owner)
        except (ConflictError, JobNotFoundError):  # it has ended this moment
            return None
        return messages.error_of("timeout", f"the analysis was not done within {limit:g} s")

    async def _outcome(
        self,
        stage: str,
        order: Placed,
        snapshot: Mapping[str, Any],
        *,
        facts: dict[str, Any],
        fault: dict[str, str] | None,
    ) -> tuple[dict[str, Any] | None, dict[str, str] | None]:
        """What came of a stage, or what went wrong; neither of them while it is not reached."""
        status = snapshot["status"]
        if stage == "basic_features" and "key" in facts:
            return messages.basic_features(facts), None
        if stage == "characteristics" and (facts.get("loudness") or (facts and status == "succeeded")):
            return messages.characteristics(facts), None
        if fault or status not in FINAL:
            return None, fault
        if status == "succeeded" and stage == "stems":
            try:
                return await self._stems(order, snapshot), None
            except StemwrightError as error:
                if error.retryable:
                    raise
                return None, messages.said(error)
        found = snapshot["error"] or messages.not_done(snapshot)
        return None, messages.error_of(found["code"], found["message"])

    async def _stems(self, order: Placed, snapshot: Mapping[str, Any]) -> dict[str, Any]:
        """The stems in their folder. Raises `ConflictError` when its name is another's by now, and as `make`."""
        newest = await asyncio.to_thread(outbox.latest, self._studio, door=DOOR, name=order.name, owner=order.owner)
        if newest.facts["digest"] != order.facts["digest"]:
            raise ConflictError("the same track_hash was given to another recording meanwhile")
        with writing():
            made = await folder.make(self._studio, self._config, order.name, snapshot, owner=order.owner)
        return stems_data(made, snapshot)

    async def _tell(
        self, order: Placed, stage: str, *, data: dict[str, Any] | None, error: dict[str, str] | None, last: bool
    ) -> None:
        url = order.facts.get("callback_url")
        body = messages.callback(order, stage, data=data, error=error)
        if order.facts["kind"] == "engine":
            stems = data["stems"] if data else None
            if not await self._engines.push(order, messages.stems_news(order.facts, stems=stems, error=error)):
                if time.time() - order.created_at > _UNTOLD:
                    await asyncio.to_thread(outbox.close, self._studio, order.id)
                return
        await asyncio.to_thread(
            outbox.tell,
            self._studio,
            order.id,
            stage,
            {"status": "failed" if error else "completed", "error": error},
            last=last,
            letter={"url": url, "body": body, "attempts": TRIES} if url else None,
        )
        log.info("told", job=order.name[:64], stage=stage, status="failed" if error else "completed")


def stems_data(made: Mapping[str, Any], snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """The data of the last stage, of what a folder holds."""
    return {
        "delivery_mode": "path",
        "stems": made["stems"],
        "zip": made["zip"],
        "processing_time": _seconds(snapshot),
        "model": made["model"],
    }


def _seconds(snapshot: Mapping[str, Any]) -> float:
    """How long a job ran; 0 where the stems had been there before."""
    if snapshot["cached"] or not snapshot["started_at"] or not snapshot["finished_at"]:
        return 0.0
    began, ended = (datetime.fromisoformat(snapshot[name]) for name in ("started_at", "finished_at"))
    return max(0.0, round((ended - began).total_seconds(), 3))
