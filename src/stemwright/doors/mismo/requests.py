"""What both servers of Mismo do with a file: look it up, have it analysed, tell of it."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from stemwright.doors.mismo import folder, messages
from stemwright.doors.mismo.config import DOOR, STAGES
from stemwright.doors.mismo.dispatcher import stems_data
from stemwright.doors.mismo.messages import Promise
from stemwright.engine.song_facts import KnownFacts
from stemwright.errors import OptionError
from stemwright.studio import jobs, local, outbox, tracks
from stemwright.studio.options import AudioFormat, JobOptions, Priority
from stemwright.studio.pool import run_in_pool
from stemwright.studio.studio import LOCAL
from stemwright.studio.submit import JobRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stemwright.doors.mismo.config import Config
    from stemwright.doors.mismo.dispatcher import Dispatcher
    from stemwright.doors.mismo.messages import JobAnswer, RequestId
    from stemwright.studio.outbox import Entry
    from stemwright.studio.snapshot import JobSnapshot
    from stemwright.studio.studio import Studio
    from stemwright.studio.tracks import TrackView


class Requests:
    """Takes requests in; the dispatcher tells what comes of them."""

    def __init__(self, studio: Studio, config: Config, dispatcher: Dispatcher) -> None:
        self.studio, self.config, self.dispatcher = studio, config, dispatcher
        self._looking = ThreadPoolExecutor(2, "mismo")  # so that an answer does not wait behind files being copied
        self._copying, self._scanning = asyncio.Semaphore(4), asyncio.Lock()
        self._next_scan: asyncio.Task[dict[str, int]] | None = None

    async def look(self, track_id: str) -> TrackView:
        """A track whose file is there. Raises `JobNotFoundError`."""

        def find() -> TrackView:
            track = tracks.get_track(self.studio, track_id, roots=self.config.roots, owner=LOCAL)
            with local.opened(track.path, roots=self.config.roots):
                return track

        return await asyncio.get_running_loop().run_in_executor(self._looking, find)

    async def scan(self) -> dict[str, int]:
        """Look through the library's folders: how many tracks are new, changed and gone.

        However many ask, there is one look at a time, and one that follows for all who came meanwhile.
        """
        if self._next_scan is None:
            self._next_scan = asyncio.ensure_future(self._scan())
        return await asyncio.shield(self._next_scan)

    async def _scan(self) -> dict[str, int]:
        async with self._scanning:
            self._next_scan = None  # who comes from now on wants what is there from now on
            return await run_in_pool(tracks.scan, self.studio, self.config.roots, owner=LOCAL)

    async def analyse(
        self, path: str, *, stages: Mapping[str, bool], priority: Priority, name: str | None, **facts: Any
    ) -> Entry:
        """Have a file of the library analysed; `name` is the digest of the file if None, `facts` are a `Promise`'s.

        Raises `JobNotFoundError` for files that are not in the library, `OptionError` when nothing is wanted, and what
        `submit_local` raises.
        """
        wanted = [stage for stage in STAGES if stages.get(stage)]
        if not wanted:
            raise OptionError("none of basic_features, characteristics and stems is wanted")
        separate = "stems" in wanted
        form = AudioFormat(self.config.stem_format) if separate else AudioFormat.flac
        request = JobRequest(options=JobOptions(priority=priority, separate=separate, format=form))

        def submit() -> tuple[JobSnapshot, str]:
            with local.opened(path, roots=self.config.roots) as file:
                return local.submit_local(self.studio, file, request, owner=LOCAL)

        async with self._copying:
            snapshot, digest = await run_in_pool(submit)
        promise = Promise(file_path=path, stages=tuple(wanted), digest=digest, **facts)
        return await self.dispatcher.promise(promise, name=name or digest, job_id=snapshot.id, owner=LOCAL)

    async def for_engine(self, track: TrackView, request_id: RequestId, asker: str) -> Entry:
        """The stems of a track for an audio engine, before all else. Raises as `analyse`."""
        return await self.analyse(
            str(track.path),
            stages={"stems": True},
            priority=Priority.high,
            name=None,
            kind="engine",
            track_id=track.id,
            request_id=request_id,
            asker=asker,
            metadata={"type": "audio_server_stems", "trackId": track.id, "requestId": request_id},
        )

    async def job(self, name: str) -> JobAnswer:
        """The newest job of a name. Raises `JobNotFoundError`."""

        def find() -> JobAnswer:
            entry = outbox.latest(self.studio, door=DOOR, name=name, owner=LOCAL)
            return self._shown(entry, jobs.get_job(self.studio, entry.job_id or "", owner=LOCAL))

        return await asyncio.to_thread(find)

    def _shown(self, entry: Entry, snapshot: JobSnapshot) -> JobAnswer:
        facts = KnownFacts()
        if snapshot.song_id:
            facts = tracks.song_facts(self.studio, snapshot.song_id, owner=LOCAL)
        made = folder.read(self.config, entry.name) if snapshot.result else None
        same = made and snapshot.result and made.separation == snapshot.result.separation
        return messages.job(entry, snapshot, facts=facts, stems=stems_data(made, snapshot) if made and same else None)

    async def queue(self) -> list[JobAnswer]:
        """All jobs that are not done, those that work first, then in the order in which they will."""

        def find() -> list[JobAnswer]:
            live = outbox.open_entries(self.studio, door=DOOR)
            snapshots = jobs.get_jobs(self.studio, {entry.job_id for entry in live if entry.job_id})
            waiting = [(one, found) for one in live if (found := snapshots.get(one.job_id or "")) and not found.ended]
            shown = [messages.job(entry, found, facts=KnownFacts(), stems=None) for entry, found in waiting]
            shown = [one for one in shown if one.status != "failed"]  # one of its stages has
            return sorted(shown, key=lambda one: (one.status == "queued", one.queue_position or 0))

        return await asyncio.to_thread(find)
