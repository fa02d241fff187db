"""The engine process: warm while it behaves, gone at once when it does not."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.process.commands import Babble, Die, Echo, Fail, Grow, Leave, Sleep, Stages
from stemwright.audio.decode import DecodeLimits
from stemwright.engine.process.messages import (
    VERSION,
    A,
    EngineVersionError,
    Nothing,
    Request,
    Scan,
    line_of,
    request_of,
)
from stemwright.engine.process.pool import EngineCrashedError, EnginePool, EngineProcess, JobTimeoutError
from stemwright.errors import BusyError, CancelledError, OutOfMemoryError, ReportedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

COMMAND = (sys.executable, "-S", str(Path(__file__).with_name("child_for_tests.py")))
LONG = 60.0  # seconds, for what takes a moment


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


async def gone(pid: int) -> bool:
    for _ in range(500):
        if not alive(pid):
            return True
        await asyncio.sleep(0.02)
    return False


def using(what: Callable[[EngineProcess], Awaitable[None]]) -> None:
    async def run() -> None:
        engine = EngineProcess(COMMAND)
        try:
            await what(engine)
        finally:
            await engine.kill()

    asyncio.run(run())


def test_calls_are_answered_by_the_same_process() -> None:
    async def run(engine: EngineProcess) -> None:
        one = await engine.call(Echo(text="ä"), timeout=LONG)
        two = await engine.call(Echo(text="b"), timeout=LONG)
        assert (one.text, one.pid, engine.calls) == ("ä", two.pid, 2)

    using(run)


def test_progress_is_told_in_order() -> None:
    async def run(engine: EngineProcess) -> None:
        told: list[float | None] = []
        await engine.call(Stages(), timeout=LONG, on_progress=lambda _, fraction: told.append(fraction))
        assert told == [0.25, 0.5, 1.0]

    using(run)


def test_temporary_files_go_with_the_child_however_it_ends(tmp_path: Path) -> None:
    async def run() -> None:
        engine = EngineProcess(COMMAND, temp=tmp_path / "temp")
        seen = []
        ends: dict[str, Request[Nothing]] = {"die": Die(signal=int(signal.SIGKILL)), "leave": Leave(code=7)}
        for end in ("kill", *ends):
            await engine.call(Echo(), timeout=LONG)
            [folder] = (tmp_path / "temp").iterdir()
            (folder / "cover").mkdir()
            seen.append(folder)
            if end == "kill":
                await engine.kill()
                assert not folder.exists()
            else:
                with pytest.raises(EngineCrashedError):
                    await engine.call(ends[end], timeout=LONG)
        await engine.call(Echo(), timeout=LONG)
        assert not [folder for folder in seen if folder.exists()]
        await engine.kill()
        assert not [*(tmp_path / "temp").iterdir()]

    asyncio.run(run())


@pytest.fixture
def narrow() -> Iterator[Path]:
    """A control group of 64 MB."""
    for root, limit in (("memory", "memory.limit_in_bytes"), (".", "memory.max")):
        group = Path("/sys/fs/cgroup") / root / f"stemwright-{os.getpid()}"
        with contextlib.suppress(OSError):
            group.mkdir()
            try:
                (group / limit).write_text(str(64 << 20))
                yield group
            finally:
                group.rmdir()
            return
    pytest.skip("needs a control group for memory, which this user may not make")


def test_child_that_the_kernel_kills_for_memory_is_told_from_one_that_crashed(narrow: Path) -> None:
    async def run(engine: EngineProcess) -> None:
        pid = (await engine.call(Echo(), timeout=LONG)).pid
        (narrow / "cgroup.procs").write_text(str(pid))
        with pytest.raises(OutOfMemoryError, match="SIGKILL"):
            await engine.call(Grow(size=1 << 30), timeout=LONG)
        assert (await engine.call(Echo(), timeout=LONG)).pid != pid

    using(run)


def test_child_that_is_killed_while_the_kernel_kills_another_for_memory_has_crashed(narrow: Path) -> None:
    async def run(engine: EngineProcess) -> None:
        other, children = EngineProcess(COMMAND), []
        pid = (await other.call(Echo(), timeout=LONG)).pid
        (narrow / "cgroup.procs").write_text(str(pid))
        waiting = asyncio.create_task(
            engine.call(Sleep(), timeout=LONG, on_progress=lambda stage, _: children.append(int(stage)))
        )
        while not children:
            await asyncio.sleep(0.02)
        with pytest.raises(OutOfMemoryError):
            await other.call(Grow(size=1 << 30), timeout=LONG)
        assert engine.pid
        for killed in (engine.pid, *children):
            os.kill(killed, signal.SIGKILL)
        with pytest.raises(EngineCrashedError, match="SIGKILL"):
            await waiting

    using(run)


def test_what_the_child_reports_is_raised_and_the_child_stays() -> None:
    async def run(engine: EngineProcess) -> None:
        pid = (await engine.call(Echo(), timeout=LONG)).pid
        with pytest.raises(OutOfMemoryError, match="told to"):
            await engine.call(Fail(code="out_of_memory"), timeout=LONG)
        with pytest.raises(ReportedError):
            await engine.call(Fail(code="never_heard_of"), timeout=LONG)
        assert engine.pid == pid

    using(run)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_death_is_told_with_its_cause_and_the_next_call_starts_anew(number: signal.Signals) -> None:
    async def run(engine: EngineProcess) -> None:
        with pytest.raises(EngineCrashedError, match=f"{number.name}.*last words"):
            await engine.call(Die(signal=int(number)), timeout=LONG)
        with pytest.raises(EngineCrashedError, match="ended with 7"):
            await engine.call(Leave(code=7), timeout=LONG)
        assert (await engine.call(Echo(), timeout=LONG)).pid

    using(run)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_call_that_takes_too_long_kills_the_child_and_its_children() -> None:
    async def run(engine: EngineProcess) -> None:
        others: list[int] = []
        await engine.call(Echo(), timeout=LONG)
        pid = engine.pid or 0
        with pytest.raises(JobTimeoutError):
            await engine.call(Sleep(), timeout=3, on_progress=lambda stage, _: others.append(int(stage)))
        assert len(others) == 1
        assert await gone(pid)
        assert await gone(others[0])

    using(run)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_call_that_is_cancelled_kills_the_child_and_its_children() -> None:
    async def run(engine: EngineProcess) -> None:
        others: list[int] = []
        call = asyncio.create_task(
            engine.call(Sleep(), timeout=LONG, on_progress=lambda stage, _: others.append(int(stage)))
        )
        while not others:
            await asyncio.sleep(0.01)
        pid = engine.pid or 0
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await gone(pid)
        assert await gone(others[0])
        assert (await engine.call(Echo(), timeout=LONG)).pid != pid

    using(run)


def test_listener_that_refuses_kills_the_child() -> None:
    def refuse(_stage: str, _fraction: float | None) -> None:
        raise CancelledError("in vain")

    async def run(engine: EngineProcess) -> None:
        with pytest.raises(CancelledError):
            await engine.call(Stages(), timeout=LONG, on_progress=refuse)
        assert engine.pid is None

    using(run)


def test_pool_keeps_engines_warm_and_gives_each_caller_its_own() -> None:
    async def run() -> None:
        pool = EnginePool(COMMAND, max_rss=1 << 40, max_calls=100)
        async with pool.engine() as one, pool.engine() as two:
            pids = {(await engine.call(Echo(), timeout=LONG)).pid for engine in (one, two)}
        assert len(pids) == 2
        async with pool.engine() as again:
            assert (await again.call(Echo(), timeout=LONG)).pid in pids
        await pool.kill()

    asyncio.run(run())


def test_pool_lets_no_more_work_at_once_than_it_has_places() -> None:
    async def run() -> None:
        pool = EnginePool(COMMAND, max_rss=1 << 40, max_calls=100, size=2)
        now = most = 0

        async def work(group: str) -> int:
            nonlocal now, most
            async with pool.engine(group) as engine:
                now += 1
                most = max(most, now)
                answer = await engine.call(Echo(), timeout=LONG)
                now -= 1
                return int(answer.pid)

        pids = await asyncio.gather(*(work("ab"[number % 2]) for number in range(12)))
        assert most == 2
        assert len({*pids}) <= 2
        await pool.kill()

    asyncio.run(run())


def test_engine_that_has_grown_or_grown_old_is_replaced() -> None:
    async def pids(pool: EnginePool, request: Request[A]) -> list[int]:
        found = []
        for _ in range(4):
            async with pool.engine() as engine:
                await engine.call(request, timeout=LONG)
                found.append(engine.pid or 0)
        await pool.kill()
        return found

    old = asyncio.run(pids(EnginePool(COMMAND, max_rss=1 << 40, max_calls=2), Echo()))
    assert old[0] == old[1] != old[2] == old[3]
    if sys.platform == "linux":
        large = asyncio.run(pids(EnginePool(COMMAND, max_rss=100 << 20, max_calls=100), Grow(size=150 << 20)))
        assert len({*large}) == 4


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_engine_whose_executor_is_gone_ends_with_all_that_it_started() -> None:
    code = """
