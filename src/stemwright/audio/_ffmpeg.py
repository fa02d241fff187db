"""Where ffmpeg is, and how its children are started: limited, mute, in a folder of their own."""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import IO, TYPE_CHECKING

from stemwright.errors import FfmpegMissingError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_KEPT_LINES = 400
_LEVEL = re.compile(r"^(?:\[[^\]]* @ 0x[0-9a-f]+\] )?\[(?P<level>info|warning|error|fatal|panic)\] ?(?P<text>.*)")


def find_ffmpeg() -> str:
    """Path of the ffmpeg to use: the system's, else the one that `imageio-ffmpeg` carries.

    Raises `FfmpegMissingError`.
    """
    if found := shutil.which("ffmpeg"):
        return found
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
    first = subprocess.run([path, "-version"], capture_output=True, text=True, check=False).stdout.partition("\n")[0]
    words = first.split()
    return words[2] if len(words) > 2 else "unknown"


@dataclass(slots=True)
class Log:
    """What an ffmpeg child wrote, as far as it is kept."""

    lines: list[tuple[str, str]] = field(default_factory=list)  # (level, text)
    errors: int = 0

    def add(self, line: str) -> None:
        """Take one line."""
        match = _LEVEL.match(line)
        level, text = (match["level"], match["text"]) if match else ("info", line)
        self.errors += level in {"error", "fatal", "panic"}
        if len(self.lines) < _KEPT_LINES:
            self.lines.append((level, text))

    def first_error(self) -> str:
        """The first line that is an error, or an empty string."""
        return next((text for level, text in self.lines if level in {"error", "fatal", "panic"}), "")


class FfmpegChild:
    """A running ffmpeg: no terminal, no inherited environment, its memory and processor time limited by the kernel."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        folder: Path,
        reads: bool = False,
        writes: bool = False,
        memory_bytes: int = 2 << 30,
        cpu_seconds: int = 3600,
    ) -> None:
        """Start it in `folder`; `reads` gives it a pipe as standard input, `writes` one as standard output.

        Raises `FfmpegMissingError`.
        """
        self.log = Log()
        self._process = subprocess.Popen(
            [find_ffmpeg(), "-hide_banner", "-nostdin", "-nostats", "-loglevel", "level+info", *arguments],
            cwd=folder,
            env={"LC_ALL": "C"},
            stdin=subprocess.PIPE if reads else subprocess.DEVNULL,
            stdout=subprocess.PIPE if writes else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C in the terminal is ours to handle
        )
        self._limit(memory_bytes=memory_bytes, cpu_seconds=cpu_seconds)
        self._drain = threading.Thread(target=self._read_log, daemon=True)
        self._drain.start()

    @property
    def stdin(self) -> IO[bytes]:
        """Its standard input; only with `reads`."""
        assert self._process.stdin is not None  # noqa: S101
        return self._process.stdin

    @property
    def stdout(self) -> IO[bytes]:
        """Its standard output; only with `writes`."""
        assert self._process.stdout is not None  # noqa: S101
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
            resource.RLIMIT_AS: memory_bytes,
            resource.RLIMIT_CPU: cpu_seconds,
            resource.RLIMIT_CORE: 0,
        }
        try:
            for kind, value in limits.items():
                resource.prlimit(self._process.pid, kind, (value, value))
        except ProcessLookupError:  # it has ended already
            return

    def _read_log(self) -> None:
        assert self._process.stderr is not None  # noqa: S101
        for line in iter(lambda: self._process.stderr.readline(4096), b""):  # type: ignore[union-attr]
            self.log.add(line.decode("utf-8", "replace").rstrip("\n"))
