"""The work of one run, step by step: hash, preview, separate and store, save."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
import shutil
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from stemwright import __version__
from stemwright.engine.choice import QUICK, identity, preview_by
from stemwright.engine.drum_names import STEM, no_stem
from stemwright.engine.key import result_key
from stemwright.engine.process.messages import A, Scan, Separate, Transcode, Transcribe
from stemwright.engine.process.pool import EngineCrashedError, EnginePool
from stemwright.engine.settings import SeparationSettings
from stemwright.errors import (
    CancelledError,
    DatabaseUnavailableError,
    InputError,
    NoDrumStemError,
    NotFoundError,
    StemwrightError,
    TooLongError,
    writing,
)
from stemwright.separators.catalogue import resolve
from stemwright.studio.stages import SHARES
from stemwright.studio.store.tables import new_id
from stemwright.studio.work.remaining import Remaining
from stemwright.studio.work.run_files import RunFiles
from stemwright.studio.work.runs import Runs, retry_on_db_error
from stemwright.studio.work.steps import Hashed, Lease, Made, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from stemwright.engine.process.messages import ChartRecord, Request
    from stemwright.studio.config import JobsConfig
    from stemwright.studio.options import RunOptions
    from stemwright.studio.store.objects import ObjectStore
    from stemwright.types import Digest, Seconds

P = ParamSpec("P")
T = TypeVar("T")
log = logging.getLogger("stemwright.jobs")
LOCAL_WORKER: Final = "local"  # the executor that has its database to itself
_STOPPING: Final = 5.0  # seconds that the end of the engines may take
_ADRIFT: Final = 0.5  # seconds between two looks at a run that was taken away
_LOOK: Final = 0.2  # seconds between two looks at the fence
_LONGEST_PAUSE: Final = 60.0  # seconds between two tries
_LISTENING: Final = 0.02  # seconds, about, that a chart takes for a second of drums
_EVERY: Final = 0.4  # seconds between two notes of progress


class JobWorker:
    """What an executor does for a run."""

    def __init__(
        self, runs: Runs, store: ObjectStore, config: JobsConfig, pool: EnginePool, *, name: str = LOCAL_WORKER
    ) -> None:
        """`name` is that of the process in `workers` and in the rows of its runs."""
        self.runs, self.config, self.name = runs, config, name
        self.files, self._pool = RunFiles(runs, store), pool
        self._active: set[Lease] = set()
        self._door, self._leaving = threading.Lock(), False
        self.fenced = False  # whether the database has not heard of us for too long
        self._loop: asyncio.AbstractEventLoop | None = None  # that engines are talked to in
        self._idle_since = time.monotonic()

    def begin(self, run_id: str) -> Task | None:
        """Start an attempt of a run, or None when there is nothing to do."""
        with self._door:
            if not self._leaving:
                task = retry_on_db_error(self.runs.begin, run_id, attempts=self.config.attempts, worker=self.name)
                if task is not None:
                    self._active.add(task.lease)
                return task
        while True:  # the process ends this moment, and another one takes it
            time.sleep(60)

    async def ashore(self, task: Task) -> None:
        """Wait while a run is adrift: taken away, and not in its queue again yet; and for ever once we leave.

        DBOS must not hear from us that a step failed, or the work ended, before it has the run in its queue: whoever
        takes it next would go by that. (Our place is free for the run only afterwards, so this waits no longer.)
        """
        while self._leaving or await asyncio.to_thread(retry_on_db_error, self.runs.is_adrift, task.lease):
            await asyncio.sleep(_ADRIFT)

    async def ended(self, task: Task) -> None:
        """Note that an attempt is over, once its run is not adrift."""
        await self.ashore(task)
        self._active.discard(task.lease)
        self._idle_since = time.monotonic()

    @property
    def idle_seconds(self) -> Seconds:
        """How long there has been nothing to do."""
        return 0.0 if self._active else time.monotonic() - self._idle_since

    def leave(self) -> None:
        """Begin nothing any more, and hand back what is under way: the process is about to end."""
        with self._door:
            self._leaving = True
            self.runs.hand_back(self._active)

    def fence(self, closed: bool) -> None:  # noqa: FBT001  (it is closed or not)
        """While closed, no engine works: the database has not heard of us for so long that others may take our runs."""
        self.fenced = closed
        if closed:
            self.stop_engines()

    def stop_engines(self) -> None:
        """End all engines, from any thread."""
        if self._loop:
            going = asyncio.run_coroutine_threadsafe(self._pool.kill(), self._loop)
            try:
                going.result(_STOPPING)
            except TimeoutError:
                log.warning("the engines did not end in time")

    async def hash(self, task: Task) -> Hashed:
        """Read the song once: digest, length, tags, tempo, key, without stems its loudness; and which model it will be.

        Raises the `InputError`s of decoding.
        """
        options = task.options
        model = resolve(options.model, repo=self.config.repo)
        loudness = not options.separate and not task.measured
        wanted = loudness or (options.analysis and not task.analysed)
        limits = self.config.limits
        limits = replace(limits, duration=min(limits.duration, options.max_duration or math.inf))
        if (task.duration or 0.0) > limits.duration:
            raise TooLongError(f"it lasts longer than the limit of {limits.duration:g} s (max_duration)")
        if task.pcm_digest and task.duration and not wanted:
            return Hashed(pcm_digest=task.pcm_digest, duration=task.duration, title=task.title, model=model)
        with self._folder(task) as folder:
            request = Scan(
                song=await self.files.fetch_song(task, folder),
                limits=limits,
                analysis=wanted,
                loudness=loudness,
                track=task.track,
            )
            reporter = self._reporter(task, lambda *_: ("hashing", 2.0, None))
            facts = await self._call(task, request, duration=None, on_progress=reporter)
        await asyncio.to_thread(retry_on_db_error, self.runs.describe_song, task.song_id, facts)
        title = facts.title or task.title
        return Hashed(pcm_digest=facts.pcm_digest, duration=facts.duration, title=title, model=model)

    async def make(self, task: Task, song: Hashed, *, preview: bool = False) -> Made:
        """The stems: those that have been there before, else what was made and stored.

        Where a drum chart is wanted and those that were there have none, it is made of their drum stem.

        `task` and `song` are what `begin` and `hash` gave. Raises what the engine raises.
        """
        if preview:
            by = preview_by(await asyncio.to_thread(retry_on_db_error, self.runs.model_speed, QUICK))
            task, song = _draft_of(task, by), song.model_copy(update={"model": by})
        key = self.key(task, song, model=song.model)
        found = await asyncio.to_thread(retry_on_db_error, self.runs.find, task.owner, key)
        if found is None:
            return await self._separate(task, song, preview=preview)
        if not task.options.transcribe:
            return Made(found=found)
        drums = await asyncio.to_thread(retry_on_db_error, self.runs.uncharted, found)
        if not drums:
            return Made(found=found)
        with self._folder(task) as folder, self._folder(task, "/chart") as place:
            path = folder / f"{STEM}.flac"
            await self.files.fetch(task, drums, path)
            chart = await self._transcribe(task, song, path, place, since=SHARES["hashing"][1])
            return Made(found=found, chart=chart, files=await self.files.keep(task, place, new_id()))

    async def _separate(self, task: Task, song: Hashed, *, preview: bool) -> Made:
        """Make stems and store them; what `Runs.save` needs."""
        options, name = task.options, new_id()
        known = await asyncio.to_thread(retry_on_db_error, self.runs.model_speed, song.model)
        report = Remaining(song.duration, speed=known, preview=preview)
        with self._folder(task, "-draft" if preview else "") as folder:
            root = folder / "stems"
            request = Separate(
                song=await self.files.fetch_song(task, folder),
                file_name=task.file_name,
                root=root,
                model=options.model,  # `auto` may find that the best cannot be had, and says so
                repo=None if preview else self.config.repo,
                device="auto" if preview else self.config.device,
                format=options.master,
                settings=options.settings,
                limits=self.config.limits,
                track=task.track,
            )
            receipt = await self._call(task, request, duration=song.duration, on_progress=self._reporter(task, report))
            key = self.key(task, song, model=receipt.model.name)
            chart = None
            if options.transcribe:
                drums, since = root / f"{STEM}.flac", SHARES["transcribing"][0]
                if not drums.exists():
                    raise NoDrumStemError(no_stem([stem.name for stem in receipt.stems]))
                chart = await self._transcribe(task, song, drums, root, since=since)
            if not preview:
                saving = self._reporter(task, lambda *_: ("saving", 98.0, None))
                await asyncio.to_thread(saving, "saving", None)
                await self._encoded(task, root, options.format.token, duration=song.duration)
            files = await self.files.keep(task, root, name)
            return Made(id=name, key=key, receipt=receipt, chart=chart, files=files)

    async def _transcribe(self, task: Task, song: Hashed, drums: Path, folder: Path, *, since: float) -> ChartRecord:
        """Make the chart of a drum stem in a folder; `since` is the percent of the run at which that begins."""
        end, duration = SHARES["transcribing"][1], song.duration

        def place(stage: str, fraction: float | None) -> tuple[str, float, float | None]:
            done = fraction or 0.0
            return stage, since + done * (end - since), _LISTENING * duration * (1 - done) + 0.5

        request = Transcribe(drums=drums, root=folder, title=song.title, seconds=duration)
        return await self._call(task, request, duration=duration, on_progress=self._reporter(task, place))

    async def _encoded(self, task: Task, folder: Path, ending: str, *, duration: Seconds) -> None:
        """Add the stems in the format that the job names, where it is not the one they are kept in."""
        if ending == "flac":
            return
        for source in sorted(folder.glob("*.flac")):
            request = Transcode(files={source: source.with_suffix(f".{ending}")}, format=ending)
            await self._call(task, request, duration=duration, on_progress=None)

    def key(self, task: Task, song: Hashed, *, model: str) -> str:
        """The key of a song's separation by a model."""
        return separation_key(song.pcm_digest, task.options, model=model, config=self.config)

    async def _call(
        self,
        task: Task,
        request: Request[A],
        *,
        duration: Seconds | None,
        on_progress: Callable[[str, float | None], None] | None,
    ) -> A:
        """Ask an engine; a crash is tried again, with a pause that doubles, until the attempts are used up."""
        pause, self._loop = 1.0, asyncio.get_running_loop()
        while True:
            await self._unfenced(task)
            try:
                async with self._pool.engine() as engine:
                    limit = self.config.timeout(duration)
                    return await engine.call(request, timeout=limit, on_progress=on_progress)
            except EngineCrashedError as error:
                if self.fenced:
                    continue
                more = await asyncio.to_thread(
                    retry_on_db_error, self.runs.count_attempt, task.lease, most=self.config.attempts
                )
                log.warning(
                    "an engine died", extra={"run_id": task.lease.run_id, "error": error.message, "again": more}
                )
                if not more:
                    raise
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  # nosec B311  (no secret: so that not all try at once)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _unfenced(self, task: Task) -> None:
        """Wait while the fence is closed. Raises `CancelledError` when others have the run afterwards."""
        if not self.fenced:
            return
        log.warning("the database is away: the work waits", extra={"run_id": task.lease.run_id})
        while self.fenced:
            await asyncio.sleep(_LOOK)
        if not await asyncio.to_thread(retry_on_db_error, self.runs.holds, task.lease):
            raise CancelledError("another process has this job now")

    def _reporter(
        self, task: Task, place: Callable[[str, float | None], tuple[str, float, float | None]]
    ) -> Callable[[str, float | None], None]:
        """Notes progress now and then; `place` gives our stage, percent and seconds left for the engine's.

        Its result raises `CancelledError` when the run has ended otherwise: the canceller could not reach us.
        """
        last = ("", 0.0)

        def report(stage: str, fraction: float | None) -> None:
            nonlocal last
            ours, percent, remaining = place(stage, fraction)
            now = time.monotonic()
            if ours == last[0] and now - last[1] < _EVERY:
                return
            last = (ours, now)
            try:
                live = self.runs.progress(task.lease, stage=ours, percent=percent, remaining=remaining)
            except DatabaseUnavailableError:  # the next note will do
                log.warning("progress could not be noted", extra={"run_id": task.lease.run_id})
                return
            if not live:
                raise CancelledError("the job was cancelled")

        return report

    @contextlib.contextmanager
    def _folder(self, task: Task, suffix: str = "") -> Iterator[Path]:
        """A private folder of this attempt: one before it, in this very process, may still be ending."""
        folder = self.config.work / f"{task.lease.run_id}~{task.lease.number}{suffix}"
        _remove(folder)
        with writing():
            folder.mkdir(parents=True, mode=0o700)
        try:
            yield folder
        finally:
            _remove(folder)


def _remove(folder: Path) -> None:
    """Delete a folder, even while a process that was killed this moment still writes into it."""
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)


def _draft_of(task: Task, model: str) -> Task:
    """The same for a preview: all stems, by a quick model, with none of the other model's settings."""
    options = task.options
    plain = SeparationSettings(sample_rate=options.sample_rate).model_dump()
    changed = options.model_copy(update={**plain, "model": model, "transcribe": False})
    return task.model_copy(update={"options": changed})


def separation_key(pcm_digest: Digest, options: RunOptions, *, model: str, config: JobsConfig) -> Digest:
    """Everything that can change a sample of the stems, but for the owner, which is in the row."""
    settings = options.settings.model_dump(mode="json", exclude_defaults=True) | {"master": options.master}
    what = identity(model, repo=config.repo)
    return result_key(pcm_digest, what, settings, device=config.device, version=__version__)


def is_final(error: StemwrightError) -> bool:
    """Whether the upload is to blame, so that keeping it is of no use."""
    return isinstance(error, InputError) and not error.retryable and not isinstance(error, NotFoundError)
