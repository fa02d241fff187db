"""What the engine process answers when the system lets it down."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

from sounds import sound, write_wav
from stemwright.engine.process.child import Child

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def answer(**request: Any) -> dict[str, Any]:
    """The last word of a child to a request."""
    said = io.StringIO()
    Child(said).answer(request)
    last: dict[str, Any] = json.loads(said.getvalue().splitlines()[-1])
    return last


def test_disk_without_room_and_what_cannot_be_written_are_told_as_that(
    tmp_path: Path, disk: Callable[[str], Path]
) -> None:
    drums = write_wav(tmp_path / "drums.wav", sound("noise", seconds=0.3))
    for root, code in ((disk("nr_inodes=1"), "disk_full"), (tmp_path / "gone", "output_failed")):
        said = answer(what="transcribe", drums=str(drums), root=str(root), title="t", seconds=0.3)
        assert said["error"]["code"] == code, said


def test_analysis_of_a_damaged_recording_says_so(tmp_path: Path) -> None:
    whole = write_wav(tmp_path / "whole.wav", sound("song", seconds=2))
    cut = tmp_path / "cut.wav"
    cut.write_bytes(whole.read_bytes()[:-100_000])
    found = [
        answer(what="scan", song=str(path), limits={}, analysis=True, loudness=False)["result"]["analysis"]
        for path in (whole, cut)
    ]
    assert "warnings" not in found[0]
    assert [one["code"] for one in found[1]["warnings"]] == ["truncated"]
