"""A remote worker: another Stemwright server, spoken to through its native API, at no address but its own."""

from __future__ import annotations

import asyncio
import base64
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel

from stemwright.doors.stemset.answers import Problem, RemoteJob, check_receipt, read
from stemwright.engine.receipt import Receipt
from stemwright.errors import StemwrightError, WorkerAnswerError, WorkerError, WorkerRefusedError, writing
from stemwright.studio.addresses import Allowed, is_local
from stemwright.studio.outbound import (
    RefusedAddressError,
    UnresolvableError,
    answer,
    checked_url,
    resolve_by_system,
)
from stemwright.words import plain

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping
    from pathlib import Path

    import httpx

    from stemwright.engine.stored import Promise
    from stemwright.studio.outbound import Resolve
    from stemwright.types import Seconds

_IDLE_TIMEOUT: Final[Seconds] = 60.0  # without a byte
_MOST_JSON: Final = 1 << 20  # bytes of an answer that is no file
_PIECE: Final = 1 << 20
_FLAC: Final = b"fLaC"
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRules:
    """What a remote worker may cost. Times in seconds, sizes in bytes."""

    allow: tuple[str, ...] = ()  # `callbacks.allow`
    timeout: Seconds = 3600.0  # of one exchange
    max_bytes: int = 4 << 30  # of all stems of a recording
    max_duration: Seconds = 3600.0  # of a recording
    max_decoded_bytes: int = 8 << 30  # of all stems of a recording


def check_address(url: str) -> tuple[httpx.URL, str]:
    """The address of a worker without the user's name and password, and those. Raises `ValueError`."""
    parts = urlsplit(url)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    user = "" if parts.username is None else f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return checked_url(bare.geturl()), user


