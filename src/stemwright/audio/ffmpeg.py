"""Where ffmpeg is, and how its children are started: limited, mute, in a folder of their own."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING

from stemwright.errors import FfmpegMissingError, SetupError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_KEPT_LINES = 400  # of faults, and as many of all else
_FAULTS = frozenset({"error", "fatal", "panic"})
_LEVEL = re.compile(r"^(?:\[[^\]]* @ 0x[0-9a-f]+\] )?\[(?P<level>info|warning|error|fatal|panic)\] ?(?P<text>.*)")


def find_ffmpeg() -> str:
    """Path of the ffmpeg to use: the system's, else the one that `imageio-ffmpeg` carries.

    Raises `FfmpegMissingError`.
    """
    if found := shutil.which("ffmpeg"):
        return os.path.abspath(found)  # noqa: PTH100  (children run in another folder; a link must stay one)
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise FfmpegMissingError("no ffmpeg on this machine: install it, or `pip install imageio-ffmpeg`") from error


def ffmpeg_version() -> str:
    """The version of the ffmpeg in use, such as `5.1.9-0+deb12u1`. Raises `FfmpegMissingError`."""
    return _version_of(find_ffmpeg())


@cache
def _version_of(path: str) -> str:
    done = subprocess.run([path, "-version"], env={"LC_ALL": "C"}, capture_output=True, text=True, check=False)
    first = done.stdout.partition("\n")[0]
    words = first.split()
    return words[2] if len(words) > 2 else "unknown"


@contextmanager
def private_folder(handle: int) -> Iterator[Path]:
    """A folder for a child that holds nothing but `input`, a link to the open file `handle`, which it must inherit.

    Raises `SetupError` (no temporary folder).
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix="stemwright-")
    except OSError as error:
        raise SetupError(f"no temporary folder can be made: {error.strerror}") from error
    with folder as name:
        (Path(name) / "input").symlink_to(f"/dev/fd/{handle}")
        yield Path(name)


@dataclass(slots=True)
class Log:
    """What an ffmpeg child wrote, as far as it is kept: a file that makes it write without end fills no memory."""

    lines: list[tuple[str, str]] = field(default_factory=list)  # (level, text)
    errors: int = 0  # all of them, kept or not
    _others: int = 0

    def add(self, line: str) -> None:
        """Take one line."""
        match = _LEVEL.match(line)
        level, text = (match["level"], match["text"]) if match else ("info", line)
        if level in _FAULTS:
            self.errors += 1
            kept = self.errors
        elif text.startswith("    "):  # tags: lyrics must not push out, nor pass for, what ffmpeg itself says
            return
        else:
            self._others += 1
            kept = self._others
        if kept <= _KEPT_LINES:
            self.lines.append((level, text))

    def faults(self) -> list[str]:
        """The lines that are errors, the first ones."""
        return [text for level, text in self.lines if level in _FAULTS]


class FfmpegChild:
    """A running ffmpeg: no terminal, no inherited environment, its memory and processor time limited by the kernel."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        folder: Path,
        reads: bool = False,
        writes: bool = False,
        inherits: Sequence[int] = (),
        memory_bytes: int = 2 << 30,
        cpu_seconds: int = 3600,
    ) -> None:
        """Start it in `folder`; `reads` gives it a pipe as standard input, `writes` one as standard output.

        It has the open files `inherits` under the same numbers. `memory_bytes` counts what it writes to: heap, stacks
        and data, not the text of its libraries. Raises `FfmpegMissingError`.
        """
        self.log = Log()
        command = [find_ffmpeg(), "-hide_banner", "-nostdin", "-nostats", "-loglevel", "level+info", *arguments]
        try:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env={"LC_ALL": "C"},
                stdin=subprocess.PIPE if reads else subprocess.DEVNULL,
                stdout=subprocess.PIPE if writes else subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=inherits,
                process_group=0,  # a Ctrl-C in the terminal is ours to handle
            )
        except OSError as error:
            raise FfmpegMissingError(f"{command[0]} cannot be run: {error.strerror}") from error
        self._limit(memory_bytes=memory_bytes, cpu_seconds=cpu_seconds)
        self._drain = threading.Thread(target=self._read_log, daemon=True)
        self._drain.start()

    @property
    def stdin(self) -> IO[bytes]:
        """Its standard input; only with `reads`."""
        assert self._process.stdin is not None  # noqa: S101  (for mypy: it is so by construction)
        return self._process.stdin

    @property
    def stdout(self) -> IO[bytes]:
        """Its standard output; only with `writes`."""
        assert self._process.stdout is not None  # noqa: S101  (for mypy: it is so by construction)
        return self._process.stdout

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and for the last line of its log; the exit code.

        Raises `subprocess.TimeoutExpired`.
        """
        code = self._process.wait(timeout)
        self._drain.join(timeout=5)
        return code

    def kill(self) -> None:
        """End it now, and leave no zombie and no open pipe."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._drain.join(timeout=5)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with suppress(BrokenPipeError):  # what was left unwritten goes nowhere
                    pipe.close()

    def _limit(self, *, memory_bytes: int, cpu_seconds: int) -> None:
        if sys.platform != "linux":
            return
        limits = {
            resource.RLIMIT_DATA: memory_bytes,  # not RLIMIT_AS: libraries and untouched arenas count there
            resource.RLIMIT_CPU: cpu_seconds,
            resource.RLIMIT_CORE: 0,
        }
        with suppress(ProcessLookupError):  # it has ended already
            for kind, value in limits.items():
                _, hard = resource.prlimit(self._process.pid, kind)
                lowest = value if hard == resource.RLIM_INFINITY else min(value, hard)
                resource.prlimit(self._process.pid, kind, (lowest, lowest))

    def _read_log(self) -> None:
        assert self._process.stderr is not None  # noqa: S101  (for mypy: it is so by construction)
        begins = True
        for line in iter(lambda: self._process.stderr.readline(4096), b""):  # type: ignore[union-attr]
            if begins:  # the rest of a long line, such as a tag, must not pass for a line of ffmpeg's own
                self.log.add(line.decode("utf-8", "replace").rstrip("\n"))
            begins = line.endswith(b"\n")
