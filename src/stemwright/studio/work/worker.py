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

from stemwright import __version__, failpoints
from stemwright.disk import sha256_of
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
from stemwright.studio.work.runs import Runs, retry_on_db_error
from stemwright.studio.work.steps import Hashed, Made, StoredFile, Task

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
LOCAL_NAME: Final = "song"  # of the recording in a private folder
_LONGEST_PAUSE: Final = 60.0  # seconds between two tries
_LISTENING: Final = 0.02  # seconds, about, that a chart takes for a second of drums
_EVERY: Final = 0.4  # seconds between two notes of progress


class JobWorker:
    """What an executor does for a run."""

    def __init__(self, runs: Runs, store: ObjectStore, config: JobsConfig, pool: EnginePool) -> None:
        self.runs, self.config = runs, config
        self._store, self._pool = store, pool
        self.active: set[str] = set()
        self._door, self._leaving = threading.Lock(), False

    def begin(self, run_id: str) -> Task | None:
        """Start an attempt of a run, or None when there is nothing to do."""
        with self._door:
            if not self._leaving:
                task = retry_on_db_error(self.runs.begin, run_id, attempts=self.config.attempts)
                if task is not None:
                    self.active.add(run_id)
                return task
        while True:  # the process ends this moment, and another one takes it
            time.sleep(60)

    def leave(self) -> None:
        """Begin nothing any more, and hand back what is under way: the process is about to end."""
        with self._door:
            self._leaving = True
            self.runs.hand_back([*self.active])

    async def hash(self, run_id: str, task: Task) -> Hashed:
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
        with self._folder(run_id) as folder:
            request = Scan(
                song=await self._fetch(task, folder),
                limits=limits,
                analysis=wanted,
                loudness=loudness,
                track=task.track,
            )
            reporter = self._reporter(run_id, lambda *_: ("hashing", 2.0, None))
            facts = await self._call(run_id, request, duration=None, on_progress=reporter)
        await asyncio.to_thread(retry_on_db_error, self.runs.describe_song, task.song_id, facts)
        title = facts.title or task.title
        return Hashed(pcm_digest=facts.pcm_digest, duration=facts.duration, title=title, model=model)

    async def make(self, run_id: str, task: Task, song: Hashed, *, preview: bool = False) -> Made:
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
            return await self._separate(run_id, task, song, preview=preview)
        if not task.options.transcribe:
            return Made(found=found)
        drums = await asyncio.to_thread(retry_on_db_error, self.runs.uncharted, found)
        if not drums:
            return Made(found=found)
        with self._folder(run_id) as folder, self._folder(f"{run_id}/chart") as place:
            path = folder / f"{STEM}.flac"
            await _to_its_end(threading.Event(), self._store.fetch, drums, path)
            chart = await self._transcribe(run_id, song, path, place, since=SHARES["hashing"][1])
            return Made(found=found, chart=chart, files=await self._stored(run_id, task, place, new_id()))

    async def _separate(self, run_id: str, task: Task, song: Hashed, *, preview: bool) -> Made:
        """Make stems and store them; what `Runs.save` needs."""
        options, name = task.options, new_id()
        known = await asyncio.to_thread(retry_on_db_error, self.runs.model_speed, song.model)
        report = _Remaining(song.duration, speed=known, preview=preview)
        with self._folder(f"{run_id}-draft" if preview else run_id) as folder:
            root = folder / "stems"
            request = Separate(
                song=await self._fetch(task, folder),
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
            receipt = await self._call(
                run_id, request, duration=song.duration, on_progress=self._reporter(run_id, report)
            )
            key = self.key(task, song, model=receipt.model.name)
            chart = None
            if options.transcribe:
                drums, since = root / f"{STEM}.flac", SHARES["transcribing"][0]
                if not drums.exists():
                    raise NoDrumStemError(no_stem([stem.name for stem in receipt.stems]))
                chart = await self._transcribe(run_id, song, drums, root, since=since)
            if not preview:
                saving = self._reporter(run_id, lambda *_: ("saving", 98.0, None))
                await asyncio.to_thread(saving, "saving", None)
                await self._encoded(run_id, root, options.format.token, duration=song.duration)
            files = await self._stored(run_id, task, root, name)
            return Made(id=name, key=key, receipt=receipt, chart=chart, files=files)

    async def _transcribe(self, run_id: str, song: Hashed, drums: Path, folder: Path, *, since: float) -> ChartRecord:
        """Make the chart of a drum stem in a folder; `since` is the percent of the run at which that begins."""
        end, duration = SHARES["transcribing"][1], song.duration

        def place(stage: str, fraction: float | None) -> tuple[str, float, float | None]:
            done = fraction or 0.0
            return stage, since + done * (end - since), _LISTENING * duration * (1 - done) + 0.5

        request = Transcribe(drums=drums, root=folder, title=song.title, seconds=duration)
        return await self._call(run_id, request, duration=duration, on_progress=self._reporter(run_id, place))

    async def _stored(self, run_id: str, task: Task, folder: Path, name: str) -> tuple[StoredFile, ...]:
        """Store all files of a folder under a name below their run; their rows."""
        failpoints.reached("storing")
        stopped = threading.Event()
        place = f"{task.owner}/separations/{run_id}/{name}"
        files = await _to_its_end(stopped, self._keep, place, folder, stopped)
        failpoints.reached("stored")
        return tuple(files)

    async def _encoded(self, run_id: str, folder: Path, ending: str, *, duration: Seconds) -> None:
        """Add the stems in the format that the job names, where it is not the one they are kept in."""
        if ending == "flac":
            return
        for source in sorted(folder.glob("*.flac")):
            request = Transcode(files={source: source.with_suffix(f".{ending}")}, format=ending)
            await self._call(run_id, request, duration=duration, on_progress=None)

    def key(self, task: Task, song: Hashed, *, model: str) -> str:
        """The key of a song's separation by a model."""
        return separation_key(song.pcm_digest, task.options, model=model, config=self.config)

    async def _call(
        self,
        run_id: str,
        request: Request[A],
        *,
        duration: Seconds | None,
        on_progress: Callable[[str, float | None], None] | None,
    ) -> A:
        """Ask an engine; a crash is tried again, with a pause that doubles, until the attempts are used up."""
        pause = 1.0
        while True:
            try:
                async with self._pool.engine() as engine:
                    limit = self.config.timeout(duration)
                    return await engine.call(request, timeout=limit, on_progress=on_progress)
            except EngineCrashedError as error:
                more = await asyncio.to_thread(
                    retry_on_db_error, self.runs.count_attempt, run_id, most=self.config.attempts
                )
                log.warning("an engine died", extra={"run_id": run_id, "error": error.message, "again": more})
                if not more:
                    raise
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  # nosec B311  (no secret: so that not all try at once)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _fetch(self, task: Task, folder: Path) -> Path:
        """The song as a local file. Raises `NotFoundError`."""
        if not task.upload_key:
            raise NotFoundError("the recording is no longer here; upload it again")
        path = folder / LOCAL_NAME
        await _to_its_end(threading.Event(), self._store.fetch, task.upload_key, path)
        return path

    def _keep(self, place: str, folder: Path, stopped: threading.Event) -> list[StoredFile]:
        """Store all files of a folder below `place`; their rows. `stopped` ends it early."""
        files = []
        for path in sorted(folder.iterdir()):
            if stopped.is_set():
                break
            key = f"{place}/{path.name}"
            size = self._store.put_file(path, key)
            files.append(StoredFile(name=path.name, object_key=key, size_bytes=size, digest=sha256_of(path)))
        return files

    def tidy(self, run_id: str, owner: str) -> None:
        """Once a run has ended, delete what it stored and did not publish: earlier attempts, work in vain.

        Files that a row names stay, also rows of others.
        """
        if self.runs.is_live(run_id):
            return
        stored = [one.key for one in self._store.list(f"{owner}/separations/{run_id}")]
        self._store.delete(self.runs.unknown(stored))

    def forget(self, key: str | None) -> None:
        """Delete an upload, unless somebody sent the same bytes again meanwhile."""
        if key:
            self._store.delete(self.runs.unknown([key]))

    def _reporter(
        self, run_id: str, place: Callable[[str, float | None], tuple[str, float, float | None]]
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
                live = self.runs.progress(run_id, stage=ours, percent=percent, remaining=remaining)
            except DatabaseUnavailableError:  # the next note will do
                log.warning("progress could not be noted", extra={"run_id": run_id})
                return
            if not live:
                raise CancelledError("the job was cancelled")

        return report

    @contextlib.contextmanager
    def _folder(self, name: str) -> Iterator[Path]:
        folder = self.config.work / name
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


async def _to_its_end(stopped: threading.Event, what: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Do something in a thread. When cancelled, set `stopped` and wait: a thread left alone would go on writing."""
    work = asyncio.ensure_future(asyncio.to_thread(what, *args, **kwargs))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        stopped.set()
        await asyncio.wait({work})
        work.exception()
        raise


class _Remaining:
    """Stage and share of the engine as percent of the run, and seconds left: measured so far, else by known speed."""

    def __init__(self, duration: float | None, *, speed: float | None, preview: bool) -> None:
        self._expected = speed * duration if speed and duration else None
        self._preview = preview
        self._since = time.monotonic()
        self._first: tuple[float, float] | None = None  # when and where the separating began to be told

    def __call__(self, stage: str, fraction: float | None) -> tuple[str, float, float | None]:
        low, high = SHARES.get(stage, (12.0, 14.0))
        percent = low + (fraction or 0.0) * (high - low)
        elapsed = time.monotonic() - self._since
        remaining = None if self._expected is None else max(0.5, self._expected - elapsed)
        if stage == "separating" and fraction:
            self._first = self._first or (time.monotonic(), fraction)
            spent, done = time.monotonic() - self._first[0], fraction - self._first[1]
            if done > 0.05:
                remaining = spent / done * (1 - fraction) * 1.1 + 0.5
        elif stage == "encoding" and self._expected is None:
            remaining = 0.1 * elapsed
        if self._preview:
            low, high = SHARES["preview"]
            return "preview", low + percent / 100 * (high - low), None
        return stage, percent, remaining


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
