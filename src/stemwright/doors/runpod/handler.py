"""A handler for the RunPod SDK: a generator that says each second how far it is, and at the end where the stems are."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import logging
import re
import secrets
import tempfile
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, model_validator

from stemwright.doors.runpod.contract import Results, SeparationConfig, SeparationJob, model_of, stems_of
from stemwright.engine.naming import NameTemplate, safe_name
from stemwright.engine.warm import WarmEngines
from stemwright.errors import CancelledError, OptionError, StemwrightError, resource_error, too_large
from stemwright.studio.fetch import fetch_upload
from stemwright.studio.snapshot import shown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from stemwright.doors.runpod.config import WorkerConfig
    from stemwright.doors.runpod.results import ResultStore
    from stemwright.engine.options import SeparateOptions
    from stemwright.engine.song_result import SongResult
    from stemwright.records import JsonObject

    Handler = Callable[[JsonObject], AsyncIterator[JsonObject]]

_ID: Final = re.compile(r"[A-Za-z0-9_\-]{1,100}")
_EVERY: Final = 1.0  # seconds between two words
_SHARES: Final = {"reading": (0.0, 3.0), "separating": (3.0, 90.0), "encoding": (90.0, 97.0)}  # percent, from … to
_SURE: Final = 5.0  # percent from which on the time that is left can be told
log = logging.getLogger("stemwright.runpod")


class _Input(BaseModel):
    """What a job brings: a recording in base64, or its URL; and what is wanted."""

    model_config = ConfigDict(extra="forbid")

    audio: str | None = Field(default=None, validation_alias=AliasChoices("audio", "audioBase64", "audio_base64"))
    url: str | None = Field(default=None, validation_alias=AliasChoices("audioUrl", "audio_url"))
    file_name: str = Field(default="song", validation_alias=AliasChoices("fileName", "filename"), max_length=255)
    config: SeparationConfig = Field(default_factory=SeparationConfig)

    @model_validator(mode="after")
    def _one_of_two(self) -> _Input:
        if (self.audio is None) == (self.url is None):
            raise ValueError("give audio (base64) or audioUrl")
        return self


@dataclass(slots=True)
class _Progress:
    """How far a separation is, as its thread says."""

    began: float = field(default_factory=time.monotonic)
    percent: float = 0.0
    stopped: bool = False

    def __call__(self, stage: str, fraction: float | None, /) -> None:
        if self.stopped:
            raise CancelledError
        begin, end = _SHARES.get(stage, (self.percent, self.percent))
        self.percent = max(self.percent, begin + (end - begin) * (fraction or 0.0))

    @property
    def remaining(self) -> float | None:
        """Seconds, where they can be told."""
        if self.percent < _SURE:
            return None
        return round((time.monotonic() - self.began) * (100 - self.percent) / self.percent, 1)


def make_handler(config: WorkerConfig, store: ResultStore) -> Handler:
    """The handler for `runpod.serverless.start({"handler": …, "return_aggregate_stream": True})`."""
    worker = _Worker(config, store)

    async def handler(job: JsonObject) -> AsyncIterator[JsonObject]:
        """Take a song apart; each word is a `StemSeparationJob`. What goes wrong is the last word, with `error`."""
        wanted: _Input | None = None
        try:
            wanted = _input_of(job)
            async for word in worker.run(str(job.get("id", "")), wanted):
                yield word.plain()
        except StemwrightError as error:
            yield _failed(job, wanted, code=error.code, message=shown(error.code, error.message))
        except Exception as error:  # the SDK would show the traceback to the client
            log.exception("a job failed")
            ours = resource_error(error)
            code, message = (ours.code, ours.message) if ours else ("internal", "")
            yield _failed(job, wanted, code=code, message=shown(code, message))

    return handler


def _failed(job: JsonObject, wanted: _Input | None, *, code: str, message: str) -> JsonObject:
    """The last word of a job that failed; by `error` RunPod knows that it has."""
    word: JsonObject = {"id": str(job.get("id", "")), "status": "failed", "progress": 0.0}
    said: JsonObject = {"error": message, "code": code}
    return word | said | ({"config": wanted.config.plain()} if wanted else {})


def _input_of(job: JsonObject) -> _Input:
    """What a job brings. Raises `OptionError` naming all that is wrong."""
    try:
        return _Input.model_validate(job.get("input") or {})
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, fault['loc'])) or 'input'}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors(include_url=False, include_input=False)
        ]
        raise OptionError("; ".join(faults)) from None


def _place(job_id: str) -> str:
    """Where the results of a job go: no two ids have one place, and an id that is no name is none there."""
    if _ID.fullmatch(job_id):
        return job_id
    return hashlib.sha256(job_id.encode("utf-8", "replace")).hexdigest() if job_id else secrets.token_hex(16)


class _Worker:
    """Separates one song at a time; the models of the last ones stay loaded."""

    def __init__(self, config: WorkerConfig, store: ResultStore) -> None:
        self._config, self._store = config, store
        self._engines = WarmEngines()
        self._turn = threading.Lock()

    async def run(self, job_id: str, wanted: _Input) -> AsyncIterator[SeparationJob]:
        """Words about a job; the last has its results. Raises what goes wrong."""
        config, door = wanted.config, self._config.door
        model = model_of(config, door.models)
        stems = stems_of(config, model, repo=self._config.repo)
        started = SeparationJob(id=job_id, status="processing", config=config, progress=0.0)
        yield started
        with tempfile.TemporaryDirectory(prefix="stemwright-") as name:
            folder = Path(name)
            song = await self._song(wanted, folder)
            progress = _Progress()
            options = self._options(config, model, tuple(dict.fromkeys(stems.values())))
            work = asyncio.ensure_future(asyncio.to_thread(self._separate, options, song, folder / "out", progress))
            try:
                while not (await asyncio.wait({work}, timeout=_EVERY))[0]:
                    yield started.model_copy(
                        update={"progress": round(progress.percent, 1), "estimated_time_remaining": progress.remaining}
                    )
                result = work.result()
            finally:  # who listens no more wants nothing made
                progress.stopped = True
                await asyncio.wait({work})
                _ = work.cancelled() or work.exception()
            yield started.model_copy(update={"progress": _SHARES["encoding"][1], "estimated_time_remaining": 0.0})
            results = await asyncio.to_thread(self._store_all, _place(job_id), stems, result)
        yield started.model_copy(update={"status": "completed", "progress": 100.0, "results": results})

    async def _song(self, wanted: _Input, folder: Path) -> Path:
        """The recording as a file. Raises `TooLargeError`, `OptionError`, and what `fetch_upload` raises."""
        limit = self._config.max_bytes
        if wanted.url is not None:
            return (await fetch_upload(wanted.url, folder, max_bytes=limit, allow=self._config.door.allow)).path
        text = wanted.audio or ""
        if text.startswith("data:"):
            text = text.partition(",")[2]
        if len(text) * 3 // 4 > limit + 2:
            raise too_large(limit)
        try:
            content = base64.b64decode("".join(text.split()), validate=True)  # most tools break it into lines
        except binascii.Error:
            raise OptionError("audio: this is not base64") from None
        path = folder / "in" / safe_name(wanted.file_name, otherwise="song")
        path.parent.mkdir()
        await asyncio.to_thread(path.write_bytes, content)
        return path

    def _options(self, config: SeparationConfig, model: str, stems: tuple[str, ...]) -> SeparateOptions:
        from stemwright.audio.formats import parse_format
        from stemwright.engine.options import SeparateOptions
        from stemwright.engine.settings import SeparationSettings

        limits = self._config.limits
        return SeparateOptions(
            model=model,
            repo=self._config.repo,
            device=self._config.device,
            settings=SeparationSettings(stems=stems, sample_rate=config.quality.sample_rate),
            format=parse_format(config.quality.output_format),
            bitrate=config.quality.bits,
            template=NameTemplate("{stem}.{ext}"),
            limits=replace(
                limits,
                duration=min(limits.duration, self._config.door.max_duration),
                size_bytes=min(limits.size_bytes, self._config.max_bytes),
            ),
        )

    def _separate(self, options: SeparateOptions, song: Path, root: Path, progress: _Progress) -> SongResult:
        with self._turn:
            engine = self._engines.engine(options, lambda: options)
            return engine.separate(song, root, on_progress=progress)

    def _store_all(self, place: str, stems: dict[str, str], result: SongResult) -> Results:
        files, links = result.files(), {}
        for name, stem in stems.items():
            key = f"{place}/{name}{files[stem].suffix}"
            self._store.put_file(files[stem], key)
            links[name] = self._store.link(key)
        return Results(stems=links, model=result.receipt.model.name, draft=result.receipt.model.draft)