import subprocess, sys, threading
from stemwright.engine.process.child import _listen
other = subprocess.Popen(["sleep", "600"], start_new_session=True)
print(other.pid, flush=True)
_listen([], threading.Condition())
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as engine:
        assert engine.stdin
        assert engine.stdout
        other = int(engine.stdout.readline())
        assert alive(other)
        engine.stdin.close()
        assert engine.wait(60) == 3
    assert asyncio.run(gone(other))


def test_pool_turns_callers_away_when_too_many_wait() -> None:
    async def crowd() -> list[str]:
        pool = EnginePool(["false"], max_rss=1 << 40, max_calls=99, size=1)
        free = asyncio.Event()

        async def use() -> str:
            try:
                async with pool.engine():
                    await free.wait()
            except BusyError:
                return "busy"
            return "done"

        tasks = [asyncio.create_task(use()) for _ in range(40)]
        await asyncio.sleep(0.1)
        free.set()
        return [*await asyncio.gather(*tasks), await use()]

    said = asyncio.run(crowd())
    assert 0 < said.count("busy") < 30
    assert said[-1] == "done"


@pytest.mark.parametrize("line", ['{"version": "0.0/0", "result": {}}', '{"result": {}}', "hello"])
def test_child_of_another_version_is_refused_and_goes(line: str) -> None:
    async def run(engine: EngineProcess) -> None:
        pid = (await engine.call(Echo(), timeout=LONG)).pid
        with pytest.raises(EngineVersionError, match="restart the server"):
            await engine.call(Babble(line=line), timeout=LONG)
        assert (await engine.call(Echo(), timeout=LONG)).pid != pid

    using(run)


def test_request_of_another_version_is_refused_by_the_child() -> None:
    scan = Scan(song=Path("a.wav"), limits=DecodeLimits(), analysis=True, loudness=False)
    line = json.loads(line_of(scan))
    assert line["version"] == VERSION
    assert request_of(json.dumps(line)) == scan
    for other in ({**line, "version": "0.0/0"}, {"request": line["request"]}, {"what": "scan", "song": "a.wav"}):
        with pytest.raises(EngineVersionError):
            request_of(json.dumps(other))


def test_answer_that_is_not_what_was_asked_for_is_an_error_and_no_half_truth() -> None:
    async def run(engine: EngineProcess) -> None:
        with pytest.raises(EngineVersionError):
            await engine.call(Babble(line=json.dumps({"version": VERSION, "result": {"more": 1}})), timeout=LONG)

    using(run)
