from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from sounds import level_db, read, sound, write_wav
from stemwright.engine.process.pool import JobTimeoutError
from stemwright.errors import OptionError, StemwrightError
from stemwright.studio.encoding import encode

if TYPE_CHECKING:
    from pathlib import Path


def test_stems_are_encoded_at_the_bit_rate_that_was_asked_for(tmp_path: Path) -> None:
    samples = sound("song", seconds=4.0)
    sources = {write_wav(tmp_path / f"{name}.wav", samples): tmp_path / f"{name}.mp3" for name in ("a", "b")}
    asyncio.run(encode(sources, format="mp3", bitrate=96_000, timeout=120.0))
    for target in sources.values():
        assert 8 * target.stat().st_size / 4.0 == pytest.approx(96_000, rel=0.1)
        back = read(target, channels=2)
        assert back.shape == samples.shape
        assert level_db(back - samples, samples) < -12


def test_what_is_wrong_comes_back_as_itself(tmp_path: Path) -> None:
    source = write_wav(tmp_path / "a.wav", sound("sine", seconds=0.2))
    with pytest.raises(OptionError, match="32 to 320 kbit/s"):
        asyncio.run(encode({source: tmp_path / "a.mp3"}, format="mp3", bitrate=1_000, timeout=120.0))
    source.write_bytes(b"nothing")
    with pytest.raises(StemwrightError) as caught:
        asyncio.run(encode({source: tmp_path / "a.mp3"}, format="mp3", bitrate=96_000, timeout=120.0))
    assert caught.value.code == "not_audio"
    assert not (tmp_path / "a.mp3").exists()


def test_it_ends_with_its_time(tmp_path: Path) -> None:
    source = write_wav(tmp_path / "a.wav", sound("sine", seconds=0.2))
    with pytest.raises(JobTimeoutError):
        asyncio.run(encode({source: tmp_path / "a.mp3"}, format="mp3", bitrate=96_000, timeout=0.01))
