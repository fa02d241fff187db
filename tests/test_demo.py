"""Our own song: small, complete, and rendered again by its script."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from needs import needs
from sounds import level_db, read
from stemwright.audio.tags import read_tags

ROOT = Path(__file__).parent.parent
DEMO = ROOT / "demo"
STEMS = ("vocals", "drums", "bass", "other")


def test_song_and_stems_are_of_one_length_and_small() -> None:
    lengths = {read(DEMO / name, channels=2).shape for name in ("song.ogg", *(f"stems/{stem}.ogg" for stem in STEMS))}
    assert len(lengths) == 1
    assert 28 * 44_100 < lengths.pop()[1] < 35 * 44_100
    assert sum(path.stat().st_size for path in DEMO.rglob("*") if path.suffix in {".ogg", ".png"}) < 2e6


def test_song_says_whose_it_is() -> None:
    tags, notices = read_tags(DEMO / "song.ogg", demuxer="ogg")
    assert tags.text["artist"] == "Stemwright"
    assert "CC0" in tags.text["comment"]
    assert tags.cover is not None
    assert not notices


@pytest.mark.slow
@needs("fluidsynth", "fluid-soundfont-gm")
def test_script_renders_the_song_again_with_stems_that_add_up_to_it(tmp_path: Path) -> None:
    places = ["--out", str(tmp_path / "demo"), "--wav", str(tmp_path / "wav")]
    command = [sys.executable, "-m", "demo.compose", *places]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (tmp_path / "demo" / "song.ogg").stat()
    mix = read(next((tmp_path / "wav").glob("song.wav")), channels=2)
    stems = [read(next((tmp_path / "wav").rglob(f"{stem}.wav")), channels=2) for stem in STEMS]
    assert level_db(np.sum(stems, axis=0, dtype=np.float32) - mix, mix) < -120
    committed = read(DEMO / "song.ogg", channels=2)
    assert committed.shape == mix.shape
    assert level_db(committed - mix, mix) < -12  # the same song, coded with loss
