"""The machine and the versions that figures were measured with."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Final

from stemwright.audio.ffmpeg import ffmpeg_version

_PACKAGES = ("stemwright", "demucs", "torch", "numpy", "scipy", "soxr")
_BUSY = 0.3  # processes that want to run, on average over a minute
_INSTRUCTIONS: Final = ("avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


def describe(*, load: float) -> list[str]:
    """Lines of Markdown; `load` is the load average from before the first command."""
    versions = ", ".join(f"{package} {metadata.version(package)}" for package in _PACKAGES)
    lines = [
        f"- **Machine**: {_cpu()}, {os.cpu_count()} cores, {_memory_gb():.0f} GB of memory, {platform.platform()}",
        f"- **Versions**: Python {platform.python_version()}, {versions}, ffmpeg {ffmpeg_version()}",
        f"- **Date**: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC; load average at the start: {load:.2f}",
    ]
    if load > _BUSY:
        lines.append(
            "- **Warning**: the machine was busy when this began; wall times are too long, and not to be quoted."
        )
    return lines


def write_table(path: Path, *, title: str, about: list[str], rows: list[tuple[str, str, str]]) -> None:
    """Write and print what the command of a module measured: rows of what, the figure and the aim."""
    lines = [f"# {title}", "", f"Written by `python -m benchmarks.{path.stem.lower()}`.", "", *about, ""]
    lines += ["| what | measured | aim |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(*lines, sep="\n")


def load_average() -> float:
    """How many processes wanted to run, on average over the last minute."""
    return os.getloadavg()[0]


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    has = [flag for flag in _INSTRUCTIONS if flag in facts.get("flags", "").split()]
    return f"{facts.get('model name', platform.machine())} ({', '.join(has) or 'instructions unknown'})"


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
