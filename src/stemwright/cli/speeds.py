"""How fast each model was on this machine, remembered beside the weights."""

from __future__ import annotations

import contextlib
import json
import statistics
from typing import TYPE_CHECKING, Final

from stemwright.disk import read_json, write_whole
from stemwright.weights.config import current

if TYPE_CHECKING:
    from pathlib import Path

_FILE: Final = "speeds.json"
_KEPT: Final = 5  # of the last runs of a model, whose median counts
_SHORTEST: Final = 20.0  # seconds of a song; with shorter ones, loading the model counts more than running it


def note_speed(model: str, *, duration: float, elapsed: float) -> None:
    """Remember a run: seconds of the song and of work. Disk errors are ignored: it is a figure for a list."""
    if duration < _SHORTEST or elapsed <= 0:
        return
    speeds = _read()
    speeds[model] = [*speeds.get(model, []), round(duration / elapsed, 3)][-_KEPT:]
    path = _path()
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(path, json.dumps(speeds, sort_keys=True).encode())


def known_speed(model: str) -> float | None:
    """Seconds of a song that a model takes apart in a second, the median of the last runs, or None."""
    runs = _read().get(model)
    return statistics.median(runs) if runs else None


def _path() -> Path:
    return current().cache / _FILE


def _read() -> dict[str, list[float]]:
    try:
        speeds = read_json(_path())
        return {str(model): [float(run) for run in runs] for model, runs in speeds.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
