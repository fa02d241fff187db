"""Chained Ogg, as radio sends it: one shape, or several."""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from recordings import RATE, Belongings, children_of, decode, lag, record
from sounds import level_db, sound
from stemwright.audio._chain import links_of
from stemwright.audio.decode import DecodeLimits, open_audio
from stemwright.errors import CorruptInputError, TooLongError

if TYPE_CHECKING:
    from collections.abc import Sequence

VORBIS, OPUS, FLAC = "-c:a libvorbis -q:a 8", "-c:a libopus -b:a 256k", "-c:a flac"
Part = tuple[str, int, int]  # codec, rate, channels
SECONDS = 1.2


def chained(path: Path, parts: Sequence[Part], *, seconds: float = SECONDS) -> Path:
    data = b""
    for number, (codec, rate, channels) in enumerate(parts):
        samples = sound("song", seconds=seconds, rate=rate, channels=channels, seed=number)
        data += record(path.with_name(f"{number}.ogg"), codec, samples, rate=rate).read_bytes()
    path.write_bytes(data)
    return path


CHANGES: dict[str, list[Part]] = {
    "rate and channels fall": [(VORBIS, 44_100, 2), (VORBIS, 22_050, 1)],
    "rate and channels rise": [(VORBIS, 22_050, 1), (VORBIS, 44_100, 2)],
    "channels only": [(VORBIS, 44_100, 1), (VORBIS, 44_100, 2), (VORBIS, 44_100, 1)],
    "opus": [(OPUS, 48_000, 2), (OPUS, 48_000, 1)],
    "flac": [(FLAC, 32_000, 2), (FLAC, 48_000, 2)],
    "another codec": [(VORBIS, 32_000, 2), (OPUS, 48_000, 2), (FLAC, 44_100, 1)],
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_stream_that_changes_is_given_whole_in_its_best_shape(ffmpeg: str, case: str, tmp_path: Path) -> None:
    parts = CHANGES[case]
    rate, channels = max(part[1] for part in parts), max(part[2] for part in parts)
    path = chained(tmp_path / "a.ogg", parts)
    with open_audio(path) as stream:
        blocks = list(stream)
    decoded = np.concatenate(blocks, axis=1)
    assert (stream.info.sample_rate, stream.info.channels) == (rate, channels)
    assert {block.dtype for block in blocks} == {np.dtype(np.float32)}
    assert max(block.shape[1] for block in blocks) <= 65_536
    assert abs(decoded.shape[1] - len(parts) * SECONDS * rate) <= len(parts)
    assert stream.frames == decoded.shape[1]
    [notice] = stream.notices
    assert notice.code == "changing_stream"
    assert notice.message.endswith(f"all of it is taken as {rate} Hz {'stereo' if channels == 2 else 'mono'}")
    for number, (_, own, count) in enumerate(parts):
        place = decoded[:, round(number * SECONDS * rate) : round((number + 1) * SECONDS * rate)]
        truth = sound("song", seconds=SECONDS, rate=own, channels=count, seed=number)
        alone, _ = decode(tmp_path / f"{number}.ogg")
        assert abs(lag(place, truth)) <= 1 or own != rate
        assert abs(level_db(place[0], alone[0])) < 0.1
        assert count == channels or np.array_equal(place[0], place[1])  # mono is on both sides


SAME: dict[str, list[Part]] = {
    "vorbis": [(VORBIS, 44_100, 2)] * 3,
    "opus": [(OPUS, 48_000, 2)] * 2,
    "flac": [(FLAC, 44_100, 2)] * 2,
    "opus and vorbis": [(OPUS, 48_000, 1), (VORBIS, 48_000, 1)],
}


@pytest.mark.parametrize("case", SAME)
def test_a_sound_chain_of_one_shape_is_not_called_damaged_and_loses_no_sample(
    ffmpeg: str, case: str, tmp_path: Path
) -> None:
    parts = SAME[case]
    decoded, notices = decode(chained(tmp_path / "a.ogg", parts))
    assert notices == []
    alone = [decode(tmp_path / f"{number}.ogg")[0] for number in range(len(parts))]
    assert np.array_equal(decoded, np.concatenate(alone, axis=1))


def test_what_is_wrong_with_a_part_is_told_with_its_number(tmp_path: Path) -> None:
    path = chained(tmp_path / "a.ogg", CHANGES["channels only"])
    data = bytearray(path.read_bytes())
    first = (tmp_path / "0.ogg").stat().st_size
    second = first + (tmp_path / "1.ogg").stat().st_size
    for at in range(first + 200, second):  # the second part keeps its first page alone
        data[at] = 0
    path.write_bytes(data)
    decoded, notices = decode(path)
    assert abs(decoded.shape[1] - 2 * SECONDS * RATE) <= 2
    assert [notice.code for notice in notices] == ["changing_stream", "damaged"]
    assert "some of the 3 parts of the file cannot be decoded: 2" in notices[1].message


def test_the_end_of_a_chain_that_is_missing_is_told(tmp_path: Path) -> None:
    path = chained(tmp_path / "a.ogg", CHANGES["rate and channels rise"], seconds=6)
    path.write_bytes(path.read_bytes()[:-3000])
    assert [(notice.code, "part 2 of 2" in notice.message) for notice in decode(path)[1]] == [
        ("changing_stream", False),
        ("truncated", True),
    ]


def test_a_chain_of_nothing_is_corrupt(tmp_path: Path) -> None:
    whole = record(tmp_path / "0.ogg", VORBIS, sound("sine", seconds=0.2)).read_bytes()
    path = tmp_path / "a.ogg"
    path.write_bytes((whole[:58] + bytes(3000)) * 2)
    with pytest.raises(CorruptInputError):
        decode(path)


def test_the_limits_hold_for_all_parts_together(tmp_path: Path) -> None:
    path = chained(tmp_path / "a.ogg", CHANGES["another codec"])
    decode(path, limits=DecodeLimits(duration=3.7))
    with pytest.raises(TooLongError):
        decode(path, limits=DecodeLimits(duration=3.5))


def test_leaving_a_chain_early_leaves_nothing(tmp_path: Path) -> None:
    path = chained(tmp_path / "a.ogg", [(FLAC, 48_000, 2), (FLAC, 44_100, 2)], seconds=40)
    belongings = Belongings()
    with open_audio(path) as stream:
        blocks = iter(stream)
        next(blocks)
    belongings.assert_unchanged()
    with open_audio(path):
        pass
    belongings.assert_unchanged()
    del blocks


def test_first_pages_without_end_cost_little(tmp_path: Path) -> None:
    whole = record(tmp_path / "0.ogg", VORBIS, sound("sine", seconds=0.2)).read_bytes()
    page = whole[: 27 + whole[26] + whole[27]]
    path = tmp_path / "a.ogg"
    for filling in (page, b"OggS\0\x02", page[:22] + b"bad!" + page[26:]):
        path.write_bytes(whole + filling * (20_000_000 // len(filling)) + whole)
        started = time.monotonic()
        with path.open("rb", buffering=0) as file:
            links_of(file, size=path.stat().st_size)
        assert time.monotonic() - started < 2
    assert struct.unpack_from("<I", page, 12)  # the page is one


def test_a_part_sees_the_bytes_of_no_other(tmp_path: Path) -> None:
    """Each decoder has a pipe in the place of the file."""
    path = chained(tmp_path / "a.ogg", CHANGES["flac"], seconds=20)
    before = {*children_of(os.getpid())}
    with open_audio(path) as stream:
        blocks = iter(stream)
        next(blocks)
        [child] = {*children_of(os.getpid())} - before
        opened = [str(link.readlink()) for link in Path(f"/proc/{child}/fd").iterdir()]
        assert str(path) not in opened
        del blocks
