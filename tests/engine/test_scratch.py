"""Samples that wait on the disk come back bit for bit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from sounds import sound
from stemwright.engine.scratch import ScratchAudio
from stemwright.errors import ModelFailedError, OutputError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("channels", [1, 2])
def test_what_was_written_in_blocks_is_read_again_bit_for_bit(channels: int, tmp_path: Path) -> None:
    song = sound("noise", seconds=7.0, channels=channels)  # longer than a block that is read
    audio = ScratchAudio(tmp_path / "stem", channels)
    for block in np.array_split(song, 5, axis=1):
        audio.write(block)
        audio.write(block[:, :0])
    audio.close()
    blocks = [*audio.blocks()]
    assert len(blocks) > 1
    assert np.array_equal(np.concatenate(blocks, axis=1), song)
    assert (audio.frames, audio.peak) == (song.shape[1], np.abs(song).max())
    assert audio.path.stat().st_size == song.size * 4


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_refused(bad: float, tmp_path: Path) -> None:
    audio = ScratchAudio(tmp_path / "stem", 2)
    block = np.zeros((2, 10), np.float32)
    block[1, 7] = bad
    with pytest.raises(ModelFailedError, match="not finite"):
        audio.write(block)
    assert audio.frames == 0


def test_nothing_written_is_an_empty_file(tmp_path: Path) -> None:
    audio = ScratchAudio(tmp_path / "stem", 2)
    audio.close()
    assert audio.path.read_bytes() == b""
    assert [*audio.blocks()] == []


def test_folder_that_is_gone_is_a_fault_of_the_output(tmp_path: Path) -> None:
    audio = ScratchAudio(tmp_path / "gone" / "stem", 1)
    with pytest.raises(OutputError):
        audio.write(np.zeros((1, 4), np.float32))
