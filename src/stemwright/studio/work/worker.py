"""The work of one run, step by step: hash, preview, separate and store, save."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import math
import random
import shutil
import threading
import time
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from sqlalchemy.exc import DBAPIError

from stemwright import __version__, failpoints
from stemwright.disk import sha256_of
from stemwright.engine.choice import QUICK, preview_by, resolve
from stemwright.engine.drum_names import STEM, no_stem
from stemwright.engine.process.pool import EngineCrashedError, EnginePool
from stemwright.engine.receipt import PIPELINE
from stemwright.errors import (
    CancelledError,
    InputError,
    NoDrumStemError,
    NotFoundError,
    StemwrightError,
    TooLongError,
    writing,
)
from stemwright.separators.protocol import is_half
from stemwright.studio.options import AudioFormat
from stemwright.studio.store.tables import new_id
from stemwright.studio.work.runs import Runs, retry_on_db_error, separates, separation_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stemwright.studio.store.objects import ObjectStore
    from stemwright.studio.work.config import JobsConfig

P = ParamSpec("P")
T = TypeVar("T")
log = logging.getLogger("stemwright.jobs")
LOCAL_NAME: Final = "song"  # of the recording in a private folder
_LONGEST_PAUSE: Final = 60.0  # seconds between two tries
_LISTENING: Final = 0.02  # seconds, about, that a chart takes for a second of drums
_EVERY: Final = 0.4  # seconds between two notes of progress
SHARES: Final = {  # percent of a run, from … to
    "hashing": (0.0, 4.0),
    "preview": (4.0, 12.0),
    "downloading": (12.0, 13.0),
    "reading": (13.0, 14.0),
    "separating": (14.0, 92.0),
    "encoding": (92.0, 95.0),
    "transcribing": (95.0, 98.0),
    "saving": (98.0, 100.0),
}


class JobWorker:
    """What an executor does for a run."""

    def __init__(self, runs: Runs, store: ObjectStore, config: JobsConfig, pool: EnginePool) -> None:
        self.runs, self.config = runs, config
        self._store, self._pool = store, pool
        self.active: set[str] = set()
        self._door, self._leaving = threading.Lock(), False

    def begin(self, run_id: str) -> dict[str, Any] | None:
        """Start an attempt of a run: its song as plain facts, or None when there is nothing to do."""
        with self._door:
            if not self._leaving:
                song = retry_on_db_error(self.runs.begin, run_id, attempts=self.config.attempts)
                if song is not None:
                    self.active.add(run_id)
                return song
        while True:  # the process ends this moment, and another one takes it
            time.sleep(60)

    def leave(self) -> None:
        """Begin nothing any more, and hand back what is under way: the process is about to end."""
        with self._door:
            self._leaving = True
            self.runs.hand_back([*self.active])

    async def hash(self, run_id: str, song: dict[str, Any]) -> dict[str, Any]:
        """Read the song once: digest, length, tags, tempo, key, without stems its loudness; and which model it will be.

        Raises the `InputError`s of decoding.
        """
        model = resolve(song["options"]["model"], repo=self.config.repo)
        loudness = not separates(song["options"]) and not song["measured"]
        wanted = loudness or (song["options"]["analysis"] and not song["analysed"])
        limits = self._limits()
        limits["duration"] = min(limits["duration"], song["options"].get("max_duration") or math.inf)
        if (song["duration"] or 0.0) > limits["duration"]:
            raise TooLongError(f"it lasts longer than the limit of {limits['duration']:g} s (max_duration)")
        if song["pcm_digest"] and not wanted:
            return {"pcm_digest": song["pcm_digest"], "duration": song["duration"], "model": model}
        with self._folder(run_id) as folder:
            path = await self._fetch(song, folder)
            facts = await self._call(
                run_id,
                "scan",
                duration=None,
                on_progress=self._reporter(run_id, lambda *_: ("hashing", 2.0, None)),
                song=str(path),
                limits=limits,
                analysis=wanted,
                loudness=loudness,
            )
        await asyncio.to_thread(retry_on_db_error, self.runs.describe_song, song["song_id"], facts)
        title = facts["title"] or song["title"]
        return {"pcm_digest": facts["pcm_digest"], "duration": facts["duration"], "title": title, "model": model}

    async def make(self, run_id: str, song: dict[str, Any], *, preview: bool = False) -> dict[str, Any]:
        """The stems: `{"found": id}` where they have been there before, else what was made and stored.

        Where a drum chart is wanted and those that were there have none, it is made of their drum stem.

        `song` is what `begin` and `hash` gave. Raises what the engine raises.
        """
        if preview:
            by = preview_by(await asyncio.to_thread(retry_on_db_error, self.runs.model_speed, QUICK))
            song = song | {"model": by, "options": song["options"] | {"model": by, "stems": None, "transcribe": False}}
        key = self.key(song, model=song["model"])
        found = await asyncio.to_thread(retry_on_db_error, self.runs.find, song["owner"], key)
        if found is None:
            return await self._separate(run_id, song, preview=preview)
        made: dict[str, Any] = {"found": found}
        if song["options"]["transcribe"] and (
            drums := await asyncio.to_thread(retry_on_db_error, self.runs.uncharted, found)
        ):
            with self._folder(run_id) as folder, self._folder(f"{run_id}/chart") as chart:
                path = folder / f"{STEM}.flac"
                await _to_its_end(threading.Event(), self._store.fetch, drums, path)
                made["chart"] = await self._transcribe(run_id, song, path, chart, since=SHARES["hashing"][1])
                made["files"] = await self._stored(run_id, song, chart, new_id())
        return made

    async def _separate(self, run_id: str, song: dict[str, Any], *, preview: bool) -> dict[str, Any]:
        """Make stems and store them; what `Runs.save` needs."""
        options, model, name = song["options"], song["model"], new_id()
        known = await asyncio.to_thread(retry_on_db_error, self.runs.model_speed, model)
        report = _Remaining(song["duration"], speed=known, preview=preview)
        with self._folder(f"{run_id}-draft" if preview else run_id) as folder:
            path = await self._fetch(song, folder)
            receipt = await self._call(
                run_id,
                "separate",
                duration=song["duration"],
                on_progress=self._reporter(run_id, report),
                song=str(path),
                root=str(folder / "stems"),
                options={
                    "model": options["model"],  # `auto` may find that the best cannot be had, and says so
                    "repo": str(self.config.repo) if self.config.repo and not preview else None,
                    "device": "auto" if preview else self.config.device,
                    "stems": options["stems"],
                    "sample_rate": options["sample_rate"],
                    "format": options["master"],
                    "limits": self._limits(),
                },
            )
            receipt["input"]["name"] = song["file_name"]
            key = self.key(song, model=receipt["model"]["name"])
            made: dict[str, Any] = {"id": name, "key": key, "receipt": receipt, "chart": None}
            if options["transcribe"]:
                drums, since = folder / "stems" / f"{STEM}.flac", SHARES["transcribing"][0]
                if not drums.exists():
                    raise NoDrumStemError(no_stem([stem["name"] for stem in receipt["stems"]]))
                made["chart"] = await self._transcribe(run_id, song, drums, drums.parent, since=since)
            if not preview:
                saving = self._reporter(run_id, lambda *_: ("saving", 98.0, None))
                await asyncio.to_thread(saving, "saving", None)
                await self._encoded(run_id, folder / "stems", song)
            made["files"] = await self._stored(run_id, song, folder / "stems", name)
            return made

    async def _transcribe(
        self, run_id: str, song: dict[str, Any], drums: Path, folder: Path, *, since: float
    ) -> dict[str, Any]:
        """Make the chart of a drum stem in a folder; `since` is the percent of the run at which that begins."""
        end, duration = SHARES["transcribing"][1], song["duration"]

        def place(stage: str, fraction: float | None) -> tuple[str, float, float | None]:
            done = fraction or 0.0
            return stage, since + done * (end - since), _LISTENING * duration * (1 - done) + 0.5

        return await self._call(
            run_id,
            "transcribe",
            duration=duration,
            on_progress=self._reporter(run_id, place),
            drums=str(drums),
            root=str(folder),
            title=song["title"],
            seconds=duration,
        )

    async def _stored(self, run_id: str, song: dict[str, Any], folder: Path, name: str) -> list[dict[str, Any]]:
        """Store all files of a folder under a name below their run; their rows."""
        failpoints.reached("storing")
        stopped = threading.Event()
        files = await _to_its_end(stopped, self._keep, f"{song['owner']}/separations/{run_id}/{name}", folder, stopped)
        failpoints.reached("stored")
        return files

    async def _encoded(self, run_id: str, folder: Path, song: dict[str, Any]) -> None:
        """Add the stems in the format that the job names, where it is not the one they are kept in."""
        ending = AudioFormat(song["options"]["format"]).token
        if ending == "flac":
            return
        for source in sorted(folder.glob("*.flac")):
            await self._call(
                run_id,
                "transcode",
                duration=song["duration"],
                on_progress=None,
                source=str(source),
                target=str(source.with_suffix(f".{ending}")),
                format=ending,
            )

    def key(self, song: dict[str, Any], *, model: str) -> str:
        """The key of a song's separation by a model."""
        pipeline = pipeline_of(self.config)
        return separation_key(pcm_digest=song["pcm_digest"], model=model, options=song["options"], pipeline=pipeline)

    async def _call(
        self,
        run_id: str,
        what: str,
        *,
        duration: float | None,
        on_progress: Callable[[str, float | None], None] | None,
        **args: Any,
    ) -> dict[str, Any]:
        """Ask an engine; a crash is tried again, with a pause that doubles, until the attempts are used up."""
        pause = 1.0
        while True:
            try:
                async with self._pool.engine() as engine:
                    answer: dict[str, Any] = await engine.call(
                        what, timeout=self.config.timeout(duration), on_progress=on_progress, **args
                    )
                    return answer
            except EngineCrashedError as error:
                more = await asyncio.to_thread(
                    retry_on_db_error, self.runs.count_attempt, run_id, most=self.config.attempts
                )
                log.warning("an engine died", extra={"run_id": run_id, "error": error.message, "again": more})
                if not more:
                    raise
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  # nosec B311  (no secret: so that not all try at once)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _fetch(self, song: dict[str, Any], folder: Path) -> Path:
        """The song as a local file. Raises `NotFoundError`."""
        if not song["upload_key"]:
            raise NotFoundError("the recording is no longer here; upload it again")
        path = folder / LOCAL_NAME
        await _to_its_end(threading.Event(), self._store.fetch, song["upload_key"], path)
        return path

    def _keep(self, place: str, folder: Path, stopped: threading.Event) -> list[dict[str, Any]]:
        """Store all files of a folder below `place`; their rows. `stopped` ends it early."""
        files = []
        for path in sorted(folder.iterdir()):
            if stopped.is_set():
                break
            key = f"{place}/{path.name}"
            size = self._store.put_file(path, key)
            files.append({"name": path.name, "object_key": key, "size_bytes": size, "digest": sha256_of(path)})
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

    def _limits(self) -> dict[str, Any]:
        return dataclasses.asdict(self.config.limits)

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
            except DBAPIError:  # the next note will do
                log.warning("progress could not be noted", extra={"run_id": run_id})
                return
            if not live:
                raise CancelledError("the job was cancelled")

        return report

    @contextlib.contextmanager
    def _folder(self, name: str) -> Any:
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


def pipeline_of(config: JobsConfig) -> str:
    """What else changes stems: this version, the precision, and the folder of weights."""
    return f"{__version__} {PIPELINE} {'half' * is_half(config.device)} {repo_state(config.repo)}"


def repo_state(repo: Path | None) -> str:
    """What tells one state of a folder of weights from another without reading them: names, sizes and times."""
    if repo is None or not repo.is_dir():
        return ""
    return str(sorted((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in repo.iterdir()))


def is_final(error: StemwrightError) -> bool:
    """Whether the upload is to blame, so that keeping it is of no use."""
    return isinstance(error, InputError) and not error.retryable and not isinstance(error, NotFoundError)
