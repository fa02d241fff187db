"""Jobs that make no stems: tempo, key and loudness are found, and nothing is separated."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pydantic import ValidationError

from sounds import sound, write_wav
from stemwright.audio.decode import DecodeLimits
from stemwright.engine.process.child import Child
from stemwright.engine.process.messages import Scan, answer_of, line_of, said_by
from stemwright.engine.receipt import Loudness
from stemwright.engine.song_facts import AnalysisRecord, SongFacts
from stemwright.studio.options import JobOptions
from stemwright.studio.store.tables import Song
from stemwright.studio.work.runs import is_measured
from studio.work.desks import WORKER, Desk, opened, options

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def desk(tmp_path: Path, database_url: str) -> Iterator[Desk]:
    yield from opened(tmp_path, database_url)


def level_of(path: Path, *, loudness: bool) -> Loudness | None:
    answers = io.StringIO()
    request = Scan(song=path, limits=DecodeLimits(), analysis=True, loudness=loudness)
    Child(answers).answer(line_of(request).decode())
    facts = answer_of(request, said_by(answers.getvalue().splitlines()[-1].encode()))
    assert facts.analysis
    return facts.analysis.loudness


def test_scan_measures_loudness_where_that_is_wanted(tmp_path: Path) -> None:
    """A sine of 997 Hz at full scale in one channel is −3.01 LUFS (BS.1770-4); this one is 20 dB below, in both."""
    time = np.arange(5 * 48_000) / 48_000
    wave = 0.1 * np.sin(2 * np.pi * 997 * time)
    path = write_wav(tmp_path / "sine.wav", np.stack([wave, wave]).astype(np.float32), 48_000)
    level = level_of(path, loudness=True)
    assert level
    assert level.integrated_lufs == pytest.approx(-3.01 + 3.01 - 20, abs=0.1)
    assert level.true_peak_dbtp == pytest.approx(-20, abs=0.1)
    assert level_of(path, loudness=False) is None


def test_scan_of_silence_and_of_six_channels_measures_what_there_is(tmp_path: Path) -> None:
    silence = write_wav(tmp_path / "silence.wav", np.zeros((2, 48_000), np.float32), 48_000)
    assert level_of(silence, loudness=True) == Loudness(integrated_lufs=None, true_peak_dbtp=None)
    many = write_wav(tmp_path / "many.wav", sound("noise", seconds=2, channels=6))
    level = level_of(many, loudness=True)
    assert level
    assert -40 < (level.integrated_lufs or 0.0) < 0


def test_run_without_stems_ends_as_soon_as_it_has_listened(desk: Desk) -> None:
    song = desk.song()
    run = desk.run(song, options=options(separate=False))
    begun = desk.runs.begin(run, attempts=3, worker=WORKER)
    assert begun is not None
    assert not begun.options.separate
    assert (begun.analysed, begun.measured) == (False, False)
    silence = Loudness(integrated_lufs=None, true_peak_dbtp=None)
    facts = SongFacts(
        pcm_digest="p" * 64,
        duration=2.0,
        sample_rate=44_100,
        channels=2,
        title="",
        artist="",
        analysis=AnalysisRecord(tempo=None, key=None, loudness=silence),
    )
    desk.runs.describe_song(song, facts)
    desk.runs.finish(desk.lease(run))
    found = desk.get(run)
    assert (found.status, found.progress, found.separation_id) == ("succeeded", 100.0, None)
    assert is_measured(desk.rows(Song)[0])


def test_run_that_was_cancelled_is_not_finished(desk: Desk) -> None:
    run = desk.run(desk.song(), status="cancelled")
    desk.runs.finish(desk.lease(run))
    assert desk.get(run).status == "cancelled"


@pytest.mark.parametrize(
    "options", [{"analysis": False}, {"preview": True}, {"transcribe": True}, {"stems": ["vocals"]}]
)
def test_job_without_stems_can_want_nothing_that_is_made_of_them(options: dict[str, Any]) -> None:
    assert not JobOptions(separate=False).separate
    with pytest.raises(ValidationError):
        JobOptions.model_validate({"separate": False, **options})
