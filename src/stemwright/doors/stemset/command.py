"""`stemwright process`: a profile of Stemset's `config.yaml`: its folder of recordings in, `media/PROFILE/` out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from stemwright.cli.console import Reporter
    from stemwright.cli.songs import Task
    from stemwright.doors.stemset.answers import RemoteJob
    from stemwright.doors.stemset.config import Profile, Stemset
    from stemwright.doors.stemset.media import Media, Recording, Source
    from stemwright.doors.stemset.settings import Settings
    from stemwright.doors.stemset.worker import RemoteWorker
    from stemwright.engine.options import SeparateOptions
    from stemwright.engine.process.messages import Transcode
    from stemwright.engine.separate import Engine
    from stemwright.engine.song_result import OnProgress, SongResult
    from stemwright.types import Seconds

_CONFIG = "config.yaml"
_POLL = 1.0  # seconds between two looks at a remote job


def process(
    profile: Annotated[str, typer.Argument(metavar="PROFILE", help="A profile of config.yaml.")],
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Default: the setting stemset.config, else ./config.yaml.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Never connect for weights.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a song, and nothing else, on standard output.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Do it again though it is done.")] = False,
) -> None:
    """Process a profile's folder of recordings.

    Each becomes a folder below media/PROFILE/ with stems, waveforms and metadata.json. A recording that was processed
    before is known by its content, whatever it is called now, and skipped. A profile with `remote: true` hands its
    recordings to another Stemwright server (`gpu_worker_url`). The folder goes on after one that fails, and the exit
    code is 1 then.
    """
    from stemwright.cli.console import Reporter
    from stemwright.cli.songs import find_songs
    from stemwright.errors import NoSongsError, StemwrightError

    reporter = Reporter(as_json=as_json)
    try:
        work = _Process(profile, config=config, offline=offline, force=force, reporter=reporter)
        folder = work.folder()
        found = find_songs([folder], work.media.folder)
        if not found.tasks:
            raise NoSongsError(f"no song in {folder}")
        if work.uses_r2:
            typer.echo("r2 in config.yaml is not used: everything stays in the folder media", err=True)
    except StemwrightError as error:
        reporter.refuse(error)
        raise typer.Exit(1 if isinstance(error, NoSongsError) else 2) from error
    try:
        with reporter.batch(found):
            for task in found.tasks:
                if not work.one(task):
                    break
    except KeyboardInterrupt:
        reporter.interrupted()
        raise typer.Exit(130) from None
    if reporter.failures:
        raise typer.Exit(1)


COMMANDS: Final = {"process": process}


class _Process:
    """One run over a profile."""

    def __init__(self, name: str, *, config: Path | None, offline: bool, force: bool, reporter: Reporter) -> None:
        """Read the settings and the configuration. Raises `OptionError`, `UnknownProfileError`, `StrategyError`."""
        from stemwright.app.settings import environment, load_settings
        from stemwright.app.weights import use_weights
        from stemwright.doors.stemset.load import load_stemset, worker_rules
        from stemwright.doors.stemset.media import Media
        from stemwright.engine.separate import Engine

        settings = load_settings()
        use_weights(settings, offline=offline, on_progress=reporter.downloading)
        own: Settings = settings.door("stemset")
        named = config or own.config
        path = (named or Path(_CONFIG)).absolute()
        self._stemset: Stemset = load_stemset(
            path, environ=environment(), media=own.media, repo=settings.model.repo, found=named is None
        )
        self.uses_r2 = self._stemset.uses_r2
        self._profile: Profile = self._stemset.profile(name)
        self._reporter, self._force = reporter, force
        self._limits, self._device = settings.limits(), settings.model.device
        self._cache, self._budget = settings.model.cache, settings.strategy_cache
        self._rules = worker_rules(
            own,
            allow=settings.callbacks.allow,
            max_duration=settings.max_duration,
            max_decoded_bytes=settings.max_decoded_bytes,
        )
        self._timeout = settings.jobs.timeout_min, settings.jobs.timeout_factor
        self.media: Media = Media(self._stemset.media)
        self._engine: Engine | None = None if self._profile.remote else Engine(self._options())

    def folder(self) -> Path:
        """The folder of recordings. Raises `NotFoundError`."""
        from stemwright.errors import NotFoundError

        folder = self._stemset.source_folder(self._profile)
        if not folder.is_dir():
            raise NotFoundError(f"the folder of {self._profile.name} is not here: {folder}")
        return folder

    def one(self, task: Task) -> bool:
        """Process one recording and say what became of it; False when no other can fare better."""
        from stemwright.errors import (
            NoAudioStreamError,
            OptionError,
            SetupError,
            StemwrightError,
            WorkerAnswerError,
            WorkerError,
        )

        try:
            with self._reporter.song(task.song) as on_progress:
                result = self._made(task.song, on_progress)
        except StemwrightError as error:
            if isinstance(error, NoAudioStreamError):
                self._reporter.pass_over(task.song)
                return True
            self._reporter.failed(task.song, code=error.code, message=error.message)
            return not isinstance(error, SetupError | OptionError | WorkerError | WorkerAnswerError)
        except Exception as error:  # noqa: BLE001  (the edge of a job: the other songs go on)
            self._reporter.unexpected(task.song, error)
        else:
            self._reporter.done(task.song, result)
        return True

    def _made(self, song: Path, on_progress: OnProgress) -> SongResult:
        import asyncio

        from stemwright.disk import sha256_of
        from stemwright.doors.stemset.media import Source, describe
        from stemwright.errors import InputError

        try:
            digest = sha256_of(song)
        except OSError as error:
            raise InputError(f"{song.name} cannot be read: {error.strerror}") from error
        there = self.media.of_digest(self._profile.name, digest)
        if there and not self._force:
            return self._skipped(there)
        source = Source(digest=digest, file_name=song.name, strategy=self._profile.strategy)
        if self._engine is None:
            return asyncio.run(self._remote(song, source, on_progress))
        root = self.media.place(self._profile.name, source)
        result = self._engine.separate(song, root, on_progress=on_progress)
        describe(root, result.receipt, source)
        return result

    def _skipped(self, there: Recording) -> SongResult:
        from stemwright.engine.song_result import SongResult
        from stemwright.types import Notice

        notices: tuple[Notice, ...] = ()
        if there.facts.strategy != self._profile.strategy:
            text = f"it was processed with the strategy {there.facts.strategy}; --force does it again"
            notices = (Notice("other_strategy", text),)
        return SongResult(root=there.folder, receipt=there.receipt(), skipped=True, notices=notices)

    def _options(self) -> SeparateOptions:
        from stemwright.engine.naming import NameTemplate
        from stemwright.engine.options import SeparateOptions
        from stemwright.engine.trees.intermediates import Intermediates

        output, strategy = self._profile.output, self._stemset.strategy(self._profile)
        return SeparateOptions(
            model="auto" if strategy else self._profile.strategy,
            strategy=strategy,
            intermediates=Intermediates(self._cache / "strategies", budget=self._budget) if strategy else None,
            repo=self._stemset.repo,
            device=self._device,
            format=output.codec,
            bitrate=output.bits,
            peaks=("dat",),
            template=NameTemplate("{stem}.{ext}"),
            force=self._force,
            limits=self._limits,
        )

    async def _remote(self, song: Path, source: Source, on_progress: OnProgress) -> SongResult:
        """Let the worker do it, and put what it made into the folder."""
        import shutil
        import tempfile

        from stemwright.doors.stemset.jobs import encoded, give_name
        from stemwright.doors.stemset.media import describe
        from stemwright.doors.stemset.worker import RemoteWorker
        from stemwright.engine.song_result import SongResult

        root = self.media.place(self._profile.name, source)
        root.parent.mkdir(parents=True, exist_ok=True)
        worker = RemoteWorker(self._stemset.worker_url or "", self._rules)
        job = await self._ended(worker, song, on_progress)
        draft = Path(tempfile.mkdtemp(prefix=".partial-", dir=root.parent))
        try:
            receipt, promises = await worker.fetch(job, draft)
            on_progress("encoding", None)
            receipt = await encoded(receipt, draft, self._profile, encode=self._encode, promises=promises)
            describe(draft, receipt, source)
            give_name(draft, root)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return SongResult(root=root, receipt=receipt)

    async def _encode(self, request: Transcode, duration: Seconds) -> None:
        """Encode stems of so many seconds, in a process that can be killed."""
        import sys

        from stemwright.engine.process.pool import EngineProcess

        least, factor = self._timeout
        engine = EngineProcess((sys.executable, "-P", "-m", "stemwright.app.engine"))
        try:
            await engine.call(request, timeout=max(least, factor * duration))
        finally:
            await engine.kill()

    async def _ended(self, worker: RemoteWorker, song: Path, on_progress: OnProgress) -> RemoteJob:
        """The worker's job for a recording, once it has succeeded; raises why it did not."""
        import asyncio

        from stemwright.errors import CancelledError, error_of
        from stemwright.words import plain

        job = await worker.submit(song, name=song.name, strategy=self._profile.strategy)
        while job.status in {"queued", "running"}:
            on_progress("separating", job.progress / 100)
            await asyncio.sleep(_POLL)
            job = await worker.job(job.id)
        if job.error:
            raise error_of(job.error.code, plain(job.error.message))
        if job.status != "succeeded":
            raise CancelledError("the job was cancelled there")
        return job
