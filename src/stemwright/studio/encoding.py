"""Stems at a bit rate that a client chose, by a process of their own, which ends when nobody waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stemwright import children
from stemwright.engine.process.pool import JobTimeoutError
from stemwright.errors import OutputError, StemwrightError, error_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stemwright.engine.stored import Promise
    from stemwright.types import Seconds

_COMMAND: Final = (sys.executable, "-P", "-m", "stemwright.studio.encoding")


async def encode(
    files: Mapping[Path, Path],
    *,
    format: str,  # noqa: A002
    bitrate: int | None,
    timeout: Seconds,
    promises: Mapping[Path, Promise] | None = None,
) -> None:
    """Write stems, from file to file, in a format at a bit rate in bits/s (None: the format's own).

    `promises` say what the stems are, where another machine made them: what is anything else is refused.
    Raises what `engine.mixdown.transcode` raises, `OutputError`, and `JobTimeoutError`.
    """
    work = {
        "files": {str(one): str(other) for one, other in files.items()},
        "format": format,
        "bitrate": bitrate,
        "promises": {str(path): asdict(promise) for path, promise in (promises or {}).items()},
    }
    process = await asyncio.create_subprocess_exec(
        *_COMMAND, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=children.environment()
    )
    try:
        async with asyncio.timeout(timeout):
            said, _ = await process.communicate(json.dumps(work).encode())
    except TimeoutError:
        raise JobTimeoutError(f"it was not done within {timeout:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        fault: dict[str, Any] = json.loads(said) if said.strip() else {"code": "output_failed"}
        raise error_of(fault["code"], fault.get("message") or OutputError().message)


def main() -> int:
    """Do what standard input says; what goes wrong is said on standard output."""
    from stemwright.audio.formats import parse_format
    from stemwright.engine.mixdown import transcode
    from stemwright.engine.stored import Promise

    with contextlib.suppress(OSError):
        os.nice(10)  # the API answers first
    work = json.load(sys.stdin)
    try:
        form = parse_format(work["format"])
        for source, target in work["files"].items():
            promise = Promise(**work["promises"][source]) if source in work["promises"] else None
            transcode(Path(source), Path(target), format=form, bitrate=work["bitrate"], promise=promise)
    except StemwrightError as error:
        json.dump({"code": error.code, "message": error.message}, sys.stdout)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
