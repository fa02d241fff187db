"""The engine process: separates in a child of its own that stays warm, and can be killed at any moment."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stemwright import children
from stemwright.engine.process.messages import A, answer_of, line_of, said_by
from stemwright.engine.process.processes import kill_tree
from stemwright.engine.process.turns import Turns
from stemwright.errors import OutOfMemoryError, StemwrightError, error_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from stemwright.engine.process.messages import Request

_LINE: Final = 64 << 20  # bytes of one answer, at most
_TAIL: Final = 2000  # characters of what a dead child last said


class EngineCrashedError(StemwrightError):
    """The engine process ended in the middle of its work."""

    code = "engine_crashed"
    status = 500
    retryable = True


class JobTimeoutError(StemwrightError):
    """The job took longer than it may."""

    code = "timeout"
    status = 504


class EngineProcess:
    """One child process that does one thing at a time.

    Where `temp` is given, the command is given a folder in it for its temporary files, which goes when the child does.
    Of our environment it gets what any child needs (`stemwright.children`), and `environment`.
    """

    def __init__(
        self, command: Sequence[str], *, temp: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self._command, self._temp, self._environment = [*command], temp, environment or {}
        self._folder: Path | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._log: asyncio.Task[str] | None = None
        self._busy = False
        self.calls = 0

    @property
    def pid(self) -> int | None:
        """Of the child, while it lives."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def call(
        self,
        request: Request[A],
        /,
        *,
        timeout: float,
        on_progress: Callable[[str, float | None], None] | None = None,
    ) -> A:
        """Let the child do something; its answer. A call that is cancelled kills the child.

        `timeout` in seconds; `on_progress` is told the stage and the share of it that is done.
        Raises what the child says went wrong, `EngineCrashedError`, `EngineVersionError`, `JobTimeoutError`, and
        `OutOfMemoryError` when the system killed it for want of memory.
        """
        try:
            async with asyncio.timeout(timeout):
                return await self._call(request, on_progress)
        except TimeoutError:
            await self.kill()
            raise JobTimeoutError(f"it was not done within {timeout:g} s") from None
        except BaseException:
            if self._busy:  # it has not answered, and nobody waits for its answer any more
                await asyncio.shield(self.kill())
            raise

    async def _call(self, request: Request[A], on_progress: Callable[[str, float | None], None] | None) -> A:
        process = await self._started()
        if process.stdin is None or process.stdout is None:
            raise EngineCrashedError("the engine process has no pipes")
        self.calls += 1
        counter = _memory_counter(process.pid)
        self._busy, killed_before = True, _killed_for_memory(counter)
        process.stdin.write(line_of(request))
        with contextlib.suppress(ConnectionError):
            await process.stdin.drain()
        while line := await process.stdout.readline():
            said = said_by(line)
            self._busy = said.progress is not None
            if said.progress:
                if on_progress:
                    await asyncio.to_thread(on_progress, said.progress.stage, said.progress.fraction)
            elif said.error:
                raise error_of(said.error.code, said.error.message)
            else:
                return answer_of(request, said)
        words = await self._last_words(process)
        if process.returncode == -signal.SIGKILL and _killed_for_memory(counter) > killed_before:
            raise OutOfMemoryError(f"the machine's memory did not suffice: {words}")
        raise EngineCrashedError(words)

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                *self._fresh_folder(),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
                limit=_LINE,
                env=children.environment(**self._environment),
            )
            self._log = asyncio.create_task(_tail(self._process))
            self.calls = 0
        return self._process

    def _fresh_folder(self) -> list[str]:
        """An empty folder for the next child, in place of that of the last one; none without `temp`."""
        self._clear()
        if self._temp is None:
            return []
        self._temp.mkdir(parents=True, exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(prefix="engine-", dir=self._temp))
        return [str(self._folder)]

    def _clear(self) -> None:
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder = None

    async def _last_words(self, process: asyncio.subprocess.Process) -> str:
        code = await process.wait()
        said = (await self._log).strip().splitlines()[-1:] if self._log else []
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        return f"the engine process {how}{': ' if said else ''}{''.join(said)}"

    async def kill(self) -> None:
        """End the child and all that it started, at once."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        kill_tree(process.pid)
        await process.wait()
        self._clear()

    def rss(self) -> int:
        """Bytes of memory that the child holds; 0 where that cannot be known."""
        try:
            pages = int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1])
        except (OSError, ValueError, IndexError):
            return 0
        return pages * os.sysconf("SC_PAGE_SIZE")


class EnginePool:
    """Engines for as many calls as there are at once, kept warm, replaced when they have grown or grown old."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        max_rss: int,
        max_calls: int,
        size: int | None = None,
        waiting: int = 16,
        temp: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`max_rss` in bytes; `size` is how many there are at most: further callers wait, as `Turns` has it.

        `waiting` of each group wait for each engine; the rest as for `EngineProcess`.
        """
        self._command, self._max_rss, self._max_calls, self._temp = command, max_rss, max_calls, temp
        self._environment = environment
        self._turns = Turns(size, waiting=waiting) if size else None
        self._idle: list[EngineProcess] = []
        self._all: set[EngineProcess] = set()

    @contextlib.asynccontextmanager
    async def place(self, group: str = "") -> AsyncIterator[None]:
        """The place of an engine, for what works as hard in a process of its own. Raises `BusyError`."""
        async with self._turns.place(group) if self._turns else contextlib.nullcontext():
            yield

    @contextlib.asynccontextmanager
    async def engine(self, group: str = "") -> AsyncIterator[EngineProcess]:
        """An engine for one caller, who waits with his group. Raises `BusyError` when too many wait."""
        async with self.place(group):
            engine = self._idle.pop() if self._idle else self._fresh()
            self._all.add(engine)
            try:
                yield engine
            finally:
                if engine.rss() > self._max_rss or engine.calls >= self._max_calls:
                    await asyncio.shield(engine.kill())
                self._idle.append(engine)

    def _fresh(self) -> EngineProcess:
        return EngineProcess(self._command, temp=self._temp, environment=self._environment)

    async def kill(self) -> None:
        """End all engines."""
        for engine in [*self._all]:  # others may be started meanwhile
            await engine.kill()


def _memory_counter(pid: int) -> Path:
    """The file that counts what the kernel kills for want of memory: in the process's control group, else anywhere."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, group = line.split(":", 2)
            if "memory" in controllers.split(","):  # version 1
                counter = Path(f"/sys/fs/cgroup/memory{group}/memory.oom_control")
            else:
                counter = Path(f"/sys/fs/cgroup{group}/memory.events.local")
            if counter.exists():
                return counter
    return Path("/proc/vmstat")


def _killed_for_memory(counter: Path) -> int:
    """How many processes the kernel has killed for want of memory, by such a file; 0 where that cannot be known."""
    with contextlib.suppress(OSError, ValueError):
        for line in counter.read_text(encoding="ascii").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


async def _tail(process: asyncio.subprocess.Process) -> str:
    """The end of what a child writes on its standard error."""
    tail = b""
    while process.stderr and (block := await process.stderr.read(4096)):
        tail = (tail + block)[-_TAIL:]
    return tail.decode(errors="replace")