class RemoteWorker:
    """A client of it. Every method raises `WorkerError` when it cannot be reached, `WorkerAnswerError` when it lies.

    What it names is fetched from the address in the configuration only. That is connected to as callbacks are: a name
    that has a private address is refused unless it is listed, or a name of the local network.
    """

    def __init__(self, url: str, rules: WorkerRules, *, resolve: Resolve = resolve_by_system) -> None:
        """Take the address, which may hold a user's name and password. Raises `WorkerError`."""
        import httpx

        try:
            self._base, user = check_address(url)
        except ValueError as error:
            raise WorkerError(f"the address of the remote worker {error}") from None
        basic = base64.b64encode(user.encode()).decode()
        self._headers = {"Authorization": f"Basic {basic}"} if user else {}
        host = self._base.raw_host.decode("ascii")
        self._allowed = Allowed([*rules.allow, host] if is_local(host) else rules.allow)
        self._rules, self._resolve = rules, resolve
        self._tls = httpx.create_ssl_context(trust_env=False)

    async def submit(self, song: Path, *, name: str, strategy: str, callback_url: str | None = None) -> RemoteJob:
        """Hand a recording over: the job there. Raises `WorkerRefusedError` when it wants none of it."""
        import httpx

        fields = {"strategy": strategy, "format": "flac", "analysis": "false"}
        if callback_url:
            fields["callback_url"] = callback_url
        with song.open("rb") as file:
            form = httpx.Request("POST", self._base, files={"file": (name, file)}, data=fields)
            headers = {name: form.headers[name] for name in ("content-type", "content-length")}
            return await self._ask("/api/v1/jobs", RemoteJob, body=_pieces(form), headers=headers)

    async def job(self, job_id: str) -> RemoteJob:
        """A job there, as it is now. Raises `WorkerRefusedError` when it was forgotten."""
        return await self._ask(f"/api/v1/jobs/{job_id}", RemoteJob)

    async def fetch(
        self, job: RemoteJob, folder: Path, *, room: Callable[[int], None] = lambda _: None
    ) -> tuple[Receipt, dict[str, Promise]]:
        """Fetch the stems of a job that succeeded, as FLAC with their overviews, into a folder.

        Gives their receipt, and what each must be when it is decoded: its first bytes alone were looked at. `room` is
        asked for the bytes of all, decoded, and of each piece, and raises when the disk lacks it. Raises
        `WorkerRefusedError` when they were forgotten there, `DiskFullError`, `OutputError`.
        """
        if job.result is None:
            raise WorkerRefusedError("the remote worker no longer has the stems")
        receipt = await self._ask(job.result.receipt, Receipt)
        rules, left = self._rules, self._rules.max_bytes
        promises = check_receipt(receipt, max_duration=rules.max_duration, max_decoded_bytes=rules.max_decoded_bytes)
        room(sum(promise.size_bytes for promise in promises.values()))
        for stem in promises:
            if stem not in job.result.stems or stem not in job.result.peaks:
                raise WorkerAnswerError("the remote worker has a stem that cannot be fetched")
            path = folder / f"{stem}.flac"
            left -= await self._download(job.result.stems[stem], path, most=left, head=_FLAC, room=room)
            overview = folder / f"{stem}.peaks.dat"
            left -= await self._download(job.result.peaks[stem], overview, most=left, head=b"", room=room)
        return receipt, promises

    async def _download(self, url: str, path: Path, *, most: int, head: bytes, room: Callable[[int], None]) -> int:
        """Fetch a file that begins with `head`; its bytes."""
        size = 0
        async with self._answer(url) as response:
            with writing(), path.open("wb") as file:
                async for piece in response.aiter_raw(_PIECE):  # raw: nothing is decompressed
                    if size == 0 and not piece.startswith(head):
                        raise WorkerAnswerError("the remote worker sent a stem that is no FLAC")
                    size += len(piece)
                    if size > most:
                        raise WorkerAnswerError(
                            f"the stems of the remote worker have more than the {self._rules.max_bytes} bytes allowed"
                        )
                    room(len(piece))
                    await asyncio.to_thread(file.write, piece)
        return size

    async def _ask(self, path: str, model: type[Model], **what: Any) -> Model:
        async with self._answer(path, **what) as response:
            return read(await _content(response), model)

    @asynccontextmanager
    async def _answer(
        self, path: str, *, body: AsyncIterable[bytes] | None = None, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[httpx.Response]:
        """What the worker answers with success; `path` is below its address, which it may begin with."""
        import httpx

        where, _, query = path.partition("?")
        below = self._base.path.rstrip("/")
        where = where.removeprefix(below) if where.startswith(f"{below}/api/v1/") else where
        if not where.startswith("/api/v1/"):
            raise WorkerAnswerError("the remote worker named a file that is not below its address")
        raw = below.encode() + where.encode() + (b"?" + query.encode() if query else b"")
        try:
            async with asyncio.timeout(self._rules.timeout):
                way = answer(
                    self._base.copy_with(raw_path=raw),
                    allowed=self._allowed,
                    resolve=self._resolve,
                    headers={**self._headers, **(headers or {})},
                    deadline=asyncio.get_running_loop().time() + self._rules.timeout,
                    idle_timeout=_IDLE_TIMEOUT,
                    tls=self._tls,
                    body=body,
                )
                async with way as response:
                    if not response.is_success:
                        raise _fault(response.status_code, await _content(response))
                    yield response
        except UnresolvableError:
            raise WorkerError("the remote worker cannot be reached: its name has no address") from None
        except RefusedAddressError:
            raise WorkerError("the remote worker has an address that is not public, nor in callbacks.allow") from None
        except (TimeoutError, httpx.TransportError) as error:
            raise WorkerError(f"the remote worker cannot be reached: {type(error).__name__}") from error


async def _pieces(form: httpx.Request) -> AsyncIterator[bytes]:
    """A form, piece by piece as its file is read."""
    for piece in form.stream:  # type: ignore[union-attr]  # a form can be read both ways
        yield piece


async def _content(response: httpx.Response) -> bytes:
    """The bytes of a small answer. Raises `WorkerAnswerError`."""
    content = bytearray()
    async for piece in response.aiter_raw():
        content += piece
        if len(content) > _MOST_JSON:
            raise WorkerAnswerError(f"the remote worker answered with more than {_MOST_JSON} bytes")
    return bytes(content)


def _fault(status: int, content: bytes) -> StemwrightError:
    """What an answer of the worker that is none means; by its `code`: a proxy before it may answer 404 too."""
    try:
        said = read(content, Problem)
    except WorkerAnswerError:
        said = Problem(detail="it does not say why")
    refused = status in {413, 415, 422} or said.code == "not_found"
    return (WorkerRefusedError if refused else WorkerError)(
        f"the remote worker answered {status}: {plain(said.detail)}"
    )
