"""Processes that run models of `audio-separator`: asked over pipes, kept for the next model, as their start is slow."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import tempfile
import weakref
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from stemwright import children
from stemwright.errors import ModelFailedError, OutOfMemoryError, error_of

_PROGRAM: Final = Path(__file__).with_name("_audio_separator_child.py")
_TAIL: Final = 2000  # bytes of what a dead child last said


class Process:
    """A child that holds one model at a time. It ends with this object, or with this process."""

    def __init__(self, python: Path) -> None:
        self.python = python
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (`end` closes it)
        self._child = subprocess.Popen(
            [python, "-P", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env=children.environment(),
        )
        self._idle = True
        self.end = weakref.finalize(self, _end, self._child, self._said)

    @property
    def pid(self) -> int:
        """The child's."""
        return self._child.pid

    @property
    def is_fit(self) -> bool:
        """Whether it can be asked: alive, and not in the middle of an answer."""
        return self._idle and self._child.poll() is None

    def ask(self, name: str, head: dict[str, Any], body: bytes = b"") -> tuple[dict[str, Any], bytearray]:
        """What the child answers to a request about the model called `name`, and the samples that follow.

        Raises what it says is wrong, `ModelFailedError` when it ends, and `OutOfMemoryError` when it is killed.
        """
        source = self._child.stdout
        self._idle = False
        self._tell(head, body)
        line = source.readline() if source else b""
        answer: dict[str, Any] = json.loads(line) if line else {}
        samples = bytearray(4 * int(np.prod(answer["shape"])) if "shape" in answer else 0)
        if source is None or not line or _read(source, samples) < len(samples):
            raise self._death(name)
        self._idle = True
        if "error" in answer:
            message = str(answer["error"]["message"])
            raise error_of(answer["error"]["code"], message if name in message else f"{name}: {message}")
        return answer, samples

    def forget(self) -> None:
        """Let the child drop its model."""
        self._tell({})

    def _tell(self, head: dict[str, Any], body: bytes = b"") -> None:
        with contextlib.suppress(BrokenPipeError):  # it is dead; the reader of its answers will see that
            if self._child.stdin:
                self._child.stdin.write(json.dumps(head).encode() + b"\n" + body)
                self._child.stdin.flush()

    def _death(self, name: str) -> ModelFailedError | OutOfMemoryError:
        """What to say of a child that ended."""
        code = self._child.wait()
        if code == -signal.SIGKILL:
            return OutOfMemoryError(f"the process of {name} was killed, as for want of memory")
        self._said.seek(max(0, self._said.seek(0, 2) - _TAIL))
        words = self._said.read().decode(errors="replace").strip().splitlines()[-1:]
        return ModelFailedError(f"the process of {name} ended with {code}: {''.join(words)}")


_idle: list[Process] = []  # at most one


def take(python: Path) -> Process:
    """A process for a model, that was kept or is new."""
    while _idle:
        process = _idle.pop()
        if process.python == python and process.is_fit:
            return process
        process.end()
    return Process(python)


def give_back(process: Process) -> None:
    """Keep a process for the next model, without its own; where one is kept already, or it is not fit, end it."""
    if process.is_fit and not _idle:
        process.forget()
        _idle.append(process)
    else:
        process.end()


def _read(source: IO[bytes], target: bytearray) -> int:
    view, done = memoryview(target), 0
    while done < len(target) and (count := source.readinto(view[done:])):  # type: ignore[attr-defined]  # buffered
        done += count
    return done


def _end(child: subprocess.Popen[bytes], said: IO[bytes]) -> None:
    child.kill()
    child.wait()
    for pipe in (child.stdin, child.stdout, said):
        if pipe is not None:
            with contextlib.suppress(OSError):  # what was not written yet goes nowhere
                pipe.close()
