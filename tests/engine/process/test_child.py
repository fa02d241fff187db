"""What the engine process answers when the system lets it down."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from sounds import level_db, read, sound, write_wav
from stemwright.audio.decode import DecodeLimits
from stemwright.engine.process.child import Child
from stemwright.engine.process.messages import A, Scan, Transcode, Transcribe, answer_of, line_of, said_by
from stemwright.engine.stored import Promise

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stemwright.engine.process.messages import Request, Said


def answer(request: Request[A]) -> Said:
    """The last word of a child to a request."""
    said = io.StringIO()
    Child(said).answer(line_of(request).decode())
    return said_by(said.getvalue().splitlines()[-1].encode())


def test_disk_without_room_and_what_cannot_be_written_are_told_as_that(
    tmp_path: Path, disk: Callable[[str], Path]
) -> None:
    drums = write_wav(tmp_path / "drums.wav", sound("noise", seconds=0.3))
    for root, code in ((disk("nr_inodes=1"), "disk_full"), (tmp_path / "gone", "output_failed")):
        said = answer(Transcribe(drums=drums, root=root, title="t", seconds=0.3))
        assert said.error, said
        assert said.error.code == code, said


def test_analysis_of_a_damaged_recording_says_so(tmp_path: Path) -> None:
    whole = write_wav(tmp_path / "whole.wav", sound("song", seconds=2))
    cut = tmp_path / "cut.wav"
    cut.write_bytes(whole.read_bytes()[:-100_000])
    found = []
    for path in (whole, cut):
        request = Scan(song=path, limits=DecodeLimits(), analysis=True, loudness=False)
        found.append(answer_of(request, answer(request)).analysis)
    assert found[0]
    assert found[1]
    assert found[0].warnings == ()
    assert [one.code for one in found[1].warnings] == ["truncated"]


@pytest.mark.parametrize("form", ["mp3", "flac24"])
def test_stems_are_transcoded_at_the_bit_rate_that_was_asked_for(tmp_path: Path, form: str) -> None:
    samples = sound("song", seconds=4.0)
    bits = 96_000 if form == "mp3" else None
    files = {write_wav(tmp_path / f"{name}.wav", samples): tmp_path / f"{name}.{form[:4]}" for name in ("a", "b")}
    assert answer(Transcode(files=files, format=form, bitrate=bits)).result == {}
    for target in files.values():
        back = read(target, channels=2)
        assert back.shape == samples.shape
        assert level_db(back - samples, samples) < (-12 if bits else -85)
        if bits:
            assert 8 * target.stat().st_size / 4.0 == pytest.approx(bits, rel=0.1)


def test_what_is_wrong_with_a_transcoding_comes_back_as_itself(tmp_path: Path) -> None:
    source, target = write_wav(tmp_path / "a.wav", sound("sine", seconds=0.2)), tmp_path / "a.mp3"
    said = answer(Transcode(files={source: target}, format="mp3", bitrate=1_000))
    assert said.error
    assert said.error.code == "bad_option"
    assert "32 to 320 kbit/s" in said.error.message
    promise = Promise(sample_rate=44_100, channels=2, frames=10)
    said = answer(Transcode(files={source: target}, format="mp3", promises={source: promise}))
    assert said.error
    assert said.error.code in {"too_long", "corrupt"}
    source.write_bytes(b"nothing")
    said = answer(Transcode(files={source: target}, format="mp3", bitrate=96_000))
    assert said.error
    assert said.error.code == "not_audio"
    assert not target.exists()
