"""Tracks: what lies in the listed folders, and what is known of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stemwright.engine.song_facts import AnalysisRecord, KeyRecord, KnownFacts
from stemwright.errors import JobNotFoundError
from stemwright.studio import tracks
from stemwright.studio.local import opened
from stemwright.studio.store.tables import Song
from studio.shelves import idle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stemwright.studio.studio import Studio

ME = "local"
KEY = KeyRecord(name="A minor", tonic="A", mode="minor", camelot="8A", open_key="1m", confidence=0.9)
HEARD = AnalysisRecord(tempo=None, key=KEY)


@pytest.fixture
def studio(tmp_path: Path, database_url: str) -> Iterator[Studio]:
    with idle(tmp_path, database_url) as studio:
        yield studio


@pytest.fixture
def music(tmp_path: Path) -> Path:
    music = tmp_path / "music"
    for name in ("b.WAV", "Ärger/a.mp3", "Ärger/100% live.flac", ".hidden/x.wav", "._b.wav", "cover.jpg"):
        (music / name).parent.mkdir(parents=True, exist_ok=True)
        (music / name).write_bytes(name.encode())
    (music / "loop").symlink_to(music)
    (music / "link.wav").symlink_to("b.WAV")
    (Path(os.fsdecode(bytes(music) + b"/\xff.wav"))).write_bytes(b"x")
    return music


def paths(studio: Studio, *roots: Path, search: str | None = None) -> list[str]:
    found, total = tracks.list_tracks(studio, roots=roots, search=search, limit=99, offset=0, owner=ME)
    assert total == len(found)
    return [track.relative_path for track in found]


def test_recordings_are_found_by_their_names_and_nothing_else_is(studio: Studio, music: Path) -> None:
    assert tracks.scan(studio, [music], owner=ME) == {"new": 3, "changed": 0, "gone": 0}
    assert paths(studio, music) == ["b.WAV", "Ärger/100% live.flac", "Ärger/a.mp3"]
    assert paths(studio, music, search="100% live") == ["Ärger/100% live.flac"]
    assert paths(studio, music, search="%") == ["Ärger/100% live.flac"]
    assert tracks.count_tracks(studio, owner=ME) == {str(music): 3}
    assert tracks.count_tracks(studio, owner="other") == {}


def test_scan_sees_what_is_new_changed_and_gone(studio: Studio, music: Path) -> None:
    tracks.scan(studio, [music], owner=ME)
    assert tracks.scan(studio, [music], owner=ME) == {"new": 0, "changed": 0, "gone": 0}
    (music / "b.WAV").unlink()
    (music / "c.ogg").write_bytes(b"c")
    os.utime(music / "Ärger" / "a.mp3", (1, 1))
    assert tracks.scan(studio, [music], owner=ME) == {"new": 1, "changed": 1, "gone": 1}


def test_folder_that_is_away_keeps_its_tracks_and_one_that_is_not_listed_loses_them(
    studio: Studio, music: Path
) -> None:
    tracks.scan(studio, [music], owner=ME)
    music.rename(music.with_name("unplugged"))
    assert tracks.scan(studio, [music], owner=ME) == {"new": 0, "changed": 0, "gone": 0}
    assert len(paths(studio, music)) == 3
    tracks.scan(studio, [], owner=ME)
    assert tracks.count_tracks(studio, owner=ME) == {}


def test_track_has_the_same_id_after_the_database_was_lost(studio: Studio, music: Path) -> None:
    tracks.scan(studio, [music], owner=ME)
    [track] = tracks.list_tracks(studio, roots=[music], search="b.WAV", limit=1, offset=0, owner=ME)[0]
    assert track.id == tracks.track_id(music, "b.WAV")
    assert tracks.get_track(studio, track.id, roots=[music], owner=ME) == track
    for roots, owner in (([], ME), ([music / "Ärger"], ME), ([music], "other")):
        with pytest.raises(JobNotFoundError):
            tracks.get_track(studio, track.id, roots=roots, owner=owner)


def known(studio: Studio, music: Path) -> KnownFacts:
    return tracks.get_track(studio, tracks.track_id(music, "b.WAV"), roots=[music], owner=ME).found


def test_what_was_found_stays_with_the_track_until_the_file_changes(studio: Studio, music: Path) -> None:
    """Even when the song has expired."""
    tracks.scan(studio, [music], owner=ME)
    with opened(music / "b.WAV", roots=[music]) as file:
        tracks.remember(studio, music, file.seen, "d" * 64, owner=ME)
        assert tracks.known_digest(studio, music, file.seen, owner=ME) == "d" * 64
        assert tracks.known_digest(studio, music, file.seen, owner="other") is None
    song = Song(
        owner=ME, title="b", search="b", file_name="b.WAV", source_digest="d" * 64, size_bytes=5, upload_key="k"
    )
    song.duration, song.sample_rate, song.channels, song.analysis = 2.0, 44_100, 2, HEARD
    with studio.db.session() as session:
        session.add(song)
    assert known(studio, music).analysis == HEARD  # of the song
    assert tracks.song_of(studio, "d" * 64, owner=ME) == song.id
    tracks.describe(studio, "d" * 64, tracks.song_facts(studio, song.id, owner=ME), owner=ME)
    with studio.db.session() as session:
        session.delete(session.get_one(Song, song.id))
    assert (known(studio, music).analysis, known(studio, music).duration) == (HEARD, 2.0)
    assert tracks.song_facts(studio, song.id, owner=ME) == KnownFacts()
    os.utime(music / "b.WAV", (1, 1))
    tracks.scan(studio, [music], owner=ME)
    assert known(studio, music) == KnownFacts()
