"""Memory does not grow with the length of a song: the real command, with its children, watched from outside."""

from __future__ import annotations

import shutil
import sys
import wave
from typing import TYPE_CHECKING

import numpy as np
import pytest

from processes import Cost, measure
from sounds import sound

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

MB = 1_000_000
MINUTE = 60
LOOP = 30  # seconds
NEEDED = 6 << 30  # bytes on disk for half an hour: the song, four stems as float32, four as 16-bit WAV
NOISE = 1.25  # the more chunks, the more often all threads hold much at once; a stem that is kept whole is a factor 1.9


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that is emptied at once, not three runs later as pytest does: gigabytes go through it."""
    yield tmp_path
    shutil.rmtree(tmp_path)


def write_song(path: Path, *, seconds: int, rate: int = 44_100) -> Path:
    """A stereo song of any length, 16-bit WAV, in the memory of `LOOP` seconds."""
    samples = sound("song", seconds=LOOP, rate=rate)
    loop = np.clip(np.rint(samples.T * 32767), -32768, 32767).astype("<i2").tobytes()
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 2, rate, 0, "NONE", ""))
        for _ in range(seconds // LOOP):
            file.writeframesraw(loop)
    return path


def cost_of(folder: Path, *options: str | Path, seconds: int, rate: int = 44_100) -> Cost:
    """What `stemwright separate` takes for a song."""
    song = write_song(folder / f"{seconds}.wav", seconds=seconds, rate=rate)
    what = [song, "--output", folder / "out", "--format", "wav16", *options]
    cost = measure([sys.executable, "-m", "stemwright", "separate", *what], timeout=1800)
    assert len(list((folder / "out" / song.stem).glob("*.wav"))) == 4
    shutil.rmtree(folder / "out")
    song.unlink()
    memory = f"{cost.peak_rss / MB:.0f} MB at most, {cost.rss_95 / MB:.0f} MB in 19 of 20 looks"
    print(f"{seconds} s: {memory}, {cost.wall:.0f} s, {cost.cpu:.0f} s of CPU")  # noqa: T201
    return cost


@pytest.mark.slow
def test_half_an_hour_takes_no_more_memory_than_five_minutes(folder: Path) -> None:
    if shutil.disk_usage(folder).free < NEEDED:
        pytest.skip(f"half an hour of stems needs {NEEDED >> 30} GB of disk for a while")
    short, long = (cost_of(folder, "--model", "sketch", seconds=minutes * MINUTE) for minutes in (5, 30))
    assert long.rss_95 <= 1.1 * short.rss_95, f"{short.rss_95 / MB:.0f} MB for 5 minutes, {long.rss_95 / MB:.0f} for 30"
    assert long.peak_rss <= NOISE * short.peak_rss, f"{short.peak_rss / MB:.0f} MB, then {long.peak_rss / MB:.0f} MB"


@pytest.mark.slow
def test_five_minutes_through_demucs_take_no_more_memory_than_half_a_minute(folder: Path) -> None:
    pytest.importorskip("demucs")
    from tiny_demucs import make_repo

    repo = make_repo(folder / "weights", kind="demucs", segment=5, samplerate=8000)
    model = ("--model", "tiny", "--repo", repo, "--device", "cpu")
    short, long = (cost_of(folder, *model, seconds=seconds, rate=8000).peak_rss for seconds in (30, 5 * MINUTE))
    assert long <= 1.1 * short, f"{short / MB:.0f} MB for 30 s, {long / MB:.0f} MB for 5 minutes"


def test_a_child_counts_and_a_fork_does_not_count_twice() -> None:
    size = 200 * MB
    forks = f"import subprocess; held = b'x' * {size}; [subprocess.run(['true'], cwd='/') for _ in range(100)]"
    assert size < measure([sys.executable, "-c", forks], timeout=60).peak_rss < 1.5 * size
    child = f"import time; held = b'x' * {size}; time.sleep(0.5)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    assert measure([sys.executable, "-c", parent], timeout=60).peak_rss > size
