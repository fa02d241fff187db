from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from sounds import sound, write_wav
from stemwright.disk import sha256_of
from stemwright.doors.stemset.media import Media, Source, describe, output_name
from stemwright.engine.naming import NameTemplate
from stemwright.engine.options import SeparateOptions
from stemwright.engine.separate import Engine

if TYPE_CHECKING:
    from pathlib import Path

    from stemwright.doors.stemset.media import Recording

DIGEST = "0123456789abcdef" * 4


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Media, Recording]:
    """A recording whose bass is silent to the meter: it is too short."""
    folder = tmp_path_factory.mktemp("media")
    song = write_wav(folder / "take.wav", sound("song", seconds=2.0))
    media = Media(folder / "media")
    source = Source(digest=sha256_of(song), file_name="take.wav", strategy="sketch")
    root = media.place("h4n", source)
    options = SeparateOptions(model="sketch", peaks=("dat",), template=NameTemplate("{stem}.{ext}"))
    receipt = Engine(options).separate(song, root).receipt
    return media, describe(root, receipt, source)


@pytest.mark.parametrize(
    ("file_name", "name"),
    [
        ("STE-001.wav", "STE-001_01234567"),
        ("Grüße, Welt!.mp3", "Grüße_Welt_01234567"),
        ("../../etc/passwd", "passwd_01234567"),
        ("..", "unnamed_01234567"),
        ("", "unnamed_01234567"),
        ("a\x00b\n.wav", "a_b_01234567"),
        (".hidden", "hidden_01234567"),
        ("ü" * 300, "ü" * 50 + "_01234567"),
    ],
)
def test_name_of_an_output_is_safe_and_of_its_content(file_name: str, name: str) -> None:
    assert output_name(Source(digest=DIGEST, file_name=file_name, strategy="x")) == name


def test_metadata_says_what_was_measured(made: tuple[Media, Recording]) -> None:
    media, recording = made
    receipt = recording.receipt()
    facts = json.loads((recording.folder / "metadata.json").read_text())
    assert list(facts["stems"]) == ["vocals", "drums", "bass", "other"]
    for stem in receipt.stems:
        told, lufs, peak = facts["stems"][stem.name], stem.loudness.integrated_lufs, stem.loudness.true_peak_dbtp
        assert lufs is not None
        assert peak is not None
        assert told["stem_type"] == stem.name
        assert told["measured_lufs"] == pytest.approx(lufs, abs=0.01)
        assert told["peak_amplitude"] == pytest.approx(10 ** (peak / 20), abs=1e-4)
        assert told["stem_gain_adjustment_db"] == pytest.approx(max(-12, min(12, -23 - lufs)), abs=0.01)
        assert told["duration_seconds"] == 2.0
        assert told["file_size_bytes"] == (recording.folder / told["stem_url"]).stat().st_size
        assert (recording.folder / told["waveform_url"]).read_bytes()[:4] == b"\x89PNG"
    assert media.of_digest("h4n", facts["file_hash"]) == recording


def test_only_what_is_whole_is_there(made: tuple[Media, Recording], tmp_path: Path) -> None:
    shutil.copytree(made[0].folder, tmp_path / "media")
    media = Media(tmp_path / "media")
    [recording] = media.recordings("h4n")
    digest = recording.facts.file_hash or ""
    (recording.folder / "bass_waveform.png").unlink()
    assert media.of_digest("h4n", digest) is None
    (recording.folder / "metadata.json").write_text("{}")
    assert media.recordings("h4n") == []
    assert media.find("h4n", recording.name) is None


def test_names_from_outside_lead_nowhere(made: tuple[Media, Recording], tmp_path: Path) -> None:
    media, recording = made
    for profile in ("..", "../media/h4n", ".", "", "nothing"):
        assert media.recordings(profile) == []
    for name in ("..", ".", "", f"../h4n/{recording.name}", f"{recording.name}/", "\x00"):
        assert media.find("h4n", name) is None
    for file in ("receipt.json", "../receipt.json", "", ".", "vocals.peaks.dat"):
        assert recording.file(file) is None
    shutil.copytree(media.folder, tmp_path / "media")
    [copy] = Media(tmp_path / "media").recordings("h4n")
    facts = json.loads((copy.folder / "metadata.json").read_text())
    facts["stems"]["bass"]["stem_url"] = "../../../secret"
    (copy.folder / "metadata.json").write_text(json.dumps(facts))
    [copy] = Media(tmp_path / "media").recordings("h4n")
    assert copy.facts.stems["bass"].stem_url == "../../../secret"
    assert copy.file("../../../secret") is None
    (tmp_path / "media" / "h4n" / "link").symlink_to(copy.folder)
    assert [one.name for one in Media(tmp_path / "media").recordings("h4n")] == [copy.name]
